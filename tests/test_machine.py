"""How long PyTorch's idle threads keep their cores."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from cvsegguide.machine import wait_briefly
if sys.argv[1] == "late":
    import torch
print(wait_briefly(), os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("when", "chosen", "expected"),
    [
        ("early", {}, "True 50000"),
        ("late", {}, "False None"),
        ("early", {"GOMP_SPINCOUNT": "7"}, "False 7"),
        ("early", {"OMP_WAIT_POLICY": "active"}, "False None"),
    ],
)
def test_it_is_said_before_pytorch_is_loaded(
    when: str, chosen: dict[str, str], expected: str
) -> None:
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM, when],
        capture_output=True,
        text=True,
        check=True,
        env={**free, **chosen},
    ).stdout
    assert output.strip() == expected
