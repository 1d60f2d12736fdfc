"""Tree crowns as a height field.

A crown is an ellipsoid (a cone for conifers) whose outline and surface are broken into clumps by
noise of world coordinates, so that it looks the same from every window.
"""

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, U8, compiled
from cvsegguide.synth.plan.rasters import Rasters, pixel_span


@compiled
def raise_crowns(
    trees: F64, clumps: F32, window: Rasters, base: F32, top: F32, species: U8
) -> None:
    """Raise the crowns of all trees on ``base``, ``top`` and ``species`` (owner of the top).

    Args:
        trees: ``(N, 8)`` world metres, see :mod:`.plan.tables`.
        clumps: Periodic noise texture, standard deviation 1.
        window: A crown shows only where it is above the roof.
        base, top: ``(H, W)`` metres above the ground, changed in place.
        species: ``(H, W)``, 1 + species + 8 * variant (0 to 30) where there is canopy; changed in
            place.
    """
    rows, cols = top.shape
    row0, col0, gsd = window.row0, window.col0, window.gsd
    period = clumps.shape[0]
    for n in range(trees.shape[0]):
        x, y, radius = trees[n, 0], trees[n, 1], trees[n, 3]
        low, high = trees[n, 4], trees[n, 5]
        kind = int(trees[n, 6])
        shift = int(trees[n, 7])
        c_low, c_high = pixel_span(x, radius * 1.3, gsd, col0, cols)
        r_low, r_high = pixel_span(y, radius * 1.3, gsd, row0, rows)
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
                if kind == ids.CONIFER:
                    surface = low + (high - low) * (1.0 - q) * (1.0 + 0.05 * lump)
                else:
                    dome = np.sqrt(1.0 - q * q) if q > 0.0 else 1.0
                    surface = low + (high - low) * (0.42 + 0.58 * dome - 0.05 * lump)
                if surface <= low:
                    surface = low + 0.1
                if surface > top[r, c] and surface > window.roof[r, c]:
                    base[r, c] = low if top[r, c] == 0.0 else min(base[r, c], low)
                    top[r, c] = surface
                    species[r, c] = 1 + kind + 8 * (shift % 31)
                elif top[r, c] > 0.0:
                    base[r, c] = min(base[r, c], low)
