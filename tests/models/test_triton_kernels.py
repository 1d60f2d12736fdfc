"""Triton kernels against the plain path: without a GPU in Triton's interpreter."""

import importlib.util
import json
from pathlib import Path

import pytest

from helpers.commands import run_python

HELPER = Path(__file__).parents[1] / "helpers" / "triton_differences.py"

# bfloat16 keeps 8 bits. The interpreter cuts bits off where a GPU rounds, so that the two parts of
# a float32 number keep 15 bits and not 17.
ALLOWED = {"bfloat16": 2e-2}


@pytest.fixture(scope="module")
def differences() -> dict[str, dict[str, float]]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed: it comes with PyTorch on Linux only")
    done = run_python(HELPER, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", ["radius 3", "radius 2", "radius 1"])
def test_kernels_agree_with_plain_path(differences: dict[str, dict[str, float]], case: str) -> None:
    for what, apart in differences[case].items():
        assert apart < ALLOWED.get(what, 1e-4), f"{what}: {apart}"


@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_kernels_compile_for_gpus_that_are_not_here(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triton = pytest.importorskip("triton", reason="Triton comes with PyTorch on Linux only")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from cvsegguide.models.upsamplers import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    side, room = triton_kernels.folded_sides(3)
    shape = {"SIDE": side, "ROOM": room}
    taps = {"kernel": "*fp32", "vertical": "*fp32", "horizontal": "*fp32", "folded": f"*{kind}"}
    maps = dict.fromkeys(("source", "weights", "result"), f"*{kind}")
    tile = {"REACH": 3, "TALL": 2, "WIDE": 8, "ROWS": 8, "COLUMNS": 16, "CHANNELS": 64}
    for kernel, tensors, counts, constants in (
        ("fold_kernel", taps, ("height", "width"), {"DIAMETER": 7, "PIXELS": 16}),
        ("enlarge_kernel", maps, ("height", "width", "channels"),
         {**tile, "SPLIT": kind == "fp32", "EMULATE": False}),
    ):  # fmt: skip
        constants = {**shape, **constants}
        source = ASTSource(
            getattr(triton_kernels, kernel),
            {**tensors, **dict.fromkeys(counts, "i32"), **dict.fromkeys(constants, "constexpr")},
            constants,
        )
        for capability in (80, 90):
            assert triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
