"""Templates of lots with large buildings: apartment houses, halls, schools."""

from cvsegguide.synth import ids
from cvsegguide.synth.plan.lots import Lot
from cvsegguide.synth.plan.network import OCCUPANCY
from cvsegguide.synth.plan.open_ground import ball_field, court


def flats(lot: Lot) -> None:
    """An apartment house: slab, L, U around a court, H, or a tower; lawns, paths, parking."""
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    lot.paint_yard(0.8, ids.USE_FLATS)
    u = draw()
    setback = uniform(1.5, 6)
    material = ids.MEMBRANE if draw() < 0.5 else lot.either(0.6, ids.ROOF_GRAVEL, ids.TAR)
    tone = uniform(20, 240)
    label = ids.USE_FLATS, int(uniform(4, 14)), ids.FLATS
    inner = half - uniform(1, 4)
    deep = depth - setback - uniform(3, 8)
    if deep < 10.0 or inner < 6.0:
        deep = max(deep, 9.0)
        u = 0.1
    look = material, tone, label
    if u < 0.4 and inner > 9.0 and deep > 18.0:
        _court_block(lot, setback, inner, deep, look)
    elif u < 0.65:
        _tower(lot, setback, inner, deep, look)
    else:
        _slab(lot, setback, inner, deep, look)
    for _ in range(int(lot.width * depth / 260.0)):
        s = uniform(-1, 1) * (half - 1.0)
        t = uniform(0.02, 1) * depth
        if abs(s) > inner + 0.6 or t < setback - 0.8 or t > setback + deep + 0.8:
            lot.tree(s, t, 3.6)


Look = tuple[int, float, tuple[int, int, int]]
"""Material, tone and label of a building."""


def _court_block(lot: Lot, setback: float, inner: float, deep: float, look: Look) -> None:
    """U or H around a court."""
    uniform = lot.uniform
    material, tone, label = look
    height = 1.0 + 3.0 * int(uniform(4, 8))
    arm = uniform(5, min(8.0, inner * 0.45))
    for side in (-1.0, 1.0):
        place = side * (inner - arm), setback + deep / 2, arm, deep / 2
        lot.mass(place, material, tone, height, ids.FLAT, 0.8, label)
        lot.roof_plant(place, height, 1.0)
    bar = uniform(4.5, 7)
    where = 0.5 if lot.draw() < 0.4 else 1.0
    t = setback + bar + (deep - 2 * bar) * where
    lot.mass((0.0, t, inner, bar), material, tone, height, ids.FLAT, 0.8, label)
    path = setback / 2 + deep * 0.2
    lot.paint((0.0, path, 1.2, path), ids.PAVED, ids.PAVERS, 150.0)
    lot.tree((inner - 2 * arm) * 0.6, setback + 4.0, 2.6)


def _tower(lot: Lot, setback: float, inner: float, deep: float, look: Look) -> None:
    """A tower, maybe on a podium, maybe cross-shaped."""
    draw, uniform = lot.draw, lot.uniform
    material, tone, label = look
    height = 1.0 + 3.0 * int(uniform(7, 19))
    wide = min(inner, uniform(8, 13))
    long = min(deep / 2, uniform(8, 12))
    t = setback + deep * 0.5
    if draw() < 0.35:
        podium = lot.either(0.6, ids.ROOF_GRAVEL, ids.GREEN_ROOF)
        lot.mass((0.0, t, inner, deep / 2), podium, uniform(40, 220), 4.8, ids.FLAT, 0.8)
    if draw() < 0.4:
        lot.mass((0.0, t, wide * 0.55, long), material, tone, height, ids.FLAT, 1.0)
        lot.mass((0.0, t, wide, long * 0.55), material, tone, height, ids.FLAT, 1.0, label)
    else:
        lot.mass((0.0, t, wide, long), material, tone, height, ids.FLAT, 1.0, label)
    lot.fixture((0.0, t, wide * 0.35, long * 0.3), ids.EQUIPMENT, uniform(40, 230), height + 4.0)
    lot.roof_plant((0.0, t, wide * 0.9, long * 0.9), height, 0.7)
    if draw() < 0.6 and deep > 26.0:
        t0 = setback + deep * 0.5 + long + 2.0
        occupancy = lot.plan.numbers[OCCUPANCY]
        lot.parking(-lot.half + 1.0, lot.half - 1.0, t0, lot.depth - 1.0, occupancy)


