"""The ground of every pixel: roads, sidewalks, block interiors, corridors, paint, wear."""

import numpy as np

from cvsegguide.synth.compiled import F32, F64, U8, compiled, inlined
from cvsegguide.synth.noise import key, unit
from cvsegguide.synth.plan.fields import DIAGONAL, RAIL, WATER, Plan, corridor, elevation, to_plan
from cvsegguide.synth.plan.network import ROUNDABOUTS, find_cell
from cvsegguide.synth.plan.tables import (
    A0,
    A1,
    ALLEY,
    ASPHALT,
    B0,
    B1,
    BALLAST,
    CONCRETE,
    CROSS0,
    CROSS1,
    DETACHED,
    GRAVEL,
    HA0,
    HA1,
    HB0,
    HB1,
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
    ORIENT,
    PARK,
    PARKING,
    PLANTING,
    SIDEWALK,
    SITE,
    SLABS,
    SOIL,
    STEEL,
    USE_STREET,
    USE_TRANSPORT,
    USE_WATER,
    WATERBODY,
)

STEP = 16
"""Pixels between the nodes at which the smooth fields are evaluated."""
FIELDS = 9  # a, b, (distance, half width) x 3, elevation

ZONE_STREET, ZONE_WALK, ZONE_LOT, ZONE_CORRIDOR = range(4)


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


@compiled
def roundabout_radius(plan: Plan, line_a: int, line_b: int) -> float:
    """Outer radius in metres of the roundabout where two avenues meet; 0 when there is none."""
    hashed = key(plan.seed, 77, line_a, line_b)
    if unit(hashed, 0) < plan.numbers[ROUNDABOUTS]:
        return 15.0 + 5.0 * unit(hashed, 1)
    return 0.0


@inlined("int64(float64, float64, float64, boolean, int64)")
def _street_paint(along: float, across: float, half: float, avenue: bool, hashed: int) -> int:
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


@inlined("int64(float64, float64, float64, int64)")
def _crossing(end: float, across: float, half: float, hashed: int) -> int:
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


