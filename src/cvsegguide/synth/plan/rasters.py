"""The rasters of a window that the painters of the plan fill."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F32, I32, U8, U16, inlined


class Rasters(NamedTuple):
    """A window of a city, all ``(H, W)``."""

    row0: int  # row0, col0: world pixel of the first pixel
    col0: int
    gsd: float  # metres per pixel
    ground: U8  # land cover under the canopy
    zone: U8  # what may be painted over, one of ZONE_STREET to ZONE_CORRIDOR
    material: U8  # material, tone: of the surface; tone 0 to 255
    tone: U8
    markings: U8  # 1 white, 2 yellow paint
    use: U8  # use, age, function: labels of land and buildings
    age: U8
    function: U16
    # building_id, roof: id and height above the ground in metres, 0 outside of buildings
    building_id: I32
    roof: F32
    elevation: F32  # metres


ZONE_STREET, ZONE_WALK, ZONE_LOT, ZONE_CORRIDOR = range(4)


def empty_rasters(row0: int, col0: int, gsd: float, shape: tuple[int, int]) -> Rasters:
    """A window in which nothing is painted."""
    types = [np.uint8] * 7 + [np.uint16, np.int32, np.float32, np.float32]
    return Rasters(row0, col0, gsd, *(np.zeros(shape, kind) for kind in types))


@inlined
def pixel_span(center: float, reach: float, gsd: float, first: int, count: int) -> tuple[int, int]:
    """First and last pixel of ``count`` from ``first`` on that a thing touches, along one axis."""
    low = max(0, int(np.floor((center - reach) / gsd)) - first)
    return low, min(count - 1, int(np.floor((center + reach) / gsd)) - first)