def _slab(lot: Lot, setback: float, inner: float, deep: float, look: Look) -> None:
    """A slab, or an L with a parking lot behind."""
    draw, uniform, half = lot.draw, lot.uniform, lot.half
    material, tone, label = look
    height = 1.0 + 3.0 * int(uniform(4, 9))
    bar = min(deep / 2, uniform(6, 8.5))
    lot.mass((0.0, setback + bar, inner, bar), material, tone, height, ids.FLAT, 0.8, label)
    lot.roof_plant((0.0, setback + bar, inner, bar), height, 0.9)
    side = lot.sign()
    arm = min(inner * 0.4, bar)
    wing = deep > 3.2 * bar and draw() < 0.55
    if wing:
        place = side * (inner - arm), setback + deep / 2, arm, deep / 2
        lot.mass(place, material, tone, height, ids.FLAT, 0.8, label)
    if lot.depth - setback - 2 * bar > 14.0:
        far = half - 1.0 if not wing else inner - 2 * arm - 1.0
        s0, s1 = (-half + 1.0, far) if side > 0 else (-far, half - 1.0)
        if s1 - s0 > 9.0 and draw() < 0.65:
            t0 = setback + 2 * bar + 2.5
            lot.parking(s0, s1, t0, lot.depth - 0.8, lot.plan.numbers[OCCUPANCY])


def hall(lot: Lot) -> None:
    """A factory, a warehouse or a workshop with its yard."""
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    u = draw()
    if u < 0.12:
        lot.paint_whole(ids.BARE, ids.SOIL, uniform(30, 220), ids.USE_INDUSTRY, 0.1)
    elif u < 0.2:
        lot.paint_whole(ids.GRASS, ids.MEADOW, uniform(30, 220), ids.USE_INDUSTRY, 0.1)
    else:
        cover = ids.LOT_ASPHALT if u < 0.7 else ids.CONCRETE
        lot.paint_whole(ids.PAVED, cover, uniform(20, 230), ids.USE_INDUSTRY, 0.1)
    yard = uniform(0, 0.45)
    if u < 0.14 and draw() < 0.7:
        return
    back = draw() < 0.5
    deep = depth * (1.0 - yard) - 1.5
    t = depth - deep / 2 - 0.5 if back else deep / 2 + 0.3
    inner = half - uniform(0, 2)
    _hall_building(lot, t, inner, deep)
    if yard * depth > 9.0:
        t0, t1 = (0.5, depth - deep - 1.5) if back else (deep + 1.5, depth - 0.5)
        if t1 - t0 > 6.5 and draw() < 0.7:
            lot.parking(-half + 0.5, half - 0.5, t0, t1, lot.plan.numbers[OCCUPANCY] * 0.8)
        else:
            _stored_goods(lot, t0, t1)
    if draw() < 0.3:
        lot.tree(half * 0.9, depth * 0.95, 2.8)


def _hall_building(lot: Lot, t: float, inner: float, deep: float) -> None:
    draw, uniform = lot.draw, lot.uniform
    height = uniform(5, 12)
    kind = draw()
    small = min(inner, deep / 2)
    if kind < 0.62:
        roof, rise = ids.FLAT, 0.6
    elif kind < 0.74:
        roof, rise = ids.SAWTOOTH, 2.0
    elif kind < 0.84:
        roof, rise = ids.VAULT, min(4.0, 0.25 * small)
    else:
        roof, rise = ids.GABLE, min(3.5, 0.22 * small)
    material = ids.MEMBRANE if kind < 0.4 else (ids.TAR if kind < 0.62 else ids.METAL)
    tone = uniform(10, 250)
    label = ids.USE_INDUSTRY, int(uniform(3, 13)), ids.HALL
    lot.mass((0.0, t, inner, deep / 2), material, tone, height, roof, rise, label)
    if roof != ids.FLAT:
        return
    if draw() < 0.55:  # rows of skylights
        step = uniform(5, 9)
        wide = uniform(0.5, 1)
        rows = int(deep / step)
        columns = int(2 * inner / step)
        if rows * columns < 150:
            for i in range(1, rows):
                for j in range(1, columns):
                    place = -inner + j * step, t - deep / 2 + i * step, wide, wide * 1.6
                    lot.fixture(place, ids.SKYLIGHT, 150.0, height + 0.4)
    lot.roof_plant((0.0, t, inner, deep / 2), height, 0.7)
    if draw() < 0.3:
        s, t = inner * uniform(-0.5, 0.5), t + deep * uniform(-0.2, 0.2)
        size = inner * uniform(0.2, 0.45), deep * uniform(0.1, 0.25)
        tone = uniform(20, 250)
        lot.mass((s, t, *size), ids.MEMBRANE, tone, height + uniform(2.5, 5), ids.FLAT, 0.5)


