"""Overlapping windows over images that are larger than a model's input, and their blending."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.inference.lattice import Window, batches, lattice, taper, window_starts

__all__ = [
    "Blender",
    "Window",
    "batches",
    "lattice",
    "taper",
    "to_bytes",
    "to_tensor",
    "window_starts",
]


class Blender:
    """Weighted mean of windows' scores ``(C, h, w)`` over a canvas ``(C, H, W)``."""

    def __init__(
        self, channels: int, shape: tuple[int, int], size: tuple[int, int], device: torch.device
    ) -> None:
        self._total = torch.zeros((channels, *shape), device=device)
        self._weight = torch.zeros(shape, device=device)
        self._taper = torch.from_numpy(taper(size)).to(device)

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


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """``(H, W, 3)`` uint8 to ``(1, 3, H, W)`` float32 in [0, 1]."""
    return to_bytes(image).to(device).to(torch.float32).div_(255.0)


def to_bytes(image: NDArray[np.uint8]) -> Tensor:
    """``(H, W, 3)`` uint8 to ``(1, 3, H, W)`` uint8, sharing memory where that is allowed."""
    if not image.flags.writeable:
        image = image.copy()  # PyTorch knows no read-only tensors
    return torch.from_numpy(image).permute(2, 0, 1)[None]
