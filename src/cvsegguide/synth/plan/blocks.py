"""Fills blocks: lots along both long sides with houses, or one of the open kinds."""

from random import Random

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.noise import mix, random_stream
from cvsegguide.synth.plan import tables as of
from cvsegguide.synth.plan.fields import Plan, clear_of_corridors
from cvsegguide.synth.plan.houses import detached_house, make_group, row_house, shop
from cvsegguide.synth.plan.large_buildings import flats, hall, school
from cvsegguide.synth.plan.lots import Lot, front
from cvsegguide.synth.plan.network import roundabout_radius
from cvsegguide.synth.plan.open_ground import car_park, park, site, vacant
from cvsegguide.synth.plan.tables import Cell, Tables, block_span

IDENTITY_MASK = (1 << 30) - 1

_WHOLE = {ids.PARK: park, ids.SCHOOL: school, ids.PARKING: car_park, ids.SITE: site}
"""Templates of the kinds that fill a block as one lot."""


def _identity(hashed: int, number: int) -> int:
    """A building's id: a hash that fits int32, room for outbuildings next to it, never 0."""
    return ((mix(hashed + 7919 * number) >> 34 & IDENTITY_MASK) | 4) & ~3


def fill_blocks(plan: Plan, cells: list[Cell], tables: Tables) -> None:
    """Append the shapes, trees and parked cars of every block, in the order of the cells."""
    for cell in cells:
        hashed, kind = int(cell[of.KEY]), int(cell[of.KIND])
        random = random_stream(hashed + 1)
        along = int(cell[of.ORIENT])
        p0, p1 = block_span(cell, along)
        q0, q1 = block_span(cell, 1 - along)
        if p1 - p0 < 12.0 or q1 - q0 < 12.0:
            continue
        first_shape, first_tree = len(tables.shapes), len(tables.trees)
        first_object = len(tables.objects)
        if kind in _WHOLE:
            frame = front(plan, cell, 2 if along == 0 else 0, (p0 + p1) / 2)
            size = (p1 - p0) * frame.scale_s, (q1 - q0) * frame.scale_t
            _WHOLE[kind](Lot(plan, tables, random, frame, *size, _identity(hashed, 1)))
        else:
            _fill_lots(plan, cell, tables, random, kind)
        _drop_trees(tables, first_shape, first_tree)
        tables.objects[first_object:] = [
            row
            for row in tables.objects[first_object:]
            if clear_of_corridors(plan, row[0], row[1], 0.0)
        ]


def _drop_trees(tables: Tables, first_shape: int, first_tree: int) -> None:
    """Drop the trees, from the given row on, whose trunks stand in a building or in water."""
    solid = [
        row
        for row in tables.shapes[first_shape:]
        if row[of.OP] == ids.BUILDING or (row[of.OP] == ids.PAINT and row[of.CLASS] == ids.WATER)
    ]
    trees = tables.trees[first_tree:]
    if not solid or not trees:
        return
    shapes = np.array(solid).T
    reach = np.where(shapes[of.OP] == ids.PAINT, 1.32, 1.0)
    place = np.array([row[:2] for row in trees])
    dx, dy = place[:, :1] - shapes[of.X], place[:, 1:] - shapes[of.Y]
    u = dx * shapes[of.EX] + dy * shapes[of.EY]
    v = dy * shapes[of.EX] - dx * shapes[of.EY]
    within_u = np.abs(u) < reach * shapes[of.HU] + 0.4
    fallen = (within_u & (np.abs(v) < reach * shapes[of.HV] + 0.4)).any(axis=1)
    tables.trees[first_tree:] = [row for row, gone in zip(trees, fallen, strict=True) if not gone]


def _near_roundabout(plan: Plan, cell: Cell, end: int, side: int) -> bool:
    """Whether a corner of the block has a roundabout.

    Args:
        plan, cell: The city's numbers and the block.
        end: Of the long axis, 0 low, 1 high.
        side: Of the short axis, 0 low, 1 high.
    """
    at_a, at_b = (end, 2 + side) if cell[of.ORIENT] == 0.0 else (side, 2 + end)
    if not (cell[of.AVENUE + at_a] > 0 and cell[of.AVENUE + at_b] > 0):
        return False
    return roundabout_radius(plan, int(cell[of.LINE + at_a]), int(cell[of.LINE + at_b])) > 0.0


def _lot_width(random: Random, kind: int, shops: bool, in_row: float) -> float:
    if kind == ids.ROW:
        return random.uniform(7, 12) if shops else in_row
    if kind == ids.DETACHED:
        return random.uniform(9.5, 14)
    if kind == ids.APARTMENT:
        return random.uniform(9, 14) if shops else random.uniform(24, 58)
    return random.uniform(16, 70)


def _fill_lots(plan: Plan, cell: Cell, tables: Tables, random: Random, kind: int) -> None:
    """Lots along the two long sides of a block, back to back."""
    draw, uniform = random.random, random.uniform
    along = int(cell[of.ORIENT])
    p0, p1 = block_span(cell, along)
    q0, q1 = block_span(cell, 1 - along)
    end_low, end_high = (cell[of.AVENUE + 2 * along + end] > 0 for end in (0, 1))
    alley = cell[of.ALLEY]
    number = 0
    through = (kind == ids.INDUSTRY and draw() < 0.4) or q1 - q0 < 30.0
    for side in range(1 if through else 2):
        depth = q1 - q0 if through else (q1 - q0) / 2 - alley
        s = p0
        group = make_group(random, kind == ids.DETACHED)
        left = 0
        in_row = 6.0
        mirrored = False
        while s < p1 - 4.0:
            number += 1
            first = s == p0
            at_end = (first and end_low) or (p1 - s < 13.0 and end_high)
            shops = kind in (ids.ROW, ids.APARTMENT) and at_end and draw() < 0.75
            if left <= 0:
                left = int(uniform(3, 12))
                group = make_group(random, kind == ids.DETACHED)
                in_row = uniform(5.4, 7.6)
                if kind == ids.ROW and not first and draw() < 0.6:
                    s += uniform(1.2, 3.2)  # a gap between rows
            left -= 1
            wide = _lot_width(random, kind, shops, in_row)
            if p1 - (s + wide) < wide * 0.55:
                wide = p1 - s
            last = p1 - (s + wide) < 1.0
            frame = front(plan, cell, (2 if along == 0 else 0) + side, s + wide / 2)
            size = wide * frame.scale_s, depth * frame.scale_t
            lot = Lot(plan, tables, random, frame, *size, _identity(int(cell[of.KEY]), number))
            s += wide
            mirrored = not mirrored
            blocked = (
                not lot.is_clear(0.0, 0.0, *size)
                or (first and _near_roundabout(plan, cell, 0, side))
                or (last and _near_roundabout(plan, cell, 1, side))
            )
            if blocked or draw() < 0.012:
                vacant(lot)
            elif shops:
                shop(lot)
            elif kind == ids.ROW:
                row_house(lot, group, alley > 0, mirrored)
            elif kind == ids.DETACHED:
                detached_house(lot, group, mirrored)
            elif kind == ids.APARTMENT:
                flats(lot)
            else:
                hall(lot)
