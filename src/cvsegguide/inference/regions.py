"""Regions: the ranked parts of a posterior. Their probabilities are the paper's DPD.

The definitions are in ``docs/results-and-posterior.md``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cvsegguide.geo import GeoReference
from cvsegguide.inference.posterior import highest_density_mask

_FINE = 1_000_000
"""Pixels that the watershed divides one by one."""


@dataclass(frozen=True)
class Region:
    """A part of the posterior.

    Attributes:
        rank: 1 for the most probable.
        probability: The posterior's mass in it.
        row, col: Its centre of mass in overhead pixels (pixel centres at +0.5).
        lon, lat: The same in degrees, or None without georeference.
        area_m2: Its area on the ground, or None without metres per pixel.
        top, left: First row and column of :attr:`cutout`.
        cutout: ``(h, w)`` bool, the region within its bounding box.
    """

    rank: int
    probability: float
    row: float
    col: float
    lon: float | None = None
    lat: float | None = None
    area_m2: float | None = None
    top: int = field(default=0, repr=False, compare=False)
    left: int = field(default=0, repr=False, compare=False)
    cutout: NDArray[np.bool_] = field(
        default_factory=lambda: np.zeros((0, 0), bool), repr=False, compare=False
    )

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The region on the whole grid ``(H, W)``."""
        full = np.zeros(shape, bool)
        height, width = self.cutout.shape
        full[self.top : self.top + height, self.left : self.left + width] = self.cutout
        return full

    def polygons(self) -> list[list[list[tuple[float, float]]]]:
        """Its outline along pixel edges.

        Returns:
            One entry per part (more than one when parts touch at a corner only): its rings, the
            outer first, then holes; a ring is a closed list of ``(row, col)``.
        """
        from rasterio.features import shapes

        found = shapes(self.cutout.astype(np.uint8), mask=self.cutout, connectivity=4)
        return [
            [
                [(float(y) + self.top, float(x) + self.left) for x, y in ring]
                for ring in shape["coordinates"]
            ]
            for shape, _ in found
        ]

    def to_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        names = ("rank", "probability", "row", "col", "lon", "lat", "area_m2")
        return {name: getattr(self, name) for name in names}


def regions(
    posterior: NDArray[np.floating],
    method: Literal["modes", "grid"] = "modes",
    n: int | None = None,
    mass: float = 0.9,
    *,
    separation: float | None = None,
    pixel_area: float | None = None,
    reference: GeoReference | None = None,
) -> list[Region]:
    """Divide a posterior into regions and rank them by probability.

    Args:
        posterior: ``(H, W)``, sums to 1.
        method: ``"modes"``: the highest-density set of ``mass``, divided by a watershed of the
            smoothed posterior into one part a mode. ``"grid"``: the cells of an n x n grid.
        n: Modes: at most so many regions (default 10). Grid: cells a side (default 8).
        mass: Modes: probability of the set that is divided.
        separation: Modes: pixels within which two maxima count as one (default: a 32nd of the
            shorter side, at least 3).
        pixel_area: Square metres of a pixel, for areas.
        reference: For longitude and latitude.

    Returns:
        Regions, the most probable first. Their probabilities sum to at most 1: for modes to
        ``mass`` (or a little more, by the last pixel taken) unless there are more than ``n``; for
        the grid to 1. Regions without probability are left out.
    """
    posterior = np.asarray(posterior)
    if posterior.ndim != 2 or posterior.size == 0:
        raise ValueError(f"a posterior has shape (H, W), got {posterior.shape}")
    if method == "modes":
        limit = 10 if n is None else n
        found = list(_modes(posterior, mass, separation, limit))
    elif method == "grid":
        limit = posterior.size
        found = list(_cells(posterior, 8 if n is None else n))
    else:
        raise ValueError(f"method must be 'modes' or 'grid', got '{method}'")
    found.sort(key=lambda region: -region.probability)
    found = [region for region in found[:limit] if region.probability > 0]
    if not found:
        return []
    lon: list[float | None] = [None] * len(found)
    lat: list[float | None] = [None] * len(found)
    if reference is not None:
        longitudes, latitudes = reference.rowcol_to_lonlat(
            [region.row for region in found], [region.col for region in found]
        )
        lon, lat = longitudes.tolist(), latitudes.tolist()
    return [
        replace(
            region,
            rank=i + 1,
            lon=lon[i],
            lat=lat[i],
            area_m2=None if pixel_area is None else float(region.cutout.sum()) * pixel_area,
        )
        for i, region in enumerate(found)
    ]


