import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(trained):
    """The address of the report of the trained project."""
    (path,) = sorted((trained.data / "08_reporting" / "sample" / "study_report.html").glob("*/*.html"))[-1:]
    return path.as_uri()


@pytest.fixture
def report(browser, page):
    """The report, opened at 1280 pixels."""
    browser.get_log("browser")
    resize(browser, 1280)
    browser.get(page)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.mark.parametrize("width", [390, 1280])
def test_page_does_not_scroll_sideways(report, page, width):
    resize(report, width)
    report.get(page)
    assert (
        report.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    )


def test_nothing_is_asked_of_the_network_and_nothing_goes_wrong(report):
    asked = report.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [address for address in asked if not address.startswith("data:")] == []
    assert [entry["message"] for entry in report.get_log("browser")] == []


def test_every_figure_is_drawn(report):
    report.execute_async_script(
        "Promise.allSettled([...document.images].map(image => image.decode())).then(arguments[0])"
    )
    widths = report.execute_script("return [...document.querySelectorAll('figure img')].map(i => i.naturalWidth)")
    assert len(widths) > 30
    assert min(widths) > 100


def test_links_of_the_contents_lead_to_sections(report):
    targets = report.execute_script(
        "return [...document.querySelectorAll('.contents a, .findings a')]"
        ".map(link => document.querySelector(`section${link.hash}`) !== null)"
    )
    assert len(targets) > 10
    assert all(targets)


def test_table_sorts_by_keyboard_and_says_so(report):
    header = report.find_element(By.XPATH, "//th[button[text()='Sheets']]")
    button = header.find_element(By.TAG_NAME, "button")

    def column():
        place = header.get_property("cellIndex")
        cells = header.find_elements(By.XPATH, f"ancestor::table/tbody/tr/td[{place + 1}]")
        return [float(cell.get_attribute("data-sort")) for cell in cells]

    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "descending"
    assert column() == sorted(column(), reverse=True)
    button.send_keys(Keys.SPACE)
    assert header.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())


def test_figure_enlarges_and_escape_gives_the_focus_back(report):
    button = report.find_element(By.CSS_SELECTOR, "button.zoom")
    button.send_keys(Keys.ENTER)
    dialog = report.find_element(By.TAG_NAME, "dialog")
    assert dialog.is_displayed()
    enlarged = dialog.find_element(By.TAG_NAME, "img").get_attribute("src")
    assert enlarged == button.find_element(By.TAG_NAME, "img").get_attribute("src")
    ActionChains(report).send_keys(Keys.ESCAPE).perform()
    WebDriverWait(report, 10).until(lambda _: not dialog.is_displayed())
    assert report.switch_to.active_element == button


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_page_follows_the_reader_s_colour_scheme_and_figures_stay_on_white(report, scheme, light):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert (brightness(report, "body") > 128) is light
    assert brightness(report, "button.zoom") == 255


def test_paper_is_light_without_contents_and_holds_whole_figures(report):
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [dark]})
    resize(report, 680)  # of A4 between the margins
    assert brightness(report, "body") == 255
    assert not report.find_element(By.CSS_SELECTOR, "nav").is_displayed()
    beyond = "return [...document.querySelectorAll('figure')].filter(f => f.scrollWidth > f.clientWidth + 1).length"
    assert report.execute_script(beyond) == 0
    assert report.execute_script("return document.documentElement.scrollWidth") <= 680


def brightness(browser, selector):
    """The red of an element's ground."""
    script = f"return getComputedStyle(document.querySelector('{selector}')).backgroundColor.match(/\\d+/)[0]"
    return int(browser.execute_script(script))
