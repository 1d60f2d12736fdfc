"""Where overlapping windows lie on images that are larger than a model's input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

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


def taper(size: tuple[int, int]) -> NDArray[np.float32]:
    """Weights ``(H, W)`` of a window: 1 in the middle, falling linearly, above 0 everywhere.

    Where one window covers a pixel alone its weight cancels; where several do, the one whose
    centre is near counts most, since a network sees least at its border.
    """

    def ramp(length: int) -> NDArray[np.float32]:
        position = np.arange(length, dtype=np.float32) + np.float32(0.5)
        return np.asarray(np.minimum(position, length - position) * np.float32(2.0 / length))

    return ramp(size[0])[:, None] * ramp(size[1])[None, :]


class Shares:
    """How much of each pixel the windows over an image have: their weights over those of all.

    Args:
        shape: ``(H, W)`` of the image.
        size: ``(h, w)`` of a window.
        windows: Those that there are, all inside.
    """

    def __init__(
        self, shape: tuple[int, int], size: tuple[int, int], windows: Sequence[Window]
    ) -> None:
        self._taper = taper(size)
        self._total = np.zeros(shape, np.float32)
        for window in windows:
            self._total[self._place(window)] += self._taper

    def of(self, window: Window) -> NDArray[np.float32]:
        """``(h, w)``; all windows' shares of a pixel add up to 1."""
        return np.asarray(self._taper / self._total[self._place(window)])

    def _place(self, window: Window) -> tuple[slice, slice]:
        height, width = self._taper.shape
        return slice(window.top, window.top + height), slice(window.left, window.left + width)


def batches(windows: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """``windows`` in groups of at most ``size``, as few and as equal as they can be."""
    count = -(-len(windows) // size)
    for index in range(count):
        yield windows[index * len(windows) // count : (index + 1) * len(windows) // count]
