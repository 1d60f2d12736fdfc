"""How PyTorch's idle threads wait: asleep, unless somebody has decided otherwise."""

import pytest

from helpers.commands import run_python

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
    first: str, chosen: dict[str, str], policy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"{first}\nimport cvsegguide, os\nprint(os.environ.get('OMP_WAIT_POLICY'))"
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    done = run_python("-c", program, **chosen)
    assert done.stdout.strip() == str(policy)
