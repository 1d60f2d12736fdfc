"""Differences of Triton kernels from the plain path, as JSON.

A program of its own: where there is no GPU, Triton's interpreter has to be chosen before Triton is
imported.
"""

import json
import os
import sys

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

from cvsegguide.models.upsamplers import triton_kernels
from cvsegguide.models.upsamplers.joint_bilateral import JointBilateralUpsampler

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def apart(ours: torch.Tensor, oracle: torch.Tensor) -> float:
    return float((ours.float() - oracle).norm() / oracle.norm())


def step(radius: int, size: tuple[int, int, int, int]) -> dict[str, float]:
    """One step at ``(B, h, w, C)``, whose oracle runs on the CPU."""
    torch.manual_seed(radius)
    module = JointBilateralUpsampler(radius=radius, key_channels=12).eval()
    batch, height, width, _ = size
    low = torch.randn(*size)
    guidance = torch.rand(batch, 3, 2 * height, 2 * width)
    with torch.no_grad():
        module.sigma_spatial.fill_(0.8)
        module.range_temp.fill_(0.3)
        kernel = module.kernel(guidance)
        expected = module.enlarge(low, kernel).to(DEVICE)
        low = low.to(DEVICE)
        folded = triton_kernels.fold(kernel.to(DEVICE), radius)
        whole = triton_kernels.enlarge(low, folded, radius)
        half = triton_kernels.enlarge(low.bfloat16(), folded.bfloat16(), radius)
        one = triton_kernels.enlarge(low[..., :1].contiguous(), folded, radius)
    return {
        "float32": apart(whole, expected),
        "bfloat16": apart(half, expected),
        "one channel": apart(one, expected[..., :1]),
    }


if __name__ == "__main__":
    found = {
        "radius 3": step(3, (1, 2, 5, 20)),
        "radius 2": step(2, (2, 3, 2, 9)),
        "radius 1": step(1, (1, 2, 9, 70)),
    }
    json.dump(found, sys.stdout)
