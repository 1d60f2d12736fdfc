"""Templates of blocks with few buildings: parks, car parks, building sites, empty lots."""

import math

from cvsegguide.synth import ids
from cvsegguide.synth.plan.lots import Lot
from cvsegguide.synth.plan.network import OCCUPANCY, TREES
from cvsegguide.synth.plan.tables import Frame


def vacant(lot: Lot) -> None:
    """An empty lot: weeds, bare soil, or asphalt."""
    u = lot.draw()
    tone = lot.uniform(30, 220)
    if u < 0.55:
        lot.paint_whole(ids.GRASS, ids.MEADOW, tone, ids.USE_VACANT)
        for _ in range(int(lot.width * lot.depth / 90.0)):
            lot.tree(lot.uniform(-0.5, 0.5) * lot.width, lot.draw() * lot.depth, 2.8)
    elif u < 0.7:
        lot.paint_whole(ids.BARE, ids.SOIL, tone, ids.USE_VACANT)
    else:
        lot.paint_whole(ids.PAVED, ids.LOT_ASPHALT, tone, ids.USE_VACANT)


def _path(
    lot: Lot, start: tuple[float, float], end: tuple[float, float], half: float, material: int
) -> None:
    """A curved path from one point to another, as a chain of discs."""
    (s0, t0), (s1, t1) = start, end
    bow = lot.uniform(-0.3, 0.3)
    length = math.sqrt((s1 - s0) * (s1 - s0) + (t1 - t0) * (t1 - t0))
    steps = max(2, int(length / (half * 0.9)))
    tone = lot.uniform(60, 220)
    for i in range(steps + 1):
        u = i / steps
        curve = 4.0 * u * (1.0 - u) * bow
        s = s0 + (s1 - s0) * u - (t1 - t0) * curve
        t = t0 + (t1 - t0) * u + (s1 - s0) * curve
        if abs(s) < lot.half and 0.0 < t < lot.depth:
            lot.paint((s, t, half, half), ids.PAVED, material, tone, ids.ELLIPSE)


def court(lot: Lot, s: float, t: float) -> None:
    """A tennis or basketball court."""
    lot.paint((s, t, 9.0, 16.5), ids.PAVED, ids.COURT, lot.uniform(0, 255))
    for edge in (-5.4, 5.4):
        lot.mark((s + edge, t, 0.08, 11.9))
        lot.mark((s, t + edge * 2.2, 5.4, 0.08))
    lot.mark((s, t, 0.08, 6.4))
    lot.mark((s, t, 5.4, 0.1))


def ball_field(lot: Lot, s: float, t: float, size: float) -> None:
    """Outfield of turf, infield of clay."""
    uniform, frame = lot.uniform, lot.frame
    lot.paint((s, t, size * 1.15, size), ids.GRASS, ids.TURF, uniform(60, 200), ids.BLOB)
    home = t - size * 0.72
    skin = min(size * 0.62, 29.0)
    place = s, home + skin * 0.45, skin * 0.62, skin * 0.62
    lot.paint(place, ids.BARE, ids.CLAY, uniform(40, 220), ids.BLOB)
    root = 0.7071
    turned = Frame(
        *frame.point(s, home + skin * 0.42),
        *(root * (frame.sx + frame.tx), root * (frame.sy + frame.ty)),
        *(root * (frame.tx - frame.sx), root * (frame.ty - frame.sy)),
        *(1.0, 1.0),
    )
    half = skin * 0.27
    lot.paint((0.0, 0.0, half, half), ids.GRASS, ids.TURF, 130.0, frame=turned)
    lot.paint((0.0, 0.0, 1.4, 1.4), ids.BARE, ids.CLAY, 130.0, ids.ELLIPSE, turned)


def park(lot: Lot) -> None:
    """Lawns, paths, groves, and one or two of: pond, ball field, courts, playground."""
    draw, uniform = lot.draw, lot.uniform
    width, depth, half = lot.width, lot.depth, lot.half
    lot.paint_whole(ids.GRASS, ids.LAWN, uniform(60, 190), ids.USE_PARK)
    for _ in range(int(width * depth / 1200.0)):
        place = uniform(-1, 1) * half, draw() * depth, uniform(6, 18), uniform(5, 14)
        material = lot.either(0.5, ids.MEADOW, ids.LAWN)
        lot.paint(place, ids.GRASS, material, uniform(30, 220), ids.BLOB)
    material = ids.CONCRETE if draw() < 0.5 else lot.either(0.6, ids.LOT_ASPHALT, ids.GRAVEL)
    wide = uniform(1.1, 2)
    _path(lot, (-half, 0.0), (half, depth), wide, material)
    _path(lot, (half, 0.0), (-half, depth), wide, material)
    if width > 70.0:
        _path(lot, (-half * 0.2, 0.0), (half * 0.2, depth), wide, material)
    places = max(1, int(width / 62.0))
    for number in range(places):
        _attraction(lot, -half + (number + 0.5) * width / places, width / places / 2)
    for _ in range(int((width + depth) * 2 / 16.0)):  # trees along the edge
        if draw() < 0.5:
            s = uniform(-1, 1) * (half - 2.0)
            t = 2.5 if draw() < 0.5 else depth - 2.5
        else:
            s = (half - 2.5) * lot.sign()
            t = draw() * depth
        lot.tree(s, t, 4.2)
    for _ in range(int(width * depth / 320.0)):
        s = uniform(-1, 1) * (half - 2.0)
        t = draw() * depth
        if abs(abs(s / half) - abs(2 * t / depth - 1.0)) > 0.12 and draw() < 0.6:
            lot.tree(s, t, 4.0)
    for _ in range(12):
        lot.shrub(uniform(-1, 1) * half, draw() * depth)


