"""Templates of lots: row houses, detached houses, flats, shops, halls.

Each draws one lot in its frame: ``s`` in ``[-width / 2, width / 2]``, ``t`` from 0 at the sidewalk
to ``depth``, world metres.
"""

from typing import NamedTuple

from cvsegguide.synth.plan.fields import Plan, clear_of_corridors
from cvsegguide.synth.plan.frames import (
    azimuth_of,
    fixture,
    mass,
    paint,
    paint_form,
    parking,
    place_cars,
    roof_plant,
)
from cvsegguide.synth.plan.network import GREEN, OCCUPANCY, TREES
from cvsegguide.synth.plan.tables import (
    AGE,
    BLOB,
    CONCRETE,
    COPING,
    DECK,
    EQUIPMENT,
    FLAT,
    FUNCTION,
    GABLE,
    GRAVEL,
    GREEN_ROOF,
    HIP,
    LAWN,
    LOT_ASPHALT,
    MEADOW,
    MEMBRANE,
    METAL,
    PAVERS,
    PLANTING,
    POOL,
    ROOF_GRAVEL,
    SAWTOOTH,
    SHED,
    SHINGLE,
    SKYLIGHT,
    SOIL,
    SOLAR,
    TAR,
    TILE,
    USE,
    VAULT,
    Frame,
    Tables,
    add_tree,
)
from cvsegguide.synth.streams import Stream, between, draw


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


def make_group(random: Stream, suburban: bool) -> Group:
    """Draw what a row of houses has in common."""
    u = draw(random)
    if suburban:
        material = SHINGLE if u < 0.84 else TILE
        return Group(
            between(random, 3.5, 7.0), between(random, 9.5, 13.5), between(random, 4.8, 6.6),
            material, between(random, 0.0, 255.0), draw(random), draw(random),
            int(between(random, 3.0, 10.0)), draw(random),
        )  # fmt: skip
    material = MEMBRANE if u < 0.62 else (TAR if u < 0.85 else ROOF_GRAVEL)
    floors = 2 if draw(random) < 0.62 else (3 if draw(random) < 0.85 else 4)
    return Group(
        between(random, 1.5, 5.5), between(random, 12.5, 17.0),
        1.0 + 3.05 * floors + between(random, -0.3, 0.6), material, between(random, 40.0, 240.0),
        draw(random), draw(random), int(between(random, 2.0, 8.0)), draw(random),
    )  # fmt: skip


def yard_tree(
    plan: Plan, tables: Tables, random: Stream, frame: Frame, s: float, t: float, size: float
) -> None:
    """A tree in a yard, unless the city's trees are too few or a corridor is there."""
    u = draw(random)
    crown = size * between(random, 0.75, 1.7)
    species_draw = draw(random)
    color = int(draw(random) * 1e6)
    if u > plan.numbers[TREES]:
        return
    x = frame.x + s * frame.sx + t * frame.tx
    y = frame.y + s * frame.sy + t * frame.ty
    if not clear_of_corridors(plan, x, y, -2.0):
        return
    if species_draw < 0.5:
        species, tall = 0, 2.5
    elif species_draw < 0.74:
        species, tall = 1, 2.4
    elif species_draw < 0.84:
        species, tall = 2, 2.8
    elif species_draw < 0.91:
        species, tall, crown = 3, 4.2, crown * 0.6
    else:
        species, tall, crown = 4, 2.0, crown * 0.75
    top = min(max(crown * tall * (0.85 + 0.3 * (color % 97) / 97.0), 2.6), 23.0)
    add_tree(tables, x, y, crown, top, species, color)


def shrub(plan: Plan, tables: Tables, random: Stream, frame: Frame, s: float, t: float) -> None:
    """A bush: a crown that begins near the ground."""
    x = frame.x + s * frame.sx + t * frame.tx
    y = frame.y + s * frame.sy + t * frame.ty
    crown = between(random, 0.6, 1.3)
    color = int(draw(random) * 1e6)
    if clear_of_corridors(plan, x, y, -3.0):
        add_tree(tables, x, y, crown, crown * 1.7, 5, color)


