"""One ray: what it meets, how far away, and how that looks in the light of the picture."""

import math
from typing import NamedTuple

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.color import Color, blend, color_at, scale
from cvsegguide.synth.compiled import F32, I32, inlined, kernel
from cvsegguide.synth.noise import plane
from cvsegguide.synth.street import columns as of
from cvsegguide.synth.street.facade import facade_color, wall_face
from cvsegguide.synth.street.rays import LEAF, NOTHING, SIDE, THING, TOP, Ray, trace
from cvsegguide.synth.street.sky import sky_color, skyline_height
from cvsegguide.synth.street.style import StreetStyle
from cvsegguide.synth.street.surface import ground_color
from cvsegguide.synth.street.things import Vector, leaf_color, thing_color
from cvsegguide.synth.street.world import Picture, World

_SHADOW_REACH = 60.0

Hit = tuple[int, float, int, int, int]
"""Of :func:`~cvsegguide.synth.street.rays.trace`."""


class Surface(NamedTuple):
    """What a ray met: albedo, outward normal, share of mirrored sky, share of the sky's light,
    land cover, and whether ``color`` is that of the lit surface already (water).
    """

    color: Color
    normal: Vector
    mirror: float
    ambient: float
    landcover: int
    is_lit: bool


@inlined
def _ground_surface(world: World, picture: Picture, ray: Ray, hit: Hit, p: Vector) -> Surface:
    kind, distance, r, c, _ = hit
    style, table = picture.style, picture.table
    pixel = picture.pixel * distance
    length = pixel / max(0.05, -ray.dz) if kind == TOP else pixel
    color, mirror = ground_color(world, picture, (p[0], p[1], r, c), length)
    landcover = 0 + int(world.surface[r, c, of.GROUND])
    if kind == SIDE and world.relief[r, c, of.SOLID_Z] - p[2] > 0.03:
        color = scale(color, 0.75)
    if mirror > 0:
        mx, my = (p[0] + world.east) * world.gsd, (p[1] + world.south) * world.gsd
        color = _water(style, table, mx, my, (ray.dx, ray.dy, ray.dz), pixel)
        return Surface(color, (0.0, 0.0, 1.0), 0.0, 1.0, landcover, True)
    ambient = 1.0 - 0.75 * world.surface[r, c, of.CONTACT] / 255.0
    if world.relief[r, c, of.CANOPY_HIGH] > -1e30:
        ambient *= 1.0 - 0.3 * (1.0 - style.bare)
    return Surface(color, (0.0, 0.0, 1.0), 0.0, ambient, landcover, False)


@inlined
def _building_surface(world: World, picture: Picture, ray: Ray, hit: Hit, p: Vector) -> Surface:
    kind, distance, r, c, side = hit
    # A step within one roof is roof, not wall.
    upright = kind == SIDE and _drop(world.relief, world.owner, r, c, side, ray.dx, ray.dy) > 0.9
    b = int(world.owner[r, c, of.BY_BUILDING])
    look = world.buildings[b]
    if not upright:
        wx, wy = p[0] + world.east, p[1] + world.south
        stain = 0.7 + 0.6 * plane(picture.table, wx * 0.9, wy * 0.9 + p[2] * 5.0)
        normal = _roof_normal(world.gsd, world.relief, world.owner, r, c)
        return Surface(scale(color_at(look, of.ROOF), stain), normal, 0.0, 1.0, ids.HOUSE, False)
    face = wall_face(world.buildings, b, float(world.wall[r, c]), ray.dx, ray.dy, side)
    cos, sin = np.float64(look[of.FRAME + 2]), np.float64(look[of.FRAME + 3])
    nx, ny = (cos, sin) if face & 1 == 0 else (-sin, cos)
    if face >= 2:
        nx, ny = -nx, -ny
    slant = abs(nx * ray.dx + ny * ray.dy)
    top = float(world.relief[r, c, of.SOLID_Z])
    color, mirror, ambient = facade_color(
        world.gsd, look, picture.table, face, p, top, picture.pixel * distance, slant
    )
    ground_z = float(world.relief[r, c, of.GROUND_Z])
    ambient *= 0.72 + 0.28 * min(1.0, (p[2] - ground_z) / 9.0)
    return Surface(color, (nx, ny, 0.0), mirror, ambient, ids.HOUSE, False)