def _attraction(lot: Lot, s: float, room: float) -> None:
    """Pond, ball field, courts, playground or grove; ``room``: metres to each side along s."""
    uniform, depth = lot.uniform, lot.depth
    t = depth / 2
    u = lot.draw()
    if u < 0.30 and depth > 30.0:
        hs = min(uniform(12, 24), room - 3)
        ht = min(uniform(8, 18), depth / 2 - 5)
        lot.paint((s, t, hs + 1.2, ht + 1.2), ids.GRASS, ids.MEADOW, 150.0, ids.BLOB)
        lot.paint((s, t, hs, ht), ids.WATER, ids.WATERBODY, uniform(0, 255), ids.BLOB)
        ring = uniform(0.7, 1.3)
        for k in range(10):
            angle = k * 0.628 + ring
            lot.tree(s + (hs + 4.0) * math.cos(angle), t + (ht + 4.0) * math.sin(angle), 3.4)
    elif u < 0.48 and depth > 44.0:
        ball_field(lot, s, t, min(depth / 2 - 2, room))
    elif u < 0.58 and depth > 40.0:
        court(lot, s - 10.0, t)
        court(lot, s + 10.0, t)
    elif u < 0.68:
        lot.paint((s, t, 11.0, 9.0), ids.PAVED, ids.PAVERS, uniform(0, 255), ids.BLOB)
        for _ in range(5):
            place = s + uniform(-7, 7), t + uniform(-6, 6), uniform(1, 2.5), uniform(1, 2.5)
            lot.paint(place, ids.PAVED, ids.COURT, uniform(0, 255), ids.ELLIPSE)
    else:
        lot.grove(s, t, min(depth / 2, 30.0), 16)


def car_park(lot: Lot) -> None:
    """A shopping centre: a big store and its parking."""
    uniform, half, depth = lot.uniform, lot.half, lot.depth
    lot.paint_whole(ids.PAVED, ids.LOT_ASPHALT, uniform(30, 220), ids.USE_PARKING)
    share = uniform(0, 0.55)
    wide = lot.width * share / 2
    center = half - wide - 1.0
    end = half - 0.8
    if share > 0.2 and lot.is_clear(center, 0.0, 2 * wide, depth):
        height = uniform(5.5, 9)
        place = center, depth / 2, wide, depth / 2 - 1.5
        tone = uniform(100, 255)
        label = ids.USE_SHOPS, int(uniform(8, 14)), ids.SHOPS
        lot.mass(place, ids.MEMBRANE, tone, height, ids.FLAT, 0.8, label)
        lot.roof_plant(place, height, 0.9)
        end = center - wide - 3.0
    lot.parking(-half + 0.8, end, 1.0, depth - 1.0, lot.plan.numbers[OCCUPANCY])
    for _ in range(int(lot.width / 9.0)):
        s = uniform(-1, 1) * (half - 1.0)
        lot.tree(s, 0.8 if lot.draw() < 0.5 else depth - 0.8, 2.6)


def site(lot: Lot) -> None:
    """A construction site or cleared land: bare soil, heaps, containers, a shell."""
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    lot.paint_whole(ids.BARE, ids.SOIL, uniform(40, 210), ids.USE_VACANT)
    for _ in range(int(lot.width * depth / 300.0)):
        u = draw()
        place = uniform(-1, 1) * half, draw() * depth, uniform(2, 9), uniform(2, 9)
        cover, material = ids.BARE, ids.SOIL
        if u >= 0.6:
            cover, material = ids.GRASS, ids.MEADOW if u < 0.85 else ids.PLANTING
        lot.paint(place, cover, material, uniform(10, 245), ids.BLOB)
    _path(lot, (-half, 2.0), (half, depth - 3.0), 2.6, ids.GRAVEL)
    for number in range(int(lot.width / 25.0)):
        s = -half + 12.0 + 25.0 * number + uniform(-6, 6)
        t = uniform(0.2, 0.8) * depth
        if not lot.is_clear(s, t - 8.0, 16.0, 16.0):
            continue
        part = number % 3
        if draw() < 0.35:
            height = uniform(3, 14)
            tone = uniform(80, 230)
            lot.mass((s, t, 8.0, 7.0), ids.ROOF_GRAVEL, tone, height, ids.FLAT, 0.0, part=part)
        else:
            tone = uniform(0, 255)
            lot.mass((s, t, 3.0, 1.25), ids.METAL, tone, 2.6, ids.FLAT, 0.0, part=part)
    if draw() < 0.3 * lot.plan.numbers[TREES]:
        lot.grove(half * 0.8, depth * 0.8, 8.0, 4)
