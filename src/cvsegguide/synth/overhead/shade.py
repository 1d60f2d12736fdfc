"""Light that leaves the scene towards the camera: the inner loop of the overhead photograph."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F32, I32, U8, compiled, inlined
from cvsegguide.synth.noise import unit
from cvsegguide.synth.plan.tables import (
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


@inlined("float64(float64, float64, float64)")
def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@compiled
def radiance(s: Surfaces, light: Light, row0: int, col0: int, r0: int, r1: int, c0: int, c1: int,
             out: F32) -> None:  # fmt: skip
    """What the camera sees of rows r0..r1, columns c0..c1 into ``out (r1 - r0, c1 - c0, 3)``.

    The camera leans: a surface at height z shows displaced by ``lean * z``. For each pixel the
    line of sight is followed from the tallest thing around down to the first surface, which is
    then lit by the sun, as far as it is not shaded, and by the sky. One long loop over local
    names: handing the tables to helpers costs more than the arithmetic.
    """
    n = light.numbers
    sun_r, sun_c, sun_z, sky = n[SUN_R], n[SUN_C], n[SUN_Z], n[SKY]
    lean_r, lean_c, gsd = n[LEAN_R], n[LEAN_C], n[GSD]  # lean in pixels per metre
    dry, leaf_light, facade_sun, twig = n[DRY], n[LEAF_LIGHT], n[FACADE_SUN], n[TWIG]
    colors, grain, leaves, facades = light.palette, light.grain, light.leaves, light.facades
    shingles, metals = light.shingles, light.metals
    fines, mediums, coarses = light.fine, light.medium, light.coarse
    mask_f, mask_m, mask_c = fines.shape[0] - 1, mediums.shape[0] - 1, coarses.shape[0] - 1
    material_of, tone_of, markings, ids = s.material, s.tone, s.markings, s.identity
    roof, crowns, twigs, species_of = s.roof, s.crown, s.twigs, s.species
    object_color, covered, top_of = s.object_color, s.covered, s.surface
    shadow, leaf_shadow, around_of, tall = s.shadow, s.leaf_shadow, s.around, s.tall
    rows, cols = ids.shape
    lean = max(np.sqrt(lean_r * lean_r + lean_c * lean_c), 1e-6)
    step = 0.8 / lean
    half_step = 0.5 * step
    span = 0.5 / gsd
    for r in range(r0, r1):
        for c in range(c0, c1):
            highest = tall[r >> 4, c >> 4]
            pr, pc = r, c
            gain = 1.0
            wall = -1.0
            if highest > 0.0:
                for k in range(int(np.ceil(highest / step)), 0, -1):
                    z = k * step
                    qr = int(np.floor(r + 0.5 - lean_r * z))
                    qc = int(np.floor(c + 0.5 - lean_c * z))
                    if qr < 0 or qr >= rows or qc < 0 or qc >= cols:
                        continue
                    reach = top_of[qr, qc]
                    if reach < z - half_step:
                        continue
                    pr, pc = qr, qc
                    if reach > z + half_step + 0.1:
                        if crowns[qr, qc] > 0.0:
                            if reach > z + 1.5 * step:
                                gain = 0.75
                        elif ids[qr, qc] != 0:
                            wall = z
                        else:
                            gain = 0.7
                    break
            wr, wc = row0 + pr, col0 + pc
            fine = fines[wr & mask_f, wc & mask_f]
            medium = mediums[wr & mask_m, wc & mask_m]
            coarse = coarses[wr & mask_c, wc & mask_c]
            around = around_of[(wr >> 3) - (row0 >> 3), (wc >> 3) - (col0 >> 3)]
            z = top_of[pr, pc]
            identity = int(ids[pr, pc])
            if wall >= 0.0:  # a facade
                along = ((col0 + pc) * lean_r - (row0 + pr) * lean_c) / lean * gsd
                pick = int(unit(identity, 62) * facades.shape[0])
                bay = along * 0.38
                bay -= np.floor(bay)
                floor = wall / 3.1
                floor -= np.floor(floor)
                shaded = _clip((shadow[pr, pc] - wall) / 0.4, 0.0, 1.0)
                gain = facade_sun * (1.0 - shaded) + sky * 0.55 / (
                    1.0 + 0.1 * max(0.0, around - wall)
                )
                if 0.3 < floor < 0.78 and bay < 0.45 and wall > 1.0:
                    red = green = blue = 0.03
                else:
                    red, green, blue = facades[pick, 0], facades[pick, 1], facades[pick, 2]
                out[r - r0, c - c0, 0] = red * gain
                out[r - r0, c - c0, 1] = green * gain
                out[r - r0, c - c0, 2] = blue * gain
                continue
            up, down = max(pr - 1, 0), min(pr + 1, rows - 1)
            west, east = max(pc - 1, 0), min(pc + 1, cols - 1)
            slope_r = slope_c = 0.0
            leafy = crowns[pr, pc] > 0.0
            gloss = 0.0
            rough = 0.0
            if leafy:
                label = int(species_of[pr, pc])
                species = ((label - 1) & 7) if label > 0 else 0
                variant = label >> 3
                if crowns[up, pc] > 0 and crowns[down, pc] > 0:
                    slope_r = (crowns[down, pc] - crowns[up, pc]) * span
                if crowns[pr, west] > 0 and crowns[pr, east] > 0:
                    slope_c = (crowns[pr, east] - crowns[pr, west]) * span
                slope_r = _clip(slope_r, -1.6, 1.6)
                slope_c = _clip(slope_c, -1.6, 1.6)
                rough = 0.85
                bright = 0.80 + 0.013 * variant
                warm = 0.16 * (((variant * 11) % 31) / 31.0 - 0.5) + 0.5 * dry
                bright *= _clip(1.0 + 0.28 * fine + 0.24 * medium, 0.2, 2.0)
                if fine + medium < -1.4:  # gaps that look into the dark
                    bright *= 0.5
                red = leaves[species, 0] * bright * (1.0 + warm)
                green = leaves[species, 1] * bright
                blue = leaves[species, 2] * bright * (1.0 - 0.5 * warm)
            elif covered[pr, pc]:
                red = object_color[pr, pc, 0]
                green = object_color[pr, pc, 1]
                blue = object_color[pr, pc, 2]
                gloss = 0.05
            else:
                material = int(material_of[pr, pc])
                tone = float(tone_of[pr, pc])
                if material == SHINGLE:
                    pick = int(unit(identity, 61) * shingles.shape[0])
                    bright = 0.8 + tone * (0.4 / 255.0)
                    red = shingles[pick, 0] * bright
                    green = shingles[pick, 1] * bright
                    blue = shingles[pick, 2] * bright
                elif material == METAL:
                    pick = int(unit(identity, 63) * metals.shape[0])
                    bright = 0.8 + tone * (0.4 / 255.0)
                    red = metals[pick, 0] * bright
                    green = metals[pick, 1] * bright
                    blue = metals[pick, 2] * bright
                    gloss = 0.02
                else:
                    at = tone * (3.0 / 255.0)
                    stop = min(int(at), 2)
                    t = at - stop
                    red = colors[material, stop, 0] * (1.0 - t) + colors[material, stop + 1, 0] * t
                    green = (
                        colors[material, stop, 1] * (1.0 - t) + colors[material, stop + 1, 1] * t
                    )
                    blue = colors[material, stop, 2] * (1.0 - t) + colors[material, stop + 1, 2] * t
                if material in (MEMBRANE, TAR):
                    # stains where water stands
                    coarse = coarse * 1.7 if coarse < -0.7 else min(coarse, 0.9)
                bright = _clip(
                    1.0
                    + grain[material, 0] * fine
                    + grain[material, 1] * medium
                    + grain[material, 2] * coarse,
                    0.3,
                    1.9,
                )
                hue = grain[material, 3] * coarse
                green_ground = material in (LAWN, MEADOW, TURF, PLANTING)
                if green_ground:
                    hue += dry
                red *= bright * (1.0 + hue)
                green *= bright * (1.0 + 0.25 * hue)
                blue *= bright * (1.0 - 0.3 * hue)
                paint = markings[pr, pc]
                if identity != 0:
                    fall_r = roof[down, pc] - roof[up, pc]
                    fall_c = roof[pr, east] - roof[pr, west]
                    if ids[up, pc] == identity and ids[down, pc] == identity and abs(fall_r) < 0.9:
                        slope_r = fall_r * span
                    if (
                        ids[pr, west] == identity
                        and ids[pr, east] == identity
                        and abs(fall_c) < 0.9
                    ):
                        slope_c = fall_c * span
                elif paint > 0:
                    wear = _clip(0.75 + 0.16 * medium + 0.12 * fine, 0.0, 1.0)
                    if paint == 1:
                        red += (0.62 - red) * wear
                        green += (0.61 - green) * wear
                        blue += (0.58 - blue) * wear
                    else:
                        red += (0.52 - red) * wear
                        green += (0.36 - green) * wear
                        blue += (0.10 - blue) * wear
                elif material in (MEADOW, PLANTING):
                    rough = 0.8
                elif material == WATERBODY:
                    gloss = 0.012 * max(0.0, 1.0 + 0.5 * medium)
            if rough > 0.0:
                slope_r += rough * (medium - mediums[(wr - 2) & mask_m, wc & mask_m])
                slope_c += rough * (medium - mediums[wr & mask_m, (wc - 2) & mask_m])
            direct = 1.0 - _clip((shadow[pr, pc] - z - 0.05) / 0.35, 0.0, 1.0)
            leaf = leaf_shadow[pr, pc] - z
            if leaf > 0.1:
                through = leaf_light
                cover = leaf / 0.6
                if leafy:
                    through = max(through, 0.25)
                    cover = leaf / 1.6
                elif medium + 0.7 * fine > 1.5 and through < 0.5:
                    through += 0.35
                direct *= 1.0 - min(cover, 1.0) * (1.0 - through)
            norm = 1.0 / np.sqrt(1.0 + slope_r * slope_r + slope_c * slope_c)
            facing = max((sun_z - slope_r * sun_r - slope_c * sun_c) * norm, 0.0)
            ambient = sky / (1.0 + 0.17 * max(0.0, around - z))
            if leafy:
                ambient *= 0.5 + 0.5 * norm
            sunlight = direct * facing
            red = red * (sunlight + 0.93 * ambient) + gloss * direct
            green = green * (sunlight + ambient) + gloss * direct
            blue = blue * (sunlight + 1.12 * ambient) + gloss * direct
            if twigs[pr, pc] and not leafy:
                label = int(species_of[pr, pc])
                species = ((label - 1) & 7) if label > 0 else 0
                branch = _clip(twig + 0.22 * fine + 0.12 * medium, 0.0, 0.85)
                lit = (sunlight + ambient) * 0.8
                red += (leaves[species, 0] * lit - red) * branch
                green += (leaves[species, 1] * lit - green) * branch
                blue += (leaves[species, 2] * lit - blue) * branch
            out[r - r0, c - c0, 0] = red * gain
            out[r - r0, c - c0, 1] = green * gain
            out[r - r0, c - c0, 2] = blue * gain


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
