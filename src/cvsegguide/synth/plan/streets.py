"""What stands and drives on the streets: trees, parked and moving cars, furniture, cameras."""

from random import Random
from typing import NamedTuple

from cvsegguide.synth import ids
from cvsegguide.synth.noise import random_stream, unit
from cvsegguide.synth.plan import tables as of
from cvsegguide.synth.plan.fields import DIAGONAL, Plan, corridor, frame_at, has_street
from cvsegguide.synth.plan.lots import add_car, azimuth_of, place_cars
from cvsegguide.synth.plan.network import OCCUPANCY, TRAFFIC, TREES, roundabout_radius
from cvsegguide.synth.plan.tables import Cell, Frame, Tables

_FURNITURE = (
    (0.40, ids.LAMP, (0.25, 0.25, 7.5), 0x5A5C5E),
    (0.55, ids.POLE, (0.3, 0.3, 0.0), 0x584838),
    (0.62, ids.SIGN, (0.1, 0.6, 2.6), 0xB03030),
    (0.75, ids.SIGN, (0.1, 0.6, 2.6), 0x9A9C9E),
    (0.80, ids.HYDRANT, (0.35, 0.35, 0.8), 0x2A2A2A),
    (0.85, ids.HYDRANT, (0.35, 0.35, 0.8), 0xA83020),
    (0.90, ids.BOX, (0.6, 0.6, 1.2), 0x24407A),
    (0.95, ids.BOX, (0.6, 0.6, 1.2), 0x3C4A3C),
    (1.00, ids.BENCH, (1.7, 0.5, 0.8), 0x5A4632),
)
"""Cumulative share, kind, length, width and height, colour."""


class Kerb(NamedTuple):
    """One side of a block, from corner to corner, in plan metres."""

    plan: Plan  # the city's numbers
    # center, inward, along: middle line of the street, direction into the block (1 or -1), plan
    # axis of the street
    center: float
    inward: float
    along: int
    half: float  # half width of the roadway
    avenue: bool  # avenue, line: whether it is an avenue, and the street's key
    line: int
    start: float  # start, end: where the block's kerbs begin and end along the street
    end: float
    clear_start: float  # clear_start, clear_end: metres that roundabouts take at the two ends
    clear_end: float
    kind: int  # of the block

    def at(self, off: float, s: float) -> Frame:
        """The frame ``off`` metres from the middle line at ``s`` along it."""
        place = self.center + self.inward * off
        return frame_at(self.plan, place, s, self.along, self.inward)

    def is_street(self, where: Frame, avenue: bool, reach: float) -> bool:
        """Whether the street is there, ``reach`` metres off a diagonal avenue."""
        if not has_street(self.plan, where.x, where.y, avenue):
            return False
        distance, half = corridor(self.plan, DIAGONAL, where.x, where.y)
        return abs(distance) > half + reach


def fill_streets(plan: Plan, cells: list[Cell], tables: Tables) -> None:
    """Append what is along the four sides of every cell."""
    for cell in cells:
        for side in range(4):
            random = random_stream(int(cell[of.KEY]) + 101 + side)
            kerb = _kerb(plan, cell, side)
            _park_cars(kerb, tables, random)
            _plant_trees(kerb, tables, random)
            _place_furniture(kerb, tables, random)
            _move_cars(kerb, tables, random)
            if side % 2 == 0:  # the lower block of each street drives it
                _place_cameras(kerb, tables, random)


def _kerb(plan: Plan, cell: Cell, side: int) -> Kerb:
    avenue = cell[of.AVENUE + side] > 0
    line = int(cell[of.LINE + side])
    along = 1 if side < 2 else 0
    ends = 2 * along, 2 * along + 1  # the sides across
    clear = [0.0, 0.0]
    for k, end in enumerate(ends):
        if avenue and cell[of.AVENUE + end] > 0:
            other = int(cell[of.LINE + end])
            lines = (other, line) if along == 0 else (line, other)
            clear[k] = max(0.0, roundabout_radius(plan, *lines) - cell[of.HALF + end])
    return Kerb(
        plan=plan,
        center=cell[of.EDGE + side],
        inward=1.0 if side % 2 == 0 else -1.0,
        along=along,
        half=cell[of.HALF + side],
        avenue=avenue,
        line=line,
        start=cell[of.EDGE + ends[0]] + cell[of.HALF + ends[0]],
        end=cell[of.EDGE + ends[1]] - cell[of.HALF + ends[1]],
        clear_start=clear[0],
        clear_end=clear[1],
        kind=int(cell[of.KIND]),
    )


