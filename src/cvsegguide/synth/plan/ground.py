"""The ground of every pixel: which street, sidewalk, block or corridor it lies on."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, compiled, inlined
from cvsegguide.synth.noise import key, unit
from cvsegguide.synth.plan import tables as of
from cvsegguide.synth.plan.corridors import Ground, cross_diagonal, cross_railway, cross_water
from cvsegguide.synth.plan.fields import Plan, corridor, elevation, to_plan
from cvsegguide.synth.plan.network import find_cell, roundabout_radius
from cvsegguide.synth.plan.rasters import ZONE_LOT, ZONE_STREET, ZONE_WALK, Rasters

STEP = 16
"""Pixels between the nodes at which the smooth fields are evaluated."""
FIELDS = 9  # a, b, (distance, half width) x 3, elevation

_CORNER = 4.5
"""Radius of the kerb at street corners in metres."""


class Side(NamedTuple):
    """The nearer one of two opposite sides of a cell, seen from a point in it."""

    distance: float  # metres into the block from the kerb, negative on the roadway
    half: float  # half, avenue, line: of the street: half width, whether an avenue, key
    avenue: bool
    line: int
    skew: float  # distance from the low side less that from the high side


class Place(NamedTuple):
    """Where a pixel lies in its cell: plan coordinates, sides, metres from the kerb, noise."""

    a: float
    b: float
    side_a: Side
    side_b: Side
    inside: float
    noise: float


@compiled
def smooth_fields(plan: Plan, row0: int, col0: int, height: int, width: int, gsd: float) -> F64:
    """Fields at the nodes of the world's coarse grid that span a window, ``(h, w, FIELDS)``."""
    first_row, first_col = row0 // STEP, col0 // STEP
    rows = (row0 + height - 1) // STEP - first_row + 2
    cols = (col0 + width - 1) // STEP - first_col + 2
    out = np.empty((rows, cols, FIELDS))
    for r in range(rows):
        for c in range(cols):
            y = ((first_row + r) * STEP + 0.5) * gsd
            x = ((first_col + c) * STEP + 0.5) * gsd
            out[r, c, 0], out[r, c, 1] = to_plan(plan, x, y)
            for which in range(3):
                out[r, c, 2 + 2 * which], out[r, c, 3 + 2 * which] = corridor(plan, which, x, y)
            out[r, c, 8] = elevation(plan, x, y)
    return out


@inlined
def _interpolate(fields: F64, row: int, col: int, t: float, left: F64, slope: F64) -> bool:
    """Values at the left edge of a cell of the coarse grid, ``t`` down, and slopes per pixel.

    Returns:
        Whether a corridor may be near. Far from one, its distance may jump: it is made large.
    """
    near = False
    for f in range(FIELDS):
        v00 = fields[row, col, f]
        v01 = fields[row, col + 1, f]
        v10 = fields[row + 1, col, f]
        v11 = fields[row + 1, col + 1, f]
        left[f] = v00 + (v10 - v00) * t
        slope[f] = (v01 + (v11 - v01) * t - left[f]) / STEP
        if f in (2, 4, 6):
            smallest = min(abs(v00), abs(v01), abs(v10), abs(v11))
            largest = max(v00, v01, v10, v11) - min(v00, v01, v10, v11)
            if largest > 60.0:
                left[f] = 1e4
                slope[f] = 0.0
            elif smallest < 90.0:
                near = True
    return near


@inlined
def _nearer_side(cell: F64, axis: int, at: float) -> Side:
    low = at - cell[of.EDGE + 2 * axis] - cell[of.HALF + 2 * axis]
    high = cell[of.EDGE + 2 * axis + 1] - cell[of.HALF + 2 * axis + 1] - at
    side = 2 * axis if low < high else 2 * axis + 1
    avenue = cell[of.AVENUE + side] > 0
    distance = low if low < high else high
    return Side(distance, cell[of.HALF + side], avenue, int(cell[of.LINE + side]), low - high)


@inlined
def _lane_paint(along: float, across: float, half: float, avenue: bool, hashed: int) -> int:
    """Lane paint at ``across`` metres from a street's centre line, ``along`` it."""
    u = unit(hashed, 9)
    if avenue:
        if half > 11.0:  # boulevard: median in the middle
            lane = abs(across) - 1.6
        elif u < 0.75:  # two ways: double yellow
            if 0.12 < abs(across) < 0.34:
                return 2
            lane = abs(across) - 0.2
        else:
            lane = abs(across)
        edge = half - 2.5
        if abs(abs(across) - edge) < 0.09:
            return 1
        if abs(across) < edge - 1.0 and lane > 1.5:
            phase = lane - 3.3 * np.round(lane / 3.3)
            if abs(phase) < 0.09 and (along * 0.11) % 1.0 < 0.33:
                return 1
        return 0
    if u < 0.25:
        if abs(across) < 0.16:
            return 2
    elif u < 0.45 and abs(across) < 0.09 and (along * 0.11) % 1.0 < 0.35:
        return 1
    return 0