@inlined
def _surface(world: World, picture: Picture, ray: Ray, hit: Hit, p: Vector) -> Surface:
    """What a ray met at a point."""
    kind, _, r, c, index = hit
    if kind == THING:
        thing = world.things[index]
        color, normal, mirror = thing_color(world.gsd, thing, picture.table, p)
        landcover = int(thing[of.STANDS_ON])
        if thing[of.KIND] == ids.TRUNK:
            landcover = ids.CANOPY
        ambient = 0.55 + 0.45 * min(1.0, (p[2] - thing[of.LOW]) / 0.8)
        return Surface(color, normal, mirror, ambient, landcover, False)
    if kind == LEAF:
        tree = world.trees[world.owner[r, c, of.BY_TREE]]
        color, normal = leaf_color(world.gsd, tree, picture.style, picture.table, p)
        return Surface(color, normal, 0.0, 0.75 + 0.25 * normal[2], ids.CANOPY, False)
    if world.owner[r, c, of.BY_BUILDING] == 0:
        return _ground_surface(world, picture, ray, hit, p)
    return _building_surface(world, picture, ray, hit, p)


@inlined
def shade_ray(
    world: World, picture: Picture, direction: Vector, reach: float
) -> tuple[Color, float, int]:
    """Linear colour, distance in metres (inf for nothing), land-cover id (0 for nothing)."""
    style = picture.style
    dx, dy, dz = direction
    sun_x, sun_y, sun_z = picture.sun
    x, y, z = picture.place
    never = (world.seed & 1) > 1  # a constant would be compiled for itself
    ray = Ray(x, y, z, dx, dy, dz, reach, style.leaf_threshold, style.bare, never)
    hit = trace(world, picture.leaves, ray)
    kind, distance = hit[0], hit[1]
    if kind == NOTHING:
        sun_cos = dx * sun_x + dy * sun_y + dz * sun_z
        color = sky_color(style, picture.table, dx, dy, dz, sun_cos)
        if dz < 0.075:
            color = _beyond(style, picture.table, direction, color)
        return color, np.inf, 0
    gsd = world.gsd
    p = x + dx * distance / gsd, y + dy * distance / gsd, z + dz * distance
    surface = _surface(world, picture, ray, hit, p)
    if surface.is_lit:
        return surface.color, distance, surface.landcover
    nx, ny, nz = surface.normal
    facing = nx * sun_x + ny * sun_y + nz * sun_z
    direct = 0.0
    if style.sun > 0.0:
        wrap, through = (0.25, 0.35) if kind == LEAF else (0.0, 0.0)
        direct = max(0.0, (facing + wrap) / (1.0 + wrap))
        if kind == LEAF:
            # Leaves shade each other; the crown's shape says how much.
            direct = 0.7 * max(direct, through * max(0.0, 0.5 - 0.5 * facing))
        elif direct > 0.02:
            lift = 0.02 + 0.6 * gsd
            # Off the thing's own slopes, towards the light.
            off = 0.2 if kind == THING else 0.0
            shadow = Ray(
                p[0] + (nx * lift + off * sun_x) / gsd,
                p[1] + (ny * lift + off * sun_y) / gsd,
                p[2] + 0.02 + nz * 0.05 + off * sun_z,
                sun_x,
                sun_y,
                sun_z,
                min(_SHADOW_REACH, (world.ceiling - p[2]) / sun_z),
                style.leaf_threshold,
                style.bare,
                not never,
            )
            if trace(world, picture.leaves, shadow)[0] != NOTHING:
                direct = 0.0
        direct *= style.sun * min(1.0, 0.35 + 1.3 * sun_z)
    color = _lit(style, surface, direct)
    if surface.mirror > 0.0:
        streak_at = (p[0] + world.east) * 0.7 + 90.0, p[2] * 1.3
        streak = 0.4 + 0.9 * plane(picture.table, streak_at[0], streak_at[1])
        color = _mirrored(style, surface, direction, color, streak)
    return _haze(style, distance, color), distance, surface.landcover


@kernel
def _lit(style: StreetStyle, surface: Surface, direct: float) -> Color:
    """A surface in the light of the sky and in direct light."""
    up = 0.62 + 0.38 * surface.normal[2]
    sky = up * surface.ambient * (0.80 + 0.25 * style.clouds)
    if style.sun <= 0.0:
        sky *= 1.25
    red, green, blue = surface.color
    return (
        red * (sky * (1.0 - 0.10 * style.sky_blue) + direct * (1.0 + 0.5 * style.warmth)),
        green * (sky + direct),
        blue * (sky * (1.0 + 0.14 * style.sky_blue) + direct * (1.0 - 0.7 * style.warmth)),
    )


