"""Paints the plan's shapes onto the rasters of a window."""

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F64, compiled, inlined, kernel, typed
from cvsegguide.synth.noise import key, unit
from cvsegguide.synth.plan import tables as of
from cvsegguide.synth.plan.rasters import ZONE_LOT, Rasters, pixel_span


@kernel
def roof_height(roof: int, u: float, v: float, hu: float, hv: float, rise: float) -> float:
    """Height above the eaves at (u, v) of a roof over ``[-hu, hu] x [-hv, hv]``, metres."""
    if roof == ids.GABLE:
        if hu >= hv:
            return rise * (1.0 - abs(v) / hv)
        return rise * (1.0 - abs(u) / hu)
    if roof == ids.HIP:
        return rise * min(1.0, min(hu - abs(u), hv - abs(v)) / min(hu, hv))
    if roof == ids.SHED:
        return rise * 0.5 * (1.0 + v / hv)
    if roof == ids.SAWTOOTH:
        return rise * ((u + hu) / 7.0 % 1.0)
    if roof == ids.VAULT:
        f = v / hv if hu >= hv else u / hu
        return float(rise * np.sqrt(max(0.0, 1.0 - f * f)))
    return 0.0


@typed("float64(int64, float64, float64, float64)")
def structure(material: int, u: float, v: float, phase: float) -> float:
    """Change of tone at (u, v) metres of a surface: sheets, seams, slabs, boards, stripes."""
    if material in (ids.MEMBRANE, ids.TAR):
        sheet = v / 1.9 + phase
        at = sheet - np.floor(sheet)
        change = 22.0 * (unit(int(np.floor(sheet)) + int(100.0 * phase), 71) - 0.5)
        return change - 20.0 if at < 0.09 else change
    if material == ids.METAL:
        panel = u / 1.1 + phase
        change = 40.0 * (unit(int(np.floor(panel / 3.0)) + int(100.0 * phase), 72) - 0.5)
        return change + (22.0 if panel - np.floor(panel) < 0.28 else 0.0)
    if material == ids.CONCRETE:
        p, q = u / 2.7 + phase, v / 2.4 + phase
        i, j = int(np.floor(p)), int(np.floor(q))
        change = 34.0 * (unit(key(i, j, int(100.0 * phase), 0), 73) - 0.5)
        return change - 24.0 if p - i < 0.07 or q - j < 0.07 else change
    if material == ids.LOT_ASPHALT:
        p, q = u / 7.5 + phase, v / 11.0 + phase
        return 30.0 * (
            unit(key(int(np.floor(p)), int(np.floor(q)), int(100.0 * phase), 0), 74) - 0.5
        )
    if material == ids.TURF:
        band = u / 9.0 + phase
        return 26.0 if band - np.floor(band) < 0.5 else -14.0
    if material == ids.DECK:
        board = u / 0.9 + phase
        return 40.0 * (unit(int(np.floor(board)), 75) - 0.5)
    if material in (ids.SHINGLE, ids.TILE):
        row = v / 1.3 + phase
        return 30.0 * (unit(int(np.floor(row)) + int(100.0 * phase), 76) - 0.5)
    return 0.0


@inlined
def _is_inside(form: int, u: float, v: float, hu: float, hv: float, phase: float) -> bool:
    """Whether (u, v) metres from its centre lies in a form of half sides ``hu``, ``hv``."""
    if form == ids.RECTANGLE:
        return abs(u) <= hu and abs(v) <= hv
    q = (u / hu) ** 2 + (v / hv) ** 2
    if form != ids.BLOB:
        return q <= 1.0
    if q > 1.8:
        return False
    angle = np.arctan2(v / hv, u / hu)
    limit = (
        1.0
        + 0.16 * np.sin(2.0 * angle + phase)
        + 0.10 * np.sin(3.0 * angle + 2.3 * phase)
        + 0.05 * np.sin(7.0 * angle + 4.1 * phase)
    )
    return bool(q <= limit * limit)


