"""Light that leaves the scene towards the camera: the inner loop of the overhead photograph."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F32, I32, U8, compiled, inlined
from cvsegguide.synth.noise import unit
from cvsegguide.synth.plan.tables import (
    ASPHALT,
    LAWN,
    MEADOW,
    MEMBRANE,
    METAL,
    PLANTING,
    SHINGLE,
    TAR,
    TURF,
    WATERBODY,
)


class Surfaces(NamedTuple):
    """Rasters that the shader reads, all ``(H, W)``, heights in metres above the ground.

    ``crown`` is the crown surface where leaves hide what is below, 0 elsewhere; ``twigs`` marks
    bare crowns; ``objects`` is the height of vehicles and furniture.
    """

    ground: U8
    material: U8
    tone: U8
    markings: U8
    identity: I32
    roof: F32
    crown: F32
    twigs: U8
    species: U8
    objects: F32
    object_color: F32
    covered: U8
    surface: F32
    shadow: F32
    leaf_shadow: F32
    around: F32
    tall: F32


class Light(NamedTuple):
    """Numbers and tables of one photograph.

    ``numbers``: see :func:`~cvsegguide.synth.overhead.render.render_overhead`.
    """

    numbers: F32
    palette: F32
    grain: F32
    leaves: F32
    facades: F32
    shingles: F32
    metals: F32
    fine: F32
    medium: F32
    coarse: F32


SUN_R, SUN_C, SUN_Z, SKY, LEAN_R, LEAN_C, GSD, DRY, LEAF_LIGHT, FACADE_SUN, TWIG = range(11)


@inlined
def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@compiled
def _albedo(
    light: Light,
    material: int,
    tone: float,
    identity: int,
    fine: float,
    medium: float,
    coarse: float,
    out: F32,
) -> None:
    """Linear reflectance of a surface into ``out[0:3]``."""
    if material == SHINGLE and identity != 0:
        pick = int(unit(identity, 61) * light.shingles.shape[0])
        gain = 0.85 + tone / 255.0 * 0.35
        for k in range(3):
            out[k] = light.shingles[pick, k] * gain
    elif material == METAL:
        pick = int(tone / 256.0 * light.metals.shape[0])
        for k in range(3):
            out[k] = light.metals[pick, k]
    else:
        at = tone * (3.0 / 255.0)
        stop = min(int(at), 2)
        t = at - stop
        for k in range(3):
            low = light.palette[material, stop, k]
            out[k] = low + (light.palette[material, stop + 1, k] - low) * t
    row = light.grain[material]
    if material in (MEMBRANE, TAR):
        # stains where water stands, lighter repairs
        if coarse > 0.6:
            coarse = 0.6 + 0.3 * (coarse - 0.6)
        elif coarse < -0.7:
            coarse *= 1.8
    gain = 1.0 + row[0] * fine + row[1] * medium + row[2] * coarse
    gain = _clip(gain, 0.3, 1.9)
    hue = row[3] * coarse
    if material in (LAWN, MEADOW, TURF, PLANTING):
        hue += light.numbers[DRY]
    out[0] *= gain * (1.0 + hue)
    out[1] *= gain * (1.0 + 0.25 * hue)
    out[2] *= gain * (1.0 - 0.3 * hue)


@compiled
def _facade(light: Light, identity: int, z: float, along: float, out: F32) -> None:
    pick = int(unit(identity, 62) * light.facades.shape[0])
    floor = z % 3.1
    bay = (along * 0.38) % 1.0
    window = 0.9 < floor < 2.4 and bay < 0.45 and z > 1.0
    for k in range(3):
        out[k] = 0.03 if window else light.facades[pick, k]


@compiled
def _shade(s: Surfaces, light: Light, r: int, c: int, row0: int, col0: int, out: F32) -> None:
    """Radiance of the top surface of pixel (r, c)."""
    rows, cols = s.ground.shape
    n = light.numbers
    wr, wc = row0 + r, col0 + c
    size_f, size_m, size_c = light.fine.shape[0], light.medium.shape[0], light.coarse.shape[0]
    fine = light.fine[wr % size_f, wc % size_f]
    medium = light.medium[wr % size_m, wc % size_m]
    coarse = light.coarse[wr % size_c, wc % size_c]
    up, down = max(r - 1, 0), min(r + 1, rows - 1)
    west, east = max(c - 1, 0), min(c + 1, cols - 1)
    slope_r = slope_c = 0.0
    crown = s.crown[r, c]
    z = s.surface[r, c]
    occlusion = 1.0
    leafy = False
    gloss = 0.0
    if crown > 0.0:
        leafy = True
        label = s.species[r, c]
        species = ((label - 1) & 7) if label > 0 else 0
        variant = label >> 3
        span = 1.0 / (2.0 * n[GSD])
        if s.crown[up, c] > 0 and s.crown[down, c] > 0:
            slope_r = (s.crown[down, c] - s.crown[up, c]) * span
        if s.crown[r, west] > 0 and s.crown[r, east] > 0:
            slope_c = (s.crown[r, east] - s.crown[r, west]) * span
        slope_r = _clip(slope_r, -1.6, 1.6) + 0.55 * (medium - light.medium[(wr - 2) % size_m, wc % size_m]) * 2.0
        slope_c = _clip(slope_c, -1.6, 1.6) + 0.55 * (medium - light.medium[wr % size_m, (wc - 2) % size_m]) * 2.0
        bright = 0.82 + 0.36 * unit(variant + 11, 3)
        warm = 0.16 * (unit(variant + 11, 4) - 0.5) + 0.5 * n[DRY]
        texture = _clip(1.0 + 0.26 * fine + 0.20 * medium, 0.25, 1.9)
        out[0] = light.leaves[species, 0] * bright * texture * (1.0 + warm)
        out[1] = light.leaves[species, 1] * bright * texture
        out[2] = light.leaves[species, 2] * bright * texture * (1.0 - 0.5 * warm)
        if fine + medium < -1.5:  # gaps that look into the dark
            for k in range(3):
                out[k] *= 0.55
    elif s.covered[r, c]:
        for k in range(3):
            out[k] = s.object_color[r, c, k]
        gloss = 0.05
    else:
        material = int(s.material[r, c])
        identity = int(s.identity[r, c])
        _albedo(light, material, float(s.tone[r, c]), identity, fine, medium, coarse, out)
        if identity != 0:
            scale = 1.0 / (2.0 * n[GSD])
            dr = s.roof[down, c] - s.roof[up, c]
            dc = s.roof[r, east] - s.roof[r, west]
            if s.identity[up, c] == identity and s.identity[down, c] == identity and abs(dr) < 0.9:
                slope_r = dr * scale
            if s.identity[r, west] == identity and s.identity[r, east] == identity and abs(dc) < 0.9:
                slope_c = dc * scale
            if material == METAL:
                gloss = 0.02
        elif s.markings[r, c] > 0 and material != WATERBODY:
            wear = _clip(0.75 + 0.16 * medium + 0.12 * fine, 0.0, 1.0)
            if s.markings[r, c] == 1:
                out[0] += (0.62 - out[0]) * wear
                out[1] += (0.61 - out[1]) * wear
                out[2] += (0.58 - out[2]) * wear
            else:
                out[0] += (0.52 - out[0]) * wear
                out[1] += (0.36 - out[1]) * wear
                out[2] += (0.10 - out[2]) * wear
        elif material == ASPHALT and fine > 2.6:
            for k in range(3):
                out[k] *= 0.7
        if material in (MEADOW, PLANTING):
            slope_r = 0.5 * (medium - light.medium[(wr - 2) % size_m, wc % size_m]) * 1.6
            slope_c = 0.5 * (medium - light.medium[wr % size_m, (wc - 2) % size_m]) * 1.6
    # light
    shaded = _clip((s.shadow[r, c] - z - 0.05) / 0.35, 0.0, 1.0)
    direct = 1.0 - shaded
    leaf = s.leaf_shadow[r, c] - z
    if leaf > 0.1:
        cover = _clip(leaf / 0.6, 0.0, 1.0)
        through = n[LEAF_LIGHT]
        if leafy:
            through = max(through, 0.30)
            cover = _clip(leaf / 1.6, 0.0, 1.0)
        elif medium + 0.7 * fine > 1.5 and through < 0.5:
            through += 0.35
        direct *= 1.0 - cover * (1.0 - through)
    norm = 1.0 / np.sqrt(1.0 + slope_r * slope_r + slope_c * slope_c)
    facing = (n[SUN_Z] - slope_r * n[SUN_R] - slope_c * n[SUN_C]) * norm
    if facing < 0.0:
        facing = 0.0
    cell_r = (wr >> 3) - (row0 >> 3)
    cell_c = (wc >> 3) - (col0 >> 3)
    around = s.around[cell_r, cell_c]
    # bilinear over cells costs more than it shows: the grain hides the steps
    occlusion = 1.0 / (1.0 + 0.17 * max(0.0, around - z))
    if leafy:
        occlusion *= 0.55 + 0.45 * norm
    total = direct * facing + n[SKY] * occlusion
    for k in range(3):
        sky_tint = 0.93 if k == 0 else (1.0 if k == 1 else 1.12)
        out[k] = out[k] * (direct * facing + n[SKY] * occlusion * sky_tint) + gloss * direct
    if s.twigs[r, c] and not leafy:
        label = s.species[r, c]
        species = ((label - 1) & 7) if label > 0 else 0
        branch = _clip(n[TWIG] + 0.22 * fine + 0.12 * medium, 0.0, 0.85)
        for k in range(3):
            out[k] += (light.leaves[species, k] * total * 0.8 - out[k]) * branch


@compiled
def radiance(s: Surfaces, light: Light, row0: int, col0: int, r0: int, r1: int, c0: int, c1: int,
             out: F32) -> None:  # fmt: skip
    """What the camera sees of rows r0..r1, columns c0..c1 into ``out (r1 - r0, c1 - c0, 3)``.

    The camera leans: a surface at height z shows displaced by ``lean * z``. For each pixel the
    line of sight is followed from the tallest thing around down to the first surface.
    """
    n = light.numbers
    rows, cols = s.ground.shape
    lean_r, lean_c = n[LEAN_R], n[LEAN_C]  # pixels per metre
    lean = max(np.sqrt(lean_r * lean_r + lean_c * lean_c), 1e-6)
    step = 0.7 / lean
    color = np.zeros(3, np.float32)
    for r in range(r0, r1):
        for c in range(c0, c1):
            top = s.tall[r >> 4, c >> 4]
            steps = int(np.ceil(top / step))
            done = False
            for k in range(steps, 0, -1):
                z = k * step
                qr = int(np.floor(r + 0.5 - lean_r * z))
                qc = int(np.floor(c + 0.5 - lean_c * z))
                if qr < 0 or qr >= rows or qc < 0 or qc >= cols:
                    continue
                surface = s.surface[qr, qc]
                if surface < z - 0.5 * step:
                    continue
                if surface <= z + 1.1 * step or s.crown[qr, qc] > 0.0:
                    _shade(s, light, qr, qc, row0, col0, color)
                    if surface > z + 1.6 * step:  # the side of a crown
                        for i in range(3):
                            color[i] *= 0.75
                elif s.identity[qr, qc] != 0:
                    along = (col0 + qc) * lean_r - (row0 + qr) * lean_c
                    _facade(light, int(s.identity[qr, qc]), z, along / lean * n[GSD], color)
                    shaded = _clip((s.shadow[qr, qc] - z) / 0.4, 0.0, 1.0)
                    sky = n[SKY] * 0.55 / (1.0 + 0.1 * max(0.0, s.around[
                        ((row0 + qr) >> 3) - (row0 >> 3), ((col0 + qc) >> 3) - (col0 >> 3)] - z))  # fmt: skip
                    glow = n[FACADE_SUN] * (1.0 - shaded) + sky
                    for i in range(3):
                        color[i] *= glow
                else:
                    _shade(s, light, qr, qc, row0, col0, color)
                    for i in range(3):
                        color[i] *= 0.7
                done = True
                break
            if not done:
                _shade(s, light, r, c, row0, col0, color)
            out[r - r0, c - c0, 0] = color[0]
            out[r - r0, c - c0, 1] = color[1]
            out[r - r0, c - c0, 2] = color[2]


@compiled
def spread_tall(tall: F32, lean_r: float, lean_c: float) -> F32:
    """Maximum of ``tall`` over what may lean into each 16-pixel cell."""
    rows, cols = tall.shape
    out = tall.copy()
    for i in range(rows):
        for j in range(cols):
            h = tall[i, j]
            if h <= 0.0:
                continue
            dr, dc = lean_r * h / 16.0, lean_c * h / 16.0
            i0, i1 = int(np.floor(i + min(dr, 0.0) - 0.1)), int(np.ceil(i + max(dr, 0.0) + 0.1))
            j0, j1 = int(np.floor(j + min(dc, 0.0) - 0.1)), int(np.ceil(j + max(dc, 0.0) + 0.1))
            for a in range(max(i0, 0), min(i1, rows - 1) + 1):
                for b in range(max(j0, 0), min(j1, cols - 1) + 1):
                    if out[a, b] < h:
                        out[a, b] = h
    return out


