"""The street network: avenues, strips, blocks, as cells that tile the plan plane.

Avenues are lines of the plan's two families. Between four of them lies a superblock; streets cut
it into strips and cross streets cut the strips into blocks, aligned from strip to strip or
staggered. A *cell* is a block with the halves of the streets around it, so that every point of
the plane lies in exactly one cell.
"""

import math

from cvsegguide.synth.compiled import F64, compiled
from cvsegguide.synth.plan.fields import Plan
from cvsegguide.synth.plan.tables import (
    A0,
    A1,
    ALLEY,
    APARTMENT,
    B0,
    B1,
    CELL_COLUMNS,
    CROSS0,
    CROSS1,
    DETACHED,
    DISTRICT,
    HA0,
    INDUSTRY,
    KEY,
    KIND,
    LA0,
    MA0,
    ORIENT,
    PARK,
    ROW,
    SIDEWALK,
    SITE,
    Cell,
)
from cvsegguide.synth.streams import key, unit

# indices of Plan.numbers
PITCH_A, PITCH_B, STRIP, BLOCK, STREET_HALF, AVENUE_HALF, WALK = range(7)
TREES, OCCUPANCY, GREEN, ALLEYS, ALIGNED, ROUNDABOUTS, PARKS, TRAFFIC, SIZE = range(7, 16)
NUMBERS = 16

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
        if kind == PARK:
            share *= float(plan.numbers[PARKS])
        if u < share:
            return kind
        u -= share
    if unit(hashed, 2) < 0.25:
        return SITE
    if district == 0:
        return ROW
    if district == 1:
        return DETACHED
    if district == 2:
        return APARTMENT
    return INDUSTRY


def cells_in(plan: Plan, a_low: float, a_high: float, b_low: float, b_high: float) -> list[Cell]:
    """Cells that touch a rectangle of the plan plane, in fixed order."""
    i0 = math.floor(a_low / plan.numbers[PITCH_A]) - 2
    i1 = math.floor(a_high / plan.numbers[PITCH_A]) + 2
    j0 = math.floor(b_low / plan.numbers[PITCH_B]) - 2
    j1 = math.floor(b_high / plan.numbers[PITCH_B]) + 2
    cells: list[Cell] = []
    window_low, window_high = (a_low, b_low), (a_high, b_high)
    for j in range(j0, j1 + 1):
        for i in range(i0, i1 + 1):
            low = line_position(plan, 0, i), line_position(plan, 1, j)
            high = line_position(plan, 0, i + 1), line_position(plan, 1, j + 1)
            if low[0] > a_high or high[0] < a_low or low[1] > b_high or high[1] < b_low:
                continue
            line_low = key(plan.seed, 11, i, 0), key(plan.seed, 12, j, 0)
            line_high = key(plan.seed, 11, i + 1, 0), key(plan.seed, 12, j + 1, 0)
            index = i, j
            super_key = key(plan.seed, 21, i, j)
            district = _district(plan, super_key)
            all_park = unit(super_key, 3) < 0.025 * plan.numbers[PARKS]
            # the long sides of the blocks run along axis `along`
            along = 0 if unit(key(plan.seed, 22, i // 2, j // 2), 0) < 0.5 else 1
            across = 1 - along
            aligned = unit(super_key, 4) < plan.numbers[ALIGNED]
            wide = 1.45 if district == 3 else (1.25 if district == 2 else 1.0)
            breadth, strip = high[across] - low[across], float(plan.numbers[STRIP]) * wide
            strips = max(2, round(breadth / strip))
            for k in range(strips):
                q0, kq0 = _inner(plan, across, index[across], k, strips, 0, low[across],
                                 high[across], line_low[across], line_high[across])  # fmt: skip
                q1, kq1 = _inner(plan, across, index[across], k + 1, strips, 0, low[across],
                                 high[across], line_low[across], line_high[across])  # fmt: skip
                if q1 < window_low[across] or q0 > window_high[across]:
                    continue
                salt = 0 if aligned else 1 + k + 16 * (index[across] & 255)
                length = high[along] - low[along]
                vary = 1.0 if aligned else 0.8 + 0.5 * unit(super_key, 40 + k)
                pieces = max(1, round(length / (float(plan.numbers[BLOCK]) * vary)))
                for m in range(pieces):
                    p0, kp0 = _inner(plan, along, index[along], m, pieces, 100 + salt, low[along],
                                     high[along], line_low[along], line_high[along])  # fmt: skip
                    p1, kp1 = _inner(plan, along, index[along], m + 1, pieces, 100 + salt,
                                     low[along], high[along], line_low[along],
                                     line_high[along])  # fmt: skip
                    if p1 < window_low[along] or p0 > window_high[along]:
                        continue
                    cell = [0.0] * CELL_COLUMNS
                    cells.append(cell)
                    hashed = key(plan.seed, super_key, k, m)
                    cell[A0 + 2 * along] = p0
                    cell[A1 + 2 * along] = p1
                    cell[A0 + 2 * across] = q0
                    cell[A1 + 2 * across] = q1
                    ends_low = m == 0
                    ends_high = m == pieces - 1
                    _side(plan, cell, 2 * along, kp0, ends_low)
                    _side(plan, cell, 2 * along + 1, kp1, ends_high)
                    _side(plan, cell, 2 * across, kq0, k == 0)
                    _side(plan, cell, 2 * across + 1, kq1, k == strips - 1)
                    cell[SIDEWALK] = float(plan.numbers[WALK]) * (0.85 + 0.3 * unit(super_key, 6))
                    cell[ORIENT] = along
                    cell[KIND] = PARK if all_park else _kind(plan, district, hashed)
                    cell[KEY] = hashed
                    cell[CROSS0] = 1.0 if (aligned or ends_low) else 0.0
                    cell[CROSS1] = 1.0 if (aligned or ends_high) else 0.0
                    cell[DISTRICT] = district
                    kind = cell[KIND]
                    if (kind in (ROW, DETACHED)) and unit(hashed, 7) < plan.numbers[ALLEYS]:
                        cell[ALLEY] = 1.7 + 0.7 * unit(hashed, 8)
    return cells


def _district(plan: Plan, super_key: int) -> int:
    u = unit(super_key, 2)
    for d in range(3):
        if u < plan.districts[d]:
            return d
        u -= plan.districts[d]
    return 3


def _inner(
    plan: Plan,
    axis: int,
    index: int,
    k: int,
    pieces: int,
    salt: int,
    low: float,
    high: float,
    key_low: int,
    key_high: int,
) -> tuple[float, int]:
    """Position and key of the k-th of the lines that cut a superblock into ``pieces``."""
    if k == 0:
        return low, key_low
    if k == pieces:
        return high, key_high
    hashed = key(plan.seed, 31 + axis, index, k + 32 * pieces + 4096 * salt)
    pitch = (high - low) / pieces
    return low + pitch * (k + 0.22 * (unit(hashed, 0) - 0.5)), hashed


def _side(plan: Plan, cell: Cell, side: int, hashed: int, avenue: bool) -> None:
    """Fill in one side of a cell; sides count a-low, a-high, b-low, b-high."""
    cell[HA0 + side] = avenue_half(plan, hashed) if avenue else street_half(plan, hashed)
    cell[MA0 + side] = 1.0 if avenue else 0.0
    cell[LA0 + side] = hashed


@compiled
def find_cell(cells: F64, a: float, b: float) -> int:
    """Index of the cell that holds a point of the plan plane; -1 when none does."""
    for n in range(cells.shape[0]):
        if cells[n, A0] <= a < cells[n, A1] and cells[n, B0] <= b < cells[n, B1]:
            return n
    return -1
