"""Fills blocks: lots along both long sides with houses, or one of the open kinds."""

import math

import numpy as np

from cvsegguide.synth.plan.fields import Plan, clear_of_corridors, lot_is_clear
from cvsegguide.synth.plan.frames import front, mark, mass, paint, paint_form, parking, roof_plant
from cvsegguide.synth.plan.ground import roundabout_radius
from cvsegguide.synth.plan.houses import (
    _label,
    detached_house,
    flats,
    hall,
    make_group,
    row_house,
    shop,
    shrub,
    yard_tree,
)
from cvsegguide.synth.plan.network import OCCUPANCY, TREES
from cvsegguide.synth.plan.tables import (
    A0,
    A1,
    ALLEY,
    APARTMENT,
    B0,
    B1,
    BLOB,
    BUILDING,
    CLASS,
    CLAY,
    CONCRETE,
    COURT,
    DETACHED,
    ELLIPSE,
    EX,
    EY,
    FLAT,
    GRAVEL,
    HA0,
    HA1,
    HB0,
    HB1,
    HU,
    HV,
    INDUSTRY,
    KEY,
    KIND,
    LA0,
    LA1,
    LAWN,
    LB0,
    LB1,
    LOT_ASPHALT,
    MA0,
    MA1,
    MB0,
    MB1,
    MEADOW,
    MEMBRANE,
    METAL,
    OP,
    ORIENT,
    PAINT,
    PARK,
    PARKING,
    PAVERS,
    PLANTING,
    ROOF_GRAVEL,
    ROW,
    SCHOOL,
    SIDEWALK,
    SITE,
    SOIL,
    TURF,
    USE,
    WATERBODY,
    Cell,
    Frame,
    Tables,
    X,
    Y,
)
from cvsegguide.synth.streams import Stream, between, draw, mix, start

IDENTITY_MASK = (1 << 30) - 1


def _identity(hashed: int, number: int) -> int:
    """A building's id: a hash that fits int32, room for outbuildings next to it, never 0."""
    return ((mix(hashed + 7919 * number) >> 34 & IDENTITY_MASK) | 4) & ~3


def fill_blocks(plan: Plan, cells: list[Cell], tables: Tables) -> None:
    """Append the shapes, trees and parked cars of every block, in the order of the cells."""
    for cell in cells:
        kind = int(cell[KIND])
        random = start(int(cell[KEY]) + 1)
        along = int(cell[ORIENT])
        walk = cell[SIDEWALK]
        if along == 0:
            p0, p1 = cell[A0] + cell[HA0] + walk, cell[A1] - cell[HA1] - walk
            q0, q1 = cell[B0] + cell[HB0] + walk, cell[B1] - cell[HB1] - walk
            end_low, end_high = cell[MA0] > 0, cell[MA1] > 0
        else:
            p0, p1 = cell[B0] + cell[HB0] + walk, cell[B1] - cell[HB1] - walk
            q0, q1 = cell[A0] + cell[HA0] + walk, cell[A1] - cell[HA1] - walk
            end_low, end_high = cell[MB0] > 0, cell[MB1] > 0
        if p1 - p0 < 12.0 or q1 - q0 < 12.0:
            continue
        first_shape, first_tree = len(tables.shapes), len(tables.trees)
        first_object = len(tables.objects)
        if kind in (ROW, DETACHED, APARTMENT, INDUSTRY):
            _built(plan, cell, tables, random, kind, p0, p1, q1 - q0, end_low, end_high)
        else:
            side = 2 if along == 0 else 0
            frame = front(plan, cell, side, (p0 + p1) / 2)
            width = (p1 - p0) * frame.scale_s
            depth = (q1 - q0) * frame.scale_t
            if kind == PARK:
                _park(plan, tables, random, frame, width, depth)
            elif kind == SCHOOL:
                _school(plan, tables, random, frame, width, depth, _identity(int(cell[KEY]), 1))
            elif kind == PARKING:
                _car_park(plan, tables, random, frame, width, depth, _identity(int(cell[KEY]), 1))
            elif kind == SITE:
                _site(plan, tables, random, frame, width, depth, _identity(int(cell[KEY]), 1))
        _fell(tables, first_shape, first_tree)
        _tow(plan, tables, first_object)


