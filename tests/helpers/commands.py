"""The command line as people meet it when something is wrong."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cvsegguide.cli.main import main

TESTS = Path(__file__).resolve().parents[1]


def run_python(
    *words: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Python in a process and a group of its own, where the tests' helpers can be imported."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        start_new_session=True,
    )


def refusal(
    words: Sequence[object],
    capture: pytest.CaptureFixture[str],
    folder: Path | None = None,
) -> str:
    """What is said after ``cvsegguide: error:`` about a command that must end with status 2.

    It is one line, and nothing is written: not to stdout, and not to ``folder``.
    """
    before = sorted(folder.rglob("*")) if folder else []
    capture.readouterr()
    try:
        status: object = main(list(map(str, words)))
    except SystemExit as end:
        status = end.code
    out, error = capture.readouterr()
    assert status == 2, error
    assert out == ""
    assert error.startswith("cvsegguide: error: ")
    assert error.count("\n") == 1, error
    assert (sorted(folder.rglob("*")) if folder else []) == before
    return error.removeprefix("cvsegguide: error: ")
