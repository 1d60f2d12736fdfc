"""The walls of buildings: windows, doors, shop fronts, cornices, keyed to the building."""

import math

from cvsegguide.synth.compiled import F32
from cvsegguide.synth.street.buildings import (
    BASE,
    BAY,
    BRICK,
    CORNICE,
    CURTAIN,
    CURTAIN_WALL,
    DOOR,
    ESCAPE,
    FLOOR,
    FRAME,
    GLASS,
    GROUND_FLOOR,
    LOOK_SEED,
    MATERIAL,
    SHOP,
    SHOP_COLOR,
    SIDING,
    STONE,
    TRIM,
    WALL,
    WINDOW_HEIGHT,
    WINDOW_WIDTH,
)
from cvsegguide.synth.street.kernel import kernel
from cvsegguide.synth.street.noise import band, hash_unit, plane, ramp


@kernel
def wall_face(buildings: F32, b: int, angle: float, dx: float, dy: float, side: int) -> int:
    """Which of the four faces of building ``b`` a ray met: 0 = +u, 1 = +v, 2 = -u, 3 = -v.

    ``angle`` is the wall's own direction (nan when unknown, then ``side`` of the cell decides);
    the face must look towards the ray.
    """
    cos = buildings[b, FRAME + 2]
    sin = buildings[b, FRAME + 3]
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


