"""Vehicles and street furniture from above: colour and height of every pixel that they cover."""

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, U8, compiled, inlined
from cvsegguide.synth.scene import Objects

_GLASS = 0.022, 0.027, 0.034


def object_table(objects: Objects) -> F64:
    """``(N, 10)`` float64: row, col, azimuth, length, width, height, kind, red, green, blue."""
    return np.column_stack(list(vars(objects).values())).astype(np.float64)


@inlined
def _vehicle_part(kind: int, f: float, g: float) -> tuple[float, float, bool]:
    """Height as a share of the whole, light, and whether it is glass.

    ``f`` runs from -1 at the rear to 1 at the front, ``g`` from 0 in the middle to 1 at the sides.
    """
    rise, shade, glass = 1.0, 1.0, False
    if kind == ids.CAR:
        # bonnet, windscreen, roof, rear window, boot along f from 1 to -1
        if f > 0.42 or f < -0.72:
            rise, shade = 0.62, 0.95
        elif f > 0.12 or f < -0.48:
            rise, glass = 0.82, g < 0.84
        else:
            shade, glass = 1.12, g > 0.80
    elif kind == ids.VAN:
        if f > 0.80:
            rise = 0.55
        elif f > 0.62:
            glass = g < 0.86
        else:
            shade = 1.05
    else:
        shade = 1.0 if abs(f - 0.3) > 0.13 or g > 0.6 else 0.8
    return rise, shade * 0.7 if g > 0.93 else shade, glass


@compiled
def draw_objects(table: F64, gsd: float, height: F32, color: F32, covered: U8) -> None:
    """Draw boxes into ``height`` (metres), ``color`` (linear, 3 channels) and ``covered``."""
    rows, cols = height.shape
    for n in range(table.shape[0]):
        row, col, azimuth = table[n, 0], table[n, 1], np.radians(table[n, 2])
        half_l, half_w, tall = table[n, 3] / 2, table[n, 4] / 2, table[n, 5]
        kind = int(table[n, 6])
        ux, uy = np.sin(azimuth), -np.cos(azimuth)
        red = (table[n, 7] / 255.0) ** 2.2
        green = (table[n, 8] / 255.0) ** 2.2
        blue = (table[n, 9] / 255.0) ** 2.2
        arm = 2.2 if kind == ids.LAMP else 0.0  # reaches out along the azimuth
        small = max(half_w, 0.13)
        reach = (max(half_l, arm) + small + gsd) / gsd
        r_low, r_high = max(0, int(row - reach)), min(rows - 1, int(row + reach))
        c_low, c_high = max(0, int(col - reach)), min(cols - 1, int(col + reach))
        for r in range(r_low, r_high + 1):
            dy = (r + 0.5 - row) * gsd
            for c in range(c_low, c_high + 1):
                dx = (c + 0.5 - col) * gsd
                u = dx * ux + dy * uy
                v = dy * ux - dx * uy
                if kind > ids.BUS:
                    if not (-max(half_l, 0.13) <= u <= max(half_l, 0.13) + arm):
                        continue
                    if abs(v) > small:
                        continue
                    covered[r, c] = 1
                    color[r, c, 0], color[r, c, 1], color[r, c, 2] = red, green, blue
                    if u <= max(half_l, 0.13):
                        height[r, c] = tall
                    continue
                if abs(u) > half_l or abs(v) > half_w:
                    continue
                # rounded corners
                cu, cv = abs(u) - (half_l - 0.35), abs(v) - (half_w - 0.35)
                if cu > 0 and cv > 0 and cu * cu + cv * cv > 0.1225:
                    continue
                rise, shade, glass = _vehicle_part(kind, u / half_l, abs(v) / half_w)
                covered[r, c] = 1
                height[r, c] = tall * rise
                if glass:
                    color[r, c, 0], color[r, c, 1], color[r, c, 2] = _GLASS
                else:
                    color[r, c, 0] = red * shade + 0.012
                    color[r, c, 1] = green * shade + 0.012
                    color[r, c, 2] = blue * shade + 0.014
