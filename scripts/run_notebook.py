"""Execute a notebook from top to bottom and store its outputs in it.

python scripts/run_notebook.py notebooks/quickstart.ipynb      # needs cvsegguide[dev]

It runs in a temporary folder, with the Python that runs this. A cell that fails stops it, and the
notebook stays as it was. What differs from run to run (seconds) or from machine to machine is not
stored, so that a difference in the outputs means a difference in the results.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

SECONDS = re.compile(r", \d+\.\d s$", re.MULTILINE)
"""At the end of a line about an epoch."""


def execute(path: Path, timeout: int = 600) -> Any:
    """The notebook with fresh outputs; the file is left alone.

    Args:
        path: The notebook.
        timeout: Seconds that a cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # neither somebody's settings of IPython nor a backend that shows nothing
        environment = {**os.environ, "IPYTHONDIR": folder}
        environment.pop("MPLBACKEND", None)
        here = Path(folder, "here")
        here.mkdir()
        NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(here)}},
        ).execute(env=environment)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """Pieces of one stream as one, without seconds."""
    kept: list[Any] = []
    for output in outputs:
        if (
            output.output_type == "stream"
            and kept
            and kept[-1].output_type == "stream"
            and kept[-1].name == output.name
        ):
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = SECONDS.sub("", output.text)
    return kept


def main() -> int:
    """Execute and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    path: Path = parser.parse_args().notebook
    notebook = execute(path)
    temporary = path.with_suffix(".new")
    nbformat.write(notebook, temporary)
    temporary.replace(path)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