def _tow(plan: Plan, tables: Tables, first: int) -> None:
    """Drop the cars, from the given row on, that stand on a corridor."""
    tables.objects[first:] = [
        row for row in tables.objects[first:] if clear_of_corridors(plan, row[0], row[1], 0.0)
    ]


def _fell(tables: Tables, first_shape: int, first_tree: int) -> None:
    """Drop the trees, from the given row on, whose trunks stand in a building or in water."""
    solid = [
        row
        for row in tables.shapes[first_shape:]
        if row[OP] == BUILDING or (row[OP] == PAINT and row[CLASS] == 4)
    ]
    trees = tables.trees[first_tree:]
    if not solid or not trees:
        return
    x, y, ex, ey, hu, hv, wet = np.array(
        [(row[X], row[Y], row[EX], row[EY], row[HU], row[HV], row[OP] == PAINT) for row in solid]
    ).T
    reach = np.where(wet > 0, 1.32, 1.0)
    place = np.array([row[:2] for row in trees])
    dx, dy = place[:, :1] - x, place[:, 1:] - y
    u, v = dx * ex + dy * ey, dy * ex - dx * ey
    inside = (np.abs(u) < reach * hu + 0.4) & (np.abs(v) < reach * hv + 0.4)
    fallen = inside.any(axis=1)
    tables.trees[first_tree:] = [row for row, gone in zip(trees, fallen, strict=True) if not gone]


def _near_roundabout(plan: Plan, cell: Cell, low: bool, side_high: bool) -> bool:
    """Whether the corner of the block's long axis (low end or not) has a roundabout."""
    if cell[ORIENT] == 0.0:
        a, b = low, not side_high
    else:
        a, b = not side_high, low
    major_a = (cell[MA0] if a else cell[MA1]) > 0
    major_b = (cell[MB0] if b else cell[MB1]) > 0
    line_a = int(cell[LA0] if a else cell[LA1])
    line_b = int(cell[LB0] if b else cell[LB1])
    return major_a and major_b and roundabout_radius(plan, line_a, line_b) > 0.0


def _built(plan: Plan, cell: Cell, tables: Tables, random: Stream, kind: int, p0: float, p1: float,
           breadth: float, end_low: bool, end_high: bool) -> None:  # fmt: skip
    """Lots along the two long sides of a block, back to back."""
    hashed = int(cell[KEY])
    along = int(cell[ORIENT])
    alley = cell[ALLEY]
    number = 0
    through = (kind == INDUSTRY and draw(random) < 0.4) or breadth < 30.0
    for row in range(1 if through else 2):
        side = (2 if along == 0 else 0) + row
        depth_plan = breadth if through else breadth / 2 - alley
        s = p0
        group = make_group(random, kind == DETACHED)
        left = 0
        lot_row = 6.0
        mirrored = False
        while s < p1 - 4.0:
            number += 1
            first = s == p0
            at_end = (first and end_low) or (p1 - s < 13.0 and end_high)
            shops = kind in (ROW, APARTMENT) and at_end and draw(random) < 0.75
            if left <= 0:
                left = int(between(random, 3.0, 12.0))
                group = make_group(random, kind == DETACHED)
                lot_row = between(random, 5.4, 7.6)
                if kind == ROW and not first and draw(random) < 0.6:
                    s += between(random, 1.2, 3.2)  # a gap between rows
            left -= 1
            if kind == ROW:
                wide = lot_row if not shops else between(random, 7.0, 12.0)
            elif kind == DETACHED:
                wide = between(random, 9.5, 14.0)
            elif kind == APARTMENT:
                wide = between(random, 24.0, 58.0) if not shops else between(random, 9.0, 14.0)
            else:
                wide = between(random, 16.0, 70.0)
            if p1 - (s + wide) < wide * 0.55:
                wide = p1 - s
            middle = s + wide / 2
            corner_low, corner_high = first, p1 - (s + wide) < 1.0
            frame = front(plan, cell, side, middle)
            width = wide * frame.scale_s
            depth = depth_plan * frame.scale_t
            s += wide
            identity = _identity(hashed, number)
            mirrored = not mirrored
            blocked = not lot_is_clear(plan, frame, width, depth)
            if corner_low and _near_roundabout(plan, cell, True, row == 1):
                blocked = True
            if corner_high and _near_roundabout(plan, cell, False, row == 1):
                blocked = True
            if blocked or draw(random) < 0.012:
                _vacant(plan, tables, random, frame, width, depth)
                continue
            if shops:
                shop(plan, tables, random, frame, width, depth, identity)
            elif kind == ROW:
                row_house(plan, tables, random, frame, width, depth, group, identity, alley > 0,
                          mirrored)  # fmt: skip
            elif kind == DETACHED:
                detached_house(plan, tables, random, frame, width, depth, group, identity, mirrored)
            elif kind == APARTMENT:
                flats(plan, tables, random, frame, width, depth, identity)
            else:
                hall(plan, tables, random, frame, width, depth, identity)


