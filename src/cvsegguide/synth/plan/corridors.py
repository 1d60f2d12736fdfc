"""Diagonal avenues, railways and water, laid over streets and blocks."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F64, inlined
from cvsegguide.synth.noise import key, unit
from cvsegguide.synth.plan.fields import DIAGONAL, RAIL, WATER
from cvsegguide.synth.plan.rasters import ZONE_CORRIDOR, ZONE_LOT, ZONE_STREET, ZONE_WALK


class Ground(NamedTuple):
    """The ground of a pixel: see :class:`~cvsegguide.synth.plan.rasters.Rasters`.

    ``z`` is the elevation, rounded at each step as the raster would; ``avenue``: whether an avenue
    is there, which crosses corridors on a bridge.
    """

    zone: int
    use: int
    cover: int
    material: int
    tone: float
    paint: int
    z: np.float32
    avenue: bool


@inlined
def cross_diagonal(
    ground: Ground, value: F64, a: float, b: float, inside: float, noise: float, bridged: bool
) -> tuple[Ground, bool]:
    """Lay a diagonal avenue and its sidewalks; also whether the ground is now on a bridge."""
    off, half = abs(value[2 + 2 * DIAGONAL]), value[3 + 2 * DIAGONAL]
    if off >= half + 4.0:
        return ground, bridged
    zone, _, cover, material, tone, paint, z, avenue = ground
    if off < half:
        if not (zone == ZONE_STREET and material == ids.ASPHALT):
            z = np.float32(z - 0.13)
        zone, cover, material = ZONE_STREET, ids.ROAD, ids.ASPHALT
        tone = 95.0 + 14.0 * np.cos(3.6 * (off - 0.35 * half)) + 9.0 * noise
        paint = 0
        if inside > 3.0 and 0.12 < off < 0.34:
            paint = 2
        elif inside > 3.0 and abs(off - half + 2.5) < 0.09:
            paint = 1
    elif zone != ZONE_STREET:
        zone, cover, material = ZONE_WALK, ids.PAVED, ids.SLABS
        tone = 120.0 + 25.0 * (unit(key(int(a / 1.5), int(b / 1.5), 5, 0), 0) - 0.5)
    return Ground(zone, ids.USE_STREET, cover, material, tone, paint, z, avenue), True


@inlined
def cross_railway(ground: Ground, value: F64, noise: float, bridged: bool) -> tuple[Ground, bool]:
    """Lay a railway and its verges; also whether the pixel lies on the track bed."""
    off, half = abs(value[2 + 2 * RAIL]), value[3 + 2 * RAIL]
    zone, use, cover, material, tone, paint, z, avenue = ground
    rail = False
    if off < half and not (bridged and zone == ZONE_STREET):
        rail = True
        zone, use, cover, material = ZONE_CORRIDOR, ids.USE_TRANSPORT, ids.RAIL, ids.BALLAST
        paint = 0
        track = off - 4.2 * np.round(off / 4.2 - 0.5) - 2.1
        tone = 110.0 + 30.0 * noise
        if abs(abs(track) - 0.72) < 0.13:
            material = ids.STEEL
        elif abs(track) < 1.25:
            tone -= 35.0
    elif off < half + 5.0 and zone in (ZONE_LOT, ZONE_WALK) and not bridged:
        zone, use = ZONE_CORRIDOR, ids.USE_TRANSPORT
        cover, material = ids.GRASS, ids.MEADOW if noise < 0.6 else ids.PLANTING
        if off < half + 1.5 + 0.5 * noise:
            cover, material = ids.PAVED, ids.GRAVEL
        tone = 110.0 + 35.0 * noise
    return Ground(zone, use, cover, material, tone, paint, z, avenue), rail


@inlined
def cross_water(ground: Ground, value: F64, noise: float, bridged: bool) -> Ground:
    """Lay water and its banks."""
    off, half = abs(value[2 + 2 * WATER]), value[3 + 2 * WATER]
    zone, use, cover, material, tone, paint, z, avenue = ground
    if off >= half + 6.0:
        return ground
    if off < half + 0.3 * noise and not bridged:
        zone, use, cover, material = ZONE_CORRIDOR, ids.USE_WATER, ids.WATER, ids.WATERBODY
        paint = 0
        tone = 110.0
        z = np.float32(z - 1.3)
    elif zone in (ZONE_LOT, ZONE_WALK) and not bridged:
        zone, use = ZONE_CORRIDOR, ids.USE_WATER
        cover, material = ids.GRASS, ids.MEADOW if noise < 0.8 else ids.PLANTING
        if off < half + 1.2:
            cover, material = ids.PAVED, ids.GRAVEL
        tone = 120.0 + 35.0 * noise
    return Ground(zone, use, cover, material, tone, paint, z, avenue)
