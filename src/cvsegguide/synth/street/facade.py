"""The walls of buildings: windows, doors, shop fronts, cornices, keyed to the building."""

import math
from typing import NamedTuple

from cvsegguide.synth.color import Color, blend, color_at, scale
from cvsegguide.synth.compiled import F32, inlined, kernel
from cvsegguide.synth.noise import band, hash_unit, plane, ramp
from cvsegguide.synth.street import columns as of


class Spot(NamedTuple):
    """A point of a wall."""

    look: F32  # look, seed, face: row and seed of the building, number of the face
    seed: int
    face: int
    u: float  # metres along the face
    bay: float  # bay, bays: number of the bay, and how many the face has
    bays: float
    s: float  # s, wide: share of the bay's width from its left, and that width in metres
    wide: float
    h: float  # h, below: metres above the ground and below the parapet
    below: float
    pixel: float  # width of a picture's pixel in metres across the ray
    blur: float  # width of a pixel along the wall as a share of the bay


Look = tuple[Color, float, float]
"""Linear albedo, how much of it is glass that mirrors the sky, and how matt it is lit (0 for the
dark of a room behind glass)."""


@kernel
def wall_face(buildings: F32, b: int, angle: float, dx: float, dy: float, side: int) -> int:
    """Which of the four faces of building ``b`` a ray met: 0 = +u, 1 = +v, 2 = -u, 3 = -v.

    ``angle`` is the wall's own direction (nan when unknown, then ``side`` of the cell decides);
    the face must look towards the ray.
    """
    cos = buildings[b, of.FRAME + 2]
    sin = buildings[b, of.FRAME + 3]
    if math.isnan(angle):
        if side == 0:
            angle = math.pi if dx > 0 else 0.0
        else:
            angle = -0.5 * math.pi if dy > 0 else 0.5 * math.pi
    base = math.atan2(sin, cos)
    face = math.floor((angle - base) / (0.5 * math.pi) + 0.5) & 3
    du = dx * cos + dy * sin
    dv = dy * cos - dx * sin
    facing = du if face == 0 else dv if face == 1 else -du if face == 2 else -dv
    if facing < 0.0:
        return face
    if abs(du) > abs(dv):
        return 2 if du > 0 else 0
    return 3 if dv > 0 else 1


@inlined
def _spot(
    gsd: float, look: F32, face: int, place: Color, below: float, pixel: float, slant: float
) -> Spot:
    ex = (place[0] - look[of.FRAME + 0]) * gsd
    ey = (place[1] - look[of.FRAME + 1]) * gsd
    cos, sin = look[of.FRAME + 2], look[of.FRAME + 3]
    first = of.FRAME + (4 if face & 1 else 6)
    u = ex * cos + ey * sin if face & 1 else ey * cos - ex * sin
    low, high = look[first], look[first + 1]
    length = max(1.0, high - low)
    bays = max(1.0, math.floor(length / look[of.BAY] + 0.5))
    wide = length / bays
    s = (u - low) / wide
    bay = math.floor(s)
    blur = pixel / max(0.15, slant) / wide
    seed = int(look[of.LOOK_SEED])
    h = place[2] - look[of.BASE]
    return Spot(look, seed, face, u, bay, bays, s - bay, wide, h, below, pixel, blur)


@inlined
def _bare_wall(table: F32, spot: Spot) -> Color:
    """The wall with its stains, courses, boards or slabs."""
    u, h, seed, pixel = spot.u, spot.h, spot.seed, spot.pixel
    material = int(spot.look[of.MATERIAL])
    grain = plane(table, u * 3.1 + seed, h * 3.1)
    stain = plane(table, u * 0.55 + 0.3 * seed, h * 0.21 + 17.0)
    shade = 0.80 + 0.18 * grain + 0.22 * stain
    if material == of.BRICK and pixel < 0.12:
        course = math.floor(h / 0.075)
        gap = band(h / 0.075 - course, 0.0, 0.16, pixel / 0.075)
        shade *= 1.0 + 0.25 * gap + 0.2 * (hash_unit(int(course), int(u / 0.22), seed) - 0.5)
    elif material == of.SIDING:
        board = h / 0.18
        shade *= 1.0 - 0.35 * band(board - math.floor(board), 0.0, 0.2, pixel / 0.18)
    elif material == of.STONE:
        slab = h / 1.1
        shade *= 1.0 - 0.22 * band(slab - math.floor(slab), 0.0, 0.04, pixel / 1.1)
    shade *= 0.82 + 0.18 * ramp(h, 0.0, 1.5)
    return scale(color_at(spot.look, of.WALL), shade)