def _vacant(
    plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float
) -> None:
    """An empty lot: weeds, bare soil, or a few parked cars."""
    u = draw(random)
    tone = between(random, 30.0, 220.0)
    if u < 0.55:
        n = paint(tables, frame, 0.0, depth / 2, width / 2, depth / 2, 2, MEADOW, tone)
        for _ in range(int(width * depth / 90.0)):
            yard_tree(plan, tables, random, frame, between(random, -0.5, 0.5) * width,
                      draw(random) * depth, 2.8)  # fmt: skip
    elif u < 0.7:
        n = paint(tables, frame, 0.0, depth / 2, width / 2, depth / 2, 3, SOIL, tone)
    else:
        n = paint(tables, frame, 0.0, depth / 2, width / 2, depth / 2, 7, LOT_ASPHALT, tone)
    tables.shapes[n][USE] = 9


def _walk(tables: Tables, frame: Frame, random: Stream, width: float, depth: float, s0: float,
          t0: float, s1: float, t1: float, half: float, material: int) -> None:  # fmt: skip
    """A curved path from one point of a park to another, as a chain of discs."""
    bow = between(random, -0.3, 0.3)
    length = math.sqrt((s1 - s0) * (s1 - s0) + (t1 - t0) * (t1 - t0))
    steps = max(2, int(length / (half * 0.9)))
    tone = between(random, 60.0, 220.0)
    for i in range(steps + 1):
        u = i / steps
        curve = 4.0 * u * (1.0 - u) * bow
        s = s0 + (s1 - s0) * u - (t1 - t0) * curve
        t = t0 + (t1 - t0) * u + (s1 - s0) * curve
        if abs(s) < width / 2 and 0.0 < t < depth:
            paint_form(tables, frame, s, t, half, half, 7, material, tone, ELLIPSE)


def _court(tables: Tables, frame: Frame, random: Stream, s: float, t: float) -> None:
    """A tennis or basketball court."""
    paint(tables, frame, s, t, 9.0, 16.5, 7, COURT, between(random, 0.0, 255.0))
    for edge in (-5.4, 5.4):
        mark(tables, frame, s + edge, t, 0.08, 11.9, 1)
        mark(tables, frame, s, t + edge * 2.2, 5.4, 0.08, 1)
    mark(tables, frame, s, t, 0.08, 6.4, 1)
    mark(tables, frame, s, t, 5.4, 0.1, 1)


