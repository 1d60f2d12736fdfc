"""Linking panoramas and drawing sightlines, beside what one would write down first."""

import math
import time

import numpy as np
from numpy.typing import NDArray

from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.data.linking import iter_links, link_panoramas
from cvsegguide.data.sightlines import sightline

TILES = 10_044
PANORAMAS = 34_859
"""As many as Queens has."""

Floats = NDArray[np.float64]


def measure(quick: bool = False) -> list[Measurement]:
    """Linking at the size of Queens and beyond, sightlines of 256 x 256 pixels and more."""
    return [*_linking(quick), *_sightlines(quick)]


def _city(tiles: int, panoramas: int) -> tuple[Floats, Floats]:
    """A square of tiles as large as those of zoom 19, and panoramas anywhere in it."""
    rng = np.random.default_rng(0)
    side = math.isqrt(tiles - 1) + 1
    width, height = 0.000687, 0.00052
    number = np.arange(tiles)
    west, south = -73.96 + number % side * width, 40.55 + number // side * height
    bounds = np.stack([west, south, west + width, south + height], axis=1)
    lonlat = np.array([-73.96, 40.55]) + rng.random((panoramas, 2)) * side * np.array(
        [width, height]
    )
    return bounds, lonlat


def _linking(quick: bool) -> list[Measurement]:
    bounds, lonlat = _city(TILES, PANORAMAS)
    subset = 200 if quick else 2000

    def all_pairs() -> list[NDArray[np.int64]]:
        lon, lat = lonlat.T
        return [
            np.flatnonzero((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north))
            for west, south, east, north in bounds[:subset]
        ]

    ours, theirs = median_seconds(
        lambda: link_panoramas(bounds, lonlat), all_pairs, repeats=3 if quick else 5
    )
    result = [
        Measurement(
            f"link {TILES} tiles x {PANORAMAS} panoramas",
            ours,
            "s",
            theirs * TILES / subset,
            "every tile against all panoramas, vectorised",
            f"reference measured on {subset} tiles and scaled",
        )
    ]
    for factor in (10,) if quick else (10, 100, 287):
        count = PANORAMAS * factor
        _, more = _city(TILES, count)
        start = time.perf_counter()
        links = sum(len(tiles) for tiles, _ in iter_links(bounds, more))
        result.append(
            Measurement(
                f"link {TILES} tiles x {count} panoramas, in blocks",
                time.perf_counter() - start,
                "s",
                ours * factor,
                "linear from the size of Queens",
                f"{links} links",
            )
        )
    return result


def _sightlines(quick: bool) -> list[Measurement]:
    result: list[Measurement] = []
    for size in (256, 512) if quick else (256, 512, 1024):
        cover = _blocks(size)
        row, col = 0.5 * size + 0.3, 0.5 * size - 0.2
        (ours,) = median_seconds(lambda: sightline(cover, row, col), repeats=11, warmup=2)  # noqa: B023
        if size == 256:
            rows = range(0, size, 32 if quick else 8)
            start = time.perf_counter()
            _pixel_by_pixel(cover, row, col, rows)
            reference = (time.perf_counter() - start) * size / len(rows) * 1e3
            name, note = (
                "a line to every pixel, plain Python",
                f"{len(rows)} of {size} rows, scaled",
            )
            value = reference
        else:
            value = result[0].value * (size / 256) ** 2
            name, note = "linear from 256 x 256", ""
        result.append(
            Measurement(f"sightline {size} x {size}", ours * 1e3, "ms", value, name, note)
        )
    return result


def _blocks(size: int) -> NDArray[np.uint8]:
    """Streets between blocks of houses with gaps."""
    cover = np.full((size, size), 6, np.uint8)
    index = np.arange(size)
    built = (index % 64 > 20) & (index % 64 < 58)
    gap = index % 13 > 1
    cover[np.ix_(built, built & gap)] = 5
    cover[size // 2 - 12 : size // 2 + 12] = 6
    return cover


def _pixel_by_pixel(cover: NDArray[np.uint8], row: float, col: float, rows: range) -> Floats:
    """The definition written down: walk to each pixel in steps of half a pixel."""
    blocked = (cover == 5).tolist()
    height, width = cover.shape
    result = np.zeros(cover.shape)
    for i in rows:
        for j in range(width):
            down, right = i + 0.5 - row, j + 0.5 - col
            steps = max(1, math.ceil(2 * max(abs(down), abs(right))))
            for k in range(steps + 1):
                y, x = int(row + down * k / steps), int(col + right * k / steps)
                if blocked[min(y, height - 1)][min(x, width - 1)]:
                    break
            else:
                result[i, j] = math.exp(-(down * down + right * right) / (2 * 64.0**2))
    return result
