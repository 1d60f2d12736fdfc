"""The street network: avenues, strips, blocks, as cells that tile the plan plane.

Avenues are lines of the plan's two families. Between four of them lies a superblock; streets cut
it into strips and cross streets cut the strips into blocks, aligned from strip to strip or
staggered. A *cell* is a block with the halves of the streets around it, so that every point of
the plane lies in exactly one cell.
"""

import math

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F64, compiled, inlined, kernel
from cvsegguide.synth.noise import key, unit
from cvsegguide.synth.plan import tables as of
from cvsegguide.synth.plan.fields import Plan
from cvsegguide.synth.plan.tables import Cell

NUMBERS = (
    *("pitch_a", "pitch_b", "strip", "block", "street_half", "avenue_half", "sidewalk", "trees"),
    *("occupancy", "green", "alleys", "aligned", "roundabouts", "parks", "traffic"),
)
"""Of :attr:`Plan.numbers`: the pitches of the avenues, then numbers of the style by their names."""

PITCH_A, PITCH_B, STRIP, BLOCK, STREET_HALF, AVENUE_HALF, WALK, TREES = range(8)
OCCUPANCY, GREEN, ALLEYS, ALIGNED, ROUNDABOUTS, PARKS, TRAFFIC = range(8, 15)

A0, A1, B0, B1 = range(of.EDGE, of.EDGE + 4)

MIX = (
    # ROW, DETACHED, APARTMENT, INDUSTRY, PARK, SCHOOL, PARKING, SITE
    (0.71, 0.08, 0.09, 0.02, 0.040, 0.035, 0.015, 0.010),
    (0.07, 0.78, 0.04, 0.00, 0.055, 0.040, 0.008, 0.007),
    (0.16, 0.04, 0.64, 0.02, 0.070, 0.030, 0.025, 0.015),
    (0.08, 0.03, 0.05, 0.71, 0.020, 0.010, 0.070, 0.030),
)
"""Shares of the block kinds in the four districts (row houses, suburb, high-rise, industrial)."""


def line_position(plan: Plan, axis: int, index: int) -> float:
    """Plan coordinate of an avenue."""
    pitch = plan.numbers[PITCH_A + axis]
    shift = unit(key(plan.seed, 11 + axis, index, 0), 0) - 0.5
    return float(pitch * index + 0.22 * pitch * shift)


def avenue_half(plan: Plan, hashed: int) -> float:
    """Half the roadway of an avenue; one in six is a boulevard with a median."""
    u = unit(hashed, 5)
    if u < 0.16:
        return float(plan.numbers[AVENUE_HALF] * 1.35)
    return float(plan.numbers[AVENUE_HALF] * (0.75 + 0.4 * u))


def street_half(plan: Plan, hashed: int) -> float:
    """Half the roadway of a street."""
    return float(plan.numbers[STREET_HALF] * (0.87 + 0.3 * unit(hashed, 5)))


def _kind(plan: Plan, district: int, hashed: int) -> int:
    u = unit(hashed, 1)
    for kind in range(7):
        share = MIX[district][kind]
        if kind == ids.PARK:
            share *= float(plan.numbers[PARKS])
        if u < share:
            return kind
        u -= share
    if unit(hashed, 2) < 0.25:
        return ids.SITE
    return (ids.ROW, ids.DETACHED, ids.APARTMENT, ids.INDUSTRY)[district]


def cells_in(plan: Plan, a_low: float, a_high: float, b_low: float, b_high: float) -> list[Cell]:
    """Cells that touch a rectangle of the plan plane, in fixed order."""
    i0 = math.floor(a_low / plan.numbers[PITCH_A]) - 2
    i1 = math.floor(a_high / plan.numbers[PITCH_A]) + 2
    j0 = math.floor(b_low / plan.numbers[PITCH_B]) - 2
    j1 = math.floor(b_high / plan.numbers[PITCH_B]) + 2
    window = (a_low, a_high), (b_low, b_high)
    cells: list[Cell] = []
    for j in range(j0, j1 + 1):
        for i in range(i0, i1 + 1):
            spans = tuple(
                (line_position(plan, axis, n), line_position(plan, axis, n + 1))
                for axis, n in enumerate((i, j))
            )
            if not any(
                low > end or high < start
                for (low, high), (start, end) in zip(spans, window, strict=True)
            ):
                cells += _superblock(plan, (i, j), spans, window)
    return cells


Spans = tuple[tuple[float, float], ...]
"""Low and high along the two plan axes."""


