"""How far around a camera nothing can stand in a ray's way: where its walk may begin.

Seen from the camera, the top of each block of cells lies at some elevation; a ray that points
higher passes over the block. A table by direction holds the distance of the nearest block that a
ray could meet at all. It errs towards the camera, so what a ray meets stays the same.
"""

import math

import numpy as np

from cvsegguide.synth.compiled import F32, I32, compiled
from cvsegguide.synth.street.blocks import COARSE, FINE
from cvsegguide.synth.street.kernel import typed

SECTORS, BANDS = 512, 128
"""Parts of a full turn, and of the sines of elevations."""

_NEAR = 36.0
"""Metres within which fine blocks and single things are told apart."""

_SLACK = 2.0
"""Cells by which a walk begins earlier than it could."""

FULL = -1e29
"""Stands for the lower end of what is full below."""


@typed("float64(float64, float64)")
def _turn(dx: float, dy: float) -> float:
    """A number in 0..4 that grows with the direction as an angle does, without an arctangent."""
    share = dx / (abs(dx) + abs(dy) + 1e-30)
    return 1.0 - share if dy >= 0.0 else 3.0 + share


@typed("float64(float32[:, ::1], float64, float64, float64)")
def free_distance(free: F32, dx: float, dy: float, dz: float) -> float:
    """Metres along a ray, a unit vector, before which it meets nothing."""
    sector = min(SECTORS - 1, int(_turn(dx, dy) * (SECTORS / 4)))
    band = min(BANDS - 1, max(0, int((dz + 1.0) * (BANDS / 2))))
    return float(free[sector, band] / math.sqrt(max(1e-12, dx * dx + dy * dy)))


@typed(
    "void(float32[:, ::1], float64, float64, float64, float64, float64, float64, float64, float64,"
    " float64, float64)"
)
def _enter(
    free: F32, gsd: float, x: float, y: float, z: float,
    left: float, right: float, top: float, bottom: float, low: float, high: float,
) -> None:  # fmt: skip
    """Put a box of cells ``left..right``, ``top..bottom`` from ``low`` to ``high`` into the table.

    One that is full below is put where its top shows alone.
    """
    across = max(left - x, 0.0, x - right)
    down = max(top - y, 0.0, y - bottom)
    near = math.sqrt(across * across + down * down)
    across = max(x - left, right - x)
    down = max(y - top, bottom - y)
    far = math.sqrt(across * across + down * down)
    rise = high - z
    away = (near if rise > 0.0 else far) * gsd
    sine = rise / math.sqrt(rise * rise + away * away + 1e-12)
    band = min(BANDS - 1, max(0, int((sine + 1.0 + 1e-6) * (BANDS / 2))))
    lowest = band
    if low > FULL:
        rise = low - z
        away = (far if rise > 0.0 else near) * gsd
        sine = rise / math.sqrt(rise * rise + away * away + 1e-12)
        lowest = min(band, max(0, int((sine + 1.0 - 1e-6) * (BANDS / 2))))
    begin = np.float32(max(0.0, near - _SLACK) * gsd)
    if near < 1.0:
        first = 0
        last = SECTORS - 1
    else:
        middle = _turn(0.5 * (left + right) - x, 0.5 * (top + bottom) - y)
        low = 0.0
        up = 0.0
        for i in range(4):
            corner = _turn((left if i & 1 else right) - x, (top if i & 2 else bottom) - y) - middle
            if corner > 2.0:
                corner -= 4.0
            elif corner < -2.0:
                corner += 4.0
            low = min(low, corner)
            up = max(up, corner)
        first = math.floor((middle + low) * (SECTORS / 4) - 1e-3)
        last = math.floor((middle + up) * (SECTORS / 4) + 1e-3)
    for i in range(first, last + 1):
        sector = i % SECTORS
        for k in range(lowest, band + 1):
            free[sector, k] = min(free[sector, k], begin)


@compiled
def free_distances(
    gsd: float, fine: F32, coarse: F32, block_start: I32, bounds: F32,
    x: float, y: float, z: float, reach: float,
) -> F32:  # fmt: skip
    """The table for a camera; see :func:`free_distance`.

    Args:
        gsd, fine, coarse, block_start, bounds: Tables of
            :class:`~cvsegguide.synth.street.world.World`.
        x, y, z: The camera: column and row in cells, absolute height in metres.
        reach: Metres beyond which nothing matters.

    Returns:
        ``(SECTORS, BANDS)`` horizontal metres, inf where a ray meets nothing within the scene.
    """
    free = np.full((SECTORS, BANDS), np.inf, np.float32)
    per = COARSE // FINE
    rows, cols = coarse.shape[:2]
    limit = (reach / gsd) ** 2
    close = (_NEAR / gsd) ** 2
    # What is full below first: whatever meets its top's band meets it in the bands below as well.
    for turn in range(2):
        crowns = turn == 1
        for i in range(rows):
            for j in range(cols):
                left, top = float(j * COARSE), float(i * COARSE)
                across = max(left - x, 0.0, x - (left + COARSE))
                down = max(top - y, 0.0, y - (top + COARSE))
                apart = across * across + down * down
                if apart > limit or (crowns and not coarse[i, j, 2] > FULL):
                    continue
                block = i * cols + j
                if apart > close:
                    low = float(coarse[i, j, 1]) if crowns else 2.0 * FULL
                    high = float(coarse[i, j, 2 if crowns else 0])
                    if not crowns:
                        for k in range(block_start[block], block_start[block + 1]):
                            high = max(high, float(bounds[k, 2]))
                    _enter(
                        free,
                        gsd,
                        x,
                        y,
                        z,
                        left,
                        left + COARSE,
                        top,
                        top + COARSE,
                        low,
                        high,
                    )
                    continue
                for a in range(i * per, min(fine.shape[0], (i + 1) * per)):
                    for b in range(j * per, min(fine.shape[1], (j + 1) * per)):
                        if crowns and not fine[a, b, 2] > FULL:
                            continue
                        low = float(fine[a, b, 1]) if crowns else 2.0 * FULL
                        high = float(fine[a, b, 2 if crowns else 0])
                        left, top = float(b * FINE), float(a * FINE)
                        _enter(
                            free,
                            gsd,
                            x,
                            y,
                            z,
                            left,
                            left + FINE,
                            top,
                            top + FINE,
                            low,
                            high,
                        )
                if not crowns:
                    for k in range(block_start[block], block_start[block + 1]):
                        wide = bounds[k, 3] / gsd + 1.0
                        mx, my = float(bounds[k, 0]), float(bounds[k, 1])
                        _enter(
                            free, gsd, x, y, z, mx - wide, mx + wide, my - wide, my + wide,
                            2.0 * FULL, float(bounds[k, 2]),
                        )  # fmt: skip
        if not crowns:
            for i in range(SECTORS):
                for j in range(BANDS - 2, -1, -1):
                    free[i, j] = min(free[i, j], free[i, j + 1])
    return free