def _stored_goods(lot: Lot, t0: float, t1: float) -> None:
    """Containers, trailers, heaps."""
    draw, uniform = lot.draw, lot.uniform
    for _ in range(int(lot.width / 9.0)):
        s = uniform(-0.9, 0.9) * (lot.half - 3.0)
        t = uniform(t0 + 1.5, t1 - 1.0)
        if draw() < 0.6:
            half = 6.0 if draw() < 0.4 else 1.3
            lot.mass((s, t, half, 1.25), ids.METAL, uniform(0, 255), 2.7, ids.FLAT, 0.0, part=2)
        else:
            size = uniform(2, 4), uniform(2, 4)
            material = lot.either(0.5, ids.SOIL, ids.GRAVEL)
            lot.paint((s, t, *size), ids.BARE, material, uniform(20, 230), ids.BLOB)


def school(lot: Lot) -> None:
    """A large building with wings, a paved yard, a field."""
    draw, uniform, half, depth = lot.draw, lot.uniform, lot.half, lot.depth
    cover = lot.either(0.5, ids.CONCRETE, ids.LOT_ASPHALT)
    lot.paint_whole(ids.PAVED, cover, uniform(60, 220), ids.USE_SCHOOL)
    side = lot.sign()
    built = min(half * 0.5, 38.0)
    center = side * (half - built - 3.0)
    if lot.is_clear(center, 0.0, 2 * built, depth):
        height = 1.0 + 3.8 * int(uniform(2, 5))
        tone = uniform(30, 240)
        bar = min(9.0, depth * 0.2)
        place = center, bar + 3.0, built, bar
        label = ids.USE_SCHOOL, int(uniform(3, 12)), ids.SCHOOL_HOUSE
        lot.mass(place, ids.MEMBRANE, tone, height, ids.FLAT, 0.9, label)
        lot.roof_plant(place, height, 1.0)
        for arm in (-1.0, 1.0):
            if draw() < 0.75:
                long = (depth - 8.0) * uniform(0.3, 0.45)
                place = center + arm * (built - 8.0), 3.0 + long, 8.0, long
                lot.mass(place, ids.MEMBRANE, tone, height, ids.FLAT, 0.9)
    _school_field(lot, -side * (built + 1.5), half - built - 4.0)
    for _ in range(14):
        s = uniform(-1, 1) * (half - 1.5)
        lot.tree(s, 1.5 if draw() < 0.5 else depth - 1.5, 3.2)


def _school_field(lot: Lot, center: float, half: float) -> None:
    depth = lot.depth
    u = lot.draw()
    if u < 0.45 and depth > 40.0 and half > 18.0:
        ball_field(lot, center, depth / 2, min(depth / 2 - 2, half))
    elif u < 0.75:
        place = center, depth / 2, half - 2.0, depth / 2 - 3.0
        lot.paint(place, ids.GRASS, ids.TURF, lot.uniform(40, 210))
        lot.mark((center, depth / 2, 0.1, depth / 2 - 5.0))
        for edge in (-1.0, 1.0):
            lot.mark((center + edge * (half - 4.0), depth / 2, 0.1, depth / 2 - 5.0))
            lot.mark((center, depth / 2 + edge * (depth / 2 - 5.0), half - 4.0, 0.1))
    else:
        court(lot, center - 10.0, depth / 2)
        court(lot, center + 10.0, depth / 2)
