"""Templates of lots with small houses: row houses, detached houses, shops."""

from random import Random
from typing import NamedTuple

from cvsegguide.synth import ids
from cvsegguide.synth.plan.lots import Lot, azimuth_of, place_cars


class Group(NamedTuple):
    """What the houses of one row have in common."""

    setback: float
    depth: float
    height: float
    material: int
    tone: float
    porch: float
    yard: float
    age: int
    hipped: float


def make_group(random: Random, suburban: bool) -> Group:
    """Draw what a row of houses has in common."""
    draw, uniform = random.random, random.uniform
    u = draw()
    if suburban:
        size = uniform(3.5, 7), uniform(9.5, 13.5), uniform(4.8, 6.6)
        material = ids.SHINGLE if u < 0.84 else ids.TILE
        return Group(*size, material, uniform(0, 255), draw(), draw(), int(uniform(3, 10)), draw())
    material = ids.MEMBRANE if u < 0.62 else (ids.TAR if u < 0.85 else ids.ROOF_GRAVEL)
    floors = 2 if draw() < 0.62 else (3 if draw() < 0.85 else 4)
    size = uniform(1.5, 5.5), uniform(12.5, 17), 1.0 + 3.05 * floors + uniform(-0.3, 0.6)
    return Group(*size, material, uniform(40, 240), draw(), draw(), int(uniform(2, 8)), draw())


def row_house(lot: Lot, group: Group, alley: bool, mirrored: bool) -> None:
    """A house between party walls with a small front yard and a back yard."""
    draw, uniform, half = lot.draw, lot.uniform, lot.half
    lot.paint_yard(0.42, ids.USE_HOUSES)
    flip = -1.0 if mirrored else 1.0
    if group.setback > 1.2:
        _front_yard(lot, group, flip)
    deep = min(group.depth + uniform(-0.25, 0.25), lot.depth - group.setback - 1.0)
    middle = group.setback + deep / 2
    height = group.height + uniform(-0.15, 0.15)
    material = group.material
    tone = group.tone + uniform(-70, 70)
    if draw() < 0.22:
        material = ids.MEMBRANE if material == ids.TAR else ids.TAR
        tone = uniform(20, 250)
    label = ids.USE_HOUSES, group.age, ids.ROW_HOUSE
    lot.mass((0.0, middle, half + 0.06, deep / 2), material, tone, height, ids.FLAT, 0.35, label)
    lot.roof_plant((0.0, middle, half, deep / 2), height, 1.3)
    if group.porch < 0.6 and group.setback > 2.2:  # porch or bay with its own little roof
        out = uniform(1.1, 1.9)
        wide = half * (1.0 if group.porch < 0.3 else 0.6)
        place = flip * (half - wide), group.setback - out / 2, wide, out / 2
        lot.mass(place, ids.SHINGLE, uniform(0, 255), 3.0, ids.SHED, 0.5)
    back = group.setback + deep
    if draw() < 0.5:  # rear extension
        long = uniform(2.2, 4.5)
        wide = half * uniform(0.5, 0.9)
        if back + long < lot.depth - 2.0:
            place = flip * (half - wide), back + long / 2, wide, long / 2
            material, tone = lot.either(0.5, ids.MEMBRANE, ids.TAR), uniform(20, 240)
            lot.mass(place, material, tone, height * uniform(0.35, 0.7), ids.FLAT, 0.2)
            back += long
    if lot.depth - back > 3.0:
        _back_yard(lot, back, flip, alley)


def _front_yard(lot: Lot, group: Group, flip: float) -> None:
    t = group.setback / 2
    u = lot.draw()
    if group.yard < 0.45:
        material = ids.CONCRETE if u < 0.7 else ids.PAVERS
        lot.paint((0.0, t, lot.half, t), ids.PAVED, material, lot.uniform(60, 220))
    else:
        material = ids.LAWN if u < 0.6 else ids.PLANTING
        lot.paint((0.0, t, lot.half, t), ids.GRASS, material, lot.uniform(40, 200))
        place = flip * lot.half * 0.55, t, 0.6, t
        lot.paint(place, ids.PAVED, ids.CONCRETE, lot.uniform(90, 220))
    if lot.draw() < 0.35:
        lot.shrub(-flip * lot.half * 0.4, t)


