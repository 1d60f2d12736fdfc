"""The notebook runs from top to bottom, and what it stores is fit to be read."""

import re
import shutil
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from helpers.scripts import load

nbformat = pytest.importorskip("nbformat", reason="needs cvsegguide[dev]")
exceptions = pytest.importorskip("nbclient.exceptions", reason="needs cvsegguide[dev]")
pytest.importorskip("ipykernel", reason="needs cvsegguide[dev]")

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOK = REPOSITORY / "notebooks" / "quickstart.ipynb"
PATH = re.compile(r"(?<![\w.:/<])/(?:[\w.~-]+/)+|\b[A-Z]:\\|~/")
"""An absolute path; not the end of an address or of a relative path."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("run_notebook")


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: Any) -> str:
    """What a person reads of an output."""
    if output.output_type == "stream":
        return str(output.text)
    return str(output.get("data", {}).get("text/plain", ""))


def faults(notebook: Any) -> list[str]:
    """What is wrong with the outputs of a notebook; nothing, it is hoped."""
    found = []
    counts = [cell.execution_count for cell in _code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        found.append(f"not run from top to bottom: {counts}")
    for number, cell in enumerate(_code(notebook), 1):
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number} failed: {output.ename}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {number} complains: {output.text}")
            text = _text(output)
            # short names of hosts, such as "vm", may be words
            host = socket.gethostname()
            if PATH.search(text) or (len(host) > 5 and host in text):
                found.append(f"cell {number} names this machine: {text}")
            if re.search(r"Traceback|Warning|\berror:\s*cvsegguide|\d+\.\d s$", text, re.M):
                found.append(f"cell {number} says: {text}")
    return found


def _pictures(notebook: Any) -> int:
    return sum(
        "image/jpeg" in output.get("data", {}) or "image/png" in output.get("data", {})
        for cell in _code(notebook)
        for output in cell.outputs
    )


def test_stored_outputs_are_complete_and_small() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert faults(notebook) == []
    assert _pictures(notebook) >= 6
    assert all(cell.outputs for cell in _code(notebook)[1:])
    assert NOTEBOOK.stat().st_size < 1_000_000


def test_links_lead_to_documents() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 5
    for link in links:
        assert (NOTEBOOK.parent / link).is_file(), link


@pytest.mark.slow
def test_runs_from_top_to_bottom(script: ModuleType, tmp_path: Path) -> None:
    copy = tmp_path / NOTEBOOK.name
    shutil.copy(NOTEBOOK, copy)
    notebook = script.execute(copy)
    assert faults(notebook) == []
    stored = nbformat.read(NOTEBOOK, as_version=4)
    assert _pictures(notebook) == _pictures(stored)
    assert copy.read_bytes() == NOTEBOOK.read_bytes(), "executing must not write"


def _small(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_cell_that_fails_stops_the_run(script: ModuleType, tmp_path: Path) -> None:
    path = _small(tmp_path / "bad.ipynb", "print('here')", "1 / 0")
    with pytest.raises(exceptions.CellExecutionError, match="ZeroDivisionError"):
        script.execute(path)


def test_faults_are_seen_and_seconds_dropped(script: ModuleType, tmp_path: Path) -> None:
    path = _small(
        tmp_path / "odd.ipynb",
        "import sys; print('epoch 1/2, step 9, loss 1.5, 12.3 s')",
        "print('see /home/somebody/file.txt')",
        "print('oh', file=sys.stderr)",
        "print('results in files/city/test and 3.5 km/h')",
    )
    notebook = script.execute(path)
    assert _code(notebook)[0].outputs[0].text == "epoch 1/2, step 9, loss 1.5\n"
    found = faults(notebook)
    assert len(found) == 2
    assert "cell 2 names this machine" in found[0]
    assert "cell 3 complains" in found[1]
    notebook.cells[0].execution_count = 7
    assert "top to bottom" in faults(notebook)[0]
