"""Ground that the tiles of two splits share."""

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.linking import link_table


def overlapping(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of the second bounds that share ground with any of the first.

    Two tiles overlap when a corner or the centre of one lies inside the other (which leaves out
    long strips that cross each other). Tiles that only touch do not overlap.
    """
    first = first[~np.isnan(first).any(axis=1)]
    rows = np.flatnonzero(~np.isnan(second).any(axis=1))
    found = np.zeros(len(rows), np.bool_)
    for own, other, swap in ((first, second[rows], False), (second[rows], first, True)):
        if not len(own) or not len(other):
            continue
        west, south, east, north = other.T
        margin_x, margin_y = 1e-3 * (east - west), 1e-3 * (north - south)
        xs = west + margin_x, east - margin_x, east - margin_x, west + margin_x, (west + east) / 2
        ys = (
            south + margin_y,
            south + margin_y,
            north - margin_y,
            north - margin_y,
            (south + north) / 2,
        )
        points = np.stack([np.concatenate(xs), np.concatenate(ys)], axis=1)
        table = link_table(own, points)
        if swap:
            found |= table.counts > 0
        else:
            found[table.indices % len(other)] = True
    return rows[found]