def _diamond(tables: Tables, frame: Frame, random: Stream, s: float, t: float, size: float) -> None:
    """A ball field: outfield of turf, infield of clay."""
    paint_form(tables, frame, s, t, size * 1.15, size, 2, TURF, between(random, 60.0, 200.0), BLOB)
    home = t - size * 0.72
    skin = min(size * 0.62, 29.0)
    paint_form(tables, frame, s, home + skin * 0.45, skin * 0.62, skin * 0.62, 3, CLAY,
               between(random, 40.0, 220.0), BLOB)  # fmt: skip
    root = 0.7071
    turned = Frame(
        frame.x + s * frame.sx + (home + skin * 0.42) * frame.tx,
        frame.y + s * frame.sy + (home + skin * 0.42) * frame.ty,
        root * (frame.sx + frame.tx), root * (frame.sy + frame.ty),
        root * (frame.tx - frame.sx), root * (frame.ty - frame.sy), 1.0, 1.0,
    )  # fmt: skip
    half = skin * 0.27
    paint(tables, turned, 0.0, 0.0, half, half, 2, TURF, 130.0)
    paint_form(tables, turned, 0.0, 0.0, 1.4, 1.4, 3, CLAY, 130.0, ELLIPSE)


def _grove(plan: Plan, tables: Tables, random: Stream, frame: Frame, s: float, t: float,
           radius: float, number: int) -> None:  # fmt: skip
    for _ in range(number):
        angle = between(random, 0.0, 6.2832)
        off = radius * math.sqrt(draw(random))
        yard_tree(plan, tables, random, frame, s + off * math.cos(angle), t + off * math.sin(angle),
                  4.2)  # fmt: skip


def _park(
    plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float
) -> None:
    """Lawns, paths, groves, and one or two of: pond, ball field, courts, playground."""
    half = width / 2
    n = paint(tables, frame, 0.0, depth / 2, half, depth / 2, 2, LAWN, between(random, 60.0, 190.0))
    tables.shapes[n][USE] = 6
    for _ in range(int(width * depth / 1200.0)):
        paint_form(tables, frame, between(random, -1.0, 1.0) * half, draw(random) * depth,
                   between(random, 6.0, 18.0), between(random, 5.0, 14.0), 2,
                   MEADOW if draw(random) < 0.5 else LAWN, between(random, 30.0, 220.0),
                   BLOB)  # fmt: skip
    material = CONCRETE if draw(random) < 0.5 else (LOT_ASPHALT if draw(random) < 0.6 else GRAVEL)
    wide = between(random, 1.1, 2.0)
    _walk(tables, frame, random, width, depth, -half, 0.0, half, depth, wide, material)
    _walk(tables, frame, random, width, depth, half, 0.0, -half, depth, wide, material)
    if width > 70.0:
        _walk(tables, frame, random, width, depth, -half * 0.2, 0.0, half * 0.2, depth, wide,
              material)  # fmt: skip
    places = max(1, int(width / 62.0))
    for place in range(places):
        s = -half + (place + 0.5) * width / places
        t = depth / 2
        u = draw(random)
        if u < 0.30 and depth > 30.0:
            hs = min(between(random, 12.0, 24.0), width / places / 2 - 3)
            ht = min(between(random, 8.0, 18.0), depth / 2 - 5)
            paint_form(tables, frame, s, t, hs + 1.2, ht + 1.2, 2, MEADOW, 150.0, BLOB)
            paint_form(tables, frame, s, t, hs, ht, 4, WATERBODY, between(random, 0.0, 255.0), BLOB)
            ring = between(random, 0.7, 1.3)
            for k in range(10):
                angle = k * 0.628 + ring
                yard_tree(plan, tables, random, frame, s + (hs + 4.0) * math.cos(angle),
                          t + (ht + 4.0) * math.sin(angle), 3.4)  # fmt: skip
        elif u < 0.48 and depth > 44.0:
            _diamond(tables, frame, random, s, t, min(depth / 2 - 2, width / places / 2))
        elif u < 0.58 and depth > 40.0:
            _court(tables, frame, random, s - 10.0, t)
            _court(tables, frame, random, s + 10.0, t)
        elif u < 0.68:
            paint_form(tables, frame, s, t, 11.0, 9.0, 7, PAVERS, between(random, 0.0, 255.0), BLOB)
            for _ in range(5):
                paint_form(tables, frame, s + between(random, -7.0, 7.0), t + between(
                           random, -6.0, 6.0), between(random, 1.0, 2.5), between(random, 1.0, 2.5),
                           7, COURT, between(random, 0.0, 255.0), ELLIPSE)  # fmt: skip
        else:
            _grove(plan, tables, random, frame, s, t, min(depth / 2, 30.0), 16)
    for _ in range(int((width + depth) * 2 / 16.0)):  # trees along the edge
        if draw(random) < 0.5:
            s = between(random, -1.0, 1.0) * (half - 2.0)
            t = 2.5 if draw(random) < 0.5 else depth - 2.5
        else:
            s = (half - 2.5) * (1.0 if draw(random) < 0.5 else -1.0)
            t = draw(random) * depth
        yard_tree(plan, tables, random, frame, s, t, 4.2)
    for _ in range(int(width * depth / 320.0)):
        s = between(random, -1.0, 1.0) * (half - 2.0)
        t = draw(random) * depth
        if abs(abs(s / half) - abs(2 * t / depth - 1.0)) > 0.12 and draw(random) < 0.6:
            yard_tree(plan, tables, random, frame, s, t, 4.0)
    for _ in range(12):
        shrub(plan, tables, random, frame, between(random, -1.0, 1.0) * half, draw(random) * depth)


