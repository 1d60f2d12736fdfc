"""What one walks and drives on: asphalt, paint, slabs, curbs, grass, soil, water, ballast."""

import math

from cvsegguide.synth.compiled import F32, U8
from cvsegguide.synth.street.kernel import kernel, typed
from cvsegguide.synth.street.noise import band, hash_unit, plane, ramp
from cvsegguide.synth.street.style import StreetStyle
from cvsegguide.synth.street.world import GROUND, PAINT, ROAD_SHARE

GRASS, SOIL, WATER, BUILDING, ROAD, PAVED, RAIL = 2, 3, 4, 5, 6, 7, 8


@typed("float64(uint8[:, :, ::1], int64, float64, float64, int64, boolean)")
def _share(surface: U8, layer: int, x: float, y: float, value: int, exact: bool) -> float:
    """Interpolated share of cells around a point that hold ``value`` (or their value / 255)."""
    height, width = surface.shape[:2]
    fx = x - 0.5
    fy = y - 0.5
    c = math.floor(fx)
    r = math.floor(fy)
    u = fx - c
    v = fy - r
    total = 0.0
    for i in range(2):
        for j in range(2):
            rr = min(height - 1, max(0, r + i))
            cc = min(width - 1, max(0, c + j))
            cell = surface[rr, cc, layer]
            share = (1.0 if cell == value else 0.0) if exact else cell / 255.0
            total += share * (u if j else 1.0 - u) * (v if i else 1.0 - v)
    return total


@typed("int64(uint8[:, :, ::1], int64, float64, float64)")
def _any(surface: U8, layer: int, x: float, y: float) -> int:
    """Not 0 where one of the four cells around a point holds something."""
    height, width = surface.shape[:2]
    c = math.floor(x - 0.5)
    r = math.floor(y - 0.5)
    c0 = max(0, c)
    r0 = max(0, r)
    c1 = min(width - 1, c + 1)
    r1 = min(height - 1, r + 1)
    return int(
        surface[r0, c0, layer]
        | surface[r0, c1, layer]
        | surface[r1, c0, layer]
        | surface[r1, c1, layer]
    )


@kernel
def smooth_class(surface: U8, x: float, y: float, r: int, c: int) -> int:
    """The class with most weight among the four nearest cells: smooth edges for the eye."""
    height, width = surface.shape[:2]
    c0 = math.floor(x - 0.5)
    r0 = math.floor(y - 0.5)
    if c0 < 0 or r0 < 0 or c0 + 1 >= width or r0 + 1 >= height:
        return int(surface[r, c, GROUND])
    a = surface[r0, c0, GROUND]
    b = surface[r0, c0 + 1, GROUND]
    d = surface[r0 + 1, c0, GROUND]
    e = surface[r0 + 1, c0 + 1, GROUND]
    if a == b and a == d and a == e:
        return int(a)
    u = x - 0.5 - c0
    v = y - 0.5 - r0
    wa = (1 - u) * (1 - v)
    wb = u * (1 - v)
    wd = (1 - u) * v
    we = u * v
    own = int(surface[r, c, GROUND])
    best = own
    weight = 0.0
    for k in (a, b, d, e):
        w = (
            (wa if a == k else 0.0)
            + (wb if b == k else 0.0)
            + (wd if d == k else 0.0)
            + (we if e == k else 0.0)
        )
        if w > weight + 1e-9 and k != BUILDING:
            weight = w
            best = int(k)
    return best


