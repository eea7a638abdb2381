import re
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from .conftest import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_the_catalog(path, trained_folder, monkeypatch):
    folder = trained_folder / "notebooks"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder)
    monkeypatch.setenv("KEDRO_ENV", "test")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert [output for output in shown if output.get("name") == "stderr"] == []
    said = "".join(output.get("text", "") for output in shown)
    assert "data: sample" in said
    assert re.search(r"\bn = \d+ .*sheets", said)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs_and_defines_nothing(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert "def " not in cell.source
