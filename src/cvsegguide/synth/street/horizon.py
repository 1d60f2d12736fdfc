"""How high the scene rises around a camera: rays above that are sky without being followed."""

import math

import numpy as np

from cvsegguide.synth.compiled import F32, F64, I32, compiled
from cvsegguide.synth.street.blocks import COARSE

BINS = 1440
"""Azimuth bins of a horizon."""

FINE = 8


@compiled
def raise_bins(slopes: F32, east: float, south: float, radius: float, rise: float) -> None:
    """Raise the bins that a disc at ``(east, south)`` metres may touch to its slope."""
    distance = math.sqrt(east * east + south * south)
    near = distance - radius
    if near <= 0.3:
        for i in range(BINS):
            slopes[i] = 1e9
        return
    slope = rise / near if rise > 0 else rise / (distance + radius)
    middle = math.atan2(east, -south)
    half = math.asin(min(1.0, radius / distance)) + 1e-3
    scale = BINS / (2.0 * math.pi)
    first = math.floor((middle - half) * scale)
    last = math.floor((middle + half) * scale)
    for i in range(first, last + 1):
        j = i % BINS
        slopes[j] = max(slopes[j], slope)


@compiled
def horizon(
    gsd: float,
    relief: F32,
    fine: F32,
    coarse: F32,
    things: F64,
    block_start: I32,
    block_things: I32,
    x: float,
    y: float,
    z: float,
    reach: float,
) -> F32:
    """Largest slope (rise over distance) of anything around a camera, never too low.

    Returns:
        ``(BINS,)`` float32, clockwise from north.
    """
    slopes = np.full(BINS, -1e9, np.float32)
    rows, cols = coarse.shape[:2]
    size = 0.5 * COARSE * gsd * 1.4143
    small = 0.5 * FINE * gsd * 1.4143
    cell = 0.5 * gsd * 1.4143
    height, width = relief.shape[:2]
    for i in range(rows):
        for j in range(cols):
            east = ((j + 0.5) * COARSE - x) * gsd
            south = ((i + 0.5) * COARSE - y) * gsd
            distance = math.sqrt(east * east + south * south)
            if distance - size > reach:
                continue
            block = i * cols + j
            for k in range(block_start[block], block_start[block + 1]):
                t = block_things[k]
                raise_bins(
                    slopes, (things[t, 0] - x) * gsd, (things[t, 1] - y) * gsd,
                    things[t, 8], things[t, 7] - z,
                )  # fmt: skip
            if distance > 45.0:
                raise_bins(slopes, east, south, size, max(coarse[i, j, 0], coarse[i, j, 2]) - z)
                continue
            for a in range(i * 4, min(fine.shape[0], i * 4 + 4)):
                for b in range(j * 4, min(fine.shape[1], j * 4 + 4)):
                    top = max(fine[a, b, 0], fine[a, b, 2])
                    e = ((b + 0.5) * FINE - x) * gsd
                    s = ((a + 0.5) * FINE - y) * gsd
                    if e * e + s * s > 36.0:
                        raise_bins(slopes, e, s, small, top - z)
                    elif top > z - 1.0:
                        # Close by, cell by cell.
                        for r in range(a * FINE, min(height, (a + 1) * FINE)):
                            for c in range(b * FINE, min(width, (b + 1) * FINE)):
                                rise = max(relief[r, c, 1], relief[r, c, 3]) - z
                                if rise > -1.0:
                                    raise_bins(
                                        slopes, (c + 0.5 - x) * gsd, (r + 0.5 - y) * gsd,
                                        cell, rise,
                                    )  # fmt: skip
                    else:
                        for n in range(BINS):
                            slopes[n] = max(slopes[n], -0.15)
    return slopes