def _park_cars(kerb: Kerb, tables: Tables, random: Random) -> None:
    occupancy = kerb.plan.numbers[OCCUPANCY] * (1.1 if kerb.kind == ids.ROW else 0.75)
    if kerb.kind == ids.DETACHED:
        occupancy *= 0.6
    if unit(kerb.line, 41) < 0.12:
        occupancy = 0.0
    s = kerb.start + 8.5 + kerb.clear_start
    while s < kerb.end - 8.5 - kerb.clear_end:
        where = kerb.at(kerb.half - 1.15, s)
        if kerb.is_street(where, kerb.avenue, 3.0):
            place_cars(tables, random, where.x, where.y, azimuth_of(where.sx, where.sy), occupancy)
        s += random.uniform(5.6, 6.6) / where.scale_s
        if random.random() < 0.1:
            s += 4.5


def _plant_trees(kerb: Kerb, tables: Tables, random: Random) -> None:
    draw, uniform = random.random, random.uniform
    share = kerb.plan.numbers[TREES] * (0.45 + 0.75 * unit(kerb.line, 42))
    share *= 0.35 if kerb.kind == ids.INDUSTRY else 1.0
    step = 7.0 + 5.0 * unit(kerb.line, 43)
    main = int(3 * unit(kerb.line, 44))
    s = kerb.start + 6.0 + kerb.clear_start
    while s < kerb.end - 6.0 - kerb.clear_end:
        if draw() < share:
            where = kerb.at(kerb.half + uniform(0.7, 1.1), s)
            crown = uniform(2.3, 6.4)
            species = main if draw() < 0.7 else int(draw() * 3.0)
            if draw() < 0.06:
                species, crown = ids.PURPLE, crown * 0.7
            top = min(crown * uniform(2.2, 3.2), 23.0)
            if kerb.is_street(where, False, 1.0):
                tables.add_tree(where.x, where.y, crown, top, species, int(draw() * 1e6))
        s += step * uniform(0.8, 1.3)


def _place_furniture(kerb: Kerb, tables: Tables, random: Random) -> None:
    uniform = random.uniform
    s = kerb.start + 3.0 + kerb.clear_start
    while s < kerb.end - 2.0 - kerb.clear_end:
        where = kerb.at(kerb.half + 0.55, s)
        if kerb.is_street(where, False, 1.0):
            u = random.random()
            _, kind, size, color = next(row for row in _FURNITURE if u < row[0])
            azimuth = azimuth_of(-where.tx, -where.ty)
            if kind == ids.LAMP and kerb.avenue:
                size = 0.25, 0.25, 9.0
            elif kind == ids.POLE:
                size = 0.3, 0.3, uniform(8, 10.5)
            elif kind == ids.BENCH:
                azimuth = azimuth_of(where.sx, where.sy)
            tables.add_object((where.x, where.y, azimuth), size, kind, color, ids.ALWAYS)
        s += uniform(9, 22)


def _move_cars(kerb: Kerb, tables: Tables, random: Random) -> None:
    draw, uniform = random.random, random.uniform
    lane = uniform(1.8, max(2.0, kerb.half - 4.4)) if kerb.avenue else uniform(0.8, 1.8)
    gap = 34.0 if kerb.avenue else 90.0
    for when in (ids.OVERHEAD_ONLY, ids.STREET_ONLY):
        s = kerb.start + uniform(0, gap)
        while s < kerb.end:
            if draw() < kerb.plan.numbers[TRAFFIC]:
                where = kerb.at(lane, s)
                azimuth = azimuth_of(where.sx, where.sy)
                if has_street(kerb.plan, where.x, where.y, kerb.avenue):
                    if kerb.avenue and draw() < 0.07:
                        place, size = (where.x, where.y, azimuth), (12.0, 2.55, 3.1)
                        tables.add_object(place, size, ids.BUS, 0xD8DCE2, when)
                    else:
                        add_car(tables, random, where.x, where.y, azimuth, when)
            s += gap * uniform(0.5, 1.6)


def _place_cameras(kerb: Kerb, tables: Tables, random: Random) -> None:
    """Cameras drive on the right."""
    two_way = kerb.avenue or unit(kerb.line, 51) < 0.35
    forward = unit(kerb.line, 52) < 0.5
    s = kerb.start - 4.0 + random.uniform(0, 8) + kerb.clear_start
    while s < kerb.end + 4.0 - kerb.clear_end:
        offset = random.uniform(-0.7, 0.7)
        ahead = forward
        if two_way:
            ahead = random.random() < 0.5
            offset = min(max(kerb.half * 0.38, 1.6), 5.0) + 0.5 * offset
        where = kerb.at(0.0, s)
        # to the right of the travel direction lies (-dy, dx) with y south
        sign = 1.0 if ahead else -1.0
        dx, dy = sign * where.sx, sign * where.sy
        x = where.x - dy * offset
        y = where.y + dx * offset
        if has_street(kerb.plan, x, y, kerb.avenue):
            tables.cameras.append([x, y, azimuth_of(dx, dy)])
        s += random.uniform(8, 15) / where.scale_s