def _superblock(plan: Plan, index: tuple[int, int], spans: Spans, window: Spans) -> list[Cell]:
    """Cells between four avenues that touch a window."""
    numbers = plan.numbers
    super_key = key(plan.seed, 21, *index)
    district = _district(plan, super_key)
    all_park = unit(super_key, 3) < 0.025 * numbers[PARKS]
    # the long sides of the blocks run along axis `along`
    along = 0 if unit(key(plan.seed, 22, index[0] // 2, index[1] // 2), 0) < 0.5 else 1
    across = 1 - along
    aligned = unit(super_key, 4) < numbers[ALIGNED]
    walk = float(numbers[WALK]) * (0.85 + 0.3 * unit(super_key, 6))

    def cut(axis: int, k: int, pieces: int, salt: int) -> tuple[float, int]:
        """Position and key of the k-th of the lines that cut the superblock into ``pieces``."""
        low, high = spans[axis]
        if k in (0, pieces):
            line = key(plan.seed, 11 + axis, index[axis] + (k > 0), 0)
            return (low if k == 0 else high), line
        hashed = key(plan.seed, 31 + axis, index[axis], k + 32 * pieces + 4096 * salt)
        return low + (high - low) / pieces * (k + 0.22 * (unit(hashed, 0) - 0.5)), hashed

    def is_outside(low: float, high: float, axis: int) -> bool:
        return high < window[axis][0] or low > window[axis][1]

    wide = 1.45 if district == 3 else (1.25 if district == 2 else 1.0)
    breadth, length = (spans[axis][1] - spans[axis][0] for axis in (across, along))
    strips = max(2, round(breadth / (float(numbers[STRIP]) * wide)))
    cells = []
    for k in range(strips):
        sides = cut(across, k, strips, 0), cut(across, k + 1, strips, 0)
        if is_outside(sides[0][0], sides[1][0], across):
            continue
        salt = 0 if aligned else 1 + k + 16 * (index[across] & 255)
        vary = 1.0 if aligned else 0.8 + 0.5 * unit(super_key, 40 + k)
        pieces = max(1, round(length / (float(numbers[BLOCK]) * vary)))
        for m in range(pieces):
            ends = cut(along, m, pieces, 100 + salt), cut(along, m + 1, pieces, 100 + salt)
            if is_outside(ends[0][0], ends[1][0], along):
                continue
            cell = [0.0] * of.CELL_COLUMNS
            cells.append(cell)
            hashed = key(plan.seed, super_key, k, m)
            low, high = m == 0, m == pieces - 1
            _fill_sides(plan, cell, along, ends, (low, high))
            _fill_sides(plan, cell, across, sides, (k == 0, k == strips - 1))
            kind = ids.PARK if all_park else _kind(plan, district, hashed)
            cell[of.SIDEWALK : of.KEY + 1] = walk, along, kind, hashed
            cell[of.CROSS_LOW] = 1.0 if (aligned or low) else 0.0
            cell[of.CROSS_HIGH] = 1.0 if (aligned or high) else 0.0
            cell[of.DISTRICT] = district
            if kind in (ids.ROW, ids.DETACHED) and unit(hashed, 7) < numbers[ALLEYS]:
                cell[of.ALLEY] = 1.7 + 0.7 * unit(hashed, 8)
    return cells


def _district(plan: Plan, super_key: int) -> int:
    u = unit(super_key, 2)
    for d in range(3):
        if u < plan.districts[d]:
            return d
        u -= plan.districts[d]
    return 3


def _fill_sides(
    plan: Plan,
    cell: Cell,
    axis: int,
    lines: tuple[tuple[float, int], ...],
    avenues: tuple[bool, bool],
) -> None:
    """Fill in the low and the high side of a cell along an axis: positions and keys of lines."""
    sides = enumerate(zip(lines, avenues, strict=True), 2 * axis)
    for side, ((position, hashed), avenue) in sides:
        cell[of.EDGE + side] = position
        cell[of.HALF + side] = avenue_half(plan, hashed) if avenue else street_half(plan, hashed)
        cell[of.AVENUE + side] = 1.0 if avenue else 0.0
        cell[of.LINE + side] = hashed


@inlined
def _holds(cells: F64, n: int, a: float, b: float) -> bool:
    return bool(cells[n, A0] <= a < cells[n, A1] and cells[n, B0] <= b < cells[n, B1])


@kernel
def find_cell(cells: F64, a: float, b: float, guess: int) -> int:
    """Index of the cell that holds a point of the plan plane, ``guess`` first; -1 = none does."""
    if guess >= 0 and _holds(cells, guess, a, b):
        return guess
    for n in range(cells.shape[0]):
        if _holds(cells, n, a, b):
            return n
    return -1


@compiled
def roundabout_radius(plan: Plan, line_a: int, line_b: int) -> float:
    """Outer radius in metres of the roundabout where two avenues meet; 0 when there is none."""
    hashed = key(plan.seed, 77, line_a, line_b)
    if unit(hashed, 0) < plan.numbers[ROUNDABOUTS]:
        return 15.0 + 5.0 * unit(hashed, 1)
    return 0.0
