"""Fixtures that every test may use."""

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
# Workers share the cores: threads of one would wait for those of the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Background jobs ignore SIGINT, and so would every command that a test interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real and parity data; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("CVSEGGUIDE_SHARED", default))
    if not (folder / "interface.md").is_file():
        pytest.skip(f"no shared data at {folder} (set CVSEGGUIDE_SHARED)")
    return folder
