"""Triton kernels against the plain path: without a GPU in Triton's interpreter."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HELPER = Path(__file__).parents[1] / "helpers" / "triton_differences.py"

# bfloat16 keeps 8 bits. The interpreter cuts bits off where a GPU rounds, so that the two parts of
# a float32 number keep 15 bits and not 17.
ALLOWED = {"bfloat16": 2e-2}


@pytest.fixture(scope="module")
def differences() -> dict[str, dict[str, float]]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed: it comes with PyTorch on Linux only")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HELPER)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", ["radius 3", "radius 2", "radius 1"])
def test_kernels_agree_with_plain_path(differences: dict[str, dict[str, float]], case: str) -> None:
    for what, apart in differences[case].items():
        assert apart < ALLOWED.get(what, 1e-4), f"{what}: {apart}"
