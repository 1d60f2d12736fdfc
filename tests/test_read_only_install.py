"""Where nothing can be written, kernels compile in memory."""

import os
import shutil
from pathlib import Path

import pytest

import cvsegguide
from helpers.commands import run_python


def test_kernels_compile_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files stand where the caches would go: the test also holds for the superuser."""
    source = Path(cvsegguide.__file__).parent
    copy = tmp_path / "cvsegguide"
    shutil.copytree(
        source, copy, ignore=shutil.ignore_patterns("__pycache__", "weights", "*.safetensors")
    )
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    program = (
        "import cvsegguide.synth.noise, cvsegguide.geo._visibility as module\n"
        "print(module.__file__)\n"
    )
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": f"{os.devnull}/x", "PYTHONPATH": str(tmp_path)}
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    done = run_python("-B", "-c", program, **nowhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(copy))
