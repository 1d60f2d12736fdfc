"""Ground that the tiles of two splits share."""

import numpy as np
from numpy.typing import NDArray

_MARGIN = 1e-3
"""Share of a tile's side by which it may reach into another: rounded bounds of neighbours do."""


def overlapping(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of the second bounds that share ground with any of the first.

    Exact for rectangles of any size, those included that cross without a corner of one in the
    other. A rectangle misses another when it ends before it or begins after it in longitude or in
    latitude; those are counted for all at once, in ``O((N + M) log^2 N)``. Tiles that only touch
    do not overlap, nor do those that reach into each other by less than a thousandth.

    Args:
        first, second: ``(N, 4)``, ``(M, 4)`` bounds (west, south, east, north); rows with NaN
            overlap nothing.
    """
    first = first[~np.isnan(first).any(axis=1)]
    rows = np.flatnonzero(~np.isnan(second).any(axis=1))
    if not len(first) or not len(rows):
        return rows[:0]
    west, south, east, north = first.T
    box = second[rows].T
    width, height = _MARGIN * (box[2] - box[0]), _MARGIN * (box[3] - box[1])
    left, bottom, right, top = box[0] + width, box[1] + height, box[2] - width, box[3] - height
    sides = ((east, left), (-west, -right)), ((north, bottom), (-south, -top))
    missed = np.zeros(len(rows), np.int64)
    for pair in sides:
        for own, limit in pair:
            missed += np.searchsorted(np.sort(own), limit, "right")
    for x, x_limit in sides[0]:
        for y, y_limit in sides[1]:
            missed -= _count_below(x, y, x_limit, y_limit)
    return rows[missed < len(first)]


def _count_below(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    x_limit: NDArray[np.float64],
    y_limit: NDArray[np.float64],
) -> NDArray[np.int64]:
    """For each pair of limits, how many points lie at or below both.

    The points up to a limit in x are a run of ranks, cut into one aligned block of each power of
    two; within a block, ordered by y, those up to the limit in y are a run again.
    """
    count = len(x)
    by_x, by_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    rank = np.empty(count, np.int64)
    rank[by_y] = np.arange(count)
    rank = rank[by_x]
    taken = np.searchsorted(x[by_x], x_limit, "right")
    below = np.searchsorted(y[by_y], y_limit, "right")
    position = np.arange(count)
    found = np.zeros(len(taken), np.int64)
    for level in range(count.bit_length()):
        query = np.flatnonzero((taken >> level) & 1)
        if len(query):
            node = (taken[query] >> level) - 1
            keys = np.sort((position >> level) * count + rank)
            found[query] += np.searchsorted(keys, node * count + below[query]) - (node << level)
    return found