@kernel
def ground_color(
    gsd: float,
    seed: int,
    east: float,
    south: float,
    surface: U8,
    tracks: F32,
    style: StreetStyle,
    table: F32,
    x: float,
    y: float,
    r: int,
    c: int,
    pixel: float,
    street_cos: float,
    street_sin: float,
) -> tuple[float, float, float, float]:
    """Linear albedo (3) of the ground, and how much it mirrors the sky.

    Args:
        gsd, seed, surface, tracks, style, table: Tables of the scene, light and season, noise.
        east, south: Cells from the world's corner, which textures are anchored to.
        x, y: Point in cells; r, c: the cell that holds it.
        pixel: Length of a picture's pixel on the ground, in metres.
        street_cos, street_sin: Direction of the street, which slabs are laid along.
    """
    mx = (x + east) * gsd
    my = (y + south) * gsd
    kind = smooth_class(surface, x, y, r, c)
    own = 17.0 * (seed % 113)
    coarse = plane(table, mx * 0.9 + own, my * 0.9)
    fine = plane(table, mx * 11.0, my * 11.0 + own)
    # Fine grain averages out where a pixel covers much of it.
    grain = (fine - 0.5) / (1.0 + 3.0 * pixel)
    wide = plane(table, mx * 0.21 + 70.0, my * 0.21 + own)
    if kind == ROAD:
        level = 0.09 + 0.17 * style.asphalt
        value = level * (0.78 + 0.3 * coarse + 0.35 * grain + 0.2 * wide)
        patch = plane(table, mx * 0.33 + 5.0, my * 0.33 + 2.0 * own)
        if patch > 0.83:
            value *= 0.72
        if wide > 0.5 and pixel < 0.3:
            crack = abs(plane(table, mx * 1.3 + 40.0, my * 1.3 + 9.0) - 0.5)
            if crack < 0.012:
                value *= 0.6
        cell_x = math.floor(mx / 23.0)
        cell_y = math.floor(my / 23.0)
        hx = mx - 23.0 * (cell_x + hash_unit(int(cell_x), int(cell_y), 3))
        hy = my - 23.0 * (cell_y + hash_unit(int(cell_x), int(cell_y), 4))
        if hx * hx + hy * hy < 0.14:
            value *= 0.55
        red, green, blue = 1.02 * value, value, 0.99 * value
        if _any(surface, PAINT, x, y):
            white = _share(surface, PAINT, x, y, 1, True)
            yellow = _share(surface, PAINT, x, y, 2, True)
            worn = 0.45 + 0.55 * ramp(plane(table, mx * 2.3, my * 2.3 + 50.0), 0.12, 0.55)
            edge = 0.12 + 0.3 * min(1.0, pixel)
            white = ramp(white, 0.5 - edge, 0.5 + edge) * worn
            yellow = ramp(yellow, 0.5 - edge, 0.5 + edge) * worn
            red += white * (0.62 - red) + yellow * (0.62 - red)
            green += white * (0.62 - green) + yellow * (0.42 - green)
            blue += white * (0.60 - blue) + yellow * (0.08 - blue)
        return red, green, blue, 0.0
    if kind == GRASS:
        blade = 0.72 + 0.5 * coarse + 0.8 * grain
        bald = style.dry * (0.35 + 0.9 * wide)
        if coarse > 0.93:
            bald = 1.0
        bald = min(1.0, bald)
        red = (0.065 + bald * 0.19) * blade
        green = (0.125 + bald * 0.085) * blade
        blue = (0.028 + bald * 0.055) * blade
        return red, green, blue, 0.0
    if kind == SOIL:
        value = 0.75 + 0.35 * coarse + 0.7 * grain + 0.15 * wide
        if plane(table, mx * 5.0 + 3.0, my * 5.0) > 0.9:
            value *= 0.7
        return 0.27 * value, 0.185 * value, 0.115 * value, 0.0
    if kind == WATER:
        wave = 0.8 + 0.5 * (coarse - 0.5) + 0.3 * grain
        return 0.03 * wave, 0.05 * wave, 0.055 * wave, 1.0
    if kind == RAIL:
        return _rail_color(tracks, table, x * gsd, y * gsd, r, c, pixel, coarse, grain)
    # Sidewalks, yards, parking lots: slabs, or a plain surface away from roads.
    level = 0.26 + 0.10 * (wide - 0.5)
    value = level * (0.85 + 0.2 * coarse + 0.45 * grain)
    su = mx * street_cos + my * street_sin
    sv = my * street_cos - mx * street_sin
    size = 1.5
    a = su / size
    b = sv / size
    share = pixel / size
    if share < 0.6:
        joint = band(a - math.floor(a), 0.0, 0.035, share) + band(
            b - math.floor(b), 0.0, 0.035, share
        )
        value *= 1.0 - 0.45 * min(1.0, joint)
        value *= 0.93 + 0.14 * hash_unit(math.floor(a), math.floor(b), 21)
    if plane(table, mx * 7.0 + 30.0, my * 7.0) > 0.965:
        value *= 0.75
    near = 0.0
    if _any(surface, ROAD_SHARE, x, y):
        near = _share(surface, ROAD_SHARE, x, y, 0, False)
    if near > 0.12:
        value = (0.36 - 0.14 * ramp(near, 0.2, 0.6)) * (0.85 + 0.3 * coarse)
    return 1.03 * value, value, 0.95 * value, 0.0


@kernel
def _rail_color(
    tracks: F32,
    table: F32,
    mx: float,
    my: float,
    r: int,
    c: int,
    pixel: float,
    coarse: float,
    grain: float,
) -> tuple[float, float, float, float]:
    """Ballast, sleepers and rails along the track's own direction."""
    value = 0.16 * (0.7 + 0.4 * coarse + 1.1 * grain)
    red, green, blue = 1.08 * value, value, 0.9 * value
    track = tracks[r // 32, c // 32]
    if track[2] * track[2] + track[3] * track[3] < 0.5:
        return red, green, blue, 0.0
    along = (mx - track[0]) * track[2] + (my - track[1]) * track[3]
    across = (my - track[1]) * track[2] - (mx - track[0]) * track[3]
    # Two tracks side by side, 4 m apart.
    across = abs(across) - 2.0
    if abs(across) < 1.3:
        sleeper = along / 0.65
        wood = band(sleeper - math.floor(sleeper), 0.0, 0.38, pixel / 0.65)
        red += wood * (0.10 - red)
        green += wood * (0.085 - green)
        blue += wood * (0.07 - blue)
        rail = band(abs(across), 0.70, 0.79, 0.5 * pixel)
        red += rail * (0.30 - red)
        green += rail * (0.24 - green)
        blue += rail * (0.20 - blue)
    return red, green, blue, 0.0
