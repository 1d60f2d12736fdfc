"""Where overlapping windows lie on images that are larger than a model's input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

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


def batches(windows: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """``windows`` in groups of at most ``size``, as few and as equal as they can be."""
    count = -(-len(windows) // size)
    for index in range(count):
        yield windows[index * len(windows) // count : (index + 1) * len(windows) // count]
