"""The notebook of examples/notebook runs from its first cell to its last on a finished study."""

import importlib.util

import nbformat
import pytest
from needs import need
from workflow import REPOSITORY

NOTEBOOK = REPOSITORY / "examples" / "notebook" / "results.ipynb"


@pytest.mark.slow
def test_the_notebook_ends_with_its_tables_and_figures(simulated, tmp_path, monkeypatch):
    need(
        importlib.util.find_spec("nbclient") and importlib.util.find_spec("ipykernel"),
        "no nbclient or ipykernel: make test installs them",
    )
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "default").symlink_to(simulated.study)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert all(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    shown = [output.get("data", {}) for output in outputs]
    assert [output for output in outputs if output.output_type in ("error", "stream")] == []
    figures = [data["image/svg+xml"] for data in shown if "image/svg+xml" in data]
    assert len(figures) == 2 and "validation MAE of the incumbent (°C)" in figures[0] and "learning rate" in figures[1]
    assert all(figure.count('aria-roledescription="') > 5 for figure in figures)
    tables = " ".join(data["text/html"] for data in shown if "<table" in data.get("text/html", ""))
    assert all(word in tables for word in ("optimism", "test_mae", "verdict", "random", "best"))


def test_the_notebook_is_stored_without_outputs():
    nbformat.validate(notebook := nbformat.read(NOTEBOOK, as_version=4))
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 4 and all(cell.outputs == [] and cell.execution_count is None for cell in cells)