@kernel
def facade_color(
    gsd: float,
    buildings: F32,
    table: F32,
    b: int,
    face: int,
    x: float,
    y: float,
    z: float,
    top: float,
    pixel: float,
    slant: float,
) -> tuple[float, float, float, float, float]:
    """Look of a wall at a point.

    Args:
        gsd, buildings, table: Tables of the scene, plane noise.
        b, face: Building and face.
        x, y, z: Point: column, row, absolute height.
        top: Absolute height of the wall's top.
        pixel: Width of a picture's pixel at the point, in metres across the ray.
        slant: Cosine between ray and wall.

    Returns:
        Linear albedo (3), how much of it is glass that mirrors the sky, and how matt it is lit
        (0 for the dark of a room behind glass).
    """
    seed = int(buildings[b, LOOK_SEED])
    ex = (x - buildings[b, FRAME + 0]) * gsd
    ey = (y - buildings[b, FRAME + 1]) * gsd
    cos = buildings[b, FRAME + 2]
    sin = buildings[b, FRAME + 3]
    if face & 1:
        u = ex * cos + ey * sin
        low = buildings[b, FRAME + 4]
        high = buildings[b, FRAME + 5]
    else:
        u = ey * cos - ex * sin
        low = buildings[b, FRAME + 6]
        high = buildings[b, FRAME + 7]
    length = max(1.0, high - low)
    bays = max(1.0, math.floor(length / buildings[b, BAY] + 0.5))
    wide = length / bays
    s = (u - low) / wide
    bay = math.floor(s)
    s -= bay
    h = z - buildings[b, BASE]
    below = top - z  # metres under the parapet
    material = int(buildings[b, MATERIAL])
    blur_u = pixel / max(0.15, slant) / wide
    blur_h = pixel

    # Bare wall, with stains.
    grain = plane(table, u * 3.1 + seed, h * 3.1)
    stain = plane(table, u * 0.55 + 0.3 * seed, h * 0.21 + 17.0)
    shade = 0.80 + 0.18 * grain + 0.22 * stain
    if material == BRICK and pixel < 0.12:
        course = math.floor(h / 0.075)
        gap = band(h / 0.075 - course, 0.0, 0.16, blur_h / 0.075)
        shade *= 1.0 + 0.25 * gap + 0.2 * (hash_unit(int(course), int(u / 0.22), seed) - 0.5)
    elif material == SIDING:
        board = h / 0.18
        shade *= 1.0 - 0.35 * band(board - math.floor(board), 0.0, 0.2, blur_h / 0.18)
    elif material == STONE:
        slab = h / 1.1
        shade *= 1.0 - 0.22 * band(slab - math.floor(slab), 0.0, 0.04, blur_h / 1.1)
    shade *= 0.82 + 0.18 * ramp(h, 0.0, 1.5)
    r = buildings[b, WALL] * shade
    g = buildings[b, WALL + 1] * shade
    bl = buildings[b, WALL + 2] * shade
    glass = 0.0
    matt = 1.0

    ground_floor = buildings[b, GROUND_FLOOR]
    floor_height = buildings[b, FLOOR]
    if below < buildings[b, CORNICE]:
        edge = 1.0 - 0.5 * ramp(below, 0.6 * buildings[b, CORNICE], buildings[b, CORNICE])
        return (
            buildings[b, TRIM] * edge,
            buildings[b, TRIM + 1] * edge,
            buildings[b, TRIM + 2] * edge,
            0.0,
            1.0,
        )
    if h < 0.35:
        return r * 0.6, g * 0.6, bl * 0.6, 0.0, 1.0

    shop = buildings[b, SHOP] > 0 and hash_unit(face, seed, 5) < 0.72
    if h < ground_floor and shop and below > 0.4:
        sign = ground_floor - 0.75
        # One shop per three bays or so, each with its own sign.
        unit = int((bay + seed % 3) // 3)
        p = hash_unit(unit, seed, 7)
        if h > sign:
            light = 0.5 + 1.1 * p
            letters = 1.0
            if pixel < 0.4:
                row = band(h - sign, 0.22, 0.52, blur_h)
                mark = 1.0 if hash_unit(int(u * 4.0), unit, seed) < 0.55 else 0.0
                letters = 1.0 + 1.6 * row * mark * band(s, 0.02, 0.98, blur_u)
            return (
                buildings[b, SHOP_COLOR + int(p * 29) % 3] * light * letters,
                buildings[b, SHOP_COLOR + (1 + int(p * 29)) % 3] * light * letters,
                buildings[b, SHOP_COLOR + (2 + int(p * 29)) % 3] * light * letters,
                0.0,
                1.0,
            )
        pane = band(s, 0.05, 0.95, blur_u) * band(h, 0.55, sign - 0.1, blur_h)
        shutter = hash_unit(unit, seed, 9) < 0.18
        if shutter:
            slat = 0.42 + 0.12 * math.sin(h * 40.0) * ramp(0.16 - pixel, 0.0, 0.1)
            return slat, slat, slat * 1.02, 0.0, 1.0
        inside = 0.02 + 0.13 * plane(table, u * 9.0 + 31.0 * p, h * 9.0)
        r += pane * (inside * 1.15 - r)
        g += pane * (inside - g)
        bl += pane * (inside * 0.9 - bl)
        return r, g, bl, 0.55 * pane, 1.0 - 0.35 * pane

    if h < ground_floor:
        level = 0.0
        v = h / ground_floor
        storey = ground_floor
    else:
        level = math.floor((h - ground_floor) / floor_height) + 1.0
        v = (h - ground_floor) / floor_height - (level - 1.0)
        storey = floor_height
    # No window that the parapet would cut.
    if below + v * storey < 0.86 * storey:
        return r, g, bl, 0.0, 1.0
    blur_v = blur_h / storey

    door_bay = math.floor(buildings[b, DOOR] * bays)
    if level == 0.0 and (bay == door_bay or (bays > 6 and (bay - door_bay) % 5 == 0)):
        tall = min(0.85, 2.2 / storey)
        half = min(0.42, 0.55 / wide)
        leaf = band(s, 0.5 - half, 0.5 + half, blur_u) * band(v, 0.0, tall, blur_v)
        around = band(s, 0.38 - half, 0.62 + half, blur_u) * band(v, 0.0, tall + 0.07, blur_v)
        if around > 0:
            r += around * (buildings[b, TRIM] - r)
            g += around * (buildings[b, TRIM + 1] - g)
            bl += around * (buildings[b, TRIM + 2] - bl)
            r += leaf * (0.35 * buildings[b, SHOP_COLOR] - r)
            g += leaf * (0.35 * buildings[b, SHOP_COLOR + 1] - g)
            bl += leaf * (0.35 * buildings[b, SHOP_COLOR + 2] - bl)
        return r, g, bl, 0.0, 1.0

    # Blind sides of rows, and bays without a window.
    if material != CURTAIN_WALL:
        blind = hash_unit(face, seed, 11)
        if blind < 0.12 or hash_unit(int(bay), seed, 13) < 0.08 * blind:
            return r, g, bl, 0.0, 1.0

    ww = buildings[b, WINDOW_WIDTH]
    wh = buildings[b, WINDOW_HEIGHT]
    sill = 0.28 if wh < 0.7 else 0.07
    s0 = 0.5 - 0.5 * ww
    s1 = 0.5 + 0.5 * ww
    v1 = min(0.96, sill + wh)
    frame_s = 0.09 / wide
    frame_v = 0.11 / storey
    outer = band(s, s0 - frame_s, s1 + frame_s, blur_u) * band(
        v, sill - 1.4 * frame_v, v1 + frame_v, blur_v
    )
    if outer <= 0:
        if buildings[b, ESCAPE] > 0 and level > 0 and int(bay) % 4 == 1 and face == seed % 4:
            rail = band(v, 0.03, 0.08, blur_v) + 0.6 * band(v, 0.22, 0.25, blur_v)
            r *= 1.0 - 0.75 * min(1.0, rail)
            g *= 1.0 - 0.75 * min(1.0, rail)
            bl *= 1.0 - 0.75 * min(1.0, rail)
        return r, g, bl, 0.0, 1.0
    inner = band(s, s0, s1, blur_u) * band(v, sill, v1, blur_v)
    if pixel < 0.25 and ww < 0.9:
        middle = 0.5 * (sill + v1)
        inner *= 1.0 - 0.8 * band(v, middle - 0.3 * frame_v, middle + 0.3 * frame_v, blur_v)
        if ww * wide > 1.3:
            inner *= 1.0 - 0.8 * band(s, 0.5 - 0.3 * frame_s, 0.5 + 0.3 * frame_s, blur_u)
    r += outer * (buildings[b, TRIM] - r)
    g += outer * (buildings[b, TRIM + 1] - g)
    bl += outer * (buildings[b, TRIM + 2] - bl)
    p = hash_unit(int(bay) * 4 + face, int(level), seed + 17)
    room = buildings[b, GLASS] * (0.4 + 1.2 * p)
    mirror = 0.55
    if p < buildings[b, CURTAIN]:
        drawn = 0.3 + 0.65 * hash_unit(int(bay), int(level), seed + 23)
        cloth = band(v, v1 - drawn * wh, 1.0, blur_v)
        room += cloth * (0.28 + 0.25 * p - room)
        mirror -= 0.3 * cloth
    r += inner * (room - r)
    g += inner * (room * 1.02 - g)
    bl += inner * (room * 1.06 - bl)
    glass = inner * mirror
    return r, g, bl, glass, matt - 0.3 * inner
