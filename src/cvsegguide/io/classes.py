"""Rasters of classes by parts: tiles are packed and overviews counted as they come."""

import math
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cvsegguide.io.overviews import ClassOverviews
from cvsegguide.io.tiff import SIDE, Field, Level, write_ordered

_COLUMNS = 32 * SIDE
"""Columns that are counted at a time."""


class ClassTiles:
    """Tiles of a raster of classes and of its overviews, packed into a file as they come.

    Each tile is packed once. What is held is tiles that are not whole yet: of a raster written from
    left to right in rows of tiles a row of each overview; where parts are narrower than an
    overview's tile, more.

    Args:
        tiles: An empty file to write to and read from.
        shape: ``(H, W)``.
        nodata: A value that does not count, and what is not written holds.
    """

    def __init__(self, tiles: BinaryIO, shape: tuple[int, int], nodata: int | None = None) -> None:
        self._tiles, self._shape = tiles, shape
        self._empty = 0 if nodata is None else nodata
        self._overviews = ClassOverviews(shape, nodata)
        self._levels = []
        for factor in (1, *self._overviews.factors):
            height, width = (-(-side // factor) for side in shape)
            count = -(-height // SIDE), -(-width // SIDE)
            self._levels.append(
                Level((height, width), np.zeros(count, np.int64), np.zeros(count, np.int64))
            )
        self._open: dict[tuple[int, int, int], tuple[NDArray[np.uint8], int]] = {}
        self._end = 0

    def write(self, band: NDArray[np.generic], top: int = 0, left: int = 0) -> None:
        """Write ``(h, w)`` uint8 values with their top-left corner at ``(top, left)``.

        Each pixel is written once. Corners lie at multiples of 256 pixels, or at the border.

        Raises:
            ValueError: They do not.
        """
        classes = np.asarray(band, np.uint8)
        ends = (top + classes.shape[0], left + classes.shape[1])
        for first, end, side in zip((top, left), ends, self._shape, strict=True):
            if first % SIDE or end > side or (end % SIDE and end != side):
                raise ValueError(f"pixels {first} to {end} of {side} are not whole tiles")
        for row in range(top, ends[0], SIDE):
            for col in range(left, ends[1], _COLUMNS):
                part = classes[row - top : row - top + SIDE, col - left : col - left + _COLUMNS]
                self._lay(0, part, row, col)
                for level, smaller in enumerate(self._overviews.add(part, row, col), start=1):
                    self._lay(level, smaller, row >> level, col >> level)

    def finish(self, target: BinaryIO, fields: dict[int, Field]) -> None:
        """Write everything in order; ``fields`` describe the picture, see :mod:`.tiff`."""
        rest = self._overviews.rest()
        for number, band in enumerate(rest, start=len(self._levels) - len(rest)):
            self._lay(number, band, 0, 0)
        for place, (tile, _) in self._open.items():
            self._pack(place, tile)
        self._open.clear()
        for number, level in enumerate(self._levels):
            for row, col in np.argwhere(level.sizes == 0).tolist():
                self._pack((number, row, col), np.full((SIDE, SIDE), self._empty, np.uint8))
        write_ordered(target, fields, self._levels, self._tiles)

    def statistics(self) -> dict[str, str]:
        """GDAL's metadata of a band, of the valid pixels; nothing where there are none."""
        pixels = self._overviews.pixels
        valid = sum(pixels.values())
        if not valid:
            return {}
        mean = sum(value * count for value, count in pixels.items()) / valid
        square = sum((value - mean) ** 2 * count for value, count in pixels.items()) / valid
        return {
            "STATISTICS_MINIMUM": str(min(pixels)),
            "STATISTICS_MAXIMUM": str(max(pixels)),
            "STATISTICS_MEAN": f"{mean:.14g}",
            "STATISTICS_STDDEV": f"{math.sqrt(square):.14g}",
            "STATISTICS_VALID_PERCENT": f"{100 * valid / math.prod(self._shape):.4g}",
        }

    def _lay(self, level: int, band: NDArray[np.uint8], top: int, left: int) -> None:
        """Pixels of a level, from ``(top, left)`` on."""
        shape = self._levels[level].shape
        for row, down in _tiles(top, band.shape[0]):
            for col, across in _tiles(left, band.shape[1]):
                piece = band[
                    down.start - top : down.stop - top, across.start - left : across.stop - left
                ]
                inside = min(SIDE, shape[0] - row * SIDE) * min(SIDE, shape[1] - col * SIDE)
                place = (level, row, col)
                if place not in self._open and piece.shape == (SIDE, SIDE):
                    self._pack(place, piece)
                    continue
                fresh = np.full((SIDE, SIDE), self._empty, np.uint8)
                tile, known = self._open.pop(place, (fresh, 0))
                corner = tile[down.start - row * SIDE :, across.start - col * SIDE :]
                corner[: piece.shape[0], : piece.shape[1]] = piece
                if known + piece.size == inside:
                    self._pack(place, tile)
                else:
                    self._open[place] = tile, known + piece.size

    def _pack(self, place: tuple[int, int, int], tile: NDArray[np.uint8]) -> None:
        level, row, col = place
        # Runs alone: a third of the time of a search for repetitions, and no larger on land cover.
        packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
        packed = packer.compress(tile.tobytes()) + packer.flush()
        self._tiles.write(packed)
        self._levels[level].places[row, col] = self._end
        self._levels[level].sizes[row, col] = len(packed)
        self._end += len(packed)


def _tiles(first: int, length: int) -> Iterator[tuple[int, slice]]:
    """Each tile along an axis that a stretch of pixels lies on, and the part of it there."""
    for number in range(first // SIDE, -(-(first + length) // SIDE)):
        yield number, slice(max(first, number * SIDE), min(first + length, (number + 1) * SIDE))
