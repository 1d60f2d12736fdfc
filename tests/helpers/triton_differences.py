"""Differences of Triton kernels from the plain path, as JSON.

A program of its own: where there is no GPU, Triton's interpreter has to be chosen before Triton is
imported.
"""

import json
import os
import sys

import torch
from torch.nn.functional import layer_norm

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

from cvsegguide.models import layer_norm_kernel
from cvsegguide.models.linear import fast_paths, plain_path
from cvsegguide.models.upsamplers import joint_bilateral, triton_kernels
from cvsegguide.models.upsamplers.joint_bilateral import (
    JointBilateralStack,
    JointBilateralUpsampler,
)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def apart(ours: torch.Tensor, oracle: torch.Tensor) -> float:
    return float((ours.float() - oracle).norm() / oracle.norm())


def step(
    radius: int, size: tuple[int, int, int, int], tuning: dict[str, object]
) -> dict[str, float]:
    """One step of every kernel at ``(B, C, h, w)``."""
    torch.manual_seed(radius)
    module = JointBilateralUpsampler(radius=radius, key_channels=12).eval().to(DEVICE)
    batch, _, height, width = size
    low = torch.randn(*size, device=DEVICE)
    guidance = torch.rand(batch, 3, 2 * height, 2 * width, device=DEVICE)
    values = torch.randn(batch, 1, 2 * height, 2 * width, device=DEVICE)
    with torch.no_grad():
        module.sigma_spatial.fill_(0.8)
        module.range_temp.fill_(0.3)
        with plain_path():
            kernel = module.kernel(guidance)
            expected = module.apply_kernel(low, kernel)
            back = module.transposed(values, kernel)
        weights = module.weights(guidance, triton_kernels)
        at_once = module.weights(guidance, triton_kernels, folded=True)
        folded = triton_kernels.fold(kernel, radius)
        side, pixels = folded.shape[2], low.permute(0, 2, 3, 1)
        result = triton_kernels.enlarge(pixels, folded, radius, tuning).permute(0, 3, 1, 2)
        half = triton_kernels.enlarge(pixels.bfloat16(), folded.bfloat16(), radius, tuning)
        one = low[:, :1].contiguous()
        with plain_path():
            alone = module.apply_kernel(one, kernel)
        few = triton_kernels.enlarge(one.permute(0, 2, 3, 1), folded, radius).permute(0, 3, 1, 2)
        returned = triton_kernels.transposed(values[:, 0], folded, radius)[:, None]
    return {
        "weights": apart(weights, kernel),
        "folded weights": apart(at_once[..., :side], folded[..., :side]),
        "float32": apart(result, expected),
        "bfloat16": apart(half.permute(0, 3, 1, 2), expected),
        "one channel": apart(few, alone),
        "transposed": apart(returned, back),
    }


def stack() -> dict[str, float]:
    """Two steps through the public door."""
    if DEVICE == "cpu":
        joint_bilateral.triton_kernels = lambda *_: triton_kernels if fast_paths() else None
    torch.manual_seed(0)
    module = JointBilateralStack(10, steps=2, key_channels=8, radius=1).eval().to(DEVICE)
    low = torch.randn(1, 10, 3, 4, device=DEVICE)
    guidance = torch.rand(1, 3, 12, 16, device=DEVICE)
    with torch.inference_mode():
        ours, mean = module(low, guidance), module.pooled(low, guidance)
        maps = module.maps(low, module.kernels(low, guidance))
        assert maps is not None
        whole = torch.cat([part for _, part in maps]).permute(0, 3, 1, 2)
        with plain_path():
            assert module.maps(low, module.kernels(low, guidance)) is None
            expected, plain_mean = module(low, guidance), module.pooled(low, guidance)
        mixed = whole + 0.1 * module.mix(whole)
    return {
        "stack": apart(ours, expected),
        "pooled": apart(mean, plain_mean),
        "maps": apart(mixed, expected),
    }


def norms() -> dict[str, float]:
    """The largest differences of rows of several shapes, far from zero and with little variance."""
    torch.manual_seed(0)
    found: dict[str, float] = {}
    for shape, spread in (
        ((3, 5, 96), 2.0),
        ((70, 40), 2.0),
        ((1, 1000), 2.0),
        ((33, 128), 3e-3),  # more than a block, as wide as it has room
        ((5, 1), 2.0),
        ((0, 8), 2.0),
        ((4, 0), 2.0),
    ):
        x = 5 + spread * torch.randn(*shape, device=DEVICE)
        weight, bias = torch.randn(2, shape[-1], device=DEVICE)
        across = x.mT.contiguous().mT
        half = x.bfloat16()
        for what, given, dtype in (
            ("float32", across, torch.float32),
            ("bfloat16", across, torch.bfloat16),
            ("of bfloat16", half, torch.float32),
        ):
            ours = layer_norm_kernel.layer_norm(given, weight, bias, 1e-5, dtype)
            assert ours.shape == x.shape
            assert ours.dtype == dtype
            expected = layer_norm(given.double(), shape[-1:], weight.double(), bias.double(), 1e-5)
            if len(x) and shape[-1]:
                found[what] = max(found.get(what, 0.0), apart(ours.double(), expected))
    return found


if __name__ == "__main__":
    rows = {"by_channels": False, "ROWS": 4, "CHANNELS": 16}
    channels = {"by_channels": True, "CHANNELS": 16}
    found = {
        "radius 3": step(3, (1, 20, 2, 5), {}),
        "radius 2": step(2, (2, 9, 3, 2), channels),
        "radius 1": step(1, (1, 17, 2, 9), rows),
        "stack": stack(),
        "norms": norms(),
    }
    json.dump(found, sys.stdout)
