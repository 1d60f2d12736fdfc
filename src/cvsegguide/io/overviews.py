"""Overviews of class rasters: at each place the most frequent class of the raster below it.

GDAL computes the same ("mode"), many times slower. Here classes are counted, one at a time, over
blocks of two by two, then over blocks of those. A count and its class are one number, so that the
most frequent class is the largest of them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TILE = 256

_DEPTH = 8
"""Levels that are known from 256 rows; counts of blocks of that size are kept for those beyond."""


def factors_for(shape: tuple[int, int]) -> list[int]:
    """By how much overviews are smaller, down to one that fits a tile: 2, 4, ..."""
    factors = []
    factor = 1
    while max(-(-side // factor) for side in shape) > _TILE:
        factor *= 2
        factors.append(factor)
    return factors


def most_frequent(
    classes: NDArray[np.uint8], levels: int, nodata: int | None = None
) -> list[NDArray[np.uint8]]:
    """The most frequent class of blocks of 2 x 2, 4 x 4, ... pixels.

    Args:
        classes: ``(H, W)``.
        levels: How many sizes of blocks.
        nodata: A value that does not count; blocks of it alone stay so.

    Returns:
        For each level ``(ceil(H / 2^l), ceil(W / 2^l))``. Of equally frequent classes the one with
        the smallest number; blocks that reach beyond the border count what is inside.
    """
    return _count(classes, levels, nodata)[0]


class ClassOverviews:
    """Overviews of a raster that comes by parts, and how often each class occurs.

    Args:
        shape: ``(H, W)`` of the raster.
        nodata: A value that does not count.

    Attributes:
        factors: By how much the overviews are smaller.
        pixels: How often each value was there, but for ``nodata``.
    """

    def __init__(self, shape: tuple[int, int], nodata: int | None = None) -> None:
        self.factors = factors_for(shape)
        self.pixels: dict[int, int] = {}
        self._shape, self._nodata = shape, nodata
        self._depth = min(len(self.factors), _DEPTH)
        self._coarse: dict[int, NDArray[Any]] = {}

    def add(self, classes: NDArray[np.uint8], top: int, left: int) -> list[NDArray[np.uint8]]:
        """Add pixels ``(h, w)`` from ``(top, left)`` on; return the overviews' pixels over them.

        Parts begin at multiples of 256, and end there or where the raster ends.

        Returns:
            One array for each of the first eight levels, or of those there are.
        """
        bands, counts = _count(classes, self._depth, self._nodata)
        for value, blocks in counts.items():
            found = int(blocks.sum(dtype=np.int64))
            if found:
                self.pixels[value] = self.pixels.get(value, 0) + found
                if len(self.factors) > _DEPTH:
                    self._remember(value, blocks, top, left)
        return bands

    def rest(self) -> list[NDArray[np.uint8]]:
        """The levels beyond the eighth, whole, once every part was added."""
        levels = len(self.factors) - _DEPTH
        if levels <= 0:
            return []
        vote = _Vote(self._blocks(), _DEPTH, levels, max(self._coarse, default=0) + 1)
        for value, blocks in self._coarse.items():
            vote.add(value, blocks)
        return [
            band[: -(-self._shape[0] // factor), : -(-self._shape[1] // factor)]
            for band, factor in zip(vote.winners(self._nodata), self.factors[_DEPTH:], strict=True)
        ]

    def _blocks(self) -> tuple[int, int]:
        """How many blocks of 256 pixels there are, padded for the levels beyond."""
        height, width = _padded(self._shape, len(self.factors))
        return height >> _DEPTH, width >> _DEPTH

    def _remember(self, value: int, blocks: NDArray[Any], top: int, left: int) -> None:
        if value not in self._coarse:
            self._coarse[value] = np.zeros(self._blocks(), np.uint32)
        row, col = top >> _DEPTH, left >> _DEPTH
        self._coarse[value][row : row + blocks.shape[0], col : col + blocks.shape[1]] = blocks


class _Vote:
    """The most frequent value at several levels, from counts by value.

    Args:
        size: Of the finest counts, divisible by ``2 ** levels``.
        start: Their level: they count blocks of ``2 ** start`` pixels a side.
        levels: How many coarser ones are wanted.
        values: More than the largest value.
    """

    def __init__(self, size: tuple[int, int], start: int, levels: int, values: int) -> None:
        self._start, self._values = start, values
        self._keys = [
            np.zeros(
                (size[0] >> level, size[1] >> level),
                np.min_scalar_type(4 ** (start + level) * values + values - 1),
            )
            for level in range(1, levels + 1)
        ]

    def add(self, value: int, counts: NDArray[Any]) -> NDArray[Any]:
        """Add how often ``value`` is in each block; return the counts of the last level."""
        values = self._values
        for level, key in enumerate(self._keys, start=self._start + 1):
            counts = _sums(counts, level)
            weighed = np.multiply(counts, key.dtype.type(values), dtype=key.dtype)
            weighed += key.dtype.type(values - 1 - value)
            np.maximum(key, weighed, out=key)
        return counts

    def winners(self, nodata: int | None) -> list[NDArray[np.uint8]]:
        """For each level the value that is most frequent, the smallest of several."""
        bands = []
        for key in self._keys:
            band = (self._values - 1 - key % self._values).astype(np.uint8)
            band[key < self._values] = 0 if nodata is None else nodata
            bands.append(band)
        return bands


def _count(
    classes: NDArray[np.uint8], levels: int, nodata: int | None
) -> tuple[list[NDArray[np.uint8]], dict[int, NDArray[Any]]]:
    """The overviews, and by value how often it is in each block of the last level."""
    height, width = classes.shape
    padded = _padded(classes.shape, levels)
    values = int(classes.max(initial=0)) + 1
    vote = _Vote(padded, 0, levels, values)
    equal = np.zeros(padded, bool)
    counts: dict[int, NDArray[Any]] = {}
    for value in range(values):
        if value != nodata:
            np.equal(classes, value, out=equal[:height, :width])
            if equal.any():
                counts[value] = vote.add(value, equal.view(np.uint8) if levels else equal.copy())
    bands = [
        band[: -(-height >> level), : -(-width >> level)]
        for level, band in enumerate(vote.winners(nodata), start=1)
    ]
    return bands, counts


def _padded(shape: tuple[int, int], levels: int) -> tuple[int, int]:
    """``shape`` up to multiples of ``2 ** levels``."""
    step = 2**levels
    return -(-shape[0] // step) * step, -(-shape[1] // step) * step


def _sums(counts: NDArray[Any], level: int) -> NDArray[Any]:
    """Sums over blocks of 2 x 2, in a type that holds ``4 ** level``."""
    if level < 4:
        pairs = (counts[0::2] + counts[1::2]).view(np.uint16)  # two columns in a number
        pairs *= 257  # the upper byte is the sum of both now
        pairs >>= 8
        sums: NDArray[Any] = pairs.astype(np.uint8)
        return sums
    rows = counts.astype(np.min_scalar_type(4**level))
    rows = rows[0::2] + rows[1::2]
    wide: NDArray[Any] = rows[:, 0::2] + rows[:, 1::2]
    return wide