@inlined
def _paint_pixel(
    out: Rasters, shape: F64, r: int, c: int, u: float, v: float, phase: float
) -> None:
    """Do to a pixel at (u, v) metres of a shape what the shape does."""
    operation, kind, shade = int(shape[of.OP]), int(shape[of.MATERIAL]), shape[of.TONE]
    identity = int(shape[of.ID])
    built = out.building_id[r, c]
    if operation == ids.PAINT:
        if built == 0:
            out.ground[r, c] = int(shape[of.CLASS])
            out.material[r, c] = kind
            out.tone[r, c] = min(max(shade + structure(kind, u, v, phase), 0.0), 255.0)
            out.markings[r, c] = 0
            if shape[of.USE] > 0:
                out.use[r, c] = shape[of.USE]
    elif operation == ids.MARK:
        if built == 0:
            out.markings[r, c] = shade
    elif operation == ids.BUILDING:
        # v runs to the left of the frame's t when the frame is mirrored; sheds fall outward either
        # way, as seen from above that only swaps their sides
        hu, hv, eaves, rise = shape[of.HU], shape[of.HV], shape[of.HEIGHT], shape[of.RISE]
        roof = int(shape[of.ROOF])
        height = eaves + roof_height(roof, u, v, hu, hv, rise)
        if roof == ids.FLAT and rise > 0.0 and min(hu - abs(u), hv - abs(v)) < 0.28:
            height = eaves + rise
            kind = ids.COPING
        if built == 0 or height > out.roof[r, c]:
            out.building_id[r, c] = identity
            out.roof[r, c] = height
            out.ground[r, c] = ids.HOUSE
            out.material[r, c] = kind
            out.tone[r, c] = min(max(shade + structure(kind, u, v, phase), 0.0), 255.0)
            out.markings[r, c] = 0
            out.age[r, c] = shape[of.AGE]
            out.function[r, c] = shape[of.FUNCTION]
    elif built == identity:  # on a roof
        if kind != 0:
            out.material[r, c] = kind
            out.tone[r, c] = shade
            out.roof[r, c] = max(out.roof[r, c], shape[of.HEIGHT])
        elif out.material[r, c] != ids.COPING:
            out.tone[r, c] = min(max(out.tone[r, c] + shade - 128.0, 0.0), 255.0)


@compiled
def paint_shapes(shapes: F64, out: Rasters) -> None:
    """Paint shapes in their order; only inside lots, never over streets or corridors."""
    rows, cols = out.ground.shape
    for n in range(shapes.shape[0]):
        shape = shapes[n]
        hu, hv = shape[of.HU], shape[of.HV]
        if hu <= 0.0 or hv <= 0.0:
            continue
        x, y, ex, ey = shape[of.X], shape[of.Y], shape[of.EX], shape[of.EY]
        reach_x = abs(ex) * hu + abs(ey) * hv
        reach_y = abs(ey) * hu + abs(ex) * hv
        form = int(shape[of.FORM])
        if form == ids.BLOB:
            reach_x = reach_y = 1.35 * max(hu, hv)
        c_low, c_high = pixel_span(x, reach_x, out.gsd, out.col0, cols)
        r_low, r_high = pixel_span(y, reach_y, out.gsd, out.row0, rows)
        phase = (x * 0.37 + y * 0.53) % 6.2832
        for r in range(r_low, r_high + 1):
            dy = (out.row0 + r + 0.5) * out.gsd - y
            for c in range(c_low, c_high + 1):
                if out.zone[r, c] == ZONE_LOT:
                    dx = (out.col0 + c + 0.5) * out.gsd - x
                    u = dx * ex + dy * ey
                    v = dy * ex - dx * ey
                    if _is_inside(form, u, v, hu, hv, phase):
                        _paint_pixel(out, shape, r, c, u, v, phase)
