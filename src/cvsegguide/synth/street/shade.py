"""One ray: what it meets, how far away, and how that looks in the light of the picture."""

import math

import numpy as np

from cvsegguide.synth.compiled import F32, F64, I32, U8
from cvsegguide.synth.street.buildings import FRAME, ROOF
from cvsegguide.synth.street.facade import facade_color, wall_face
from cvsegguide.synth.street.ground import ground_color
from cvsegguide.synth.street.kernel import inlined, kernel
from cvsegguide.synth.street.noise import plane
from cvsegguide.synth.street.rays import LEAF, NOTHING, SIDE, THING, TOP, trace
from cvsegguide.synth.street.sky import sky_color, skyline_height
from cvsegguide.synth.street.style import StreetStyle
from cvsegguide.synth.street.surfaces import leaf_color, thing_color
from cvsegguide.synth.street.world import (
    BY_BUILDING,
    BY_TREE,
    CANOPY_HIGH,
    CONTACT,
    GROUND,
    GROUND_Z,
    SOLID_Z,
)

CANOPY, BUILDING = 1, 5
_SHADOW_REACH = 60.0


@inlined
def shade_ray(
    gsd: float,
    seed: int,
    east: float,
    south: float,
    ceiling: float,
    relief: F32,
    surface: U8,
    owner: I32,
    wall: F32,
    fine: F32,
    coarse: F32,
    things: F64,
    block_start: I32,
    block_things: I32,
    block_bounds: F32,
    buildings: F32,
    trees: F32,
    crowns: F32,
    tracks: F32,
    table: F32,
    noise: U8,
    style: StreetStyle,
    x: float,
    y: float,
    z: float,
    dx: float,
    dy: float,
    dz: float,
    reach: float,
    pixel_angle: float,
    sun_x: float,
    sun_y: float,
    sun_z: float,
    street_cos: float,
    street_sin: float,
) -> tuple[float, float, float, float, int]:
    """Linear colour (3), distance in metres (inf for nothing), land-cover id (0 for nothing)."""
    never = (seed & 1) > 1  # a constant would be compiled for itself
    kind, distance, r, c, index = trace(
        gsd, relief, owner, fine, coarse, things, block_start, block_things, block_bounds, crowns,
        noise, x, y, z, dx, dy, dz, reach, style.leaf_threshold, style.bare, never,
    )  # fmt: skip
    sun_cos = dx * sun_x + dy * sun_y + dz * sun_z
    if kind == NOTHING:
        red, green, blue = sky_color(style, table, dx, dy, dz, sun_cos)
        if dz < 0.075:
            red, green, blue = _beyond(style, table, dx, dy, dz, z, red, green, blue)
        return red, green, blue, np.inf, 0

    px = x + dx * distance / gsd
    py = y + dy * distance / gsd
    wx = px + east
    wy = py + south
    pz = z + dz * distance
    pixel = pixel_angle * distance
    nx = 0.0
    ny = 0.0
    nz = 1.0
    mirror = 0.0
    ambient = 1.0
    landcover = 0
    through = 0.0
    wrap = 0.0
    if kind == THING:
        a0, a1, a2, nx, ny, nz, mirror = thing_color(gsd, things, table, index, px, py, pz)
        landcover = int(things[index, 13])
        if things[index, 9] == 100.0:
            landcover = CANOPY
        ambient = 0.55 + 0.45 * min(1.0, (pz - things[index, 6]) / 0.8)
    elif kind == LEAF:
        a0, a1, a2, nx, ny, nz = leaf_color(
            gsd, trees, style, table, int(owner[r, c, BY_TREE]), px, py, pz
        )
        landcover = CANOPY
        ambient = 0.75 + 0.25 * nz
        through = 0.35
        wrap = 0.25
    else:
        b = int(owner[r, c, BY_BUILDING])
        ground_z = float(relief[r, c, GROUND_Z])
        if b == 0:
            length = pixel / max(0.05, -dz) if kind == TOP else pixel
            a0, a1, a2, mirror = ground_color(
                gsd,
                seed,
                east,
                south,
                surface,
                tracks,
                style,
                table,
                px,
                py,
                r,
                c,
                length,
                street_cos,
                street_sin,
            )
            landcover = int(surface[r, c, GROUND])
            if kind == SIDE and relief[r, c, SOLID_Z] - pz > 0.03:
                a0, a1, a2 = 0.75 * a0, 0.75 * a1, 0.75 * a2
            if mirror > 0:
                a0, a1, a2, mirror = _water(style, table, wx, wy, gsd, dx, dy, dz, pixel)
                return a0, a1, a2, distance, landcover
            ambient = 1.0 - 0.75 * surface[r, c, CONTACT] / 255.0
            if relief[r, c, CANOPY_HIGH] > -1e30:
                ambient *= 1.0 - 0.3 * (1.0 - style.bare)
        else:
            landcover = BUILDING
            top = float(relief[r, c, SOLID_Z])
            # A step within one roof is roof, not wall.
            upright = kind == SIDE and _drop(relief, owner, r, c, index, dx, dy) > 0.9
            if upright:
                angle = float(wall[r, c])
                face = wall_face(buildings, b, angle, dx, dy, index)
                cos = float(buildings[b, FRAME + 2])
                sin = float(buildings[b, FRAME + 3])
                if face == 0:
                    nx, ny = cos, sin
                elif face == 1:
                    nx, ny = -sin, cos
                elif face == 2:
                    nx, ny = -cos, -sin
                else:
                    nx, ny = sin, -cos
                nz = 0.0
                slant = abs(nx * dx + ny * dy)
                a0, a1, a2, mirror, ambient = facade_color(
                    gsd, buildings, table, b, face, px, py, pz, top, pixel, slant
                )
                ambient *= 0.72 + 0.28 * min(1.0, (pz - ground_z) / 9.0)
            else:
                stain = 0.7 + 0.6 * plane(table, wx * 0.9, wy * 0.9 + pz * 5.0)
                a0 = buildings[b, ROOF] * stain
                a1 = buildings[b, ROOF + 1] * stain
                a2 = buildings[b, ROOF + 2] * stain
                nx, ny, nz = _roof_normal(gsd, relief, owner, r, c)

    facing = nx * sun_x + ny * sun_y + nz * sun_z
    direct = 0.0
    if style.sun > 0.0:
        direct = max(0.0, (facing + wrap) / (1.0 + wrap))
        if through > 0.0:
            direct = max(direct, through * max(0.0, 0.5 - 0.5 * facing))
        if kind == LEAF:
            # Leaves shade each other; the crown's shape says how much.
            direct *= 0.7
        elif direct > 0.02:
            lift = 0.02 + 0.6 * gsd
            # Off the thing's own slopes, towards the light.
            off = 0.2 if kind == THING else 0.0
            blocked, _, _, _, _ = trace(
                gsd,
                relief,
                owner,
                fine,
                coarse,
                things,
                block_start,
                block_things,
                block_bounds,
                crowns,
                noise,
                px + (nx * lift + off * sun_x) / gsd,
                py + (ny * lift + off * sun_y) / gsd,
                pz + 0.02 + nz * 0.05 + off * sun_z,
                sun_x,
                sun_y,
                sun_z,
                min(_SHADOW_REACH, (ceiling - pz) / sun_z),
                style.leaf_threshold,
                style.bare,
                not never,
            )
            if blocked != NOTHING:
                direct = 0.0
        direct *= style.sun * min(1.0, 0.35 + 1.3 * sun_z)
    up = 0.62 + 0.38 * nz
    sky_light = up * ambient * (0.80 + 0.25 * style.clouds)
    if style.sun <= 0.0:
        sky_light *= 1.25
    red = a0 * (sky_light * (1.0 - 0.10 * style.sky_blue) + direct * (1.0 + 0.5 * style.warmth))
    green = a1 * (sky_light + direct)
    blue = a2 * (sky_light * (1.0 + 0.14 * style.sky_blue) + direct * (1.0 - 0.7 * style.warmth))
    if mirror > 0.0:
        # The sky in a pane: brighter at grazing angles.
        cosine = abs(nx * dx + ny * dy + nz * dz)
        share = mirror * (0.12 + 0.75 * (1.0 - cosine) ** 3)
        mz = dz - 2.0 * (nx * dx + ny * dy + nz * dz) * nz
        s0 = 0.75 - 0.25 * max(0.0, mz) * style.sky_blue
        streak = 0.4 + 0.9 * plane(table, wx * 0.7 + 90.0, pz * 1.3)
        if mz < 0.02:
            s0 *= 0.35
        red += share * (s0 * streak - red)
        green += share * ((s0 + 0.06) * streak - green)
        blue += share * ((s0 + 0.14) * streak - blue)
    red, green, blue = _haze(style, distance, red, green, blue)
    return red, green, blue, distance, landcover


