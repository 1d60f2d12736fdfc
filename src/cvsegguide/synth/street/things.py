"""Vehicles, street furniture, trunks and crowns: where a ray meets things, and what they look like.

A thing is a row of :attr:`World.things <cvsegguide.synth.street.world.World>`. In its own frame u
runs along its long side, v across, w up from the ground.
"""

import math

from cvsegguide.synth import ids
from cvsegguide.synth.color import Color, blend, scale
from cvsegguide.synth.compiled import F32, F64, inlined, kernel
from cvsegguide.synth.noise import hash_unit, plane
from cvsegguide.synth.street import columns as of
from cvsegguide.synth.street.style import StreetStyle

FAR = 1e30

Vector = tuple[float, float, float]


@kernel
def _slab(origin: float, speed: float, low: float, high: float) -> tuple[float, float]:
    """Entry and exit of a ray between two parallel planes."""
    if abs(speed) < 1e-12:
        if origin < low or origin > high:
            return FAR, -FAR
        return -FAR, FAR
    first = (low - origin) / speed
    second = (high - origin) / speed
    return min(first, second), max(first, second)


@kernel
def _box(
    start: Vector, speed: Vector, u0: float, u1: float, half_v: float, w0: float, w1: float
) -> float:
    """Entry of a ray into an upright box in its own frame, or FAR."""
    a0, a1 = _slab(start[0], speed[0], u0, u1)
    b0, b1 = _slab(start[1], speed[1], -half_v, half_v)
    c0, c1 = _slab(start[2], speed[2], w0, w1)
    enter = max(a0, b0, c0)
    if enter > min(a1, b1, c1) or enter < 0:
        return FAR
    return enter


@kernel
def _clip(
    origin: float, speed: float, limit: float, enter: float, leave: float
) -> tuple[float, float]:
    """Clip ``[enter, leave]`` to where ``origin + t speed <= limit``."""
    gap = limit - origin
    if abs(speed) < 1e-12:
        if gap < 0:
            return FAR, -FAR
        return enter, leave
    t = gap / speed
    if speed > 0:
        return enter, min(leave, t)
    return max(enter, t), leave


@kernel
def _cabin(
    start: Vector,
    speed: Vector,
    ends: tuple[float, float],
    slopes: tuple[float, float],
    half_v: float,
    w0: float,
    w1: float,
) -> float:
    """Entry into a cabin: sloped windscreens, sides that lean in by a fifth of the height.

    ``ends`` and ``slopes`` are those of front and rear.
    """
    (u, v, w), (du, dv, dw) = start, speed
    enter, leave = _slab(w, dw, w0, w1)
    above = w - w0
    enter, leave = _clip(u + slopes[0] * above, du + slopes[0] * dw, ends[0], enter, leave)
    enter, leave = _clip(-u + slopes[1] * above, -du + slopes[1] * dw, ends[1], enter, leave)
    enter, leave = _clip(v + 0.2 * above, dv + 0.2 * dw, half_v, enter, leave)
    enter, leave = _clip(-v + 0.2 * above, -dv + 0.2 * dw, half_v, enter, leave)
    if enter > leave or enter < 0:
        return FAR
    return enter


@kernel
def _cylinder(start: Vector, speed: Vector, radius: float, low: float, high: float) -> float:
    """Entry of a ray into an upright cylinder about the origin, or FAR."""
    (rx, ry, z), (dx, dy, dz) = start, speed
    flat = math.sqrt(dx * dx + dy * dy)
    if flat < 1e-9:
        return FAR
    along = -(rx * dx + ry * dy) / flat
    across = (rx * dy - ry * dx) / flat
    rest = radius * radius - across * across
    if rest < 0:
        return FAR
    t = (along - math.sqrt(rest)) / flat
    height = z + dz * t
    if t < 0 or height < low or height > high:
        return FAR
    return t


@kernel
def _car(start: Vector, speed: Vector, length: float, wide: float, tall: float) -> float:
    """A body, a cabin, and wheels that reach below: two discs in the plane of the nearer side."""
    belt = 0.56 * tall
    body = _box(start, speed, -length, length, wide, 0.13 * tall, belt)
    ends = 0.42 * length, 0.78 * length
    found = min(body, _cabin(start, speed, ends, (1.1, 0.6), 0.94 * wide, belt, tall))
    if abs(speed[1]) > 1e-9:
        side = -wide if speed[1] > 0 else wide
        t = (side - start[1]) / speed[1]
        if 0 < t < found:
            at_u = abs(start[0] + speed[0] * t) - 0.62 * length
            at_w = start[2] + speed[2] * t - 0.33
            if at_u * at_u + at_w * at_w < 0.33 * 0.33:
                return float(t)
    return found


