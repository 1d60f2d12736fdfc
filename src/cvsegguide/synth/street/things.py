"""Vehicles, street furniture and trunks: where a ray meets them."""

import math

from cvsegguide.synth.compiled import F64
from cvsegguide.synth.scene import BENCH, BUS, CAR, LAMP, POLE, SIGN, VAN
from cvsegguide.synth.street.kernel import kernel

FAR = 1e30
TRUNK = 100
"""Kind of a tree trunk among the things that stand on the ground."""


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
    u: float,
    v: float,
    w: float,
    du: float,
    dv: float,
    dw: float,
    u0: float,
    u1: float,
    half_v: float,
    w0: float,
    w1: float,
) -> float:
    """Entry of a ray into an upright box in its own frame, or FAR."""
    a0, a1 = _slab(u, du, u0, u1)
    b0, b1 = _slab(v, dv, -half_v, half_v)
    c0, c1 = _slab(w, dw, w0, w1)
    enter = max(a0, b0, c0)
    if enter > min(a1, b1, c1) or enter < 0:
        return FAR
    return enter


@kernel
def _plane(
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
    u: float,
    v: float,
    w: float,
    du: float,
    dv: float,
    dw: float,
    front: float,
    rear: float,
    front_slope: float,
    rear_slope: float,
    half_v: float,
    w0: float,
    w1: float,
) -> float:
    """Entry into a cabin: sloped windscreens, sides that lean in by a fifth of the height."""
    enter, leave = _slab(w, dw, w0, w1)
    above = w - w0
    enter, leave = _plane(u + front_slope * above, du + front_slope * dw, front, enter, leave)
    enter, leave = _plane(-u + rear_slope * above, -du + rear_slope * dw, rear, enter, leave)
    enter, leave = _plane(v + 0.2 * above, dv + 0.2 * dw, half_v, enter, leave)
    enter, leave = _plane(-v + 0.2 * above, -dv + 0.2 * dw, half_v, enter, leave)
    if enter > leave or enter < 0:
        return FAR
    return enter


@kernel
def _cylinder(
    rx: float, ry: float, dx: float, dy: float, z: float, dz: float,
    radius: float, low: float, high: float,
) -> float:  # fmt: skip
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
def hit_thing(
    things: F64,
    k: int,
    rx: float,
    ry: float,
    z: float,
    dx: float,
    dy: float,
    dz: float,
    best: float,
) -> float:
    """Distance to a thing along a ray that starts ``(rx, ry)`` metres from its centre, or FAR.

    Cars are a body and a cabin within the box of the scene, vans a box with a sloped front,
    lamps and signs a pole with an arm or a plate; everything else is its box.
    """
    kind = int(things[k, 9])
    low = things[k, 6]
    high = things[k, 7]
    if kind in (TRUNK, POLE):
        return _cylinder(rx, ry, dx, dy, z, dz, things[k, 4], low, high)
    cos = things[k, 2]
    sin = things[k, 3]
    u = rx * cos + ry * sin
    v = ry * cos - rx * sin
    du = dx * cos + dy * sin
    dv = dy * cos - dx * sin
    w = z - low
    tall = high - low
    length = things[k, 4]
    wide = things[k, 5]
    if kind in (LAMP, SIGN):
        pole = _cylinder(rx, ry, dx, dy, z, dz, length, low, high)
        if kind == LAMP:
            head = _box(u, v, w, du, dv, dz, 0.0, 1.9, 0.07, tall - 0.16, tall)
        else:
            head = _box(u, v, w, du, dv, dz, -0.04, 0.04, 0.32, tall - 0.65, tall)
        return min(pole, head)
    if kind == CAR:
        belt = 0.56 * tall
        body = _box(u, v, w, du, dv, dz, -length, length, wide, 0.13 * tall, belt)
        cabin = _cabin(
            u, v, w, du, dv, dz, 0.42 * length, 0.78 * length, 1.1, 0.6, 0.94 * wide, belt, tall
        )
        found = min(body, cabin)
        if abs(dv) > 1e-9:
            # The wheels reach below the body: two discs in the plane of the nearer side.
            plane = -wide if dv > 0 else wide
            t = (plane - v) / dv
            if 0 < t < found:
                at_u = abs(u + du * t) - 0.62 * length
                at_w = w + dz * t - 0.33
                if at_u * at_u + at_w * at_w < 0.33 * 0.33:
                    return float(t)
        return found
    if kind == VAN:
        return _cabin(u, v, w, du, dv, dz, length, length, 0.28, 0.03, wide, 0.12 * tall, tall)
    if kind == BUS:
        return _box(u, v, w, du, dv, dz, -length, length, wide, 0.3, tall)
    if kind == BENCH:
        return _box(u, v, w, du, dv, dz, -length, length, wide, 0.35 * tall, tall)
    return _box(u, v, w, du, dv, dz, -length, length, wide, 0.0, tall)