def _school(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
            identity: int) -> None:  # fmt: skip
    """A large building with wings, a paved yard, a field."""
    half = width / 2
    cover = CONCRETE if draw(random) < 0.5 else LOT_ASPHALT
    tone = between(random, 60.0, 220.0)
    n = paint(tables, frame, 0.0, depth / 2, half, depth / 2, 7, cover, tone)
    tables.shapes[n][USE] = 7
    side = 1.0 if draw(random) < 0.5 else -1.0
    built = min(half * 0.5, 38.0)
    center = side * (half - built - 3.0)
    if lot_is_clear(plan, _shifted(frame, center, 0.0), 2 * built, depth):
        height = 1.0 + 3.8 * int(between(random, 2.0, 5.0))
        tone = between(random, 30.0, 240.0)
        bar = min(9.0, depth * 0.2)
        n = mass(tables, frame, center, bar + 3.0, built, bar, MEMBRANE, tone, identity, height,
                 FLAT, 0.9)  # fmt: skip
        _label(tables, n, 7, int(between(random, 3.0, 12.0)), 7)
        roof_plant(tables, frame, random, center, bar + 3.0, built, bar, identity, height, 1.0)
        for arm in (-1.0, 1.0):
            if draw(random) < 0.75:
                long = (depth - 8.0) * between(random, 0.3, 0.45)
                mass(tables, frame, center + arm * (built - 8.0), 3.0 + long, 8.0, long, MEMBRANE,
                     tone, identity, height, FLAT, 0.9)  # fmt: skip
    open_center = -side * (built + 1.5)
    open_half = half - built - 4.0
    u = draw(random)
    if u < 0.45 and depth > 40.0 and open_half > 18.0:
        _diamond(tables, frame, random, open_center, depth / 2, min(depth / 2 - 2, open_half))
    elif u < 0.75:
        paint(tables, frame, open_center, depth / 2, open_half - 2.0, depth / 2 - 3.0, 2, TURF,
              between(random, 40.0, 210.0))  # fmt: skip
        mark(tables, frame, open_center, depth / 2, 0.1, depth / 2 - 5.0, 1)
        for edge in (-1.0, 1.0):
            mark(tables, frame, open_center + edge * (open_half - 4.0), depth / 2, 0.1,
                 depth / 2 - 5.0, 1)  # fmt: skip
            mark(tables, frame, open_center, depth / 2 + edge * (depth / 2 - 5.0), open_half - 4.0,
                 0.1, 1)  # fmt: skip
    else:
        _court(tables, frame, random, open_center - 10.0, depth / 2)
        _court(tables, frame, random, open_center + 10.0, depth / 2)
    for _ in range(14):
        yard_tree(plan, tables, random, frame, between(random, -1.0, 1.0) * (half - 1.5),
                  1.5 if draw(random) < 0.5 else depth - 1.5, 3.2)  # fmt: skip