@kernel
def hit_thing(thing: F64, start: Vector, direction: Vector) -> float:
    """Distance to a thing along a ray, or FAR.

    Lamps and signs are a pole with an arm or a plate, vans a box with a sloped front; what is
    neither these nor a car is its box.

    Args:
        thing: Its row.
        start: Metres from its centre, absolute height.
        direction: Of the ray, unit length.
    """
    kind = int(thing[of.KIND])
    low, high = thing[of.LOW], thing[of.HIGH]
    length, wide = thing[of.LENGTH], thing[of.WIDTH]
    if kind in (ids.TRUNK, ids.POLE):
        return _cylinder(start, direction, length, low, high)
    cos, sin = thing[of.COS], thing[of.SIN]
    (rx, ry, z), (dx, dy, dz) = start, direction
    at = rx * cos + ry * sin, ry * cos - rx * sin, z - low
    speed = dx * cos + dy * sin, dy * cos - dx * sin, dz
    tall = high - low
    if kind in (ids.LAMP, ids.SIGN):
        pole = _cylinder(start, direction, length, low, high)
        if kind == ids.LAMP:
            return min(pole, _box(at, speed, 0.0, 1.9, 0.07, tall - 0.16, tall))
        return min(pole, _box(at, speed, -0.04, 0.04, 0.32, tall - 0.65, tall))
    if kind == ids.CAR:
        return _car(at, speed, length, wide, tall)
    if kind == ids.VAN:
        return _cabin(at, speed, (length, length), (0.28, 0.03), wide, 0.12 * tall, tall)
    bottom = 0.3 if kind == ids.BUS else (0.35 * tall if kind == ids.BENCH else 0.0)
    return _box(at, speed, -length, length, wide, bottom, tall)


@kernel
def leaf_color(
    gsd: float, tree: F32, style: StreetStyle, table: F32, place: Vector
) -> tuple[Color, Vector]:
    """Albedo of a leaf at a point, and the outward direction of its crown there."""
    mx = (place[0] - tree[of.X]) * gsd
    my = (place[1] - tree[of.Y]) * gsd
    low, high = tree[of.TREE_LOW], tree[of.TREE_HIGH]
    radius = max(0.5, tree[of.CROWN_RADIUS])
    nx = mx / radius
    ny = my / radius
    nz = (place[2] - (0.6 * low + 0.4 * high)) / max(0.5, 0.6 * (high - low))
    size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    # The inside of a crown is dark.
    depth = 0.45 + 0.55 * min(1.0, size)
    hue, clumps = tree[of.HUE], tree[of.CLUMPS]
    grain = 0.65 + 0.7 * plane(table, (mx + my) * 9.0 + clumps, place[2] * 9.0 + my * 5.0)
    species = int(tree[of.SPECIES])
    if species == ids.CONIFER:
        color = 0.035 + 0.02 * hue, 0.065 + 0.02 * hue, 0.03
    else:
        green = 0.125 + 0.035 * hash_unit(species, int(clumps), 1)
        color = 0.075 + 0.05 * hue, green, 0.030 + 0.02 * hue
        if species == ids.PURPLE:
            color = 0.085 + 0.03 * hue, 0.042 + 0.015 * hue, 0.045
        turned = style.autumn * (0.4 + 0.6 * hash_unit(int(clumps), species, 2))
        color = blend(color, (0.32, 0.13 + 0.09 * hue, 0.03), turned)
        color = blend(color, (0.10, 0.082, 0.070), min(1.0, 1.5 * style.bare))
    return scale(color, depth * grain), (nx / size, ny / size, nz / size)


_GLASS = 0.015, 0.018, 0.02


@kernel
def _pole_color(thing: F64, table: F32, ex: float, ey: float, z: float) -> tuple[Color, float]:
    """Trunks, and what is a pole: albedo and gloss."""
    kind, look = int(thing[of.KIND]), thing[of.LOOK]
    color = thing[of.COLOR], thing[of.COLOR + 1], thing[of.COLOR + 2]
    if kind == ids.TRUNK:
        bark = 0.6 + 0.8 * plane(table, math.atan2(ey, ex) * 24.0 + look * 7.0, z * 5.0)
        return scale(color, bark), 0.0
    if kind == ids.SIGN and z - thing[of.LOW] > thing[of.HIGH] - thing[of.LOW] - 0.66:
        p = hash_unit(int(look), 1, 3)
        if p < 0.3:
            return (0.45, 0.03, 0.03), 0.0
        if p < 0.6:
            return (0.03, 0.22, 0.10), 0.0
        return (0.6, 0.6, 0.58), 0.0
    return color, 0.1


@kernel
def _box_face(u: float, v: float, w: float, length: float, wide: float, tall: float) -> Vector:
    """Outward direction, in a box's own frame, of the face that a point lies on."""
    fu = abs(u) / max(0.05, length)
    fv = abs(v) / max(0.02, wide)
    fw = w / max(0.05, tall)
    if fw > 0.985 and fw >= fu and fw >= fv:
        return 0.0, 0.0, 1.0
    if fv >= fu:
        return 0.0, 1.0 if v > 0 else -1.0, 0.0
    return 1.0 if u > 0 else -1.0, 0.0, 0.0


