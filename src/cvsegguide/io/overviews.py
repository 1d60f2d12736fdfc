"""Overviews of class rasters: at each place the most frequent class of the raster below it.

GDAL computes the same ("mode"), several times slower. Here classes are counted, one at a time, over
blocks of two by two, then over blocks of those.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TILE = 256

_COLUMNS = 8192
"""Columns that are read at a time."""


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
    height, width = classes.shape
    step = 2**levels
    padded = -(-height // step) * step, -(-width // step) * step
    sizes = [(padded[0] >> level, padded[1] >> level) for level in range(1, levels + 1)]
    best = [np.full(size, 0 if nodata is None else nodata, np.uint8) for size in sizes]
    most = [np.zeros(size, _type(level + 1)) for level, size in enumerate(sizes)]
    equal = np.zeros(padded, bool)
    for value in range(int(classes.max(initial=0)) + 1):
        if value == nodata:
            continue
        np.equal(classes, value, out=equal[:height, :width])
        if not equal.any():
            continue
        counts: NDArray[Any] = equal.view(np.uint8)
        for level in range(levels):
            counts = _sums(counts, level + 1)
            more = counts > most[level]
            np.copyto(best[level], np.uint8(value), where=more)
            np.copyto(most[level], counts, where=more)
    return [
        band[: -(-height >> level), : -(-width >> level)]
        for level, band in enumerate(best, start=1)
    ]


def _type(level: int) -> type[np.unsignedinteger[Any]]:
    """What holds ``4 ** level``."""
    return np.uint8 if level < 4 else np.uint16 if level < 8 else np.uint32


def _sums(counts: NDArray[Any], level: int) -> NDArray[Any]:
    """Sums over blocks of 2 x 2, in a type that holds ``4 ** level``."""
    if level < 4:
        pairs = (counts[0::2] + counts[1::2]).view(np.uint16)  # two columns in a number
        sums: NDArray[Any] = ((pairs & 255) + (pairs >> 8)).astype(np.uint8)
        return sums
    rows = counts.astype(np.uint32)
    rows = rows[0::2] + rows[1::2]
    wide: NDArray[Any] = (rows[:, 0::2] + rows[:, 1::2]).astype(_type(level))
    return wide


@contextlib.contextmanager
def class_overviews(path: Path, nodata: int | None) -> Iterator[list[Path]]:
    """Lay overviews of a GeoTIFF of classes beside it, until the block ends; yield their paths.

    They lie where GDAL looks for them: ``path.ovr``, whose own overview is ``path.ovr.ovr``.
    """
    import rasterio
    from rasterio.windows import Window

    with contextlib.ExitStack() as stack, rasterio.open(path) as dataset:
        height, width = dataset.shape
        factors = factors_for((height, width))
        targets = []
        name = path
        for _ in factors:
            name = name.with_name(f"{name.name}.ovr")
            stack.callback(name.unlink, missing_ok=True)
            targets.append(name)
        with contextlib.ExitStack() as files:
            levels = [
                files.enter_context(
                    rasterio.open(
                        target,
                        "w",
                        driver="GTiff",
                        height=-(-height // factor),
                        width=-(-width // factor),
                        count=1,
                        dtype="uint8",
                        tiled=True,
                        blockxsize=_TILE,
                        blockysize=_TILE,
                        compress="deflate",
                        zlevel=1,
                        bigtiff="IF_SAFER",
                    )
                )
                for target, factor in zip(targets, factors, strict=True)
            ]
            rows = max(_TILE, factors[-1]) if factors else height
            columns = max(_COLUMNS, rows)
            for top in range(0, height if factors else 0, rows):
                for left in range(0, width, columns):
                    part = Window(left, top, min(columns, width - left), min(rows, height - top))
                    bands = most_frequent(dataset.read(1, window=part), len(factors), nodata)
                    for level, factor, band in zip(levels, factors, bands, strict=True):
                        there = Window(left // factor, top // factor, band.shape[1], band.shape[0])
                        level.write(band, 1, window=there)
        yield targets
