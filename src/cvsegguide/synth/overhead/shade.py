"""Light that leaves the scene towards the camera: the inner loop of the overhead photograph."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.color import Color, add, blend, color_at, multiply, scale
from cvsegguide.synth.compiled import F32, I32, U8, entry, inlined, kernel, typed
from cvsegguide.synth.noise import unit


class Surfaces(NamedTuple):
    """Rasters that the shader reads, all ``(H, W)``, heights in metres above the ground.

    ``crown`` is the crown surface where leaves hide what is below, 0 elsewhere; ``twigs`` marks
    bare crowns, ``covered`` what vehicles and furniture cover. ``tall`` is the height of what may
    lean into each block of 16 x 16 pixels.
    """

    material: U8
    tone: U8
    markings: U8
    identity: I32
    roof: F32
    crown: F32
    twigs: U8
    species: U8
    object_color: F32
    covered: U8
    surface: F32
    shadow: F32
    leaf_shadow: F32
    around: F32
    tall: F32


class Light(NamedTuple):
    """Numbers and tables of one photograph."""

    sun_r: float  # sun_r, sun_c, sun_z: towards the sun: rows, columns, up
    sun_c: float
    sun_z: float
    sky: float  # light from the sky as a share of the sun's
    lean_r: float  # lean_r, lean_c: pixels of displacement per metre of height
    lean_c: float
    gsd: float  # metres per pixel
    dry: float  # hue of grass and leaves
    leaf_light: float  # share of the sun's light that goes through crowns
    facade_sun: float  # sun on the walls that the camera sees
    palette: F32  # palette, grain: ``(materials, 4, 3)`` and ``(materials, 4)``
    grain: F32
    leaves: F32  # leaves, facades, shingles, metals: ``(N, 3)`` linear reflectances
    facades: F32
    shingles: F32
    metals: F32
    fine: F32  # fine, medium, coarse: noise; periods are powers of two
    medium: F32
    coarse: F32


@typed("float64(float64, float64, float64)", forceinline=True)
def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@inlined
def _look_down(
    s: Surfaces, light: Light, lean: float, r: int, c: int
) -> tuple[int, int, float, float]:
    """Follow the line of sight of a pixel from the tallest thing around to the first surface.

    Returns:
        Row and column of what is seen, the height of the wall that is seen there or -1, and a
        factor on its light, below 1 at the side of a crown or an object.
    """
    rows, cols = s.identity.shape
    step = 0.8 / lean
    for k in range(int(np.ceil(s.tall[r >> 4, c >> 4] / step)), 0, -1):
        z = k * step
        qr = int(np.floor(r + 0.5 - light.lean_r * z))
        qc = int(np.floor(c + 0.5 - light.lean_c * z))
        if qr < 0 or qr >= rows or qc < 0 or qc >= cols:
            continue
        reach = s.surface[qr, qc]
        if reach < z - 0.5 * step:
            continue
        if reach > z + 0.5 * step + 0.1:
            if s.crown[qr, qc] > 0.0:
                return qr, qc, -1.0, 0.75 if reach > z + 1.5 * step else 1.0
            if s.identity[qr, qc] != 0:
                return qr, qc, z, 1.0
            return qr, qc, -1.0, 0.7
        return qr, qc, -1.0, 1.0
    return r, c, -1.0, 1.0


@kernel
def _facade(
    light: Light, identity: int, along: float, wall: float, shadow: float, around: float
) -> Color:
    """A wall at a height: bays of windows, lit by sun and sky."""
    pick = int(unit(identity, 62) * light.facades.shape[0])
    bay = along * 0.38
    bay -= np.floor(bay)
    floor = wall / 3.1
    floor -= np.floor(floor)
    shaded = _clip((shadow - wall) / 0.4, 0.0, 1.0)
    gain = light.facade_sun * (1.0 - shaded)
    gain += light.sky * 0.55 / (1.0 + 0.1 * max(0.0, around - wall))
    if 0.3 < floor < 0.78 and bay < 0.45 and wall > 1.0:
        return scale((0.03, 0.03, 0.03), gain)
    return scale(color_at(light.facades[pick], 0), gain)


class Spot(NamedTuple):
    """A pixel that is seen from above: its place, its neighbours on the grid, and the noise."""

    r: int
    c: int
    up: int
    down: int
    west: int
    east: int
    fine: float  # fine, medium, coarse: noise; periods are powers of two
    medium: float
    coarse: float


class Look(NamedTuple):
    """Albedo, slopes of the surface along rows and columns, gloss, and roughness by noise."""

    color: Color
    slope_r: float
    slope_c: float
    gloss: float
    rough: float


@inlined
def _species(label: int) -> int:
    return ((label - 1) & 7) if label > 0 else 0


@inlined
def _crown(s: Surfaces, light: Light, at: Spot) -> Look:
    r, c, crowns = at.r, at.c, s.crown
    span = 0.5 / light.gsd
    label = int(s.species[r, c])
    species, variant = _species(label), label >> 3
    slope_r = slope_c = 0.0
    if crowns[at.up, c] > 0 and crowns[at.down, c] > 0:
        slope_r = (crowns[at.down, c] - crowns[at.up, c]) * span
    if crowns[r, at.west] > 0 and crowns[r, at.east] > 0:
        slope_c = (crowns[r, at.east] - crowns[r, at.west]) * span
    warm = 0.16 * (((variant * 11) % 31) / 31.0 - 0.5) + 0.5 * light.dry
    bright = 0.80 + 0.013 * variant
    bright *= _clip(1.0 + 0.28 * at.fine + 0.24 * at.medium, 0.2, 2.0)
    if at.fine + at.medium < -1.4:  # gaps that look into the dark
        bright *= 0.5
    red, green, blue = scale(color_at(light.leaves[species], 0), bright)
    color = red * (1.0 + warm), green, blue * (1.0 - 0.5 * warm)
    return Look(color, _clip(slope_r, -1.6, 1.6), _clip(slope_c, -1.6, 1.6), 0.0, 0.85)


@inlined
def _material(s: Surfaces, light: Light, at: Spot, identity: int) -> Look:
    """Ground and roofs."""
    r, c, coarse = at.r, at.c, at.coarse
    material, tone = int(s.material[r, c]), float(s.tone[r, c])
    gloss = rough = slope_r = slope_c = 0.0
    if material in (ids.SHINGLE, ids.METAL):
        hues, salt = (light.shingles, 61) if material == ids.SHINGLE else (light.metals, 63)
        pick = int(unit(identity, salt) * hues.shape[0])
        color = scale(color_at(hues[pick], 0), 0.8 + tone * (0.4 / 255.0))
        gloss = 0.02 if material == ids.METAL else 0.0
    else:
        at_stop = tone * (3.0 / 255.0)
        stop = min(int(at_stop), 2)
        t = at_stop - stop
        low, high = light.palette[material, stop], light.palette[material, stop + 1]
        color = add(scale(color_at(low, 0), 1.0 - t), scale(color_at(high, 0), t))
    if material in (ids.MEMBRANE, ids.TAR):  # stains where water stands
        coarse = coarse * 1.7 if coarse < -0.7 else min(coarse, 0.9)
    grain = light.grain[material]
    bright = 1.0 + grain[0] * at.fine + grain[1] * at.medium + grain[2] * coarse
    bright = _clip(bright, 0.3, 1.9)
    hue = grain[3] * coarse
    if material in (ids.LAWN, ids.MEADOW, ids.TURF, ids.PLANTING):
        hue += light.dry
    tint = bright * (1.0 + hue), bright * (1.0 + 0.25 * hue), bright * (1.0 - 0.3 * hue)
    color = multiply(color, tint)
    if identity != 0:
        span = 0.5 / light.gsd
        fall_r = s.roof[at.down, c] - s.roof[at.up, c]
        fall_c = s.roof[r, at.east] - s.roof[r, at.west]
        same_r = s.identity[at.up, c] == identity and s.identity[at.down, c] == identity
        same_c = s.identity[r, at.west] == identity and s.identity[r, at.east] == identity
        slope_r = fall_r * span if same_r and abs(fall_r) < 0.9 else 0.0
        slope_c = fall_c * span if same_c and abs(fall_c) < 0.9 else 0.0
    elif s.markings[r, c] > 0:
        wear = _clip(0.75 + 0.16 * at.medium + 0.12 * at.fine, 0.0, 1.0)
        paint = (0.62, 0.61, 0.58) if s.markings[r, c] == 1 else (0.52, 0.36, 0.10)
        color = blend(color, paint, wear)
    elif material in (ids.MEADOW, ids.PLANTING):
        rough = 0.8
    elif material == ids.WATERBODY:
        gloss = 0.012 * max(0.0, 1.0 + 0.5 * at.medium)
    return Look(color, slope_r, slope_c, gloss, rough)


@inlined
def _direct_sun(s: Surfaces, light: Light, at: Spot, z: float, leafy: bool) -> float:
    """Share of the sun's light that reaches a surface at height z."""
    direct = 1.0 - _clip((s.shadow[at.r, at.c] - z - 0.05) / 0.35, 0.0, 1.0)
    leaf = s.leaf_shadow[at.r, at.c] - z
    if leaf > 0.1:
        through, cover = light.leaf_light, leaf / 0.6
        if leafy:
            through = max(through, 0.25)
            cover = leaf / 1.6
        elif at.medium + 0.7 * at.fine > 1.5 and through < 0.5:
            through += 0.35
        direct *= 1.0 - min(cover, 1.0) * (1.0 - through)
    return direct