@inlined
def _crossing_paint(end: float, across: float, half: float, hashed: int) -> int:
    """Crosswalk and stop line; ``end`` is the distance to the crossing street's kerb."""
    u = unit(hashed, 13)
    if u < 0.22:
        return 0
    if 1.0 < end < 4.0 and abs(across) < half - 0.4:
        if u < 0.7:
            return 1 if (across * 0.82) % 1.0 < 0.52 else 0
        return 1 if end < 1.3 or end > 3.7 else 0
    if 5.0 < end < 5.45 and (u < 0.55 or across > 0.0) and abs(across) < half - 0.5:
        return 1
    return 0


@inlined
def _between_crossings(
    cell: F64, place: Place, in_a: bool, shade: float, paint: int
) -> tuple[float, int]:
    """Tone and paint of a roadway: crosswalks, lanes, patches, tyre tracks, joints."""
    street, other = (place.side_a, place.side_b) if in_a else (place.side_b, place.side_a)
    across, half, end = street.distance + street.half, street.half, other.distance
    along = place.b if in_a else place.a
    signed = -across if street.skew < 0.0 else across
    line = street.line
    if paint == 0:
        if end < 6.0:
            crossing = other.avenue
            if not street.avenue:
                end_skew = place.side_a.skew if cell[of.ORIENT] == 0.0 else place.side_b.skew
                through = cell[of.CROSS_LOW] if end_skew < 0.0 else cell[of.CROSS_HIGH]
                crossing = (cell[of.ORIENT] == 1.0) != in_a or through > 0.0
            if crossing:
                paint = _crossing_paint(end, signed, half, line)
        else:
            paint = _lane_paint(along, signed, half, street.avenue, line)
    # darker where tyres run and oil drips, lighter between
    shade += 14.0 * np.cos(abs(across - 0.35 * half) * 3.6)
    patch = unit(key(line, int(np.floor(along / 7.0)), int(across > half * 0.5), 3), 0)
    if patch < 0.10:
        shade -= 38.0
    elif patch > 0.94:
        shade += 30.0
    joint = (along * 0.066 + unit(line, 22)) % 1.0
    if joint < 0.012 and unit(line, 23) < 0.5:
        shade -= 60.0
    elif abs(across - 0.1) < 0.12 and paint == 0:
        shade -= 30.0
    return shade, paint


@inlined
def _street_ground(
    cell: F64, place: Place, in_circle: bool, island: bool, paint: int, z: np.float32
) -> Ground:
    side_a, side_b = place.side_a, place.side_b
    in_a, in_b = side_a.distance <= 0.0, side_b.distance <= 0.0
    avenue = in_circle
    shade = 60.0 + 110.0 * unit(side_a.line if in_a else side_b.line, 21)
    if in_a != in_b and not island:
        street, other = (side_a, side_b) if in_a else (side_b, side_a)
        avenue = avenue or street.avenue
        shade, paint = _between_crossings(cell, place, in_a, shade, paint)
        across = street.distance + street.half
        island = street.avenue and street.half > 11.0 and across < 1.5 and other.distance > 9.0
    elif in_a and in_b:
        avenue = avenue or side_a.avenue or side_b.avenue
        shade = 60.0 + 110.0 * unit(side_a.line if side_a.avenue else side_b.line, 21)
    shade += 9.0 * place.noise
    if island:
        tone = 110.0 + 30.0 * place.noise
        return Ground(ZONE_STREET, ids.USE_STREET, ids.GRASS, ids.LAWN, tone, 0, z, avenue)
    return Ground(ZONE_STREET, ids.USE_STREET, ids.ROAD, ids.ASPHALT, shade, paint, z, avenue)


@inlined
def _sidewalk_ground(cell: F64, place: Place, z: np.float32) -> Ground:
    a, b, inside, noise = place.a, place.b, place.inside, place.noise
    side_a, side_b = place.side_a, place.side_b
    walk = cell[of.SIDEWALK]
    shade = 100.0 + 70.0 * unit(int(cell[of.KEY]), 31)
    flag_a = int(np.floor(a / 1.5))
    flag_b = int(np.floor(b / 1.5))
    shade += 46.0 * (unit(key(flag_a, flag_b, 5, 0), 0) - 0.5)
    if a / 1.5 - flag_a < 0.08 or b / 1.5 - flag_b < 0.08:
        shade -= 26.0
    if inside < 0.3:
        shade += 40.0
    avenue = (side_a.avenue and side_a.distance < walk) or (
        side_b.avenue and side_b.distance < walk
    )
    beside = side_a.line if side_a.distance < side_b.distance else side_b.line
    planted = beside & 3 == 0 and unit(int(cell[of.KEY]), 32) < 0.45
    if planted and 0.5 < inside < 1.6 and noise > -0.9:  # along the kerb
        tone = 100.0 + 30.0 * noise
        return Ground(ZONE_WALK, ids.USE_STREET, ids.GRASS, ids.LAWN, tone, 0, z, avenue)
    return Ground(ZONE_WALK, ids.USE_STREET, ids.PAVED, ids.SLABS, shade, 0, z, avenue)