def _modes(
    posterior: NDArray[np.floating], mass: float, separation: float | None, limit: int
) -> Iterator[Region]:
    from scipy import ndimage
    from skimage import measure, segmentation

    label: Any = measure.label
    watershed: Any = segmentation.watershed

    dense = highest_density_mask(posterior, mass)
    if separation is None:
        separation = max(3.0, min(posterior.shape) / 32)
    # Beyond the box around the set nothing matters.
    (top, bottom), (left, right) = (
        (int(line[0]), int(line[-1]) + 1)
        for line in (np.flatnonzero(dense.any(axis=1)), np.flatnonzero(dense.any(axis=0)))
    )
    dense = dense[top:bottom, left:right]
    inner = posterior[top:bottom, left:right]
    # The watershed's time goes into its queue of pixels, so wide sets are divided on blocks of
    # pixels that are still small against the smoothing.
    step = max(1, min(int(separation / 6), math.ceil(math.sqrt(dense.size / _FINE))))
    blocks = _block_sums(np.where(dense, inner, 0).astype(np.float32), step)
    inside = _block_sums(dense.astype(np.float32), step) > 0
    smooth = ndimage.gaussian_filter(blocks, separation / 4 / step, mode="constant")
    radius = max(1, int(separation / 2 / step))
    highest = ndimage.maximum_filter(smooth, size=2 * radius + 1, mode="constant")
    markers = label((smooth >= highest) & inside, connectivity=2)
    parts = watershed(-smooth, markers, mask=inside, connectivity=2)
    # A part of the set without a maximum of its own (it touches none that has) is its own region.
    rest = inside & (parts == 0)
    if rest.any():
        parts = np.where(rest, label(rest, connectivity=2) + parts.max(), parts)
    if step > 1:
        parts = parts.repeat(step, axis=0)[: dense.shape[0]]
        parts = parts.repeat(step, axis=1)[:, : dense.shape[1]]
        parts = np.where(dense, parts, 0)
    probabilities = np.bincount(parts.ravel(), weights=inner.ravel())
    probabilities[0] = 0.0  # outside of the set
    boxes = ndimage.find_objects(parts)
    for index in np.argsort(-probabilities, kind="stable")[:limit]:
        box = boxes[index - 1] if index > 0 else None
        if box is not None:
            rows, cols = box
            yield _region(inner[box], parts[box] == index, top + rows.start, left + cols.start)


def _block_sums(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Sums over blocks of ``step`` x ``step`` pixels; those at the end may be cut."""
    if step == 1:
        return values
    height, width = values.shape
    padded = np.pad(values, ((0, -height % step), (0, -width % step)))
    rows, cols = padded.shape[0] // step, padded.shape[1] // step
    return np.asarray(padded.reshape(rows, step, cols, step).sum(axis=(1, 3)))


def _cells(posterior: NDArray[np.floating], n: int) -> Iterator[Region]:
    if n < 1:
        raise ValueError(f"n must be positive, got {n}")
    height, width = posterior.shape
    rows = [round(i * height / n) for i in range(n + 1)]
    cols = [round(i * width / n) for i in range(n + 1)]
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            cell = posterior[top:bottom, left:right]
            if cell.size:
                yield _region(cell, np.ones(cell.shape, bool), top, left)


def _region(values: NDArray[np.floating], cutout: NDArray[np.bool_], top: int, left: int) -> Region:
    inside = np.where(cutout, values, 0).astype(np.float64)
    probability = float(inside.sum())
    row, col = (
        (float(inside.sum(axis=1 - axis) @ (np.arange(inside.shape[axis]) + 0.5)) / probability)
        if probability > 0
        else inside.shape[axis] / 2
        for axis in (0, 1)
    )
    return Region(0, probability, top + row, left + col, top=top, left=left, cutout=cutout)


def rank_at(found: Sequence[Region], shape: tuple[int, ...], row: float, col: float) -> int:
    """Rank of the region that holds a position; 0 when it lies in none.

    Args:
        found: Regions of a posterior.
        shape: ``(H, W)`` of the posterior; a position on its far edges lies in the last pixels.
        row, col: The position in pixels.
    """
    y, x = min(max(int(row), 0), shape[0] - 1), min(max(int(col), 0), shape[1] - 1)
    for region in found:
        top, left = y - region.top, x - region.left
        high, wide = region.cutout.shape
        if 0 <= top < high and 0 <= left < wide and region.cutout[top, left]:
            return region.rank
    return 0