@inlined
def _shop_front(table: F32, spot: Spot, wall: Color) -> Look:
    """A sign over panes or a shutter; one shop per three bays or so."""
    look, h, s, seed = spot.look, spot.h, spot.s, spot.seed
    sign = look[of.GROUND_FLOOR] - 0.75
    unit = int((spot.bay + seed % 3) // 3)
    p = hash_unit(unit, seed, 7)
    if h > sign:
        letters = 1.0
        if spot.pixel < 0.4:
            row = band(h - sign, 0.22, 0.52, spot.pixel)
            mark = 1.0 if hash_unit(int(spot.u * 4.0), unit, seed) < 0.55 else 0.0
            letters = 1.0 + 1.6 * row * mark * band(s, 0.02, 0.98, spot.blur)
        turn = int(p * 29)
        own = (
            look[of.SHOP_COLOR + turn % 3],
            look[of.SHOP_COLOR + (1 + turn) % 3],
            look[of.SHOP_COLOR + (2 + turn) % 3],
        )
        return scale(scale(own, 0.5 + 1.1 * p), letters), 0.0, 1.0
    if hash_unit(unit, seed, 9) < 0.18:
        slat = 0.42 + 0.12 * math.sin(h * 40.0) * ramp(0.16 - spot.pixel, 0.0, 0.1)
        return (slat, slat, slat * 1.02), 0.0, 1.0
    pane = band(s, 0.05, 0.95, spot.blur) * band(h, 0.55, sign - 0.1, spot.pixel)
    inside = 0.02 + 0.13 * plane(table, spot.u * 9.0 + 31.0 * p, h * 9.0)
    color = blend(wall, (inside * 1.15, inside, inside * 0.9), pane)
    return color, 0.55 * pane, 1.0 - 0.35 * pane


@inlined
def _door(spot: Spot, wall: Color, v: float, storey: float) -> Look:
    tall = min(0.85, 2.2 / storey)
    half = min(0.42, 0.55 / spot.wide)
    s, blur, blur_v = spot.s, spot.blur, spot.pixel / storey
    leaf = band(s, 0.5 - half, 0.5 + half, blur) * band(v, 0.0, tall, blur_v)
    around = band(s, 0.38 - half, 0.62 + half, blur) * band(v, 0.0, tall + 0.07, blur_v)
    if around > 0:
        wall = blend(wall, color_at(spot.look, of.TRIM), around)
        wall = blend(wall, scale(color_at(spot.look, of.SHOP_COLOR), 0.35), leaf)
    return wall, 0.0, 1.0


@inlined
def _window(spot: Spot, wall: Color, v: float, storey: float, level: float) -> Look:
    look, s, blur, blur_v = spot.look, spot.s, spot.blur, spot.pixel / storey
    seed, bay = spot.seed, int(spot.bay)
    ww = look[of.WINDOW_WIDTH]
    wh = look[of.WINDOW_HEIGHT]
    sill = 0.28 if wh < 0.7 else 0.07
    s0 = 0.5 - 0.5 * ww
    s1 = 0.5 + 0.5 * ww
    v1 = min(0.96, sill + wh)
    frame_s = 0.09 / spot.wide
    frame_v = 0.11 / storey
    outer = band(s, s0 - frame_s, s1 + frame_s, blur)
    outer *= band(v, sill - 1.4 * frame_v, v1 + frame_v, blur_v)
    if outer <= 0:
        if look[of.ESCAPE] > 0 and level > 0 and bay % 4 == 1 and spot.face == seed % 4:
            rail = band(v, 0.03, 0.08, blur_v) + 0.6 * band(v, 0.22, 0.25, blur_v)
            wall = scale(wall, 1.0 - 0.75 * min(1.0, rail))
        return wall, 0.0, 1.0
    inner = band(s, s0, s1, blur) * band(v, sill, v1, blur_v)
    if spot.pixel < 0.25 and ww < 0.9:
        middle = 0.5 * (sill + v1)
        inner *= 1.0 - 0.8 * band(v, middle - 0.3 * frame_v, middle + 0.3 * frame_v, blur_v)
        if ww * spot.wide > 1.3:
            inner *= 1.0 - 0.8 * band(s, 0.5 - 0.3 * frame_s, 0.5 + 0.3 * frame_s, blur)
    p = hash_unit(bay * 4 + spot.face, int(level), seed + 17)
    room = look[of.GLASS] * (0.4 + 1.2 * p)
    mirror = 0.55
    if p < look[of.CURTAIN]:
        drawn = 0.3 + 0.65 * hash_unit(bay, int(level), seed + 23)
        cloth = band(v, v1 - drawn * wh, 1.0, blur_v)
        room += cloth * (0.28 + 0.25 * p - room)
        mirror -= 0.3 * cloth
    wall = blend(wall, color_at(look, of.TRIM), outer)
    wall = blend(wall, (room, room * 1.02, room * 1.06), inner)
    return wall, inner * mirror, 1.0 - 0.3 * inner


@kernel
def facade_color(
    gsd: float,
    look: F32,
    table: F32,
    face: int,
    place: Color,
    top: float,
    pixel: float,
    slant: float,
) -> Look:
    """Look of a wall at a point.

    Args:
        gsd, look, table: Metres per cell, the building's row, plane noise.
        face: Of the building.
        place: Column, row, absolute height.
        top: Absolute height of the wall's top.
        pixel: Width of a picture's pixel at the point, in metres across the ray.
        slant: Cosine between ray and wall.
    """
    below = top - place[2]
    spot = _spot(gsd, look, face, place, below, pixel, slant)
    seed, bay, h = spot.seed, spot.bay, spot.h
    wall = _bare_wall(table, spot)
    cornice = look[of.CORNICE]
    if below < cornice:
        edge = 1.0 - 0.5 * ramp(below, 0.6 * cornice, cornice)
        return scale(color_at(look, of.TRIM), edge), 0.0, 1.0
    if h < 0.35:
        return scale(wall, 0.6), 0.0, 1.0
    ground_floor = look[of.GROUND_FLOOR]
    shop = look[of.SHOP] > 0 and hash_unit(face, seed, 5) < 0.72
    if h < ground_floor and shop and below > 0.4:
        return _shop_front(table, spot, wall)
    level, v, storey = 0.0, h / ground_floor, float(ground_floor)
    if h >= ground_floor:
        storey = float(look[of.FLOOR])
        level = math.floor((h - ground_floor) / storey) + 1.0
        v = (h - ground_floor) / storey - (level - 1.0)
    # No window that the parapet would cut.
    if below + v * storey < 0.86 * storey:
        return wall, 0.0, 1.0
    door_bay = math.floor(look[of.DOOR] * spot.bays)
    if level == 0.0 and (bay == door_bay or (spot.bays > 6 and (bay - door_bay) % 5 == 0)):
        return _door(spot, wall, v, storey)
    # Blind sides of rows, and bays without a window.
    if int(look[of.MATERIAL]) != of.CURTAIN_WALL:
        blind = hash_unit(face, seed, 11)
        if blind < 0.12 or hash_unit(int(bay), seed, 13) < 0.08 * blind:
            return wall, 0.0, 1.0
    return _window(spot, wall, v, storey, level)