def _ground(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
            green: float, use: int) -> None:  # fmt: skip
    """The lot's own ground."""
    u = draw(random)
    tone = between(random, 30.0, 225.0)
    green *= plan.numbers[GREEN]
    if u < green:
        n = paint(tables, frame, 0.0, depth / 2, width / 2 + 0.15, depth / 2, 2, LAWN, tone)
    elif u < green + 0.03:
        n = paint(tables, frame, 0.0, depth / 2, width / 2 + 0.15, depth / 2, 3, SOIL, tone)
    elif u < green + (1 - green) * 0.7:
        n = paint(tables, frame, 0.0, depth / 2, width / 2 + 0.15, depth / 2, 7, CONCRETE, tone)
    else:
        n = paint(tables, frame, 0.0, depth / 2, width / 2 + 0.15, depth / 2, 7, PAVERS, tone)
    tables.shapes[n][USE] = use


def _label(tables: Tables, n: int, use: int, age: int, function: int) -> None:
    row = tables.shapes[n]
    row[USE], row[AGE], row[FUNCTION] = use, age, function


def row_house(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
              group: Group, identity: int, alley: bool, mirrored: bool) -> None:  # fmt: skip
    """A house between party walls with a small front yard and a back yard."""
    _ground(plan, tables, random, frame, width, depth, 0.42, 2)
    half = width / 2
    flip = -1.0 if mirrored else 1.0
    # front yard
    if group.setback > 1.2:
        t = group.setback / 2
        u = draw(random)
        if group.yard < 0.45:
            paint(tables, frame, 0.0, t, half, t, 7, CONCRETE if u < 0.7 else PAVERS,
                  between(random, 60.0, 220.0))  # fmt: skip
        else:
            paint(tables, frame, 0.0, t, half, t, 2, LAWN if u < 0.6 else PLANTING,
                  between(random, 40.0, 200.0))  # fmt: skip
            paint(tables, frame, flip * half * 0.55, t, 0.6, t, 7, CONCRETE,
                  between(random, 90.0, 220.0))  # fmt: skip
        if draw(random) < 0.35:
            shrub(plan, tables, random, frame, -flip * half * 0.4, t)
    deep = min(group.depth + between(random, -0.25, 0.25), depth - group.setback - 1.0)
    middle = group.setback + deep / 2
    height = group.height + between(random, -0.15, 0.15)
    material = group.material
    tone = group.tone + between(random, -70.0, 70.0)
    if draw(random) < 0.22:
        material = MEMBRANE if material == TAR else TAR
        tone = between(random, 20.0, 250.0)
    n = mass(tables, frame, 0.0, middle, half + 0.06, deep / 2, material, tone, identity, height,
             FLAT, 0.35)  # fmt: skip
    _label(tables, n, 2, group.age, 2)
    roof_plant(tables, frame, random, 0.0, middle, half, deep / 2, identity, height, 1.3)
    if group.porch < 0.6 and group.setback > 2.2:  # porch or bay with its own little roof
        out = between(random, 1.1, 1.9)
        wide = half * (1.0 if group.porch < 0.3 else 0.6)
        mass(tables, frame, flip * (half - wide), group.setback - out / 2, wide, out / 2, SHINGLE,
             between(random, 0.0, 255.0), identity, 3.0, SHED, 0.5)  # fmt: skip
    back = group.setback + deep
    if draw(random) < 0.5:  # rear extension
        long = between(random, 2.2, 4.5)
        wide = half * between(random, 0.5, 0.9)
        if back + long < depth - 2.0:
            mass(tables, frame, flip * (half - wide), back + long / 2, wide, long / 2,
                 MEMBRANE if draw(random) < 0.5 else TAR, between(random, 20.0, 240.0), identity,
                 height * between(random, 0.35, 0.7), FLAT, 0.2)  # fmt: skip
            back += long
    # back yard
    rest = depth - back
    if rest > 3.0:
        if alley and draw(random) < 0.6:  # garage at the alley
            cover = TAR if draw(random) < 0.6 else MEMBRANE
            mass(tables, frame, 0.0, depth - 2.9, half, 2.8, cover,
                 between(random, 0.0, 255.0), identity + 1, 2.8, FLAT, 0.2)  # fmt: skip
            rest -= 6.0
        elif draw(random) < 0.25:
            mass(tables, frame, -flip * half * 0.5, depth - 1.8, min(1.4, half * 0.4), 1.3, SHINGLE,
                 between(random, 0.0, 255.0), identity + 1, 2.2, GABLE, 0.6)  # fmt: skip
        if rest > 2.5:
            u = draw(random)
            if u < 0.3:
                paint(tables, frame, 0.0, back + rest * 0.25, half, rest * 0.25, 7,
                      CONCRETE if u < 0.15 else DECK, between(random, 30.0, 220.0))  # fmt: skip
            if draw(random) < 0.5:
                yard_tree(plan, tables, random, frame, between(random, -0.6, 0.6) * half,
                          back + rest * between(random, 0.45, 0.85), 3.0)  # fmt: skip
            for _ in range(int(draw(random) * 3.0)):
                shrub(plan, tables, random, frame, (half - 0.5) * (1 if draw(random) < 0.5 else -1),
                      back + rest * draw(random))  # fmt: skip


