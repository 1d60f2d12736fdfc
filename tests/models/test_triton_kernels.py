"""Triton kernels against plain paths: without a GPU in Triton's interpreter. Their compilation."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


@pytest.mark.parametrize("case", ["radius 3", "radius 2", "radius 1", "stack", "norms"])
def test_kernels_agree_with_plain_path(differences: dict[str, dict[str, float]], case: str) -> None:
    for what, apart in differences[case].items():
        assert apart < ALLOWED.get(what, 1e-4), f"{what}: {apart}"


@pytest.mark.parametrize("channels", [40, 96, 384])
def test_norm_compiles_for_gpus_that_are_not_here(
    channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triton = pytest.importorskip("triton", reason="Triton comes with PyTorch on Linux only")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from cvsegguide.models import layer_norm_kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kinds = {"rows": "*bf16", "weight": "*fp32", "bias": "*fp32", "out": "*bf16", "count": "i32"}
    room = triton.next_power_of_2(channels)
    rows = layer_norm_kernel.rows_at_once(channels)
    constants = {"CHANNELS": channels, "ROOM": room, "ROWS": rows}
    source = ASTSource(
        layer_norm_kernel._norm,
        {**kinds, "eps": "fp32", **dict.fromkeys(constants, "constexpr")},
        constants,
    )
    for capability in (80, 90):
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        assert compiled.asm["cubin"]


def test_where_triton_cannot_compile_paths_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton comes with PyTorch on Linux only")
    from cvsegguide.models import layer_norm_kernel, triton_support

    name = "cvsegguide.models.layer_norm_kernel"
    launched = []

    def fail(x: torch.Tensor, *_: object) -> torch.Tensor:
        launched.append(x.device)
        raise RuntimeError("Failed to find C compiler.\nMore.")

    cpu = torch.device("cpu")
    triton_support._compiles_for.cache_clear()
    monkeypatch.setattr(layer_norm_kernel, "layer_norm", fail)
    with pytest.warns(RuntimeWarning, match=r"for cpu \(Failed to find C compiler\.\)"):
        assert triton_support.kernels_of(name, cpu) is None
    assert triton_support.kernels_of(name, cpu) is None
    assert len(launched) == 1  # and warned once
    triton_support._compiles_for.cache_clear()
    monkeypatch.setattr(layer_norm_kernel, "layer_norm", lambda x, *_: x)
    assert triton_support.kernels_of(name, cpu) is layer_norm_kernel
    assert triton_support.kernels_of("cvsegguide.no_kernels", cpu) is None
    triton_support._compiles_for.cache_clear()
