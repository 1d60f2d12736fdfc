"""What one walks and drives on: asphalt, paint, slabs, curbs, grass, soil, water, ballast."""

import math
from typing import NamedTuple

from cvsegguide.synth import ids
from cvsegguide.synth.color import Color, blend, scale
from cvsegguide.synth.compiled import F32, U8, inlined, kernel, typed
from cvsegguide.synth.noise import band, hash_unit, plane, ramp
from cvsegguide.synth.street import columns as of
from cvsegguide.synth.street.world import Picture, World


@typed("float64(uint8[:, :, ::1], int64, float64, float64, int64, boolean)")
def _share(surface: U8, layer: int, x: float, y: float, value: int, exact: bool) -> float:
    """Interpolated share of cells around a point that hold ``value`` (or their value / 255)."""
    height, width = surface.shape[:2]
    c = math.floor(x - 0.5)
    r = math.floor(y - 0.5)
    u = x - 0.5 - c
    v = y - 0.5 - r
    total = 0.0
    for i in range(2):
        for j in range(2):
            rr = min(height - 1, max(0, r + i))
            cc = min(width - 1, max(0, c + j))
            cell = surface[rr, cc, layer]
            share = (1.0 if cell == value else 0.0) if exact else cell / 255.0
            total += share * (u if j else 1.0 - u) * (v if i else 1.0 - v)
    return total


@kernel
def smooth_class(surface: U8, x: float, y: float, r: int, c: int) -> int:
    """The class with most weight among the four nearest cells: smooth edges for the eye."""
    best = int(surface[r, c, of.GROUND])
    if _share(surface, of.GROUND, x, y, best, True) > 1.0 - 1e-9:
        return best
    weight = 0.0
    height, width = surface.shape[:2]
    top, left = math.floor(y - 0.5), math.floor(x - 0.5)
    for i in range(max(0, top), min(height, top + 2)):
        for j in range(max(0, left), min(width, left + 2)):
            kind = int(surface[i, j, of.GROUND])
            share = _share(surface, of.GROUND, x, y, kind, True)
            if share > weight + 1e-9 and kind != ids.HOUSE:
                weight = share
                best = kind
    return best


class Spot(NamedTuple):
    """A point of the ground."""

    x: float  # x, y: in cells of the scene
    y: float
    mx: float  # mx, my: in metres of the world
    my: float
    own: float  # offset in the noise that is the scene's own
    coarse: float  # coarse, grain, wide: noise at the point; the grain averages out in large pixels
    grain: float
    wide: float
    pixel: float  # length of a picture's pixel on the ground, in metres


@inlined
def _road_color(surface: U8, table: F32, asphalt: float, spot: Spot) -> Color:
    mx, my, pixel, wide = spot.mx, spot.my, spot.pixel, spot.wide
    level = 0.09 + 0.17 * asphalt
    value = level * (0.78 + 0.3 * spot.coarse + 0.35 * spot.grain + 0.2 * wide)
    if plane(table, mx * 0.33 + 5.0, my * 0.33 + 2.0 * spot.own) > 0.83:
        value *= 0.72
    if wide > 0.5 and pixel < 0.3:
        crack = abs(plane(table, mx * 1.3 + 40.0, my * 1.3 + 9.0) - 0.5)
        if crack < 0.012:
            value *= 0.6
    cell_x = math.floor(mx / 23.0)
    cell_y = math.floor(my / 23.0)
    hx = mx - 23.0 * (cell_x + hash_unit(int(cell_x), int(cell_y), 3))
    hy = my - 23.0 * (cell_y + hash_unit(int(cell_x), int(cell_y), 4))
    if hx * hx + hy * hy < 0.14:
        value *= 0.55
    red, green, blue = 1.02 * value, value, 0.99 * value
    white = _share(surface, of.PAINT, spot.x, spot.y, 1, True)
    yellow = _share(surface, of.PAINT, spot.x, spot.y, 2, True)
    if white + yellow > 0.0:
        worn = 0.45 + 0.55 * ramp(plane(table, mx * 2.3, my * 2.3 + 50.0), 0.12, 0.55)
        edge = 0.12 + 0.3 * min(1.0, pixel)
        white = ramp(white, 0.5 - edge, 0.5 + edge) * worn
        yellow = ramp(yellow, 0.5 - edge, 0.5 + edge) * worn
        red += white * (0.62 - red) + yellow * (0.62 - red)
        green += white * (0.62 - green) + yellow * (0.42 - green)
        blue += white * (0.60 - blue) + yellow * (0.08 - blue)
    return red, green, blue