def detached_house(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float,
                   depth: float, group: Group, identity: int, mirrored: bool) -> None:  # fmt: skip
    """A house in its garden, drive on one side, often a garage behind."""
    _ground(plan, tables, random, frame, width, depth, 0.74, 2)
    half = width / 2
    flip = -1.0 if mirrored else 1.0
    drive = width > 8.5 and draw(random) < 0.8
    drive_half = 1.35
    left, right = -half + 0.9, half - 0.9
    if drive:
        right = half - 2 * drive_half - 0.4
    house_half = min((right - left) / 2, between(random, 4.2, 5.8))
    center = flip * (left + house_half if drive else (left + right) / 2)
    setback = group.setback + between(random, -0.5, 0.8)
    deep = min(group.depth * between(random, 0.85, 1.2), depth - setback - 4.0)
    if deep < 6.0:
        deep = 6.0
    middle = setback + deep / 2
    height = group.height + between(random, -0.5, 0.5)
    material = group.material
    tone = group.tone if draw(random) < 0.3 else between(random, 0.0, 255.0)
    roof = HIP if draw(random) < 0.2 + 0.6 * group.hipped else GABLE
    if draw(random) < 0.08:
        roof, material = FLAT, MEMBRANE
    rise = between(random, 0.45, 0.75) * min(house_half, deep / 2)
    if roof == FLAT:
        rise = 0.35
    if drive:
        paint(tables, frame, flip * (half - drive_half - 0.1), (setback + deep) / 2, drive_half,
              (setback + deep) / 2, 7, CONCRETE if draw(random) < 0.7 else LOT_ASPHALT,
              between(random, 40.0, 230.0))  # fmt: skip
        t = between(random, 0.3, 0.8) * (setback + deep)
        s = flip * (half - drive_half - 0.1)
        place_cars(tables, random, frame.x + s * frame.sx + t * frame.tx,
                   frame.y + s * frame.sy + t * frame.ty, azimuth_of(frame.tx, frame.ty),
                   0.5)  # fmt: skip
    paint(tables, frame, center, setback / 2, 0.55, setback / 2, 7, CONCRETE,
          between(random, 100.0, 230.0))  # fmt: skip
    n = mass(tables, frame, center, middle, house_half, deep / 2, material, tone, identity, height,
             roof, rise)  # fmt: skip
    _label(tables, n, 2, group.age, 3)
    if roof != FLAT and draw(random) < 0.55:  # wing across: L or T
        wing_half = house_half * between(random, 0.4, 0.65)
        out = between(random, 1.0, 2.5)
        shift = (house_half - wing_half) * (1.0 if draw(random) < 0.5 else -1.0)
        at_front = draw(random) < 0.6 and setback > 3.0
        t0 = setback - out if at_front else setback + deep * 0.4
        t1 = setback + deep * 0.6 if at_front else setback + deep + out
        mass(tables, frame, center + shift, (t0 + t1) / 2, wing_half, (t1 - t0) / 2, material, tone,
             identity, height - 0.2, GABLE if roof == GABLE else HIP,
             rise * wing_half / house_half + 0.2)  # fmt: skip
    if draw(random) < 0.4:
        fixture(tables, frame, center + house_half * 0.5, middle, 0.4, 0.5, COPING,
                between(random, 0.0, 120.0), identity, height + rise + 0.6)  # fmt: skip
    if draw(random) < 0.08:
        fixture(tables, frame, center - house_half * 0.5, middle, house_half * 0.3, deep * 0.25,
                SOLAR, 100.0, identity, 0.0)  # fmt: skip
    if draw(random) < 0.4:  # porch
        mass(tables, frame, center, setback - 0.7, house_half * between(random, 0.35, 0.9), 0.9,
             material, tone, identity, 2.8, SHED, 0.4)  # fmt: skip
    back = setback + deep
    rest = depth - back
    if rest > 7.5 and drive and draw(random) < 0.7:  # garage behind
        mass(tables, frame, flip * (half - 2.0), depth - 3.8, 1.7, 2.9,
             SHINGLE if draw(random) < 0.6 else TAR, between(random, 0.0, 255.0), identity + 1, 2.6,
             GABLE if draw(random) < 0.6 else FLAT, between(random, 0.5, 1.1))  # fmt: skip
        paint(tables, frame, flip * (half - drive_half - 0.1), back + (rest - 6.7) / 2, drive_half,
              (rest - 6.7) / 2 + 0.1, 7, CONCRETE, between(random, 60.0, 230.0))  # fmt: skip
    if rest > 3.0:
        u = draw(random)
        if u < 0.45:
            paint(tables, frame, center, back + 1.4, house_half * 0.7, 1.4, 7,
                  PAVERS if u < 0.22 else DECK, between(random, 20.0, 230.0))  # fmt: skip
        if rest > 9.0 and draw(random) < 0.07:
            paint(tables, frame, center, back + rest * 0.55, 2.9, 4.0, 7, PAVERS, 190.0)
            if draw(random) < 0.6:
                paint(tables, frame, center, back + rest * 0.55, 1.9, 3.0, 4, POOL, 120.0)
            else:
                paint_form(tables, frame, center, back + rest * 0.55, 2.2, 2.2, 4, POOL, 160.0, 1)
        for _ in range(2):
            if draw(random) < 0.55:
                yard_tree(plan, tables, random, frame, between(random, -0.7, 0.7) * half,
                          back + rest * between(random, 0.35, 0.9), 3.4)  # fmt: skip
    if setback > 4.0 and draw(random) < 0.4:
        yard_tree(plan, tables, random, frame, -flip * half * between(random, 0.2, 0.7),
                  setback * 0.5, 2.6)  # fmt: skip
    for _ in range(int(draw(random) * 6.0)):
        side = 1.0 if draw(random) < 0.5 else -1.0
        shrub(plan, tables, random, frame, side * (half - 0.4), depth * draw(random))