@inlined
def _block_ground(cell: F64, place: Place, z: np.float32) -> Ground:
    kind = int(cell[of.KIND])
    cover, material = ids.PAVED, ids.CONCRETE
    if kind in (ids.PARK, ids.DETACHED):
        cover, material = ids.GRASS, ids.LAWN
    elif kind == ids.SITE:
        cover, material = ids.BARE, ids.SOIL
    elif kind in (ids.INDUSTRY, ids.PARKING):
        material = ids.LOT_ASPHALT
    if cell[of.ALLEY] > 0.0:
        skew = place.side_b.skew if cell[of.ORIENT] == 0.0 else place.side_a.skew
        if abs(skew) * 0.5 < cell[of.ALLEY]:
            shade = 60.0 + 90.0 * unit(int(cell[of.KEY]), 34) + 14.0 * place.noise
            z = np.float32(z - 0.1)
            return Ground(ZONE_STREET, ids.USE_STREET, ids.ROAD, ids.ASPHALT, shade, 0, z, False)
    return Ground(ZONE_LOT, ids.USE_NONE, cover, material, 128.0, 0, z, False)


@inlined
def _cell_ground(
    plan: Plan, cell: F64, a: float, b: float, noise: float, z: np.float32
) -> tuple[Ground, float]:
    """The ground of a point in its cell, and metres from the kerb."""
    side_a, side_b = _nearer_side(cell, 0, a), _nearer_side(cell, 1, b)
    ra, rb = side_a.distance, side_b.distance
    inside = min(ra, rb)
    if ra < _CORNER and rb < _CORNER and ra > -side_a.half and rb > -side_b.half:
        ca, cb = _CORNER - ra, _CORNER - rb
        inside = _CORNER - np.sqrt(ca * ca + cb * cb)
    road = inside <= 0.0
    in_circle = island = False
    paint = 0
    if side_a.avenue and side_b.avenue:
        radius = roundabout_radius(plan, side_a.line, side_b.line)
        if radius > 0.0:
            da, db = ra + side_a.half, rb + side_b.half
            q = np.sqrt(da * da + db * db)
            if q < radius:
                road = in_circle = True
                inside = -1.0
                island = q < radius * 0.45
                paint = 1 if abs(q - radius * 0.45 - 0.5) < 0.12 else 0
            elif q < radius + cell[of.SIDEWALK] and inside > 0.0:
                inside = min(inside, q - radius)
    place = Place(a, b, side_a, side_b, inside, noise)
    if road:
        return _street_ground(cell, place, in_circle, island, paint, z), inside
    z = np.float32(z + 0.13)
    if inside < cell[of.SIDEWALK]:
        return _sidewalk_ground(cell, place, z), inside
    return _block_ground(cell, place, z), inside


@compiled
def paint_ground(plan: Plan, cells: F64, fields: F64, grain: F32, out: Rasters) -> None:
    """Fill the ground rasters of a window.

    Args:
        plan, cells: The city's numbers, and the cells that touch the window.
        fields: Of :func:`smooth_fields`.
        grain: Periodic noise that roughens banks and verges.
        out: Written.
    """
    rows, cols = out.ground.shape
    first_row, first_col = out.row0 // STEP, out.col0 // STEP
    period = grain.shape[0]
    value, left, slope = np.zeros(FIELDS), np.zeros(FIELDS), np.zeros(FIELDS)
    guess = -1
    for r in range(rows):
        world_row = out.row0 + r
        node_row = world_row // STEP - first_row
        t = (world_row - (first_row + node_row) * STEP) / STEP
        node_col = -1
        near = False
        for c in range(cols):
            world_col = out.col0 + c
            column = world_col // STEP - first_col
            if column != node_col:
                node_col = column
                near = _interpolate(fields, node_row, column, t, left, slope)
            s = world_col - (first_col + column) * STEP
            for f in range(FIELDS):
                value[f] = left[f] + slope[f] * s
            a, b = value[0], value[1]
            guess = find_cell(cells, a, b, guess)
            if guess < 0:
                continue
            noise = grain[world_row % period, world_col % period]
            ground, inside = _cell_ground(plan, cells[guess], a, b, noise, np.float32(value[8]))
            if near:
                bridged = ground.avenue and ground.zone in (ZONE_STREET, ZONE_WALK)
                ground, bridged = cross_diagonal(ground, value, a, b, inside, noise, bridged)
                ground, rail = cross_railway(ground, value, noise, bridged)
                if not rail:
                    ground = cross_water(ground, value, noise, bridged)
            out.ground[r, c] = ground.cover
            out.zone[r, c] = ground.zone
            out.material[r, c] = ground.material
            out.tone[r, c] = min(max(ground.tone, 0.0), 255.0)
            out.markings[r, c] = ground.paint if ground.material == ids.ASPHALT else 0
            out.use[r, c] = ground.use
            out.elevation[r, c] = ground.z