@compiled
def paint_ground(
    plan: Plan,
    cells: F64,
    fields: F64,
    row0: int,
    col0: int,
    gsd: float,
    grain: F32,
    ground: U8,
    zone: U8,
    material: U8,
    tone: U8,
    markings: U8,
    use: U8,
    heights: F32,
) -> None:
    """Fill the ground rasters of a window whose first pixel is (row0, col0) of the world.

    ``grain`` is a periodic noise texture that roughens banks and verges.
    """
    rows, cols = ground.shape
    first_row, first_col = row0 // STEP, col0 // STEP
    period = grain.shape[0]
    value = np.zeros(FIELDS)
    left = np.zeros(FIELDS)
    slope = np.zeros(FIELDS)
    guess = -1
    for r in range(rows):
        world_row = row0 + r
        node_row = world_row // STEP - first_row
        t = (world_row - (first_row + node_row) * STEP) / STEP
        node_col = -1
        near = False
        for c in range(cols):
            world_col = col0 + c
            column = world_col // STEP - first_col
            if column != node_col:
                node_col = column
                near = False
                for f in range(FIELDS):
                    v00 = fields[node_row, column, f]
                    v01 = fields[node_row, column + 1, f]
                    v10 = fields[node_row + 1, column, f]
                    v11 = fields[node_row + 1, column + 1, f]
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
            s = world_col - (first_col + column) * STEP
            for f in range(FIELDS):
                value[f] = left[f] + slope[f] * s
            a, b = value[0], value[1]
            if guess < 0 or not (
                cells[guess, A0] <= a < cells[guess, A1]
                and cells[guess, B0] <= b < cells[guess, B1]
            ):
                guess = find_cell(cells, a, b)
                if guess < 0:
                    continue
            cell = cells[guess]
            noise = grain[world_row % period, world_col % period]
            heights[r, c] = value[8]
            da0 = a - cell[A0] - cell[HA0]
            da1 = cell[A1] - cell[HA1] - a
            db0 = b - cell[B0] - cell[HB0]
            db1 = cell[B1] - cell[HB1] - b
            # nearest kerb in each direction, with the side that it is on
            if da0 < da1:
                ra, ha, avenue_a, line_a = da0, cell[HA0], cell[MA0] > 0, int(cell[LA0])
            else:
                ra, ha, avenue_a, line_a = da1, cell[HA1], cell[MA1] > 0, int(cell[LA1])
            if db0 < db1:
                rb, hb, avenue_b, line_b = db0, cell[HB0], cell[MB0] > 0, int(cell[LB0])
            else:
                rb, hb, avenue_b, line_b = db1, cell[HB1], cell[MB1] > 0, int(cell[LB1])
            walk = cell[SIDEWALK]
            corner = 4.5
            if ra < corner and rb < corner and ra > -ha and rb > -hb:
                ca, cb = corner - ra, corner - rb
                inside = corner - np.sqrt(ca * ca + cb * cb)
            else:
                inside = min(ra, rb)
            paint = 0
            road = inside <= 0.0
            avenue = False
            island = False
            if avenue_a and avenue_b:
                radius = roundabout_radius(plan, line_a, line_b)
                if radius > 0.0:
                    da, db = ra + ha, rb + hb
                    q = np.sqrt(da * da + db * db)
                    if q < radius:
                        road = True
                        inside = -1.0
                        island = q < radius * 0.45
                        avenue = True
                        if abs(q - radius * 0.45 - 0.5) < 0.12:
                            paint = 1
                    elif q < radius + walk and inside > 0.0:
                        inside = min(inside, q - radius)
            kind_of_ground = 7
            kind = SLABS
            shade = 128.0
            place = ZONE_LOT
            land = 0
            if road:
                place = ZONE_STREET
                land = USE_STREET
                kind_of_ground = 6
                kind = ASPHALT
                in_a = ra <= 0.0
                in_b = rb <= 0.0
                # tone: the street's age, patches, tyre tracks
                line = line_a if in_a else line_b
                shade = 60.0 + 110.0 * unit(line, 21)
                if in_a != in_b and not island:
                    if in_a:
                        across, half, is_avenue, end = ra + ha, ha, avenue_a, rb
                        side = -1.0 if da0 < da1 else 1.0
                        along_street = b
                        end_avenue = avenue_b
                    else:
                        across, half, is_avenue, end = rb + hb, hb, avenue_b, ra
                        side = -1.0 if db0 < db1 else 1.0
                        along_street = a
                        end_avenue = avenue_a
                    avenue = avenue or is_avenue
                    if inside > -1e9 and paint == 0:
                        parallel_long = (cell[ORIENT] == 1.0) == in_a
                        low_end = da0 < da1 if cell[ORIENT] == 0.0 else db0 < db1
                        crossing = (
                            end_avenue
                            if is_avenue
                            else (
                                not parallel_long
                                or (cell[CROSS0] if low_end else cell[CROSS1]) > 0.0
                            )
                        )
                        if end < 6.0:
                            if crossing:
                                paint = _crossing(end, across * side, half, line)
                        else:
                            paint = _street_paint(
                                along_street, across * side, half, is_avenue, line
                            )
                    if is_avenue and half > 11.0 and across < 1.5 and end > 9.0:
                        island = True
                    # darker where tyres run and oil drips, lighter between
                    track = abs(across - 0.35 * half)
                    shade += 14.0 * np.cos(track * 3.6)
                    patch = unit(
                        key(line, int(np.floor(along_street / 7.0)), int(across > half * 0.5), 3), 0
                    )
                    if patch < 0.10:
                        shade -= 38.0
                    elif patch > 0.94:
                        shade += 30.0
                    joint = (along_street * 0.066 + unit(line, 22)) % 1.0
                    if joint < 0.012 and unit(line, 23) < 0.5:
                        shade -= 60.0
                    elif abs(across - 0.1) < 0.12 and paint == 0:
                        shade -= 30.0
                elif in_a and in_b:
                    avenue = avenue or avenue_a or avenue_b
                    shade = 60.0 + 110.0 * unit(line_a if avenue_a else line_b, 21)
                shade += 9.0 * noise
                if island:
                    paint = 0
                    kind_of_ground = 2
                    kind = LAWN
                    shade = 110.0 + 30.0 * noise
            elif inside < walk:
                place = ZONE_WALK
                land = USE_STREET
                heights[r, c] += 0.13
                shade = 100.0 + 70.0 * unit(int(cell[KEY]), 31)
                flag_a = int(np.floor(a / 1.5))
                flag_b = int(np.floor(b / 1.5))
                shade += 46.0 * (unit(key(flag_a, flag_b, 5, 0), 0) - 0.5)
                if a / 1.5 - flag_a < 0.08 or b / 1.5 - flag_b < 0.08:
                    shade -= 26.0
                if inside < 0.3:
                    shade += 40.0
                avenue = (avenue_a and ra < walk) or (avenue_b and rb < walk)
                beside = line_a if ra < rb else line_b
                strip = beside & 3 == 0 and unit(int(cell[KEY]), 32) < 0.45
                if strip and 0.5 < inside < 1.6 and noise > -0.9:  # planting along the kerb
                    kind_of_ground = 2
                    kind = LAWN
                    shade = 100.0 + 30.0 * noise
            else:
                heights[r, c] += 0.13
                what = int(cell[KIND])
                if what in (PARK, DETACHED):
                    kind_of_ground = 2
                    kind = LAWN
                elif what == SITE:
                    kind_of_ground = 3
                    kind = SOIL
                elif what in (INDUSTRY, PARKING):
                    kind = LOT_ASPHALT
                else:
                    kind = CONCRETE
                if cell[ALLEY] > 0.0:
                    off = abs(db0 - db1) * 0.5 if cell[ORIENT] == 0.0 else abs(da0 - da1) * 0.5
                    if off < cell[ALLEY]:
                        place = ZONE_STREET
                        land = USE_STREET
                        kind_of_ground = 6
                        kind = ASPHALT
                        shade = 60.0 + 90.0 * unit(int(cell[KEY]), 34) + 14.0 * noise
                        heights[r, c] -= 0.1
            if near:
                bridged = avenue and place in (ZONE_STREET, ZONE_WALK)
                off = abs(value[2 + 2 * DIAGONAL])
                half = value[3 + 2 * DIAGONAL]
                if off < half + 4.0:
                    if off < half:
                        if not (place == ZONE_STREET and kind == ASPHALT):
                            heights[r, c] -= 0.13
                        place = ZONE_STREET
                        kind_of_ground = 6
                        kind = ASPHALT
                        shade = 95.0 + 14.0 * np.cos(3.6 * (off - 0.35 * half)) + 9.0 * noise
                        paint = 0
                        if inside > 3.0 and 0.12 < off < 0.34:
                            paint = 2
                        elif inside > 3.0 and abs(off - half + 2.5) < 0.09:
                            paint = 1
                    elif place != ZONE_STREET:
                        place = ZONE_WALK
                        kind_of_ground = 7
                        kind = SLABS
                        shade = 120.0 + 25.0 * (
                            unit(key(int(a / 1.5), int(b / 1.5), 5, 0), 0) - 0.5
                        )
                    land = USE_STREET
                    bridged = True
                off = abs(value[2 + 2 * RAIL])
                half = value[3 + 2 * RAIL]
                rail = False
                if off < half + 5.0:
                    if off < half and not (bridged and place == ZONE_STREET):
                        rail = True
                        place = ZONE_CORRIDOR
                        land = USE_TRANSPORT
                        kind_of_ground = 8
                        kind = BALLAST
                        paint = 0
                        track = off - 4.2 * np.round(off / 4.2 - 0.5) - 2.1
                        shade = 110.0 + 30.0 * noise
                        if abs(abs(track) - 0.72) < 0.13:
                            kind = STEEL
                        elif abs(track) < 1.25:
                            shade -= 35.0
                    elif place in (ZONE_LOT, ZONE_WALK) and not bridged:
                        rail = off < half
                        place = ZONE_CORRIDOR
                        land = USE_TRANSPORT
                        if off < half + 1.5 + 0.5 * noise:
                            kind_of_ground, kind = 7, GRAVEL
                        else:
                            kind_of_ground, kind = 2, (MEADOW if noise < 0.6 else PLANTING)
                        shade = 110.0 + 35.0 * noise
                off = abs(value[2 + 2 * WATER])
                half = value[3 + 2 * WATER]
                if off < half + 6.0 and not rail:
                    wet = off < half + 0.3 * noise
                    if wet and not bridged:
                        place = ZONE_CORRIDOR
                        land = USE_WATER
                        kind_of_ground = 4
                        kind = WATERBODY
                        paint = 0
                        shade = 110.0
                        heights[r, c] -= 1.3
                    elif place in (ZONE_LOT, ZONE_WALK) and not bridged:
                        place = ZONE_CORRIDOR
                        land = USE_WATER
                        if off < half + 1.2:
                            kind_of_ground, kind = 7, GRAVEL
                        else:
                            kind_of_ground, kind = 2, (MEADOW if noise < 0.8 else PLANTING)
                        shade = 120.0 + 35.0 * noise
            ground[r, c] = kind_of_ground
            zone[r, c] = place
            material[r, c] = kind
            tone[r, c] = min(max(shade, 0.0), 255.0)
            markings[r, c] = paint if kind == ASPHALT else 0
            use[r, c] = land
