"""Correlation of a template with the overhead features at every position.

The camera may stand anywhere in the tile, so most templates reach beyond its border. The score is
therefore divided by a power of the weight that falls inside; the exponent is learned.
"""

import torch
from torch import Tensor

SUBCELLS = ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25))
"""Camera positions tried within a cell, ``(row, col)`` offsets from its centre in cells."""


def padded_size(size: tuple[int, int], radius: int) -> tuple[int, int]:
    """Size of the transforms: nothing wraps around, and the template fits."""
    height, width = (max(side + radius, 2 * radius + 1) for side in size)
    return height, width


def transform_map(overhead: Tensor, radius: int) -> Tensor:
    """Spectrum ``(B, C, P, Q)`` of an overhead map ``(B, C, H, W)``, zero beyond its border."""
    height, width = overhead.shape[-2:]
    spectrum: Tensor = torch.fft.rfft2(overhead, s=padded_size((height, width), radius))
    return spectrum


def correlate(spectrum: Tensor, template: Tensor, size: tuple[int, int]) -> Tensor:
    """Sum over channels and cells of template times map, for every place of the camera's cell.

    Args:
        spectrum: ``(B or 1, C, P, Q)`` of :func:`transform_map` with the same radius.
        template: ``(B, C, S, S)`` with ``S = 2 * radius + 1``, camera in the middle cell.
        size: ``(H, W)`` of the map.

    Returns:
        ``(B, H, W)``: entry ``(i, j)`` is the score of the camera standing in cell ``(i, j)``.
    """
    radius = template.shape[-1] // 2
    padded = padded_size(size, radius)
    other = torch.fft.rfft2(template, s=padded).conj()
    product = torch.einsum("bcpq,bcpq->bpq", spectrum, other)
    scores: Tensor = torch.fft.irfft2(product, s=padded)
    # the template's first cell is its corner, `radius` cells before the camera
    scores = torch.roll(scores, shifts=(radius, radius), dims=(-2, -1))
    return scores[..., : size[0], : size[1]]


def interleave(scores: Tensor) -> Tensor:
    """Scores at the four :data:`SUBCELLS` ``(B, 4, H, W)`` to one map ``(B, 2 H, 2 W)``."""
    batch, _, height, width = scores.shape
    blocks = scores.reshape(batch, 2, 2, height, width).permute(0, 3, 1, 4, 2)
    return blocks.reshape(batch, 2 * height, 2 * width)
