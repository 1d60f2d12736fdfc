"""Frames of lots, and the brushes with which the templates draw in them."""

import math

from cvsegguide.synth.plan.fields import Plan, axes_at
from cvsegguide.synth.plan.tables import (
    A0,
    A1,
    ALWAYS,
    B0,
    B1,
    BUILDING,
    EQUIPMENT,
    FLAT,
    HA0,
    HA1,
    HB0,
    HB1,
    LOT_ASPHALT,
    MARK,
    ON_ROOF,
    OVERHEAD_ONLY,
    PAINT,
    RECTANGLE,
    SIDEWALK,
    SKYLIGHT,
    STREET_ONLY,
    Cell,
    Frame,
    Tables,
    add_object,
    add_shape,
)
from cvsegguide.synth.streams import Stream, between, draw

_CAR, _VAN, _BUS = 0, 1, 2


def frame_at(plan: Plan, a: float, b: float, along: int, inward: float) -> Frame:
    """The frame at a plan point: s runs along plan axis ``along``, t to ``inward`` (+1 or -1)."""
    return Frame(*axes_at(plan, float(a), float(b), along, float(inward)))


def front(plan: Plan, cell: Cell, side: int, s: float) -> Frame:
    """The frame on the inner edge of a block's sidewalk; sides a-low, a-high, b-low, b-high."""
    walk = cell[SIDEWALK]
    if side == 0:
        return frame_at(plan, cell[A0] + cell[HA0] + walk, s, 1, 1.0)
    if side == 1:
        return frame_at(plan, cell[A1] - cell[HA1] - walk, s, 1, -1.0)
    if side == 2:
        return frame_at(plan, s, cell[B0] + cell[HB0] + walk, 0, 1.0)
    return frame_at(plan, s, cell[B1] - cell[HB1] - walk, 0, -1.0)


def azimuth_of(x: float, y: float) -> float:
    """Degrees clockwise from north of a direction in world coordinates (y to the south)."""
    return math.degrees(math.atan2(x, -y)) % 360.0


def paint(
    tables: Tables, frame: Frame, s: float, t: float, half_s: float, half_t: float,
    landcover: int, material: int, tone: float,
) -> int:  # fmt: skip
    """Paint the ground of a rectangle."""
    return add_shape(
        tables, frame, PAINT, s, t, half_s, half_t, landcover, material, tone, 0, 0.0, 0, 0.0,
        RECTANGLE,
    )  # fmt: skip


def paint_form(
    tables: Tables, frame: Frame, s: float, t: float, half_s: float, half_t: float,
    landcover: int, material: int, tone: float, form: int,
) -> int:  # fmt: skip
    """Paint the ground of an ellipse or blob."""
    return add_shape(
        tables, frame, PAINT, s, t, half_s, half_t, landcover, material, tone, 7, 0.0, 0, 0.0, form
    )


def mark(
    tables: Tables, frame: Frame, s: float, t: float, half_s: float, half_t: float, color: int
) -> None:
    """Paint a marking: 1 white, 2 yellow."""
    add_shape(tables, frame, MARK, s, t, half_s, half_t, 0, 0, color, 0, 0.0, 0, 0.0, RECTANGLE)


def mass(
    tables: Tables, frame: Frame, s: float, t: float, half_s: float, half_t: float,
    material: int, tone: float, identity: int, height: float, roof: int, rise: float,
) -> int:  # fmt: skip
    """Raise a rectangular part of a building, ``height`` at the eaves, ``rise`` above them."""
    return add_shape(
        tables, frame, BUILDING, s, t, half_s, half_t, 5, material, tone, identity, height, roof,
        rise, RECTANGLE,
    )  # fmt: skip


def fixture(
    tables: Tables, frame: Frame, s: float, t: float, half_s: float, half_t: float,
    material: int, tone: float, identity: int, height: float,
) -> None:  # fmt: skip
    """Put a box on a building's roof; height above the ground, 0 for paint on the roof."""
    add_shape(
        tables, frame, ON_ROOF, s, t, half_s, half_t, 5, material, tone, identity, height, FLAT,
        0.0, RECTANGLE,
    )  # fmt: skip