def shop(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
         identity: int) -> None:  # fmt: skip
    """A commercial building at the sidewalk, flats above it."""
    _ground(plan, tables, random, frame, width, depth, 0.1, 4)
    u = draw(random)
    height = 4.5 if u < 0.25 else 1.2 + 3.2 * int(between(random, 2.0, 5.0))
    deep = min(depth - 1.5, between(random, 15.0, 24.0))
    material = MEMBRANE if draw(random) < 0.6 else TAR
    n = mass(tables, frame, 0.0, deep / 2 + 0.1, width / 2 + 0.06, deep / 2, material,
             between(random, 10.0, 250.0), identity, height, FLAT, 0.7)  # fmt: skip
    _label(tables, n, 4, int(between(random, 2.0, 11.0)), 5)
    roof_plant(tables, frame, random, 0.0, deep / 2, width / 2, deep / 2, identity, height, 1.5)


def flats(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
          identity: int) -> None:  # fmt: skip
    """An apartment house: slab, L, U around a court, H, or a tower; lawns, paths, parking."""
    _ground(plan, tables, random, frame, width, depth, 0.8, 3)
    u = draw(random)
    half = width / 2
    setback = between(random, 1.5, 6.0)
    material = MEMBRANE if draw(random) < 0.5 else (ROOF_GRAVEL if draw(random) < 0.6 else TAR)
    tone = between(random, 20.0, 240.0)
    age = int(between(random, 4.0, 14.0))
    inner = half - between(random, 1.0, 4.0)
    deep = depth - setback - between(random, 3.0, 8.0)
    if deep < 10.0 or inner < 6.0:
        deep = max(deep, 9.0)
        u = 0.1
    if u < 0.4 and inner > 9.0 and deep > 18.0:  # U or H around a court
        height = 1.0 + 3.0 * int(between(random, 4.0, 8.0))
        arm = between(random, 5.0, min(8.0, inner * 0.45))
        for side in (-1.0, 1.0):
            n = mass(tables, frame, side * (inner - arm), setback + deep / 2, arm, deep / 2,
                     material, tone, identity, height, FLAT, 0.8)  # fmt: skip
            _label(tables, n, 3, age, 4)
            roof_plant(tables, frame, random, side * (inner - arm), setback + deep / 2, arm,
                       deep / 2, identity, height, 1.0)  # fmt: skip
        bar = between(random, 4.5, 7.0)
        where = 0.5 if draw(random) < 0.4 else 1.0
        t = setback + bar + (deep - 2 * bar) * where
        n = mass(tables, frame, 0.0, t, inner, bar, material, tone, identity, height, FLAT, 0.8)
        _label(tables, n, 3, age, 4)
        paint(tables, frame, 0.0, setback / 2 + deep * 0.2, 1.2, setback / 2 + deep * 0.2, 7,
              PAVERS, 150.0)  # fmt: skip
        yard_tree(plan, tables, random, frame, (inner - 2 * arm) * 0.6, setback + 4.0, 2.6)
    elif u < 0.65:  # tower, maybe on a podium
        height = 1.0 + 3.0 * int(between(random, 7.0, 19.0))
        tower = min(inner, between(random, 8.0, 13.0))
        tower_t = min(deep / 2, between(random, 8.0, 12.0))
        t = setback + deep * 0.5
        if draw(random) < 0.35:
            mass(tables, frame, 0.0, t, inner, deep / 2, ROOF_GRAVEL if draw(random) < 0.6
                 else GREEN_ROOF, between(random, 40.0, 220.0), identity, 4.8, FLAT,
                 0.8)  # fmt: skip
        if draw(random) < 0.4:  # cross-shaped
            mass(tables, frame, 0.0, t, tower * 0.55, tower_t, material, tone, identity, height,
                 FLAT, 1.0)  # fmt: skip
            n = mass(tables, frame, 0.0, t, tower, tower_t * 0.55, material, tone, identity, height,
                     FLAT, 1.0)  # fmt: skip
        else:
            n = mass(tables, frame, 0.0, t, tower, tower_t, material, tone, identity, height, FLAT,
                     1.0)  # fmt: skip
        _label(tables, n, 3, age, 4)
        fixture(tables, frame, 0.0, t, tower * 0.35, tower_t * 0.3, EQUIPMENT,
                between(random, 40.0, 230.0), identity, height + 4.0)  # fmt: skip
        roof_plant(tables, frame, random, 0.0, t, tower * 0.9, tower_t * 0.9, identity, height, 0.7)
        if draw(random) < 0.6 and deep > 26.0:
            parking(tables, frame, random, -half + 1.0, half - 1.0, setback + deep * 0.5 + tower_t
                    + 2.0, depth - 1.0, plan.numbers[OCCUPANCY])  # fmt: skip
    else:  # slab or L
        height = 1.0 + 3.0 * int(between(random, 4.0, 9.0))
        bar = min(deep / 2, between(random, 6.0, 8.5))
        n = mass(tables, frame, 0.0, setback + bar, inner, bar, material, tone, identity, height,
                 FLAT, 0.8)  # fmt: skip
        _label(tables, n, 3, age, 4)
        roof_plant(tables, frame, random, 0.0, setback + bar, inner, bar, identity, height, 0.9)
        side = 1.0 if draw(random) < 0.5 else -1.0
        arm = min(inner * 0.4, bar)
        wing = deep > 3.2 * bar and draw(random) < 0.55
        if wing:
            n = mass(tables, frame, side * (inner - arm), setback + deep / 2, arm, deep / 2,
                     material, tone, identity, height, FLAT, 0.8)  # fmt: skip
            _label(tables, n, 3, age, 4)
        if depth - setback - 2 * bar > 14.0:
            far = half - 1.0 if not wing else inner - 2 * arm - 1.0
            s0, s1 = (-half + 1.0, far) if side > 0 else (-far, half - 1.0)
            if s1 - s0 > 9.0 and draw(random) < 0.65:
                parking(tables, frame, random, s0, s1, setback + 2 * bar + 2.5, depth - 0.8,
                        plan.numbers[OCCUPANCY])  # fmt: skip
    for _ in range(int(width * depth / 260.0)):
        s = between(random, -1.0, 1.0) * (half - 1.0)
        t = between(random, 0.02, 1.0) * depth
        edge = abs(s) > inner + 0.6 or t < setback - 0.8 or t > setback + deep + 0.8
        if edge:
            yard_tree(plan, tables, random, frame, s, t, 3.6)


