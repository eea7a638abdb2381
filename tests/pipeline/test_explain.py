import shutil

import pytest
from selenium.webdriver.common.by import By

from steel_xai.errors import InputError
from steel_xai.results import latest_results

from .conftest import Project


@pytest.fixture(scope="module")
def images(trained, tmp_path_factory):
    """Three sheets without labels, one of them with a white stain, and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    raw = trained.data / "01_raw" / "sample"
    stained = trained.load("sheet_index").query("white_stain == 1")["image_id"].iloc[0]
    for path in (*sorted((raw / "test_images").iterdir())[:2], raw / "train_images" / stained):
        shutil.copy(path, folder)
    (folder / "notes.txt").write_text("no sheet")
    return folder


@pytest.fixture(scope="module")
def explained(trained, images):
    trained.run("explain", parameters={"explain": {"images": str(images)}})
    trained.run("explain_binary", parameters={"explain": {"images": str(images / "*.jpg")}})
    return trained


def test_sheets_without_labels_are_explained_by_either_model(explained):
    table = explained.load("explained_sheets")
    assert table["status"].value_counts().to_dict() == {"explained": 3, "refused": 1}
    outputs = explained.load("multi.model").description.outputs
    assert set(table["predicted"].dropna()) <= set(outputs)
    known = set(explained.load("multi.split").query("split == 'train'")["image_id"])
    assert set(table["nearest_1"].dropna()) <= known
    assert table.loc[table["stain_area_share"] > 0, "stain_p_without"].notna().all()
    assert explained.load("binary.explained_sheets")["predicted"].isin(["no defect", "defect"]).all()
    assert explained.load("explanations").startswith("<!doctype html>")
    assert "<title>Explanations of 3 sheets</title>" in explained.load("binary.explanations")


def test_nothing_is_left_behind_but_the_features_of_the_training_sheets(explained):
    folder = explained.data / "07_model_output" / "sample" / "multi" / ".explanations"
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == [".lock", "features"]


def test_a_sheet_that_is_added_makes_its_explanations_stale(explained, images, tmp_path):
    project = Project(tmp_path)
    shutil.copytree(explained.data, project.data)
    parameters = {"explain": {"images": str(images / "*.jpg")}}
    before = latest_results(project.data, "sample")["binary.explanations"].version
    project.run("explain_binary", parameters=parameters, only_stale=True)
    assert latest_results(project.data, "sample")["binary.explanations"].version == before
    shutil.copy(min(images.glob("*.jpg")), images / "added.jpg")
    project.run("explain_binary", parameters=parameters, only_stale=True)
    assert len(project.load("binary.explained_sheets")) == 4


def test_run_without_images_tells_how_to_give_them(trained):
    with pytest.raises(InputError, match=r"--params=explain\.images=PATH"):
        trained.run("explain")


@pytest.fixture
def page(browser, explained, tmp_path):
    """The page in a browser."""
    path = tmp_path / "explanations.html"
    path.write_text(explained.load("explanations"), encoding="utf-8")
    browser.get_log("browser")
    browser.get(path.as_uri())
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
def test_buttons_choose_the_cards_that_are_shown(page):
    cards = page.find_elements(By.CSS_SELECTOR, ".card")
    assert len(cards) == 3
    for kind in ("unknown", "warned"):
        page.find_element(By.CSS_SELECTOR, f"[data-show={kind}]").click()
        expected = [card.get_attribute(f"data-{kind}") == "1" for card in cards]
        assert [card.is_displayed() for card in cards] == expected
    page.find_element(By.CSS_SELECTOR, "[data-show=all]").click()
    assert all(card.is_displayed() for card in cards)


@pytest.mark.browser
def test_page_shows_its_pictures_and_logs_nothing(page):
    widths = page.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) > 3
    assert min(widths) > 0
    assert page.get_log("browser") == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_page_never_scrolls_sideways(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_click_enlarges_a_sheet(page):
    strips = page.find_element(By.CSS_SELECTOR, ".strips")
    before = strips.find_element(By.TAG_NAME, "img").size["width"]
    strips.click()
    assert strips.find_element(By.TAG_NAME, "img").size["width"] > before
