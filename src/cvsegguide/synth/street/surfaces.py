"""Colours of crowns and of the things that stand on the ground."""

import math

from cvsegguide.synth.compiled import F32, F64
from cvsegguide.synth.scene import BUS, CAR, FENCE, HYDRANT, LAMP, POLE, SIGN, VAN
from cvsegguide.synth.street.kernel import kernel
from cvsegguide.synth.street.noise import hash_unit, plane
from cvsegguide.synth.street.style import StreetStyle
from cvsegguide.synth.street.things import TRUNK
from cvsegguide.synth.street.world import LOOK
from cvsegguide.synth.vegetation import CONIFER, PURPLE


@kernel
def leaf_color(
    gsd: float,
    trees: F32,
    style: StreetStyle,
    table: F32,
    k: int,
    x: float,
    y: float,
    z: float,
) -> tuple[float, float, float, float, float, float]:
    """Albedo (3) of a leaf of tree ``k`` and the outward direction of its crown there (3)."""
    mx = (x - trees[k, 0]) * gsd
    my = (y - trees[k, 1]) * gsd
    middle = 0.6 * trees[k, 2] + 0.4 * trees[k, 3]
    half = max(0.5, 0.6 * (trees[k, 3] - trees[k, 2]))
    radius = max(0.5, trees[k, 4])
    nx = mx / radius
    ny = my / radius
    nz = (z - middle) / half
    size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6
    # The inside of a crown is dark.
    depth = 0.45 + 0.55 * min(1.0, size)
    nx /= size
    ny /= size
    nz /= size
    grain = 0.65 + 0.7 * plane(table, (mx + my) * 9.0 + trees[k, 7], z * 9.0 + my * 5.0)
    species = int(trees[k, 5])
    hue = trees[k, 6]
    if species == CONIFER:
        r, g, b = 0.035 + 0.02 * hue, 0.065 + 0.02 * hue, 0.03
    else:
        r = 0.075 + 0.05 * hue
        g = 0.125 + 0.035 * hash_unit(species, int(trees[k, 7]), 1)
        b = 0.030 + 0.02 * hue
        if species == PURPLE:
            r, g, b = 0.085 + 0.03 * hue, 0.042 + 0.015 * hue, 0.045
        turned = style.autumn * (0.4 + 0.6 * hash_unit(int(trees[k, 7]), species, 2))
        r += turned * (0.32 - r)
        g += turned * (0.13 + 0.09 * hue - g)
        b += turned * (0.03 - b)
        wood = min(1.0, 1.5 * style.bare)
        r += wood * (0.10 - r)
        g += wood * (0.082 - g)
        b += wood * (0.070 - b)
    shade = depth * grain
    return r * shade, g * shade, b * shade, nx, ny, nz