def _back_yard(lot: Lot, back: float, flip: float, alley: bool) -> None:
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    rest = depth - back
    if alley and draw() < 0.6:  # garage at the alley
        cover = lot.either(0.6, ids.TAR, ids.MEMBRANE)
        tone = uniform(0, 255)
        lot.mass((0.0, depth - 2.9, half, 2.8), cover, tone, 2.8, ids.FLAT, 0.2, part=1)
        rest -= 6.0
    elif draw() < 0.25:
        place = -flip * half * 0.5, depth - 1.8, min(1.4, half * 0.4), 1.3
        lot.mass(place, ids.SHINGLE, uniform(0, 255), 2.2, ids.GABLE, 0.6, part=1)
    if rest <= 2.5:
        return
    u = draw()
    if u < 0.3:
        material = ids.CONCRETE if u < 0.15 else ids.DECK
        place = 0.0, back + rest * 0.25, half, rest * 0.25
        lot.paint(place, ids.PAVED, material, uniform(30, 220))
    if draw() < 0.5:
        lot.tree(uniform(-0.6, 0.6) * half, back + rest * uniform(0.45, 0.85), 3.0)
    for _ in range(int(draw() * 3.0)):
        lot.shrub((half - 0.5) * lot.sign(), back + rest * draw())


def detached_house(lot: Lot, group: Group, mirrored: bool) -> None:
    """A house in its garden, drive on one side, often a garage behind."""
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    lot.paint_yard(0.74, ids.USE_HOUSES)
    flip = -1.0 if mirrored else 1.0
    drive = lot.width > 8.5 and draw() < 0.8
    drive_half = 1.35
    beside = flip * (half - drive_half - 0.1)
    left, right = -half + 0.9, half - 0.9
    if drive:
        right = half - 2 * drive_half - 0.4
    house_half = min((right - left) / 2, uniform(4.2, 5.8))
    center = flip * (left + house_half if drive else (left + right) / 2)
    setback = group.setback + uniform(-0.5, 0.8)
    deep = max(min(group.depth * uniform(0.85, 1.2), depth - setback - 4.0), 6.0)
    height = group.height + uniform(-0.5, 0.5)
    material = group.material
    tone = group.tone if draw() < 0.3 else uniform(0, 255)
    roof = lot.either(0.2 + 0.6 * group.hipped, ids.HIP, ids.GABLE)
    if draw() < 0.08:
        roof, material = ids.FLAT, ids.MEMBRANE
    rise = uniform(0.45, 0.75) * min(house_half, deep / 2)
    if roof == ids.FLAT:
        rise = 0.35
    if drive:
        length = (setback + deep) / 2
        cover = lot.either(0.7, ids.CONCRETE, ids.LOT_ASPHALT)
        lot.paint((beside, length, drive_half, length), ids.PAVED, cover, uniform(40, 230))
        x, y = lot.frame.point(beside, uniform(0.3, 0.8) * (setback + deep))
        place_cars(lot.tables, lot.random, x, y, azimuth_of(lot.frame.tx, lot.frame.ty), 0.5)
    place = center, setback / 2, 0.55, setback / 2
    lot.paint(place, ids.PAVED, ids.CONCRETE, uniform(100, 230))
    place = center, setback + deep / 2, house_half, deep / 2
    label = ids.USE_HOUSES, group.age, ids.DETACHED_HOUSE
    lot.mass(place, material, tone, height, roof, rise, label)
    if roof != ids.FLAT and draw() < 0.55:  # wing across: L or T
        wing_half = house_half * uniform(0.4, 0.65)
        out = uniform(1, 2.5)
        shift = (house_half - wing_half) * lot.sign()
        at_front = draw() < 0.6 and setback > 3.0
        t0 = setback - out if at_front else setback + deep * 0.4
        t1 = setback + deep * 0.6 if at_front else setback + deep + out
        wing = center + shift, (t0 + t1) / 2, wing_half, (t1 - t0) / 2
        wing_rise = rise * wing_half / house_half + 0.2
        lot.mass(wing, material, tone, height - 0.2, roof, wing_rise)
    if draw() < 0.4:
        chimney = center + house_half * 0.5, place[1], 0.4, 0.5
        lot.fixture(chimney, ids.COPING, uniform(0, 120), height + rise + 0.6)
    if draw() < 0.08:
        panel = center - house_half * 0.5, place[1], house_half * 0.3, deep * 0.25
        lot.fixture(panel, ids.SOLAR, 100.0, 0.0)
    if draw() < 0.4:  # porch
        porch = center, setback - 0.7, house_half * uniform(0.35, 0.9), 0.9
        lot.mass(porch, material, tone, 2.8, ids.SHED, 0.4)
    _garden(lot, center, house_half, setback + deep, beside if drive else None, flip)
    if setback > 4.0 and draw() < 0.4:
        lot.tree(-flip * half * uniform(0.2, 0.7), setback * 0.5, 2.6)
    for _ in range(int(draw() * 6.0)):
        side = lot.sign()
        lot.shrub(side * (half - 0.4), depth * draw())


