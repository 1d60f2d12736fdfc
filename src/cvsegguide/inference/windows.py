"""Overlapping windows over images that are larger than a network's input: where, and blended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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


@dataclass(frozen=True)
class Window:
    """A window's first row and column, and its height and width."""

    top: int
    left: int
    size: tuple[int, int]

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.size[0])

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.size[1])


def lattice(shape: tuple[int, int], size: tuple[int, int], overlap: float) -> list[Window]:
    """All windows over an image of ``shape``, row by row."""
    return [
        Window(top, left, size)
        for top in window_starts(shape[0], size[0], overlap)
        for left in window_starts(shape[1], size[1], overlap)
    ]


class Blender:
    """The weighted mean of what networks say of windows, ``(C, H, W)``.

    A window's weight is 1 in its middle, falls linearly to its border and is above 0 everywhere,
    since a network sees least at its border.

    Args:
        shape: ``(H, W)`` that the windows cover.
        windows: All windows, none of which reaches beyond.
    """

    def __init__(self, shape: tuple[int, int], windows: Sequence[Window]) -> None:
        self._weight = np.zeros(shape, np.float32)
        for window in windows:
            self._weight[window.rows, window.columns] += _taper(window.size)
        self._total: NDArray[np.float32] | None = None

    def share(self, window: Window) -> NDArray[np.float32]:
        """How much of each pixel ``(h, w)`` a window has; all windows' shares add up to 1."""
        weight: NDArray[np.float32] = _taper(window.size)
        return weight / self._weight[window.rows, window.columns]

    def add(self, window: Window, scores: NDArray[np.floating]) -> None:
        """Add what was said of a window, ``(C, h, w)``."""
        if self._total is None:
            self._total = np.zeros((len(scores), *self._weight.shape), np.float32)
        self._total[:, window.rows, window.columns] += scores * self.share(window)

    def result(self) -> NDArray[np.float32]:
        """``(C, H, W)``, once every window was added."""
        assert self._total is not None
        return self._total


def _taper(size: tuple[int, int]) -> NDArray[np.float32]:
    down, across = (
        np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) * (2.0 / side)
        for side in size
    )
    return np.asarray(down[:, None] * across[None, :], np.float32)


def batches(windows: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """``windows`` in groups of at most ``size``, as few and as equal as they can be."""
    count = -(-len(windows) // size)
    for index in range(count):
        yield windows[index * len(windows) // count : (index + 1) * len(windows) // count]


def resample_scores(
    scores: NDArray[np.floating],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.float32]:
    """Scores ``(C, h, w)`` at another resolution, linear between pixel centres.

    Args:
        scores: What to resample.
        size: ``(H, W)`` of the result.
        box: ``(top, left, bottom, right)`` of the part that fills the result, all by default.
    """
    whole = (0.0, 0.0, float(scores.shape[1]), float(scores.shape[2]))
    box = box or whole
    if box == whole and tuple(scores.shape[1:]) == tuple(size):
        return np.asarray(scores, np.float32)
    top, left, bottom, right = box
    planes = [
        Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(
            (size[1], size[0]), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        for plane in scores
    ]
    return np.stack([np.asarray(plane) for plane in planes])