def roof_plant(
    tables: Tables, frame: Frame, random: Stream, s: float, t: float, half_s: float, half_t: float,
    identity: int, height: float, amount: float,
) -> None:  # fmt: skip
    """Bulkheads, air conditioners, skylights and vents on a flat roof."""
    area = 4.0 * half_s * half_t
    if half_s < 1.6 or half_t < 1.6:
        return
    if area > 160.0 and draw(random) < 0.8:  # stair or lift bulkhead
        hs, ht = between(random, 1.2, 2.2), between(random, 1.5, 3.0)
        ds = between(random, -0.5, 0.5) * (half_s - hs)
        dt = between(random, -0.6, 0.6) * (half_t - ht)
        tone = between(random, 60.0, 200.0)
        fixture(tables, frame, s + ds, t + dt, hs, ht, EQUIPMENT, tone, identity, height + 2.7)
    number = int(area * amount * between(random, 0.5, 1.4) / 34.0 + draw(random))
    for _ in range(min(number, 40)):
        u = draw(random)
        ds = between(random, -0.85, 0.85) * (half_s - 0.5)
        dt = between(random, -0.85, 0.85) * (half_t - 0.5)
        if u < 0.4:  # vent or chimney
            half = between(random, 0.18, 0.4)
            fixture(tables, frame, s + ds, t + dt, half, half * between(random, 1.0, 1.8),
                    EQUIPMENT, between(random, 0.0, 255.0), identity,
                    height + between(random, 0.4, 1.2))  # fmt: skip
        elif u < 0.62:  # skylight or hatch
            half = between(random, 0.35, 0.7)
            fixture(tables, frame, s + ds, t + dt, half, half * between(random, 1.0, 1.6), SKYLIGHT,
                    between(random, 0.0, 255.0), identity, height + 0.3)  # fmt: skip
        elif u < 0.85:  # air conditioner
            half = between(random, 0.4, 0.9)
            fixture(tables, frame, s + ds, t + dt, half, half * between(random, 1.0, 2.0),
                    EQUIPMENT, between(random, 120.0, 255.0), identity,
                    height + between(random, 0.6, 1.5))  # fmt: skip
        else:  # a stain or a patch of another coating
            fixture(tables, frame, s + ds, t + dt, between(random, 0.5, 2.2),
                    between(random, 0.5, 2.5), 0, between(random, 78.0, 178.0), identity,
                    0.0)  # fmt: skip


CAR_COLORS = (
    0xE6E6E4, 0xDCDCDA, 0xEEEEEA, 0x141416, 0x1C1C20, 0x26262A, 0x585A5E, 0x6A6C70, 0xA4A8AC,
    0xB8BABC, 0x24344E, 0x1E4070, 0x7C1620, 0xA01C22, 0x5A4A3A, 0x24402C, 0x8A8474, 0x9C7A20,
)  # fmt: skip


def add_car(tables: Tables, random: Stream, x: float, y: float, azimuth: float, when: int) -> None:
    """A car or a van of random make at a place."""
    color = CAR_COLORS[int(draw(random) * len(CAR_COLORS))]
    turn = 180.0 if draw(random) < 0.5 else 0.0
    along = between(random, -0.35, 0.35)
    x += along * math.sin(math.radians(azimuth))
    y -= along * math.cos(math.radians(azimuth))
    azimuth = (azimuth + turn + between(random, -1.5, 1.5)) % 360.0
    if draw(random) < 0.09:
        add_object(tables, x, y, azimuth, between(random, 5.0, 6.4), between(random, 1.95, 2.2),
                   between(random, 2.0, 2.7), _VAN, 0xE4E4E0 if draw(random) < 0.7 else color,
                   when)  # fmt: skip
    else:
        add_object(tables, x, y, azimuth, between(random, 3.9, 5.1), between(random, 1.7, 1.95),
                   between(random, 1.4, 1.8), _CAR, color, when)  # fmt: skip


def place_cars(
    tables: Tables, random: Stream, x: float, y: float, azimuth: float, occupancy: float
) -> None:
    """A parking place as it was at the two times: other cars, some still there."""
    now, later, stays = draw(random), draw(random), draw(random)
    if now < occupancy and stays < 0.22:
        add_car(tables, random, x, y, azimuth, ALWAYS)
        return
    if now < occupancy:
        add_car(tables, random, x, y, azimuth, OVERHEAD_ONLY)
    if later < occupancy:
        add_car(tables, random, x, y, azimuth, STREET_ONLY)


def parking(
    tables: Tables, frame: Frame, random: Stream, s0: float, s1: float, t0: float, t1: float,
    occupancy: float,
) -> None:  # fmt: skip
    """A parking lot: asphalt, stalls in rows along s, cars."""
    paint(tables, frame, (s0 + s1) / 2, (t0 + t1) / 2, (s1 - s0) / 2, (t1 - t0) / 2, 7,
          LOT_ASPHALT, between(random, 40.0, 220.0))  # fmt: skip
    azimuth = azimuth_of(frame.tx, frame.ty)
    stall = 2.65
    number = int((s1 - s0 - 1.5) / stall)
    if number < 2:
        return
    t = t0 + 0.8
    row = 0
    while t + 5.2 < t1:
        left = (s0 + s1) / 2 - number * stall / 2
        for n in range(number + 1):
            mark(tables, frame, left + n * stall, t + 2.5, 0.07, 2.5, 1)
            if n < number:
                s = left + (n + 0.5) * stall
                x = frame.x + s * frame.sx + (t + 2.6) * frame.tx
                y = frame.y + s * frame.sy + (t + 2.6) * frame.ty
                place_cars(tables, random, x, y, azimuth, occupancy)
        if row % 2 == 0:
            t += 5.1 + 6.3
        else:
            t += 5.1
        row += 1