def _garden(
    lot: Lot, center: float, house_half: float, back: float, drive: float | None, flip: float
) -> None:
    """What lies behind a detached house: garage, terrace, pool, trees; ``drive``: its ``s``."""
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    rest = depth - back
    if rest > 7.5 and drive is not None and draw() < 0.7:  # garage behind
        cover = lot.either(0.6, ids.SHINGLE, ids.TAR)
        tone, roof = uniform(0, 255), lot.either(0.6, ids.GABLE, ids.FLAT)
        place = flip * (half - 2.0), depth - 3.8, 1.7, 2.9
        lot.mass(place, cover, tone, 2.6, roof, uniform(0.5, 1.1), part=1)
        length = (rest - 6.7) / 2
        place = drive, back + length, 1.35, length + 0.1
        lot.paint(place, ids.PAVED, ids.CONCRETE, uniform(60, 230))
    if rest <= 3.0:
        return
    u = draw()
    if u < 0.45:
        material = ids.PAVERS if u < 0.22 else ids.DECK
        place = center, back + 1.4, house_half * 0.7, 1.4
        lot.paint(place, ids.PAVED, material, uniform(20, 230))
    if rest > 9.0 and draw() < 0.07:
        t = back + rest * 0.55
        lot.paint((center, t, 2.9, 4.0), ids.PAVED, ids.PAVERS, 190.0)
        if draw() < 0.6:
            lot.paint((center, t, 1.9, 3.0), ids.WATER, ids.POOL, 120.0)
        else:
            lot.paint((center, t, 2.2, 2.2), ids.WATER, ids.POOL, 160.0, ids.ELLIPSE)
    for _ in range(2):
        if draw() < 0.55:
            lot.tree(uniform(-0.7, 0.7) * half, back + rest * uniform(0.35, 0.9), 3.4)


def shop(lot: Lot) -> None:
    """A commercial building at the sidewalk, flats above it."""
    uniform = lot.uniform
    lot.paint_yard(0.1, ids.USE_SHOPS)
    u = lot.draw()
    height = 4.5 if u < 0.25 else 1.2 + 3.2 * int(uniform(2, 5))
    deep = min(lot.depth - 1.5, uniform(15, 24))
    material, tone = lot.either(0.6, ids.MEMBRANE, ids.TAR), uniform(10, 250)
    label = ids.USE_SHOPS, int(uniform(2, 11)), ids.SHOPS
    place = 0.0, deep / 2 + 0.1, lot.half + 0.06, deep / 2
    lot.mass(place, material, tone, height, ids.FLAT, 0.7, label)
    lot.roof_plant((0.0, deep / 2, lot.half, deep / 2), height, 1.5)
