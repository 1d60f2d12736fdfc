"""Paints the plan's shapes and the trees' crowns onto the rasters of a window."""

import numpy as np

from cvsegguide.synth.compiled import F32, F64, I32, U8, U16, compiled, inlined
from cvsegguide.synth.noise import key, unit
from cvsegguide.synth.plan.ground import ZONE_LOT
from cvsegguide.synth.plan.tables import (
    AGE,
    BLOB,
    BUILDING,
    CLASS,
    CONCRETE,
    COPING,
    DECK,
    EX,
    EY,
    FLAT,
    FORM,
    FUNCTION,
    GABLE,
    HEIGHT,
    HIP,
    HU,
    HV,
    ID,
    LOT_ASPHALT,
    MARK,
    MATERIAL,
    MEMBRANE,
    METAL,
    ON_ROOF,
    OP,
    PAINT,
    RECTANGLE,
    RISE,
    ROOF,
    SAWTOOTH,
    SHED,
    SHINGLE,
    TAR,
    TILE,
    TONE,
    TURF,
    USE,
    VAULT,
    X,
    Y,
)


@compiled
def roof_height(roof: int, u: float, v: float, hu: float, hv: float, rise: float) -> float:
    """Height above the eaves at (u, v) of a roof over ``[-hu, hu] x [-hv, hv]``, metres."""
    if roof == GABLE:
        if hu >= hv:
            return rise * (1.0 - abs(v) / hv)
        return rise * (1.0 - abs(u) / hu)
    if roof == HIP:
        return rise * min(1.0, min(hu - abs(u), hv - abs(v)) / min(hu, hv))
    if roof == SHED:
        return rise * 0.5 * (1.0 + v / hv)
    if roof == SAWTOOTH:
        return rise * ((u + hu) / 7.0 % 1.0)
    if roof == VAULT:
        f = v / hv if hu >= hv else u / hu
        return float(rise * np.sqrt(max(0.0, 1.0 - f * f)))
    return 0.0


@inlined("float64(int64, float64, float64, float64)")
def structure(material: int, u: float, v: float, phase: float) -> float:
    """Change of tone at (u, v) metres of a surface: sheets, seams, slabs, boards, stripes."""
    if material in (MEMBRANE, TAR):
        sheet = v / 1.9 + phase
        at = sheet - np.floor(sheet)
        change = 22.0 * (unit(int(np.floor(sheet)) + int(100.0 * phase), 71) - 0.5)
        return change - 20.0 if at < 0.09 else change
    if material == METAL:
        panel = u / 1.1 + phase
        change = 40.0 * (unit(int(np.floor(panel / 3.0)) + int(100.0 * phase), 72) - 0.5)
        return change + (22.0 if panel - np.floor(panel) < 0.28 else 0.0)
    if material == CONCRETE:
        p, q = u / 2.7 + phase, v / 2.4 + phase
        i, j = int(np.floor(p)), int(np.floor(q))
        change = 34.0 * (unit(key(i, j, int(100.0 * phase), 0), 73) - 0.5)
        return change - 24.0 if p - i < 0.07 or q - j < 0.07 else change
    if material == LOT_ASPHALT:
        p, q = u / 7.5 + phase, v / 11.0 + phase
        return 30.0 * (
            unit(key(int(np.floor(p)), int(np.floor(q)), int(100.0 * phase), 0), 74) - 0.5
        )
    if material == TURF:
        band = u / 9.0 + phase
        return 26.0 if band - np.floor(band) < 0.5 else -14.0
    if material == DECK:
        board = u / 0.9 + phase
        return 40.0 * (unit(int(np.floor(board)), 75) - 0.5)
    if material in (SHINGLE, TILE):
        row = v / 1.3 + phase
        return 30.0 * (unit(int(np.floor(row)) + int(100.0 * phase), 76) - 0.5)
    return 0.0


