"""One joint bilateral step as small matrix products.

A step enlarges a map bicubically to twice its size and takes a sum over each pixel's own window of
7 x 7. Both are linear in the map, and neighbours lean on nearly the same low-resolution pixels: a
block of 8 x 8 results on a patch of 10 x 10. So the window weights of a block are brought back
through the bicubic enlargement (it is separable: two products with matrices of 7 x 10) and its
results are one product of 64 x 100 with 100 x channels. The map is read a few times instead of 49,
the enlarged map is never made, and the work is a matrix library's.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
"""Side of a block of results in pixels."""


def bicubic(length: int) -> Tensor:
    """``(2 length, length)`` float64: how each result of a bicubic doubling leans on the pixels."""
    unit = torch.eye(length, dtype=torch.float64)[None, :, :, None]
    wide = F.interpolate(
        unit.expand(1, length, length, length).contiguous(),
        size=(2 * length, length),
        mode="bicubic",
        align_corners=False,
    )
    return wide[0, :, :, 0].T


def mirrored_windows(size: int, radius: int) -> Tensor:
    """``(size, 2 radius + 1)``: the places in each place's window, mirrored at the border."""
    place = (torch.arange(size)[:, None] + torch.arange(2 * radius + 1) - radius).abs()
    return torch.where(place >= size, 2 * (size - 1) - place, place)


@lru_cache(maxsize=64)
def _taps(
    length: int, radius: int, block: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """How the window along one axis leans on the low-resolution pixels of its block.

    Args:
        length: Low-resolution pixels along the axis.
        radius: Half side of the window in results.
        block: Results of a block.

    Returns:
        ``(2 length, diameter, patch)`` weights of the patch's pixels in each entry of each
        result's window, and the first pixel of each block's patch.
    """
    diameter, size = 2 * radius + 1, 2 * length
    with torch.inference_mode(False), torch.no_grad():
        enlarge = bicubic(length)
        place = mirrored_windows(size, radius)
        patch = min(length, block // 2 + 2 * (radius // 2) + 4)
        first = (torch.arange(size // block) * (block // 2) - (patch - block // 2) // 2).clamp(
            0, length - patch
        )
        own = first.repeat_interleave(block)[:, None] + torch.arange(patch)
        weights = enlarge[place].gather(2, own[:, None, :].expand(-1, diameter, -1))
        if not torch.allclose(weights.sum(2), enlarge[place].sum(2)):
            raise AssertionError("a patch is too small for its block")
        return weights.to(device, dtype), first.to(device)


def rows(source: Tensor, kernel: Tensor, radius: int) -> Iterator[tuple[int, Tensor]]:
    """The step's result, some rows at a time.

    Args:
        source: ``(w, h, C)`` low-resolution map, columns first.
        kernel: ``(diameter^2, 2 h, 2 w)`` window weights.
        radius: Half side of the window.

    Yields:
        The first row, and ``(columns / block, block, block, C)``: blocks of results, each by rows
        and columns.
    """
    width, height, channels = source.shape
    diameter = 2 * radius + 1
    down, across = math.gcd(BLOCK, 2 * height), math.gcd(BLOCK, 2 * width)
    device, dtype = source.device, source.dtype
    vertical, top = _taps(height, radius, down, device, dtype)
    horizontal, left = _taps(width, radius, across, device, dtype)
    tall, wide = vertical.shape[2], horizontal.shape[2]
    blocks = len(left)
    columns = (left[:, None] + torch.arange(wide, device=device)).flatten()
    window = kernel.view(diameter, diameter, 2 * height, 2 * width)
    # One row of blocks at a time on a CPU, for its cache's sake; all of them on a GPU.
    group = 1 if device.type == "cpu" else len(top)
    for index in range(0, len(top), group):
        begin, end = index * down, (index + group) * down
        few = window[:, :, begin:end].permute(3, 0, 2, 1)  # x, window row, y, window column
        few = few.reshape(2 * width, diameter * group * down, diameter) @ horizontal
        few = few.view(2 * width, diameter, group * down, wide).permute(2, 0, 3, 1)
        few = few.reshape(group * down, 2 * width * wide, diameter) @ vertical[begin:end]
        weights = few.view(group, down, blocks, across, wide * tall).transpose(1, 2)
        lines = (top[index : index + group, None] + torch.arange(tall, device=device)).flatten()
        patches = source.index_select(1, lines).index_select(0, columns)
        patches = patches.view(blocks, wide, group, tall, channels).permute(2, 0, 1, 3, 4)
        result = torch.bmm(
            weights.reshape(group * blocks, down * across, wide * tall),
            patches.reshape(group * blocks, wide * tall, channels),
        ).view(group, blocks, down, across, channels)
        for offset in range(group):
            yield begin + offset * down, result[offset]


def enlarge(source: Tensor, kernel: Tensor, radius: int) -> Tensor:
    """The whole step for one image: ``(w, h, C)`` to ``(2 w, 2 h, C)``."""
    width, height, channels = source.shape
    result = source.new_empty(2 * width, 2 * height, channels)
    for row, part in rows(source, kernel, radius):
        blocks, down, across, _ = part.shape
        result[:, row : row + down] = part.transpose(1, 2).reshape(blocks * across, down, channels)
    return result
