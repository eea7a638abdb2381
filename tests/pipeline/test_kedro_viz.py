import random
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def viz(trained_folder):
    """The address of kedro-viz, serving the trained project."""
    port = free_port()
    command = [sys.executable, "-m", "kedro", "viz", "run", "--env=test", "--no-browser", f"--port={port}"]
    with (trained_folder / "viz.log").open("w") as log:
        server = subprocess.Popen(command, cwd=trained_folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield wait_for(f"http://localhost:{port}", server, trained_folder / "viz.log")
        finally:
            server.terminate()
            server.wait()


def free_port():
    """A port that nobody listens on, among those that kedro-viz takes: it refuses the system's ephemeral ones."""
    for port in random.sample(range(20_000, 45_000), 50):
        with socket.socket() as candidate:
            if candidate.connect_ex(("localhost", port)):
                return port
    raise AssertionError("none of fifty ports is free")


def wait_for(address, server, log):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/api/main"):
                return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def select(browser, viz, dataset, preview):
    """Open a dataset's details and wait for the preview that the CSS selector names."""
    browser.get(f"{viz}/?pid=__default__&sn={dataset}")
    return WebDriverWait(browser, 30).until(
        expected_conditions.visibility_of_element_located((By.CSS_SELECTOR, preview))
    )


def texts(browser, selector):
    """What the elements say, drawn or not: nodes out of sight are faded out."""
    return [element.get_attribute("textContent") for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def test_graph_shows_layers_datasets_and_each_task_as_one_namespace(browser, viz):
    browser.get(f"{viz}/?pid=__default__")
    expected = {"raw_sheets", "process_raw_sheets", "sheets", "sheet_index", "binary", "multi", "multi.roc_curve"}
    WebDriverWait(browser, 30).until(lambda _: expected <= set(texts(browser, ".pipeline-node__text")))
    assert "train_model" not in texts(browser, ".pipeline-node__text")
    assert texts(browser, ".pipeline-layer-name") == ["raw", "intermediate", "primary", "models", "reporting"]


def test_table_is_previewed(browser, viz, trained):
    table = select(browser, viz, "sheet_index", ".preview-table")
    assert "image_id" in table.text
    assert trained.load("sheet_index")["image_id"][0] in table.text


def test_metrics_are_previewed(browser, viz):
    assert '"data_source":"sample"' in select(browser, viz, "binary.metrics", ".pipeline-metadata__preview-json").text


def test_figure_is_previewed(browser, viz):
    picture = select(browser, viz, "binary.roc_curve", "img.pipeline-metadata__plot-image")
    WebDriverWait(browser, 30).until(lambda _: int(picture.get_attribute("naturalWidth")) > 300)


def test_model_is_previewed_by_its_description(browser, viz):
    shown = select(browser, viz, "binary.model", ".pipeline-metadata__preview-json")
    assert '"architecture":"reduced_squeezenet"' in shown.text


def test_page_logs_no_errors_of_its_own(browser, viz):
    browser.get_log("browser")
    select(browser, viz, "binary.metrics", ".pipeline-metadata__preview-json")
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in errors if viz in message] == []