@inlined
def _slab_color(surface: U8, table: F32, spot: Spot, cos: float, sin: float) -> Color:
    """Sidewalks, yards, parking lots: slabs along a direction, curbs beside roads."""
    mx, my = spot.mx, spot.my
    level = 0.26 + 0.10 * (spot.wide - 0.5)
    value = level * (0.85 + 0.2 * spot.coarse + 0.45 * spot.grain)
    size = 1.5
    a = (mx * cos + my * sin) / size
    b = (my * cos - mx * sin) / size
    share = spot.pixel / size
    if share < 0.6:
        joint = band(a - math.floor(a), 0.0, 0.035, share)
        joint += band(b - math.floor(b), 0.0, 0.035, share)
        value *= 1.0 - 0.45 * min(1.0, joint)
        value *= 0.93 + 0.14 * hash_unit(math.floor(a), math.floor(b), 21)
    if plane(table, mx * 7.0 + 30.0, my * 7.0) > 0.965:
        value *= 0.75
    near = _share(surface, of.ROAD_SHARE, spot.x, spot.y, 0, False)
    if near > 0.12:
        value = (0.36 - 0.14 * ramp(near, 0.2, 0.6)) * (0.85 + 0.3 * spot.coarse)
    return 1.03 * value, value, 0.95 * value


@inlined
def _rail_color(track: F32, mx: float, my: float, spot: Spot) -> Color:
    """Ballast, sleepers and rails along the track's own direction."""
    value = 0.16 * (0.7 + 0.4 * spot.coarse + 1.1 * spot.grain)
    color = 1.08 * value, value, 0.9 * value
    if track[2] * track[2] + track[3] * track[3] < 0.5:
        return color
    along = (mx - track[0]) * track[2] + (my - track[1]) * track[3]
    across = (my - track[1]) * track[2] - (mx - track[0]) * track[3]
    # Two tracks side by side, 4 m apart.
    across = abs(across) - 2.0
    if abs(across) < 1.3:
        sleeper = along / 0.65
        wood = band(sleeper - math.floor(sleeper), 0.0, 0.38, spot.pixel / 0.65)
        color = blend(color, (0.10, 0.085, 0.07), wood)
        color = blend(color, (0.30, 0.24, 0.20), band(abs(across), 0.70, 0.79, 0.5 * spot.pixel))
    return color


@inlined
def ground_color(
    world: World, picture: Picture, place: tuple[float, float, int, int], pixel: float
) -> tuple[Color, float]:
    """Linear albedo of the ground, and how much it mirrors the sky.

    Args:
        world, picture: Tables of the scene, and what the rays share.
        place: Point in cells, then row and column of the cell that holds it.
        pixel: Length of a picture's pixel on the ground, in metres.
    """
    gsd, surface, tracks = world.gsd, world.surface, world.tracks
    style, table, street = picture.style, picture.table, picture.street
    x, y, r, c = place
    mx = (x + world.east) * gsd
    my = (y + world.south) * gsd
    kind = smooth_class(surface, x, y, r, c)
    own = 17.0 * (world.seed % 113)
    coarse = plane(table, mx * 0.9 + own, my * 0.9)
    grain = (plane(table, mx * 11.0, my * 11.0 + own) - 0.5) / (1.0 + 3.0 * pixel)
    wide = plane(table, mx * 0.21 + 70.0, my * 0.21 + own)
    spot = Spot(x, y, mx, my, own, coarse, grain, wide, pixel)
    if kind == ids.ROAD:
        return _road_color(surface, table, style.asphalt, spot), 0.0
    if kind == ids.GRASS:
        blade = 0.72 + 0.5 * coarse + 0.8 * grain
        bald = style.dry * (0.35 + 0.9 * wide)
        bald = 1.0 if coarse > 0.93 else min(1.0, bald)
        lawn = 0.065 + bald * 0.19, 0.125 + bald * 0.085, 0.028 + bald * 0.055
        return scale(lawn, blade), 0.0
    if kind == ids.BARE:
        value = 0.75 + 0.35 * coarse + 0.7 * grain + 0.15 * wide
        if plane(table, mx * 5.0 + 3.0, my * 5.0) > 0.9:
            value *= 0.7
        return scale((0.27, 0.185, 0.115), value), 0.0
    if kind == ids.WATER:
        wave = 0.8 + 0.5 * (coarse - 0.5) + 0.3 * grain
        return scale((0.03, 0.05, 0.055), wave), 1.0
    if kind == ids.RAIL:
        return _rail_color(tracks[r // of.COARSE, c // of.COARSE], x * gsd, y * gsd, spot), 0.0
    return _slab_color(surface, table, spot, street[0], street[1]), 0.0