@compiled
def paint_shapes(
    shapes: F64,
    row0: int,
    col0: int,
    gsd: float,
    zone: U8,
    ground: U8,
    material: U8,
    tone: U8,
    markings: U8,
    use: U8,
    age: U8,
    function: U16,
    building_id: I32,
    building_height: F32,
) -> None:
    """Paint shapes in their order; only inside lots, never over streets or corridors."""
    rows, cols = ground.shape
    for n in range(shapes.shape[0]):
        shape = shapes[n]
        hu, hv = shape[HU], shape[HV]
        if hu <= 0.0 or hv <= 0.0:
            continue
        ex, ey = shape[EX], shape[EY]
        reach_x = abs(ex) * hu + abs(ey) * hv
        reach_y = abs(ey) * hu + abs(ex) * hv
        form = int(shape[FORM])
        if form == BLOB:
            reach_x = reach_y = 1.35 * max(hu, hv)
        c_low = max(0, int(np.floor((shape[X] - reach_x) / gsd)) - col0)
        c_high = min(cols - 1, int(np.floor((shape[X] + reach_x) / gsd)) - col0)
        r_low = max(0, int(np.floor((shape[Y] - reach_y) / gsd)) - row0)
        r_high = min(rows - 1, int(np.floor((shape[Y] + reach_y) / gsd)) - row0)
        op = int(shape[OP])
        kind = int(shape[MATERIAL])
        shade = shape[TONE]
        identity = int(shape[ID])
        eaves, rise = shape[HEIGHT], shape[RISE]
        roof = int(shape[ROOF])
        landcover = int(shape[CLASS])
        phase = (shape[X] * 0.37 + shape[Y] * 0.53) % 6.2832
        for r in range(r_low, r_high + 1):
            dy = (row0 + r + 0.5) * gsd - shape[Y]
            for c in range(c_low, c_high + 1):
                if zone[r, c] != ZONE_LOT:
                    continue
                dx = (col0 + c + 0.5) * gsd - shape[X]
                u = dx * ex + dy * ey
                v = dy * ex - dx * ey
                if form == RECTANGLE:
                    if abs(u) > hu or abs(v) > hv:
                        continue
                else:
                    q = (u / hu) ** 2 + (v / hv) ** 2
                    if form == BLOB:
                        if q > 1.8:
                            continue
                        angle = np.arctan2(v / hv, u / hu)
                        limit = (
                            1.0
                            + 0.16 * np.sin(2.0 * angle + phase)
                            + 0.10 * np.sin(3.0 * angle + 2.3 * phase)
                            + 0.05 * np.sin(7.0 * angle + 4.1 * phase)
                        )
                        if q > limit * limit:
                            continue
                    elif q > 1.0:
                        continue
                if op == PAINT:
                    if building_id[r, c] != 0:
                        continue
                    ground[r, c] = landcover
                    material[r, c] = kind
                    tone[r, c] = min(max(shade + structure(kind, u, v, phase), 0.0), 255.0)
                    markings[r, c] = 0
                    if shape[USE] > 0:
                        use[r, c] = shape[USE]
                elif op == MARK:
                    if building_id[r, c] == 0:
                        markings[r, c] = shade
                elif op == BUILDING:
                    # v runs to the left of the frame's t when the frame is mirrored; sheds fall
                    # outward either way, as seen from above that only swaps their sides
                    h = eaves + roof_height(roof, u, v, hu, hv, rise)
                    cover = kind
                    if roof == FLAT and rise > 0.0:
                        edge = min(hu - abs(u), hv - abs(v))
                        if edge < 0.28:
                            h = eaves + rise
                            cover = COPING
                    if building_id[r, c] == 0 or h > building_height[r, c]:
                        building_id[r, c] = identity
                        building_height[r, c] = h
                        ground[r, c] = 5
                        material[r, c] = cover
                        tone[r, c] = min(max(shade + structure(cover, u, v, phase), 0.0), 255.0)
                        markings[r, c] = 0
                        age[r, c] = shape[AGE]
                        function[r, c] = shape[FUNCTION]
                elif op == ON_ROOF and building_id[r, c] == identity:
                    if kind == 0:
                        if material[r, c] != COPING:
                            tone[r, c] = min(max(tone[r, c] + shade - 128.0, 0.0), 255.0)
                    else:
                        material[r, c] = kind
                        tone[r, c] = shade
                        if eaves > building_height[r, c]:
                            building_height[r, c] = eaves