@inlined
def _lit(s: Surfaces, light: Light, at: Spot, look: Look, around: float) -> Color:
    """A surface in the light of sun and sky, with what bare twigs hide of it."""
    leafy = s.crown[at.r, at.c] > 0.0
    z = s.surface[at.r, at.c]
    direct = _direct_sun(s, light, at, z, leafy)
    slope_r, slope_c, gloss = look.slope_r, look.slope_c, look.gloss
    norm = 1.0 / np.sqrt(1.0 + slope_r * slope_r + slope_c * slope_c)
    facing = (light.sun_z - slope_r * light.sun_r - slope_c * light.sun_c) * norm
    ambient = light.sky / (1.0 + 0.17 * max(0.0, around - z))
    if leafy:
        ambient *= 0.5 + 0.5 * norm
    sunlight = direct * max(facing, 0.0)
    lights = sunlight + 0.93 * ambient, sunlight + ambient, sunlight + 1.12 * ambient
    shine = gloss * direct
    color = add(multiply(look.color, lights), (shine, shine, shine))
    if s.twigs[at.r, at.c] and not leafy:
        species = _species(int(s.species[at.r, at.c]))
        branch = _clip(0.42 + 0.22 * at.fine + 0.12 * at.medium, 0.0, 0.85)
        wood = scale(color_at(light.leaves[species], 0), (sunlight + ambient) * 0.8)
        color = blend(color, wood, branch)
    return color


