"""Smooth fields of the plane: warp of the street grid, terrain, and corridors.

World coordinates are metres, x to the east and y to the south (``x = col * gsd``). *Plan*
coordinates (a, b) are those in which streets are straight: a rotation plus a sum of long waves.
Corridors (railways, water, diagonal avenues) are level sets of tilted planes plus waves, which
gives families of smooth curves that never end.
"""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F64, compiled
from cvsegguide.synth.plan.tables import Frame

RAIL, WATER, DIAGONAL = range(3)
"""Rows of :attr:`Plan.corridors`."""

MARGINS = 5.0, 6.0, 4.0
"""Metres beyond a corridor's half width that belong to it: verge, bank, sidewalk."""


class Plan(NamedTuple):
    """All numbers that make one city.

    Attributes:
        seed: Seed of every hash.
        cosine, sine: Rotation of the street grid.
        warp: ``(n, 5)`` waves: wave numbers along x and y, phase, amplitudes in a and b.
        terrain: ``(n, 4)`` waves: wave numbers, phase, amplitude in metres.
        corridors: ``(3, 6)``: direction cosines of the normal, spacing, offset, smallest and
            largest half width, all in metres.
        bends: ``(3, m, 4)`` waves that bend the corridors, as :attr:`terrain`.
        districts: ``(8,)`` weights of the block kinds' mixes, see :mod:`.network`.
        numbers: Further numbers of the style, see :class:`~cvsegguide.synth.styles.CityStyle`.
    """

    seed: int
    cosine: float
    sine: float
    warp: F64
    terrain: F64
    corridors: F64
    bends: F64
    districts: F64
    numbers: F64


@compiled
def to_plan(plan: Plan, x: float, y: float) -> tuple[float, float]:
    """World metres to plan metres."""
    a = plan.cosine * x + plan.sine * y
    b = plan.cosine * y - plan.sine * x
    for k in range(plan.warp.shape[0]):
        wave = np.sin(plan.warp[k, 0] * x + plan.warp[k, 1] * y + plan.warp[k, 2])
        a += plan.warp[k, 3] * wave
        b += plan.warp[k, 4] * wave
    return a, b


@compiled
def jacobian(plan: Plan, x: float, y: float) -> tuple[float, float, float, float]:
    """Derivatives of plan by world coordinates: da/dx, da/dy, db/dx, db/dy."""
    ax, ay, bx, by = plan.cosine, plan.sine, -plan.sine, plan.cosine
    for k in range(plan.warp.shape[0]):
        wave = np.cos(plan.warp[k, 0] * x + plan.warp[k, 1] * y + plan.warp[k, 2])
        ax += plan.warp[k, 3] * wave * plan.warp[k, 0]
        ay += plan.warp[k, 3] * wave * plan.warp[k, 1]
        bx += plan.warp[k, 4] * wave * plan.warp[k, 0]
        by += plan.warp[k, 4] * wave * plan.warp[k, 1]
    return ax, ay, bx, by


@compiled
def to_world(plan: Plan, a: float, b: float) -> tuple[float, float]:
    """Plan metres to world metres (Newton's method; the warp is gentle)."""
    x = plan.cosine * a - plan.sine * b
    y = plan.sine * a + plan.cosine * b
    for _ in range(5):
        fa, fb = to_plan(plan, x, y)
        ax, ay, bx, by = jacobian(plan, x, y)
        determinant = ax * by - ay * bx
        ea, eb = a - fa, b - fb
        x += (by * ea - ay * eb) / determinant
        y += (ax * eb - bx * ea) / determinant
    return x, y


@compiled
def elevation(plan: Plan, x: float, y: float) -> float:
    """Terrain in metres, without the water's bed."""
    z = 0.0
    for k in range(plan.terrain.shape[0]):
        z += plan.terrain[k, 3] * np.sin(
            plan.terrain[k, 0] * x + plan.terrain[k, 1] * y + plan.terrain[k, 2]
        )
    return z


