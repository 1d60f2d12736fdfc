"""How PyTorch's idle threads wait: asleep, unless somebody has decided otherwise."""

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("first", "chosen", "policy"),
    [
        ("", {}, "passive"),
        ("import torch", {}, None),
        ("", {"GOMP_SPINCOUNT": "7"}, None),
        ("", {"OMP_WAIT_POLICY": "active"}, "active"),
    ],
)
def test_it_is_said_before_pytorch_is_loaded(
    first: str, chosen: dict[str, str], policy: str | None
) -> None:
    program = f"{first}\nimport cvsegguide, os\nprint(os.environ.get('OMP_WAIT_POLICY'))"
    free = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**free, **chosen},
    )
    assert done.stdout.strip() == str(policy)
