"""What stands and drives on the streets: trees, parked and moving cars, furniture, cameras."""

from cvsegguide.synth.plan.fields import Plan, corridor, has_street
from cvsegguide.synth.plan.frames import add_car, azimuth_of, frame_at, place_cars
from cvsegguide.synth.plan.ground import roundabout_radius
from cvsegguide.synth.plan.network import OCCUPANCY, TRAFFIC, TREES
from cvsegguide.synth.plan.tables import (
    A0,
    A1,
    ALWAYS,
    B0,
    B1,
    DETACHED,
    HA0,
    HA1,
    HB0,
    HB1,
    INDUSTRY,
    KEY,
    KIND,
    LA0,
    LA1,
    LB0,
    LB1,
    MA0,
    MA1,
    MB0,
    MB1,
    OVERHEAD_ONLY,
    ROW,
    STREET_ONLY,
    Cell,
    Frame,
    Tables,
    add_camera,
    add_object,
    add_tree,
)
from cvsegguide.synth.streams import Stream, between, draw, start, unit

_BUS, _LAMP, _SIGN, _HYDRANT, _BOX, _BENCH, _POLE = 2, 3, 4, 5, 6, 7, 8


def _off_diagonal(plan: Plan, x: float, y: float, reach: float) -> bool:
    distance, half = corridor(plan, 2, x, y)
    return abs(distance) > half + reach


def fill_streets(plan: Plan, cells: list[Cell], tables: Tables) -> None:
    """Append what is along the four sides of every cell."""
    for cell in cells:
        for side in range(4):
            random = start(int(cell[KEY]) + 101 + side)
            _side(plan, cell, tables, random, side)


