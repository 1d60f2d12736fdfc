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

    return _ramp(size[0])[:, None] * _ramp(size[1])[None, :]


def _ramp(length: int) -> NDArray[np.float32]:
    position = np.arange(length, dtype=np.float32) + np.float32(0.5)
    return np.asarray(np.minimum(position, length - position) * np.float32(2.0 / length))


class Shares:
    """How much of each pixel the windows over an image have: their weights over those of all.

    Weights are products of those down and across, and so are shares.

    Args:
        size: ``(h, w)`` of a window.
        windows: A whole :func:`lattice`.
    """

    def __init__(self, size: tuple[int, int], windows: Sequence[Window]) -> None:
        self._down = _shares_along({window.top for window in windows}, size[0])
        self._across = _shares_along({window.left for window in windows}, size[1])

    def of(self, window: Window) -> NDArray[np.float32]:
        """``(h, w)``; all windows' shares of a pixel add up to 1."""
        return self._down[window.top][:, None] * self._across[window.left][None, :]


def _shares_along(starts: set[int], length: int) -> dict[int, NDArray[np.float32]]:
    total = np.zeros(max(starts) + length, np.float32)
    for start in starts:
        total[start : start + length] += _ramp(length)
    return {start: _ramp(length) / total[start : start + length] for start in starts}


def batches(windows: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """``windows`` in groups of at most ``size``, as few and as equal as they can be."""
    count = -(-len(windows) // size)
    for index in range(count):
        yield windows[index * len(windows) // count : (index + 1) * len(windows) // count]