@inlined
def _car_window(at: Vector, length: float, wide: float, belt: float) -> tuple[bool, Vector]:
    """Whether a point above the belt line of a car is glass, and the outward direction there."""
    u, v, w = at
    above = w - belt
    front = (0.42 * length - 1.1 * above) - u
    rear = u + 0.78 * length - 0.6 * above
    if min(front, rear) >= 0.06:
        pane = front > 0.12 and rear > 0.14 and abs(u + 0.15 * length) > 0.05
        return pane, (0.0, 0.98 if v > 0 else -0.98, 0.2)
    glass = abs(v) < 0.86 * wide
    if front < rear:
        return glass, (0.67, 0.0, 0.74)
    return glass, (-0.86, 0.0, 0.51)


@inlined
def _car_color(thing: F64, color: Color, at: Vector, face: Vector) -> tuple[Color, Vector, float]:
    """Cars and vans: albedo, outward direction and gloss."""
    (u, v, w), (lu, lv, _) = at, face
    length, wide, tall = thing[of.LENGTH], thing[of.WIDTH], thing[of.HIGH] - thing[of.LOW]
    is_car = int(thing[of.KIND]) == ids.CAR
    belt = 0.56 * tall if is_car else 0.52 * tall
    if w > belt and w < 0.93 * tall:  # glass between pillars
        if is_car:
            glass, face = _car_window(at, length, wide, belt)
        else:
            side = u > 0.45 * length or (u > -0.7 * length and thing[of.LOOK] % 3 == 0)
            glass = (lu > 0 and abs(v) < 0.85 * wide) or (lv != 0 and side)
        return (_GLASS, face, 0.5) if glass else (color, face, 0.16)
    if w > belt:
        return color, (0.0, 0.0, 1.0) if is_car else face, 0.16
    if lv != 0.0:
        arch = abs(u) - 0.62 * length
        d = arch * arch + (w - 0.33) * (w - 0.33)
        if d < 0.35 * 0.35:  # a wheel
            grey = 0.16 if d < 0.19 * 0.19 else 0.012
            return (grey, grey, grey), face, 0.0
        if abs(w - 0.3 * tall) < 0.03:
            color = scale(color, 0.5)
    elif lu != 0.0:
        if w < 0.24 * tall:
            color = 0.04, 0.04, 0.04
        elif w > 0.34 * tall and w < 0.47 * tall and abs(v) > 0.6 * wide:  # lamps
            color = (0.75, 0.75, 0.7) if lu > 0 else (0.4, 0.02, 0.02)
        elif w < 0.36 * tall and abs(v) < 0.3 * wide:  # number plate
            color = 0.55, 0.55, 0.5
    return color, face, 0.16


@inlined
def _bus_color(thing: F64, color: Color, at: Vector, face: Vector) -> tuple[Color, float]:
    """Albedo and gloss."""
    (u, _, w), (lu, lv, lw) = at, face
    tall = thing[of.HIGH] - thing[of.LOW]
    arch = abs(u) - 0.6 * thing[of.LENGTH]
    if lv != 0.0 and arch * arch + (w - 0.45) * (w - 0.45) < 0.48 * 0.48:
        return (0.012, 0.012, 0.012), 0.0
    if lw == 0.0 and w > 0.42 * tall and w < 0.8 * tall:
        pillar = (u + 40.0) / 1.4
        if lu != 0 or pillar - math.floor(pillar) > 0.1:
            return _GLASS, 0.5
    return color, 0.15


@kernel
def thing_color(gsd: float, thing: F64, table: F32, place: Vector) -> tuple[Color, Vector, float]:
    """Albedo of a thing at a point of its surface, its outward normal, and gloss."""
    kind = int(thing[of.KIND])
    ex = (place[0] - thing[of.X]) * gsd
    ey = (place[1] - thing[of.Y]) * gsd
    if kind in (ids.TRUNK, ids.POLE, ids.LAMP, ids.SIGN, ids.HYDRANT):
        size = math.sqrt(ex * ex + ey * ey) + 1e-9
        color, gloss = _pole_color(thing, table, ex, ey, place[2])
        return color, (ex / size, ey / size, 0.0), gloss
    color = thing[of.COLOR], thing[of.COLOR + 1], thing[of.COLOR + 2]
    cos, sin = thing[of.COS], thing[of.SIN]
    u, v, w = ex * cos + ey * sin, ey * cos - ex * sin, place[2] - thing[of.LOW]
    tall = thing[of.HIGH] - thing[of.LOW]
    face = _box_face(u, v, w, thing[of.LENGTH], thing[of.WIDTH], tall)
    gloss = 0.0
    if kind in (ids.CAR, ids.VAN):
        color, face, gloss = _car_color(thing, color, (u, v, w), face)
    elif kind == ids.BUS:
        color, gloss = _bus_color(thing, color, (u, v, w), face)
    elif kind == ids.FENCE:
        picket = (u + 50.0) / 0.16
        color = scale(color, 0.7 if picket - math.floor(picket) < 0.45 else 1.15)
    else:
        stain = 0.8 + 0.4 * plane(table, u * 9.0 + thing[of.LOOK], w * 9.0)
        color = scale(color, stain)
    lu, lv, lw = face
    return color, (lu * cos - lv * sin, lu * sin + lv * cos, lw), gloss