def _side(plan: Plan, cell: Cell, tables: Tables, random: Stream, side: int) -> None:
    """Kerb side of one street, from one corner of the block to the other."""
    half = cell[HA0 + side]
    avenue = cell[MA0 + side] > 0
    line = int(cell[LA0 + side])
    low = side % 2 == 0
    inward = 1.0 if low else -1.0
    if side < 2:
        center = cell[A0] if low else cell[A1]
        along = 1
        s0, s1 = cell[B0] + cell[HB0], cell[B1] - cell[HB1]
        end_low, end_high = cell[MB0] > 0, cell[MB1] > 0
        key_low, key_high = int(cell[LB0]), int(cell[LB1])
        h_low, h_high = cell[HB0], cell[HB1]
    else:
        center = cell[B0] if low else cell[B1]
        along = 0
        s0, s1 = cell[A0] + cell[HA0], cell[A1] - cell[HA1]
        end_low, end_high = cell[MA0] > 0, cell[MA1] > 0
        key_low, key_high = int(cell[LA0]), int(cell[LA1])
        h_low, h_high = cell[HA0], cell[HA1]
    clear_low = clear_high = 0.0
    if avenue and end_low:
        first, second = (key_low, line) if along == 0 else (line, key_low)
        clear_low = max(0.0, roundabout_radius(plan, first, second) - h_low)
    if avenue and end_high:
        first, second = (key_high, line) if along == 0 else (line, key_high)
        clear_high = max(0.0, roundabout_radius(plan, first, second) - h_high)
    kind = int(cell[KIND])
    # --- parked cars -----------------------------------------------------------------------
    occupancy = plan.numbers[OCCUPANCY] * (1.1 if kind == ROW else 0.75)
    if kind == DETACHED:
        occupancy *= 0.6
    if unit(line, 41) < 0.12:
        occupancy = 0.0
    s = s0 + 8.5 + clear_low
    while s < s1 - 8.5 - clear_high:
        where = _point(plan, center, inward, half - 1.15, s, along)
        if has_street(plan, where.x, where.y, avenue) and _off_diagonal(
            plan, where.x, where.y, 3.0
        ):
            place_cars(tables, random, where.x, where.y, azimuth_of(where.sx, where.sy), occupancy)
        s += between(random, 5.6, 6.6) / where.scale_s
        if draw(random) < 0.1:
            s += 4.5
    # --- trees -----------------------------------------------------------------------------------
    leafy = unit(line, 42)
    share = plan.numbers[TREES] * (0.45 + 0.75 * leafy) * (0.35 if kind == INDUSTRY else 1.0)
    step = 7.0 + 5.0 * unit(line, 43)
    main = int(3 * unit(line, 44))
    s = s0 + 6.0 + clear_low
    while s < s1 - 6.0 - clear_high:
        if draw(random) < share:
            t = half + between(random, 0.7, 1.1)
            where = _point(plan, center, inward, t, s, along)
            crown = between(random, 2.3, 6.4)
            species = main if draw(random) < 0.7 else int(draw(random) * 3.0)
            if draw(random) < 0.06:
                species, crown = 4, crown * 0.7
            top = min(crown * between(random, 2.2, 3.2), 23.0)
            if has_street(plan, where.x, where.y, False) and _off_diagonal(
                plan, where.x, where.y, 1.0
            ):
                add_tree(tables, where.x, where.y, crown, top, species, int(draw(random) * 1e6))
        s += step * between(random, 0.8, 1.3)
    # --- furniture --------------------------------------------------------------------------------
    s = s0 + 3.0 + clear_low
    while s < s1 - 2.0 - clear_high:
        where = _point(plan, center, inward, half + 0.55, s, along)
        if has_street(plan, where.x, where.y, False) and _off_diagonal(plan, where.x, where.y, 1.0):
            azimuth = azimuth_of(-where.tx, -where.ty)
            u = draw(random)
            if u < 0.40:
                add_object(tables, where.x, where.y, azimuth, 0.25, 0.25,
                           7.5 if not avenue else 9.0, _LAMP, 0x5A5C5E, ALWAYS)  # fmt: skip
            elif u < 0.55:
                add_object(tables, where.x, where.y, azimuth, 0.3, 0.3, between(random, 8.0, 10.5),
                           _POLE, 0x584838, ALWAYS)  # fmt: skip
            elif u < 0.75:
                add_object(tables, where.x, where.y, azimuth, 0.1, 0.6, 2.6, _SIGN,
                           0xB03030 if u < 0.62 else 0x9A9C9E, ALWAYS)  # fmt: skip
            elif u < 0.85:
                add_object(tables, where.x, where.y, azimuth, 0.35, 0.35, 0.8, _HYDRANT,
                           0x2A2A2A if u < 0.8 else 0xA83020, ALWAYS)  # fmt: skip
            elif u < 0.95:
                add_object(tables, where.x, where.y, azimuth, 0.6, 0.6, 1.2, _BOX,
                           0x24407A if u < 0.9 else 0x3C4A3C, ALWAYS)  # fmt: skip
            else:
                add_object(tables, where.x, where.y, azimuth_of(where.sx, where.sy), 1.7, 0.5, 0.8,
                           _BENCH, 0x5A4632, ALWAYS)  # fmt: skip
        s += between(random, 9.0, 22.0)
    # --- moving cars ------------------------------------------------------------------------------
    lane = between(random, 0.8, 1.8) if not avenue else between(random, 1.8, max(2.0, half - 4.4))
    gap = 34.0 if avenue else 90.0
    for when in (OVERHEAD_ONLY, STREET_ONLY):
        s = s0 + between(random, 0.0, gap)
        while s < s1:
            if draw(random) < plan.numbers[TRAFFIC]:
                where = _point(plan, center, inward, lane, s, along)
                azimuth = azimuth_of(where.sx, where.sy)
                if has_street(plan, where.x, where.y, avenue):
                    if avenue and draw(random) < 0.07:
                        add_object(tables, where.x, where.y, azimuth, 12.0, 2.55, 3.1, _BUS,
                                   0xD8DCE2, when)  # fmt: skip
                    else:
                        add_car(tables, random, where.x, where.y, azimuth, when)
            s += gap * between(random, 0.5, 1.6)
    # --- cameras: the lower block of each street drives it ---------------------------------------
    if not low:
        return
    two_way = avenue or unit(line, 51) < 0.35
    forward = unit(line, 52) < 0.5
    s = s0 - 4.0 + between(random, 0.0, 8.0) + clear_low
    while s < s1 + 4.0 - clear_high:
        offset = between(random, -0.7, 0.7)
        ahead = forward
        if two_way:
            ahead = draw(random) < 0.5
            offset = min(max(half * 0.38, 1.6), 5.0) + 0.5 * offset
        where = _point(plan, center, inward, 0.0, s, along)
        # drive on the right: to the right of the travel direction lies (-dy, dx) with y south
        sign = 1.0 if ahead else -1.0
        dx, dy = sign * where.sx, sign * where.sy
        x = where.x - dy * offset
        y = where.y + dx * offset
        if has_street(plan, x, y, avenue):
            add_camera(tables, x, y, azimuth_of(dx, dy))
        s += between(random, 8.0, 15.0) / where.scale_s


def _point(plan: Plan, center: float, inward: float, off: float, s: float, along: int) -> Frame:
    """The frame ``off`` metres from a street's centre line at ``s`` along it."""
    if along == 1:
        return frame_at(plan, center + inward * off, s, 1, inward)
    return frame_at(plan, s, center + inward * off, 0, inward)