@kernel
def thing_color(
    gsd: float, things: F64, table: F32, k: int, x: float, y: float, z: float
) -> tuple[float, float, float, float, float, float, float]:
    """Albedo (3) of a thing at a point of its surface, its outward normal (3), and gloss."""
    kind = int(things[k, 9])
    r = things[k, 10]
    g = things[k, 11]
    b = things[k, 12]
    look = things[k, LOOK]
    ex = (x - things[k, 0]) * gsd
    ey = (y - things[k, 1]) * gsd
    cos = things[k, 2]
    sin = things[k, 3]
    u = ex * cos + ey * sin
    v = ey * cos - ex * sin
    w = z - things[k, 6]
    tall = things[k, 7] - things[k, 6]
    length = things[k, 4]
    wide = things[k, 5]
    if kind in (TRUNK, POLE, LAMP, SIGN, HYDRANT):
        size = math.sqrt(ex * ex + ey * ey) + 1e-9
        nx = ex / size
        ny = ey / size
        if kind == TRUNK:
            bark = 0.6 + 0.8 * plane(table, math.atan2(ey, ex) * 24.0 + look * 7.0, z * 5.0)
            return r * bark, g * bark, b * bark, nx, ny, 0.0, 0.0
        if kind == SIGN and w > tall - 0.66:
            p = hash_unit(int(look), 1, 3)
            if p < 0.3:
                return 0.45, 0.03, 0.03, nx, ny, 0.0, 0.0
            if p < 0.6:
                return 0.03, 0.22, 0.10, nx, ny, 0.0, 0.0
            return 0.6, 0.6, 0.58, nx, ny, 0.0, 0.0
        return r, g, b, nx, ny, 0.0, 0.1
    # The face of the box that the point lies on.
    fu = abs(u) / max(0.05, length)
    fv = abs(v) / max(0.02, wide)
    fw = w / max(0.05, tall)
    lu = 0.0
    lv = 0.0
    lw = 0.0
    if fw > 0.985 and fw >= fu and fw >= fv:
        lw = 1.0
    elif fv >= fu:
        lv = 1.0 if v > 0 else -1.0
    else:
        lu = 1.0 if u > 0 else -1.0
    gloss = 0.0
    if kind in (CAR, VAN):
        gloss = 0.16
        belt = 0.56 * tall if kind == CAR else 0.52 * tall
        roof = 0.93 * tall
        if w > belt and w < roof:
            # Above the belt line: glass between pillars.
            if kind == CAR:
                above = w - belt
                front = (0.42 * length - 1.1 * above) - u
                rear = u + 0.78 * length - 0.6 * above
                if min(front, rear) < 0.06:
                    if front < rear:
                        lu, lv, lw = 0.67, 0.0, 0.74
                    else:
                        lu, lv, lw = -0.86, 0.0, 0.51
                    glass = abs(v) < 0.86 * wide
                else:
                    lu, lv, lw = 0.0, 0.98 if v > 0 else -0.98, 0.2
                    glass = front > 0.12 and rear > 0.14 and abs(u + 0.15 * length) > 0.05
            else:
                glass = (lu > 0 and abs(v) < 0.85 * wide) or (
                    lv != 0 and (u > 0.45 * length or (u > -0.7 * length and look % 3 == 0))
                )
            if glass:
                r, g, b = 0.015, 0.018, 0.02
                gloss = 0.5
        elif w <= belt:
            if lv != 0.0:
                arch = abs(u) - 0.62 * length
                d = arch * arch + (w - 0.33) * (w - 0.33)
                if d < 0.35 * 0.35:
                    r = g = b = 0.16 if d < 0.19 * 0.19 else 0.012
                    gloss = 0.0
                elif abs(w - 0.3 * tall) < 0.03:
                    r, g, b = 0.5 * r, 0.5 * g, 0.5 * b
            elif lu != 0.0:
                if w < 0.24 * tall:
                    r, g, b = 0.04, 0.04, 0.04
                elif w > 0.34 * tall and w < 0.47 * tall and abs(v) > 0.6 * wide:
                    if lu > 0:
                        r, g, b = 0.75, 0.75, 0.7
                    else:
                        r, g, b = 0.4, 0.02, 0.02
                elif w < 0.36 * tall and abs(v) < 0.3 * wide:
                    r, g, b = 0.55, 0.55, 0.5
        elif kind == CAR:
            lu, lv, lw = 0.0, 0.0, 1.0
    elif kind == BUS:
        gloss = 0.15
        if lw == 0.0 and w > 0.42 * tall and w < 0.8 * tall:
            pillar = (u + 40.0) / 1.4
            if lu != 0 or pillar - math.floor(pillar) > 0.1:
                r, g, b = 0.015, 0.018, 0.02
                gloss = 0.5
        if lv != 0.0:
            arch = abs(u) - 0.6 * length
            if arch * arch + (w - 0.45) * (w - 0.45) < 0.48 * 0.48:
                r = g = b = 0.012
                gloss = 0.0
    elif kind == FENCE:
        picket = (u + 50.0) / 0.16
        light = 0.7 if picket - math.floor(picket) < 0.45 else 1.15
        r, g, b = r * light, g * light, b * light
    else:
        stain = 0.8 + 0.4 * plane(table, u * 9.0 + look, w * 9.0)
        r, g, b = r * stain, g * stain, b * stain
    nx = lu * cos - lv * sin
    ny = lu * sin + lv * cos
    return r, g, b, nx, ny, lw, gloss