@compiled
def corridor(plan: Plan, which: int, x: float, y: float) -> tuple[float, float]:
    """Signed distance in metres to the nearest curve of a family, and the curve's half width.

    The half width is that of the track bed, the water or the roadway. It varies along water.
    """
    row = plan.corridors[which]
    gx, gy = row[0], row[1]
    f = row[0] * x + row[1] * y
    for k in range(plan.bends.shape[1]):
        phase = plan.bends[which, k, 0] * x + plan.bends[which, k, 1] * y + plan.bends[which, k, 2]
        f += plan.bends[which, k, 3] * np.sin(phase)
        slope = plan.bends[which, k, 3] * np.cos(phase)
        gx += slope * plan.bends[which, k, 0]
        gy += slope * plan.bends[which, k, 1]
    f = f / row[2] + row[3]
    distance = (f - np.round(f)) * row[2] / np.sqrt(gx * gx + gy * gy)
    along = row[0] * y - row[1] * x
    vary = 0.5 + 0.3 * np.sin(along / 61.0 + row[3] * 9.0) + 0.2 * np.sin(along / 147.0 + 1.3)
    if which != WATER:
        vary = 0.5 + 0.5 * np.sin(7.0 * np.round(f) + row[3] * 40.0)
    return distance, row[4] + (row[5] - row[4]) * vary


@compiled
def clear_of_corridors(plan: Plan, x: float, y: float, radius: float) -> bool:
    """Whether a disc touches no railway, water or diagonal avenue, nor what belongs to them."""
    for which in range(3):
        distance, half = corridor(plan, which, x, y)
        if abs(distance) < half + MARGINS[which] + radius:
            return False
    return True


@compiled
def lot_is_clear(plan: Plan, frame: Frame, width: float, depth: float) -> bool:
    """Whether nothing of a lot that may be built on lies on a corridor.

    Args:
        plan: The city's numbers.
        frame: The lot's own, its origin in the middle of the front.
        width, depth: Metres along the front, and into the lot.
    """
    steps_s = max(1, int(np.ceil(width / 8.0)))
    steps_t = max(1, int(np.ceil(depth / 8.0)))
    for i in range(steps_s + 1):
        for j in range(steps_t + 1):
            s = width * (i / steps_s - 0.5)
            t = depth * j / steps_t
            x = frame.x + s * frame.sx + t * frame.tx
            y = frame.y + s * frame.sy + t * frame.ty
            if not clear_of_corridors(plan, x, y, 1.0):
                return False
    return True


@compiled
def frame_at(plan: Plan, across: float, s: float, along: int, inward: float) -> Frame:
    """The frame at ``s`` along a line of the plan: s runs on, t to ``inward`` (+1 or -1).

    Args:
        plan: The city's numbers.
        across, s: Place of the line on the plan's other axis, and along it.
        along: Axis of the plan along which the line runs.
        inward: Direction of t along the other axis.
    """
    a, b = (s, across) if along == 0 else (across, s)
    x, y = to_world(plan, a, b)
    ax, ay, bx, by = jacobian(plan, x, y)
    determinant = ax * by - ay * bx
    # columns of the inverse: world steps per plan metre along a and b
    xa, ya = by / determinant, -bx / determinant
    xb, yb = -ay / determinant, ax / determinant
    if along == 0:
        sx, sy, tx, ty = xa, ya, xb * inward, yb * inward
    else:
        sx, sy, tx, ty = xb, yb, xa * inward, ya * inward
    scale_s = np.sqrt(sx * sx + sy * sy)
    sx /= scale_s
    sy /= scale_s
    dot = tx * sx + ty * sy
    tx -= dot * sx
    ty -= dot * sy
    scale_t = np.sqrt(tx * tx + ty * ty)
    return Frame(x, y, sx, sy, tx / scale_t, ty / scale_t, scale_s, scale_t)


@compiled
def has_street(plan: Plan, x: float, y: float, avenue: bool) -> bool:
    """Whether a street is there: not cut by railway or water (avenues cross both)."""
    if avenue:
        return True
    for which in range(2):
        distance, half = corridor(plan, which, x, y)
        if abs(distance) < half + 7.0:
            return False
    return True
