"""Tree crowns as a height field.

A crown is an ellipsoid (a cone for conifers) whose outline and surface are broken into clumps by
noise of world coordinates, so that it looks the same from every window.
"""

import numpy as np

from cvsegguide.synth.compiled import F32, F64, U8, compiled

CONIFER, PURPLE, SHRUB = 3, 4, 5
"""Species with a shape or colour of their own; 0 broad, 1 maple, 2 locust."""


@compiled
def paint_crowns(
    trees: F64,
    row0: int,
    col0: int,
    gsd: float,
    clumps: F32,
    base: F32,
    top: F32,
    species: U8,
    roofs: F32,
) -> None:
    """Raise the crowns of all trees on ``base``, ``top`` and ``species`` (owner of the top).

    Args:
        trees: ``(N, 8)`` world metres, see :mod:`.plan.tables`.
        row0, col0: World pixel of the window's first pixel.
        gsd: Metres per pixel.
        clumps: Periodic noise texture, standard deviation 1.
        base, top: ``(H, W)`` metres above the ground, changed in place.
        species: ``(H, W)``, 1 + species + 8 * variant (0 to 30) where there is canopy; changed in
            place.
        roofs: ``(H, W)`` building height; a crown shows only where it is above the roof.
    """
    rows, cols = top.shape
    period = clumps.shape[0]
    for n in range(trees.shape[0]):
        x, y, radius = trees[n, 0], trees[n, 1], trees[n, 3]
        low, high = trees[n, 4], trees[n, 5]
        kind = int(trees[n, 6])
        shift = int(trees[n, 7])
        reach = radius * 1.3
        c_low = max(0, int(np.floor((x - reach) / gsd)) - col0)
        c_high = min(cols - 1, int(np.floor((x + reach) / gsd)) - col0)
        r_low = max(0, int(np.floor((y - reach) / gsd)) - row0)
        r_high = min(rows - 1, int(np.floor((y + reach) / gsd)) - row0)
        for r in range(r_low, r_high + 1):
            dy = (row0 + r + 0.5) * gsd - y
            for c in range(c_low, c_high + 1):
                dx = (col0 + c + 0.5) * gsd - x
                q = np.sqrt(dx * dx + dy * dy) / radius
                if q > 1.3:
                    continue
                lump = clumps[(row0 + r + shift) % period, (col0 + c + 7 * shift) % period]
                q += 0.11 * lump
                if q >= 1.0:
                    continue
                if kind == CONIFER:
                    surface = low + (high - low) * (1.0 - q) * (1.0 + 0.05 * lump)
                else:
                    dome = np.sqrt(1.0 - q * q) if q > 0.0 else 1.0
                    surface = low + (high - low) * (0.42 + 0.58 * dome - 0.05 * lump)
                if surface <= low:
                    surface = low + 0.1
                if surface > top[r, c] and surface > roofs[r, c]:
                    if top[r, c] == 0.0:
                        base[r, c] = low
                    else:
                        base[r, c] = min(base[r, c], low)
                    top[r, c] = surface
                    species[r, c] = 1 + kind + 8 * (shift % 31)
                elif top[r, c] > 0.0:
                    base[r, c] = min(base[r, c], low)
