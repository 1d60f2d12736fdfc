"""Overlapping windows over images that are larger than a model's input, and their blending."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_Item = TypeVar("_Item")


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin so that they cover ``length`` pixels.

    Args:
        length: Pixels to cover.
        window: Pixels of a window.
        overlap: Least part of a window that it shares with the next, in [0, 1).

    Returns:
        Evenly spaced first pixels: 0 for the first, ``length - window`` for the last; only 0
        when one window is enough (it may then reach beyond ``length``).
    """
    if length <= window:
        return [0]
    stride = max(1, int(window * (1.0 - overlap)))
    count = -(-(length - window) // stride) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def taper(size: tuple[int, int]) -> Tensor:
    """Weights ``(H, W)`` of a window: 1 in the middle, falling linearly, above 0 everywhere.

    Where one window covers a pixel alone its weight cancels; where several do, the one whose
    centre is near counts most, since a network sees least at its border.
    """

    def ramp(length: int) -> Tensor:
        position = torch.arange(length, dtype=torch.float32) + 0.5
        return torch.minimum(position, length - position) * (2.0 / length)

    return ramp(size[0])[:, None] * ramp(size[1])[None, :]


@dataclass(frozen=True)
class Window:
    """A window's first row and column."""

    top: int
    left: int


def lattice(shape: tuple[int, int], size: tuple[int, int], overlap: float) -> list[Window]:
    """All windows over an image of ``shape``, row by row."""
    return [
        Window(top, left)
        for top in window_starts(shape[0], size[0], overlap)
        for left in window_starts(shape[1], size[1], overlap)
    ]


class Blender:
    """Weighted mean of windows' scores ``(C, h, w)`` over a canvas ``(C, H, W)``."""

    def __init__(
        self, channels: int, shape: tuple[int, int], size: tuple[int, int], device: torch.device
    ) -> None:
        self._total = torch.zeros((channels, *shape), device=device)
        self._weight = torch.zeros(shape, device=device)
        self._taper = taper(size).to(device)

    def add(self, scores: Tensor, top: int, left: int) -> None:
        """Add a window; its parts outside the canvas are cut off."""
        height, width = self._weight.shape
        h, w = scores.shape[-2:]
        rows = slice(max(0, -top), min(h, height - top))
        cols = slice(max(0, -left), min(w, width - left))
        target = (
            slice(top + rows.start, top + rows.stop),
            slice(left + cols.start, left + cols.stop),
        )
        weight = self._taper[rows, cols]
        self._total[(slice(None), *target)] += scores[:, rows, cols].float() * weight
        self._weight[target] += weight

    def result(self) -> Tensor:
        """``(C, H, W)``; 0 where no window came."""
        return self._total / self._weight.clamp_min(1e-12)


def batches(windows: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """``windows`` in groups of at most ``size``."""
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """``(H, W, 3)`` uint8 to ``(1, 3, H, W)`` float32 in [0, 1]."""
    return to_bytes(image).to(device).to(torch.float32).div_(255.0)


def to_bytes(image: NDArray[np.uint8]) -> Tensor:
    """``(H, W, 3)`` uint8 to ``(1, 3, H, W)`` uint8, sharing memory where that is allowed."""
    if not image.flags.writeable:
        image = image.copy()  # PyTorch knows no read-only tensors
    return torch.from_numpy(image).permute(2, 0, 1)[None]
