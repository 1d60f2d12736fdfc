"""Time the ways in which the upsampler's Triton kernel can divide its work on this GPU.

What is fastest goes into ``tuning_of`` in ``models/upsamplers/triton_kernels.py``.
"""

import argparse
from functools import partial
from typing import Any

import torch

from cvsegguide.benchmark.gpu import _bandwidth, _seconds
from cvsegguide.models.upsamplers import triton_kernels

BY_CHANNELS = (  # TALL, CHANNELS, warps, stages
    (2, 64, 4, 2),
    (2, 64, 4, 1),
    (2, 64, 4, 3),
    (2, 32, 4, 1),
    (2, 32, 4, 3),
    (1, 64, 4, 2),
    (1, 128, 4, 2),
    (2, 32, 2, 2),
)
BY_ROWS = ((2, 4, 128, 4, 3), (4, 2, 128, 4, 3), (4, 2, 64, 4, 3))  # TALL, ROWS, ...
DIVISIONS: list[dict[str, Any]] = [
    {
        "by_channels": True,
        "TALL": tall,
        "WIDE": 8,
        "CHANNELS": channels,
        "num_warps": warps,
        "num_stages": stages,
    }
    for tall, channels, warps, stages in BY_CHANNELS
] + [
    {
        "by_channels": False,
        "TALL": tall,
        "WIDE": 8,
        "ROWS": rows,
        "CHANNELS": channels,
        "num_warps": warps,
        "num_stages": stages,
    }
    for tall, rows, channels, warps, stages in BY_ROWS
]


def main() -> int:
    """Print a line for each division, the fastest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    batch = parser.parse_args().batch
    side, channels = 128, 384
    bandwidth = _bandwidth()
    for dtype in (torch.float32, torch.bfloat16):
        source = torch.randn(batch, side, side, channels, device="cuda", dtype=dtype)
        kernel = torch.rand(batch, 49, 2 * side, 2 * side, device="cuda", dtype=dtype) / 49
        folded = triton_kernels.fold(kernel, 3)
        expected = triton_kernels.enlarge(source, folded, 3)
        moved = sum(each.numel() * each.element_size() for each in (source, folded, expected))
        floor = moved / bandwidth
        found: list[tuple[float, dict[str, Any]]] = []
        for tuning in DIVISIONS:
            try:
                result = triton_kernels.enlarge(source, folded, 3, tuning)
                apart = float((result - expected).float().norm() / expected.float().norm())
                if not apart < 1e-2:
                    print(f"wrong: {tuning}: {apart:.1e}", flush=True)
                    continue
                run = partial(triton_kernels.enlarge, source, folded, 3, tuning)
                found.append((_seconds(run), tuning))
            except Exception as error:
                reason = str(error).strip().splitlines()
                print(f"failed: {tuning}: {reason[0][:120] if reason else error!r}", flush=True)
        for seconds, tuning in sorted(found, key=lambda pair: pair[0]):
            print(f"{dtype} {1e3 * seconds:.4f} ms, {seconds / floor:.2f} x the floor: {tuning}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