def hall(plan: Plan, tables: Tables, random: Stream, frame: Frame, width: float, depth: float,
         identity: int) -> None:  # fmt: skip
    """A factory, a warehouse or a workshop with its yard."""
    half = width / 2
    u = draw(random)
    if u < 0.12:
        n = paint(tables, frame, 0.0, depth / 2, half + 0.1, depth / 2, 3, SOIL,
                  between(random, 30.0, 220.0))  # fmt: skip
    elif u < 0.2:
        n = paint(tables, frame, 0.0, depth / 2, half + 0.1, depth / 2, 2, MEADOW,
                  between(random, 30.0, 220.0))  # fmt: skip
    else:
        n = paint(tables, frame, 0.0, depth / 2, half + 0.1, depth / 2, 7,
                  LOT_ASPHALT if u < 0.7 else CONCRETE, between(random, 20.0, 230.0))  # fmt: skip
    tables.shapes[n][USE] = 5
    yard = between(random, 0.0, 0.45)
    if u < 0.14 and draw(random) < 0.7:
        return
    back = draw(random) < 0.5
    deep = depth * (1.0 - yard) - 1.5
    t = depth - deep / 2 - 0.5 if back else deep / 2 + 0.3
    inner = half - between(random, 0.0, 2.0)
    height = between(random, 5.0, 12.0)
    kind = draw(random)
    roof = FLAT if kind < 0.62 else (SAWTOOTH if kind < 0.74 else (VAULT if kind < 0.84 else GABLE))
    material = MEMBRANE if kind < 0.4 else (TAR if kind < 0.62 else METAL)
    tone = between(random, 10.0, 250.0)
    rise = 0.6
    if roof == SAWTOOTH:
        rise = 2.0
    elif roof == VAULT:
        rise = min(4.0, 0.25 * min(inner, deep / 2))
    elif roof == GABLE:
        rise = min(3.5, 0.22 * min(inner, deep / 2))
    n = mass(tables, frame, 0.0, t, inner, deep / 2, material, tone, identity, height, roof, rise)
    _label(tables, n, 5, int(between(random, 3.0, 13.0)), 6)
    if roof == FLAT:
        if draw(random) < 0.55:  # rows of skylights
            step = between(random, 5.0, 9.0)
            wide = between(random, 0.5, 1.0)
            rows = int(deep / step)
            columns = int(2 * inner / step)
            if rows * columns < 150:
                for i in range(1, rows):
                    for j in range(1, columns):
                        fixture(tables, frame, -inner + j * step, t - deep / 2 + i * step, wide,
                                wide * 1.6, SKYLIGHT, 150.0, identity, height + 0.4)  # fmt: skip
        roof_plant(tables, frame, random, 0.0, t, inner, deep / 2, identity, height, 0.7)
        if draw(random) < 0.3:
            mass(tables, frame, inner * between(random, -0.5, 0.5), t + deep * between(
                 random, -0.2, 0.2), inner * between(random, 0.2, 0.45), deep * between(
                 random, 0.1, 0.25), MEMBRANE, between(random, 20.0, 250.0), identity,
                 height + between(random, 2.5, 5.0), FLAT, 0.5)  # fmt: skip
    if yard * depth > 9.0:
        t0, t1 = (0.5, depth - deep - 1.5) if back else (deep + 1.5, depth - 0.5)
        if t1 - t0 > 6.5 and draw(random) < 0.7:
            parking(tables, frame, random, -half + 0.5, half - 0.5, t0, t1,
                    plan.numbers[OCCUPANCY] * 0.8)  # fmt: skip
        else:
            for _ in range(int(width / 9.0)):  # containers, trailers, heaps
                s = between(random, -0.9, 0.9) * (half - 3.0)
                tt = between(random, t0 + 1.5, t1 - 1.0)
                if draw(random) < 0.6:
                    mass(tables, frame, s, tt, 6.0 if draw(random) < 0.4 else 1.3, 1.25, METAL,
                         between(random, 0.0, 255.0), identity + 2, 2.7, FLAT, 0.0)  # fmt: skip
                else:
                    paint_form(tables, frame, s, tt, between(random, 2.0, 4.0),
                               between(random, 2.0, 4.0), 3, SOIL if draw(random) < 0.5 else GRAVEL,
                               between(random, 20.0, 230.0), BLOB)  # fmt: skip
    if draw(random) < 0.3:
        yard_tree(plan, tables, random, frame, half * 0.9, depth * 0.95, 2.8)