@kernel
def _haze(
    style: StreetStyle, distance: float, red: float, green: float, blue: float
) -> tuple[float, float, float]:
    share = 1.0 - math.exp(-distance / style.haze)
    return (
        red + share * (0.66 - red),
        green + share * (0.72 - green),
        blue + share * (0.80 - blue),
    )


@kernel
def _drop(relief: F32, owner: I32, r: int, c: int, side: int, dx: float, dy: float) -> float:
    """How far the wall that a ray met goes down to the cell that it came from."""
    height, width = relief.shape[:2]
    if side == 0:
        c2 = c - 1 if dx > 0 else c + 1
        r2 = r
    else:
        c2 = c
        r2 = r - 1 if dy > 0 else r + 1
    if r2 < 0 or c2 < 0 or r2 >= height or c2 >= width:
        return 1e9
    if owner[r2, c2, BY_BUILDING] == 0:
        return 1e9
    return float(relief[r, c, SOLID_Z] - relief[r2, c2, SOLID_Z])


@kernel
def _roof_normal(gsd: float, relief: F32, owner: I32, r: int, c: int) -> tuple[float, float, float]:
    height, width = relief.shape[:2]
    b = owner[r, c, BY_BUILDING]
    r0 = max(0, r - 2)
    r1 = min(height - 1, r + 2)
    c0 = max(0, c - 2)
    c1 = min(width - 1, c + 2)
    gx = 0.0
    gy = 0.0
    if owner[r, c0, BY_BUILDING] == b and owner[r, c1, BY_BUILDING] == b and c1 > c0:
        gx = (relief[r, c1, SOLID_Z] - relief[r, c0, SOLID_Z]) / ((c1 - c0) * gsd)
    if owner[r0, c, BY_BUILDING] == b and owner[r1, c, BY_BUILDING] == b and r1 > r0:
        gy = (relief[r1, c, SOLID_Z] - relief[r0, c, SOLID_Z]) / ((r1 - r0) * gsd)
    if abs(gx) > 2.0 or abs(gy) > 2.0:
        return 0.0, 0.0, 1.0
    size = math.sqrt(gx * gx + gy * gy + 1.0)
    return -gx / size, -gy / size, 1.0 / size


