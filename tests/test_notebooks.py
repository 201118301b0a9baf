from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# A reader on two cores waits three minutes at most; a busy machine gets as long again.
SECONDS_PER_CELL = 360
# Run before a notebook's own cells.
SHORTEN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from short_fits import shorten
shorten()
"""


def read(path):
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_and_stored_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_opens_with_its_question_and_explains_every_picture(path):
    cells = read(path).cells
    assert cells[0].cell_type == "markdown" and "?" in cells[0].source
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if cell.cell_type == "code" and "plot." in cell.source:
            assert following is not None and following.cell_type == "markdown"


def run(notebook, folder):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for library in ("arviz", "corner", "matplotlib", "pandas"):
        pytest.importorskip(library)
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        # What a notebook writes must not land in the repository.
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    notebook = read(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SHORTEN))
    run(notebook, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_full(path, tmp_path):
    run(read(path), tmp_path)
