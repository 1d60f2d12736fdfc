"""Transforms of the tile as a plane: turned, mirrored, cut; the street view follows."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cvsegguide.data.sample import Sample
from cvsegguide.data.transforms.base import (
    FULL,
    Transform,
    checked_share,
    integer,
    map_overhead,
    resize,
    uniform,
)
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import Bounds, wrap_degrees


class Rotate(Transform):
    """Turn the tile clockwise by 0, 90, 180 or 270 degrees, and the street view with it.

    A full panorama whose width divides by four is rolled, so that its heading stays as it was;
    any other view keeps its pixels and gets another heading.

    Args:
        quarters: Numbers of quarter turns to draw from.
    """

    def __init__(self, quarters: Sequence[int] = (0, 1, 2, 3)) -> None:
        if not quarters:
            raise ConfigurationError("Rotate: quarters must not be empty")
        self.quarters = tuple(int(turns) % 4 for turns in quarters)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        turns = self.quarters[integer(len(self.quarters), generator)]
        if turns == 0:
            return sample
        height, width = sample.overhead.shape[-2:]
        row, col = sample.row, sample.col
        for _ in range(turns):
            row, col = col, height - row
            height, width = width, height
        street, ranges, heading = sample.street, sample.street_range, sample.heading
        grids = [street] if ranges is None else [street, ranges]
        if sample.fov >= FULL and all(grid.shape[-1] % 4 == 0 for grid in grids):
            street = torch.roll(street, turns * street.shape[-1] // 4, dims=-1)
            if ranges is not None:
                ranges = torch.roll(ranges, turns * ranges.shape[-1] // 4, dims=-1)
        else:
            heading = wrap_degrees(heading + 90.0 * turns)
        return replace(
            map_overhead(sample, lambda raster: torch.rot90(raster, -turns, dims=(-2, -1))),
            street=street,
            street_range=ranges,
            row=row,
            col=col,
            heading=heading,
            bounds=None,
            reference=None,
        )


class Mirror(Transform):
    """Mirror tile and street view left to right.

    Args:
        probability: How often.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = checked_share("Mirror: probability", probability)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        return replace(
            map_overhead(sample, lambda raster: raster.flip(-1)),
            street=sample.street.flip(-1),
            street_range=None if sample.street_range is None else sample.street_range.flip(-1),
            col=sample.overhead.shape[-1] - sample.col,
            heading=wrap_degrees(-sample.heading),
            bounds=None,
            reference=None,
        )


class Crop(Transform):
    """Cut a smaller square out of the tile, off-centre, and enlarge it to the tile's size.

    The camera stays inside: its distance to the nearest edge of the cut is at least ``margin`` of
    the cut's side, or what it was where it was less. The position of the camera within the cut is
    as good as uniform, which undoes a data set's preference for the middle.

    Args:
        scale: Smallest and largest side of the cut as a share of the tile's.
        margin: As above.
    """

    def __init__(self, scale: tuple[float, float] = (0.7, 1.0), margin: float = 0.02) -> None:
        low, high = scale
        if not 0 < low <= high <= 1:
            raise ConfigurationError(f"Crop: scale must rise within (0, 1], got {scale}")
        self.scale = (float(low), float(high))
        self.margin = checked_share("Crop: margin", margin)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        height, width = sample.overhead.shape[-2:]
        share = uniform(*self.scale, generator)
        rows, cols = max(1, round(height * share)), max(1, round(width * share))
        top = self._offset(sample.row, height, rows, generator)
        left = self._offset(sample.col, width, cols, generator)
        if (rows, cols) == (height, width):
            return sample
        size = (height, width)

        def cut(raster: Tensor) -> Tensor:
            return resize(raster[..., top : top + rows, left : left + cols], size)

        down, across = height / rows, width / cols
        return replace(
            map_overhead(sample, cut),
            row=(sample.row - top) * down,
            col=(sample.col - left) * across,
            gsd=sample.gsd / math.sqrt(down * across),
            bounds=cut_bounds(
                sample.bounds,
                (top / height, (top + rows) / height),
                (left / width, (left + cols) / width),
            ),
            reference=None,
        )

    def _offset(self, position: float, side: int, cut: int, generator: torch.Generator) -> int:
        margin = self.margin * cut
        low = max(0, math.ceil(position + margin - cut))
        high = min(side - cut, math.floor(position - margin))
        low = min(low, side - cut)
        high = max(high, 0)
        if high < low:  # nearer to the tile's edge than the margin
            low = high = min(max(low, 0), side - cut)
        return low + integer(high - low + 1, generator)


def cut_bounds(
    bounds: Bounds | None, rows: tuple[float, float], cols: tuple[float, float]
) -> Bounds | None:
    """Bounds of a part of a tile, given as shares of height and width (Web Mercator)."""
    if bounds is None:
        return None
    top = math.asinh(math.tan(math.radians(bounds.north)))
    bottom = math.asinh(math.tan(math.radians(bounds.south)))

    def latitude(share: float) -> float:
        return math.degrees(math.atan(math.sinh(top + share * (bottom - top))))

    def longitude(share: float) -> float:
        return bounds.west + share * (bounds.east - bounds.west)

    return Bounds(longitude(cols[0]), latitude(rows[1]), longitude(cols[1]), latitude(rows[0]))