@kernel
def _water(
    style: StreetStyle,
    table: F32,
    px: float,
    py: float,
    gsd: float,
    dx: float,
    dy: float,
    dz: float,
    pixel: float,
) -> tuple[float, float, float, float]:
    """Sky in waves over dark water."""
    calm = 1.0 / (1.0 + 2.0 * pixel)
    tilt = 0.12 * calm * (plane(table, px * gsd * 2.5, py * gsd * 6.0) - 0.5)
    up = max(0.02, -dz + tilt)
    r, g, b = sky_color(style, table, dx, dy, up, 0.0)
    share = 0.06 + 0.85 * (1.0 - min(1.0, up)) ** 4
    return 0.03 + share * (r - 0.03), 0.05 + share * (g - 0.05), 0.06 + share * (b - 0.06), 0.0


@kernel
def _beyond(
    style: StreetStyle,
    table: F32,
    dx: float,
    dy: float,
    dz: float,
    z: float,
    red: float,
    green: float,
    blue: float,
) -> tuple[float, float, float]:
    """What lies past the end of the scene: a hazy skyline; below the horizon, hazy ground."""
    azimuth = math.atan2(dx, -dy)
    houses = skyline_height(table, style, azimuth, 1)
    trees = skyline_height(table, style, azimuth, 0)
    if dz < trees:
        n = 0.6 + 0.8 * plane(table, azimuth * 400.0, dz * 400.0)
        return _haze(style, 260.0, 0.07 * n, 0.085 * n, 0.05 * n)
    if dz < houses:
        n = 0.6 + 0.6 * plane(table, math.floor(azimuth * 42.0) * 5.0, 3.0)
        return _haze(style, 420.0, 0.22 * n, 0.19 * n, 0.17 * n)
    return red, green, blue
