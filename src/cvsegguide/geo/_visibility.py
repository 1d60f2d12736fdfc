"""Exact visibility from a point in a raster, in time linear in the number of pixels.

A pixel is visible when the straight line from the camera to its centre meets no obstacle pixel.
The plane around the camera is cut into four quadrants (up, down, left, right of it); in each, rows
are visited outwards, and the directions that are already blocked are kept as a sorted list of
disjoint intervals of slopes. A run of obstacle pixels adds one interval. Within its quadrant, a
line of slope at most 1 crosses no other pixel of the last row than the one it ends in, so that a
pixel needs but its own class and the intervals of the rows before. At distance d every interval is
at least 1 / d wide and there are at most about 2 d of them, as many as pixels in the row: visiting
a row costs as much as it has pixels.

Intervals are open, so that a line which grazes an obstacle's corner or edge passes; intervals that
touch are joined, so that no line passes between two obstacles that meet at a corner.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from cvsegguide.geo.compiled import cached

Bools = NDArray[np.bool_]

_compile = partial(cached, nogil=True)

_TOUCH = 1e-10
"""Slopes closer than this are the same (slopes to different corners differ by far more)."""


@_compile
def _quadrant(obstacle: Bools, visible: Bools, row: float, col: float) -> None:
    """Mark the visible pixels whose centres lie below (row, col), at most 45 degrees aside."""
    rows, cols = obstacle.shape
    # Twice the longest list there can be: 4 max(rows, cols) intervals, and a row's runs.
    buffers = np.empty((4, 6 * max(rows, cols) + 16))
    lows, highs, new_lows, new_highs = buffers[0], buffers[1], buffers[2], buffers[3]
    count = 0
    edge = 1.0 + 1e-6
    for i in range(max(int(np.floor(row)), 0), rows):
        near = max(i - row, 0.0)
        far = i + 1 - row
        middle = i + 0.5 - row
        # Pixels whose centre lies in the quadrant.
        if middle > 0.0:
            first = max(int(np.ceil(col - middle - 0.5)), 0)
            last = min(int(np.floor(col + middle - 0.5)), cols - 1)
            k = 0
            for j in range(first, last + 1):
                slope = (j + 0.5 - col) / middle
                while k < count and highs[k] - _TOUCH <= slope:
                    k += 1
                if k < count and lows[k] + _TOUCH < slope:
                    continue
                if not obstacle[i, j]:
                    visible[i, j] = True
        # Runs of obstacles that reach into the quadrant block slopes for the rows beyond.
        first = max(int(np.floor(col - far)) - 1, 0)
        last = min(int(np.floor(col + far)) + 1, cols - 1)
        added = 0
        j = first
        while j <= last:
            if not obstacle[i, j]:
                j += 1
                continue
            left = j - col
            while j <= last and obstacle[i, j]:
                j += 1
            right = j - col
            low = left / far
            if left < 0.0:
                low = left / near if near > 0.0 else -np.inf
            high = right / far
            if right > 0.0:
                high = right / near if near > 0.0 else np.inf
            if low < edge and high > -edge:
                new_lows[added] = low
                new_highs[added] = high
                added += 1
        if added == 0:
            continue
        # Merge the two sorted lists from behind into the tail, then join them from the front.
        a = count - 1
        b = added - 1
        k = count + added - 1
        while b >= 0:
            if a >= 0 and lows[a] > new_lows[b]:
                lows[k] = lows[a]
                highs[k] = highs[a]
                a -= 1
            else:
                lows[k] = new_lows[b]
                highs[k] = new_highs[b]
                b -= 1
            k -= 1
        total = count + added
        count = 1
        for k in range(1, total):
            if lows[k] <= highs[count - 1] + _TOUCH:
                highs[count - 1] = max(highs[count - 1], highs[k])
            else:
                lows[count] = lows[k]
                highs[count] = highs[k]
                count += 1
        if count == 1 and lows[0] < -edge and highs[0] > edge:
            return


@_compile
def _diagonal(obstacle: Bools, visible: Bools, row: float, col: float) -> None:
    """Settle the pixels whose centres lie exactly diagonally from the camera, below and right.

    Their line passes from pixel to pixel through shared corners, and is blocked when obstacles
    touch it on both sides: one of them may stand in the last row, which a quadrant leaves out.
    """
    rows, cols = obstacle.shape
    offset = int(np.round(col - row))
    if abs(col - row - offset) > 1e-9:
        return
    i = max(int(np.floor(row)), -offset, 0)
    above = False
    below = False
    while i < rows and i + offset < cols:
        j = i + offset
        if i - row > 1e-9:  # the corner lies before us, not behind the camera
            above |= i > 0 and obstacle[i - 1, j]
            below |= j > 0 and obstacle[i, j - 1]
        if i + 0.5 - row > 1e-9:
            visible[i, j] = not (obstacle[i, j] or (above and below))
        if obstacle[i, j]:
            above = True
            below = True
        i += 1


@_compile
def visible_pixels(obstacle: Bools, row: float, col: float) -> Bools:
    """Which pixels are seen from a point.

    Args:
        obstacle: ``(H, W)`` bool.
        row, col: The camera; pixel centres at +0.5. It may lie outside.

    Returns:
        ``(H, W)`` bool.
    """
    rows, cols = obstacle.shape
    visible = np.zeros((rows, cols), np.bool_)
    # Turned so that each quadrant is the lower one. A step of 1 gives all views the same type.
    blocked, seen = obstacle[::1, ::1], visible[::1, ::1]
    _quadrant(blocked, seen, row, col)
    _quadrant(blocked[::-1, ::-1], seen[::-1, ::-1], rows - row, cols - col)
    _quadrant(blocked.T, seen.T, col, row)
    _quadrant(blocked.T[::-1, ::-1], seen.T[::-1, ::-1], cols - col, rows - row)
    _diagonal(blocked, seen, row, col)
    _diagonal(blocked[::-1, ::1], seen[::-1, ::1], rows - row, col)
    _diagonal(blocked[::1, ::-1], seen[::1, ::-1], row, cols - col)
    _diagonal(blocked[::-1, ::-1], seen[::-1, ::-1], rows - row, cols - col)
    i = int(np.floor(row))
    j = int(np.floor(col))
    if 0 <= i < rows and 0 <= j < cols and row == i + 0.5 and col == j + 0.5:
        visible[i, j] = not obstacle[i, j]
    return visible