def _shifted(frame: Frame, s: float, t: float) -> Frame:
    """A frame with its origin moved to (s, t)."""
    return Frame(
        frame.x + s * frame.sx + t * frame.tx, frame.y + s * frame.sy + t * frame.ty, frame.sx,
        frame.sy, frame.tx, frame.ty, frame.scale_s, frame.scale_t,
    )  # fmt: skip


def _car_park(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
              identity: int) -> None:  # fmt: skip
    """A shopping centre: a big store and its parking."""
    half = width / 2
    n = paint(tables, frame, 0.0, depth / 2, half, depth / 2, 7, LOT_ASPHALT,
              between(random, 30.0, 220.0))  # fmt: skip
    tables.shapes[n][USE] = 8
    share = between(random, 0.0, 0.55)
    wide = width * share / 2
    center = half - wide - 1.0
    if share > 0.2 and lot_is_clear(plan, _shifted(frame, center, 0.0), 2 * wide, depth):
        height = between(random, 5.5, 9.0)
        n = mass(tables, frame, center, depth / 2, wide, depth / 2 - 1.5, MEMBRANE,
                 between(random, 100.0, 255.0), identity, height, FLAT, 0.8)  # fmt: skip
        _label(tables, n, 4, int(between(random, 8.0, 14.0)), 5)
        roof_plant(tables, frame, random, center, depth / 2, wide, depth / 2 - 1.5, identity,
                   height, 0.9)  # fmt: skip
        parking(tables, frame, random, -half + 0.8, center - wide - 3.0, 1.0, depth - 1.0,
                plan.numbers[OCCUPANCY])  # fmt: skip
    else:
        parking(tables, frame, random, -half + 0.8, half - 0.8, 1.0, depth - 1.0,
                plan.numbers[OCCUPANCY])  # fmt: skip
    for _ in range(int(width / 9.0)):
        s = between(random, -1.0, 1.0) * (half - 1.0)
        yard_tree(plan, tables, random, frame, s, 0.8 if draw(random) < 0.5 else depth - 0.8, 2.6)


def _site(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
          identity: int) -> None:  # fmt: skip
    """A construction site or cleared land: bare soil, heaps, containers, a shell."""
    half = width / 2
    n = paint(tables, frame, 0.0, depth / 2, half, depth / 2, 3, SOIL, between(random, 40.0, 210.0))
    tables.shapes[n][USE] = 9
    for _ in range(int(width * depth / 300.0)):
        u = draw(random)
        paint_form(tables, frame, between(random, -1.0, 1.0) * half, draw(random) * depth,
                   between(random, 2.0, 9.0), between(random, 2.0, 9.0), 3 if u < 0.6 else 2,
                   SOIL if u < 0.6 else (MEADOW if u < 0.85 else PLANTING),
                   between(random, 10.0, 245.0), BLOB)  # fmt: skip
    _walk(tables, frame, random, width, depth, -half, 2.0, half, depth - 3.0, 2.6, GRAVEL)
    for number in range(int(width / 25.0)):
        s = -half + 12.0 + 25.0 * number + between(random, -6.0, 6.0)
        t = between(random, 0.2, 0.8) * depth
        if not lot_is_clear(plan, _shifted(frame, s, t - 8.0), 16.0, 16.0):
            continue
        if draw(random) < 0.35:
            height = between(random, 3.0, 14.0)
            mass(tables, frame, s, t, 8.0, 7.0, ROOF_GRAVEL, between(random, 80.0, 230.0),
                 identity + number % 3, height, FLAT, 0.0)  # fmt: skip
        else:
            mass(tables, frame, s, t, 3.0, 1.25, METAL, between(random, 0.0, 255.0),
                 identity + number % 3, 2.6, FLAT, 0.0)  # fmt: skip
    if draw(random) < 0.3 * plan.numbers[TREES]:
        _grove(plan, tables, random, frame, half * 0.8, depth * 0.8, 8.0, 4)