@entry
def radiance(
    s: Surfaces, light: Light, origin: tuple[int, int], corner: tuple[int, int], out: F32
) -> None:
    """What the camera sees of a window, into ``out (h, w, 3)``.

    The camera leans: a surface at height z shows displaced by ``lean * z``. For each pixel the
    line of sight is followed down to the first surface, which is then lit.

    Args:
        s, light: Rasters and numbers.
        origin: World pixel of the rasters' first pixel.
        corner: Where the window begins in the rasters.
        out: Written.
    """
    (row0, col0), (r0, c0) = origin, corner
    mediums = light.medium
    mask_f, mask_m = light.fine.shape[0] - 1, mediums.shape[0] - 1
    mask_c = light.coarse.shape[0] - 1
    rows, cols = s.identity.shape
    lean = max(np.sqrt(light.lean_r * light.lean_r + light.lean_c * light.lean_c), 1e-6)
    for r in range(r0, r0 + out.shape[0]):
        for c in range(c0, c0 + out.shape[1]):
            pr, pc, wall, gain = _look_down(s, light, lean, r, c)
            wr, wc = row0 + pr, col0 + pc
            around = s.around[(wr >> 3) - (row0 >> 3), (wc >> 3) - (col0 >> 3)]
            identity = int(s.identity[pr, pc])
            if wall >= 0.0:
                along = (wc * light.lean_r - wr * light.lean_c) / lean * light.gsd
                shadow = s.shadow[pr, pc]
                color = _facade(light, identity, along, wall, shadow, around)
            else:
                medium = mediums[wr & mask_m, wc & mask_m]
                spot = Spot(
                    pr,
                    pc,
                    max(pr - 1, 0),
                    min(pr + 1, rows - 1),
                    max(pc - 1, 0),
                    min(pc + 1, cols - 1),
                    light.fine[wr & mask_f, wc & mask_f],
                    medium,
                    np.float64(light.coarse[wr & mask_c, wc & mask_c]),
                )
                if s.crown[pr, pc] > 0.0:
                    look = _crown(s, light, spot)
                elif s.covered[pr, pc]:
                    look = Look(
                        scale(color_at(s.object_color[pr, pc], 0), 1.0), 0.0, 0.0, 0.05, 0.0
                    )
                else:
                    look = _material(s, light, spot, identity)
                if look.rough > 0.0:
                    back_r = medium - mediums[(wr - 2) & mask_m, wc & mask_m]
                    back_c = medium - mediums[wr & mask_m, (wc - 2) & mask_m]
                    slope_r = look.slope_r + look.rough * back_r
                    slope_c = look.slope_c + look.rough * back_c
                    look = Look(look.color, slope_r, slope_c, look.gloss, look.rough)
                color = _lit(s, light, spot, look, around)
            for k in range(3):
                out[r - r0, c - c0, k] = color[k] * gain
