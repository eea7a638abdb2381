import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 90
"""Seconds that a page may take: its graph is laid out on one core of a machine that may have more to do."""


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


@pytest.fixture(scope="module")
def export(trained_folder):
    """The address of a web server with nothing but the static files of ``kedro viz build``."""
    command = [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"]
    environment = {**os.environ, "KEDRO_ENV": "test"}
    done = subprocess.run(command, cwd=trained_folder, env=environment, capture_output=True, text=True)
    assert "Success" in done.stdout, done.stdout + done.stderr
    handler = partial(QuietHandler, directory=trained_folder / "build")
    with ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


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


def ask(viz, path):
    with urllib.request.urlopen(f"{viz}/api/{path}") as answer:
        return json.load(answer)


def wait(browser):
    return WebDriverWait(browser, PATIENCE, ignored_exceptions=[StaleElementReferenceException])


def select(browser, viz, dataset, preview):
    """Open a dataset's details, wait for the preview that the CSS selector names, and return what it says."""
    browser.get(f"{viz}/?pid=__default__&sn={dataset}")
    return wait(browser).until(lambda _: browser.find_element(By.CSS_SELECTOR, preview).text)


def select_picture(browser, viz, dataset):
    browser.get(f"{viz}/?pid=__default__&sn={dataset}")
    script = "return document.querySelector('img.pipeline-metadata__plot-image')?.naturalWidth ?? 0"
    wait(browser).until(lambda _: browser.execute_script(script) > 300)


def texts(browser, selector):
    """What the elements say, drawn or not: nodes out of sight are faded out."""
    script = "return Array.from(document.querySelectorAll(arguments[0]), element => element.textContent)"
    return browser.execute_script(script, selector)  # at once: the page draws its nodes anew at any time


def own_errors(browser, viz):
    """What the page has logged since the last time; without a network its font is missing, which is not our concern."""
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in errors if viz in message]


def test_layers_of_every_pipeline_stand_in_the_order_of_the_data_folders(viz):
    for pipeline in ask(viz, "main")["pipelines"]:
        graph = ask(viz, f"pipelines/{pipeline['id']}")
        used = {node["layer"] for node in graph["nodes"] if node["type"] == "data" and node["layer"]}
        shown = [layer for layer in graph["layers"] if layer in used]
        # none at all is how kedro-viz takes layers that go round in a circle
        assert shown, pipeline["id"]
        assert shown == sorted(shown), pipeline["id"]


def test_every_result_of_the_study_is_previewed_and_every_node_shows_its_code(viz, trained_folder):
    nodes = ask(viz, "main")["nodes"]
    details = {node["name"]: (node["type"], ask(viz, f"nodes/{node['id']}")) for node in nodes if "." not in node["id"]}
    not_shown = [name for name, (kind, about) in details.items() if kind == "data" and lacks_preview(about)]
    assert not_shown == []
    assert all('"""' in about["code"] for kind, about in details.values() if kind == "task")
    assert "could not be previewed" not in (trained_folder / "viz.log").read_text()


def lacks_preview(about):
    return about.get("preview_type") is not None and about.get("preview") is None


@pytest.mark.browser
def test_graph_shows_layers_datasets_and_each_task_as_one_namespace(browser, viz):
    browser.get(f"{viz}/?pid=__default__")
    expected = {"raw_sheets", "process_raw_sheets", "sheets", "sheet_index", "binary", "multi", "study_report"}
    wait(browser).until(lambda _: expected <= set(texts(browser, ".pipeline-node__text")))
    assert "train_model" not in texts(browser, ".pipeline-node__text")
    layers = ["01_raw", "02_intermediate", "03_primary", "08_reporting"]  # of what no task's namespace hides
    wait(browser).until(lambda _: texts(browser, ".pipeline-layer-name") == layers)


@pytest.mark.browser
def test_tag_leaves_one_stage_of_the_whole_study(browser, viz):
    browser.get(f"{viz}/?pid=__default__&tags=stain_audit")
    expected = {"sheets", "binary", "multi", "attribute_list"}
    wait(browser).until(lambda _: expected <= set(texts(browser, ".pipeline-node__text")))
    others = {"study_report", "process_raw_sheets"}
    wait(browser).until(lambda _: not others & set(texts(browser, ".pipeline-node__text")))


@pytest.mark.browser
def test_table_is_previewed(browser, viz, trained):
    table = select(browser, viz, "sheet_index", ".preview-table")
    assert "image_id" in table
    assert trained.load("sheet_index")["image_id"][0] in table


@pytest.mark.browser
def test_metrics_are_previewed(browser, viz):
    assert '"data_source":"sample"' in select(browser, viz, "binary.metrics", ".pipeline-metadata__preview-json")


@pytest.mark.browser
@pytest.mark.parametrize("dataset", ["binary.roc_curve", "sheets", "masks", "binary.attribution_maps"])
def test_figure_or_contact_sheet_is_previewed(browser, viz, dataset):
    select_picture(browser, viz, dataset)


@pytest.mark.browser
def test_model_is_previewed_by_its_description(browser, viz):
    shown = select(browser, viz, "binary.model", ".pipeline-metadata__preview-json")
    assert '"architecture":"reduced_squeezenet"' in shown


@pytest.mark.browser
def test_page_logs_no_errors_of_its_own(browser, viz):
    browser.get_log("browser")
    select(browser, viz, "binary.metrics", ".pipeline-metadata__preview-json")
    assert own_errors(browser, viz) == []


@pytest.mark.browser
def test_static_export_shows_graph_and_previews_without_a_kedro_server(browser, export):
    browser.get_log("browser")
    select_picture(browser, export, "sheets")
    assert {"process_raw_sheets", "binary", "multi"} <= set(texts(browser, ".pipeline-node__text"))
    select(browser, export, "sheet_index", ".preview-table")
    # kedro-viz 12.5 asks for an answer that its own export leaves out
    assert [error for error in own_errors(browser, export) if "metadata" not in error] == []
