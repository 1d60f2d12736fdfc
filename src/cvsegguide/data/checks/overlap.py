"""Ground that the tiles of two splits share."""

import numpy as np
from numpy.typing import NDArray

_MARGIN = 1e-3
"""Share of a tile's side by which it may reach into another: rounded bounds of neighbours do."""


def find_overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of the second bounds that share ground with any of the first.

    Exact for rectangles of any size, those included that cross without a corner of one in the
    other. Tiles that only touch do not overlap, nor do those that reach into each other by less
    than a thousandth.

    Args:
        first, second: ``(N, 4)``, ``(M, 4)`` bounds (west, south, east, north); rows with NaN
            overlap nothing.
    """
    first = first[~np.isnan(first).any(axis=1)]
    first = first[np.argsort(first[:, 0])]
    widest = (first[:, 2] - first[:, 0]).max(initial=0.0)
    margin = _MARGIN * (second[:, 2:] - second[:, :2])
    inner = np.hstack([second[:, :2] + margin, second[:, 2:] - margin])
    # Only those that begin less than the widest before a tile, and before its end, can reach it.
    begin = np.searchsorted(first[:, 0], inner[:, 0] - widest)
    end = np.searchsorted(first[:, 0], inner[:, 2])
    found = []
    for row in np.flatnonzero(begin < end):
        near = first[begin[row] : end[row]]
        west, south, _, north = inner[row]
        if ((near[:, 2] > west) & (near[:, 1] < north) & (near[:, 3] > south)).any():
            found.append(row)
    return np.array(found, np.int64)
