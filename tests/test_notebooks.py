"""The notebooks as they are kept; `tests/benchmarks/notebooks.py` runs them."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
HOME = re.compile(r"/(?:home|root|tmp|work|Users|mnt|opt)/|https?://(?!www\.apache\.org|github\.com|opensource\.org)")


def outputs(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_five():
    assert [path.name[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_tell_nothing_of_the_machine(path):
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    counts = [cell.execution_count for cell in book.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert outputs(book)
    for output in outputs(book):
        assert output.output_type != "error"
        told = [output.get("text", ""), *(text for kind, text in output.get("data", {}).items() if "text/" in kind)]
        assert not [text for text in told if HOME.search(text)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_reusable_is_defined(path):
    sources = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert not [
        source for source in sources if re.search(r"^\s*(def|class) |^from (jobs|pipeline|transforms)", source, re.M)
    ]