@kernel
def _mirrored(
    style: StreetStyle, surface: Surface, direction: Vector, color: Color, streak: float
) -> Color:
    """The sky in a pane: brighter at grazing angles."""
    (nx, ny, nz), (dx, dy, dz) = surface.normal, direction
    cosine = nx * dx + ny * dy + nz * dz
    share = surface.mirror * (0.12 + 0.75 * (1.0 - abs(cosine)) ** 3)
    mz = dz - 2.0 * cosine * nz
    sky = 0.75 - 0.25 * max(0.0, mz) * style.sky_blue
    if mz < 0.02:
        sky *= 0.35
    return blend(color, (sky * streak, (sky + 0.06) * streak, (sky + 0.14) * streak), share)


@kernel
def _haze(style: StreetStyle, distance: float, color: Color) -> Color:
    return blend(color, (0.66, 0.72, 0.80), 1.0 - math.exp(-distance / style.haze))


@kernel
def _drop(relief: F32, owner: I32, r: int, c: int, side: int, dx: float, dy: float) -> float:
    """How far the wall that a ray met goes down to the cell that it came from."""
    height, width = relief.shape[:2]
    r2, c2 = r, c
    if side == 0:
        c2 = c - 1 if dx > 0 else c + 1
    else:
        r2 = r - 1 if dy > 0 else r + 1
    if r2 < 0 or c2 < 0 or r2 >= height or c2 >= width:
        return 1e9
    if owner[r2, c2, of.BY_BUILDING] == 0:
        return 1e9
    return float(relief[r, c, of.SOLID_Z] - relief[r2, c2, of.SOLID_Z])


@kernel
def _roof_normal(gsd: float, relief: F32, owner: I32, r: int, c: int) -> Vector:
    height, width = relief.shape[:2]
    b = owner[r, c, of.BY_BUILDING]
    r0 = max(0, r - 2)
    r1 = min(height - 1, r + 2)
    c0 = max(0, c - 2)
    c1 = min(width - 1, c + 2)
    gx = 0.0
    gy = 0.0
    if owner[r, c0, of.BY_BUILDING] == b and owner[r, c1, of.BY_BUILDING] == b and c1 > c0:
        gx = (relief[r, c1, of.SOLID_Z] - relief[r, c0, of.SOLID_Z]) / ((c1 - c0) * gsd)
    if owner[r0, c, of.BY_BUILDING] == b and owner[r1, c, of.BY_BUILDING] == b and r1 > r0:
        gy = (relief[r1, c, of.SOLID_Z] - relief[r0, c, of.SOLID_Z]) / ((r1 - r0) * gsd)
    if abs(gx) > 2.0 or abs(gy) > 2.0:
        return 0.0, 0.0, 1.0
    size = math.sqrt(gx * gx + gy * gy + 1.0)
    return -gx / size, -gy / size, 1.0 / size


@kernel
def _water(
    style: StreetStyle, table: F32, mx: float, my: float, direction: Vector, pixel: float
) -> Color:
    """Sky in waves over dark water."""
    calm = 1.0 / (1.0 + 2.0 * pixel)
    tilt = 0.12 * calm * (plane(table, mx * 2.5, my * 6.0) - 0.5)
    up = max(0.02, -direction[2] + tilt)
    sky = sky_color(style, table, direction[0], direction[1], up, 0.0)
    return blend((0.03, 0.05, 0.06), sky, 0.06 + 0.85 * (1.0 - min(1.0, up)) ** 4)


@kernel
def _beyond(style: StreetStyle, table: F32, direction: Vector, sky: Color) -> Color:
    """What lies past the end of the scene: a hazy skyline; below the horizon, hazy ground."""
    dx, dy, dz = direction
    azimuth = math.atan2(dx, -dy)
    if dz < skyline_height(table, style, azimuth, 0):
        n = 0.6 + 0.8 * plane(table, azimuth * 400.0, dz * 400.0)
        return _haze(style, 260.0, (0.07 * n, 0.085 * n, 0.05 * n))
    if dz < skyline_height(table, style, azimuth, 1):
        n = 0.6 + 0.6 * plane(table, math.floor(azimuth * 42.0) * 5.0, 3.0)
        return _haze(style, 420.0, (0.22 * n, 0.19 * n, 0.17 * n))
    return sky
