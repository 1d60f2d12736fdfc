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

Compiled by numba at the first call (a few seconds), then kept in numba's cache on disk.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_TOUCH = 1e-10
"""Slopes closer than this are the same (slopes to different corners differ by far more)."""


def _compile(function: Kernel) -> Kernel:
    try:
        return cast(Kernel, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast(Kernel, numba.njit(nogil=True)(function))


@_compile
def _quadrant(
    obstacle: Bools,
    visible: Bools,
    base: int,
    step_row: int,
    step_col: int,
    rows: int,
    cols: int,
    row: float,
    col: float,
    lows: Floats,
    highs: Floats,
    new_lows: Floats,
    new_highs: Floats,
) -> None:
    """Mark the visible pixels whose centres lie below (row, col), at most 45 degrees aside.

    The raster is seen through ``base + i * step_row + j * step_col``, by which the four quadrants
    are turned into this one.
    """
    count = 0
    edge = 1.0 + 1e-6
    for i in range(max(int(np.floor(row)), 0), rows):
        near = max(i - row, 0.0)
        far = i + 1 - row
        middle = i + 0.5 - row
        start = base + i * step_row
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
                index = start + j * step_col
                if not obstacle[index]:
                    visible[index] = True
        # Runs of obstacles that reach into the quadrant block slopes for the rows beyond.
        first = max(int(np.floor(col - far)) - 1, 0)
        last = min(int(np.floor(col + far)) + 1, cols - 1)
        added = 0
        j = first
        while j <= last:
            if not obstacle[start + j * step_col]:
                j += 1
                continue
            left = j - col
            while j <= last and obstacle[start + j * step_col]:
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
def _diagonal(
    obstacle: Bools,
    visible: Bools,
    rows: int,
    cols: int,
    row: float,
    col: float,
    down: bool,
    right: bool,
) -> None:
    """Settle the pixels whose centres lie exactly diagonally from the camera.

    Their line passes from pixel to pixel through shared corners, and is blocked when obstacles
    touch it on both sides: one of them may stand in the last row, which a quadrant leaves out.
    """
    # One diagonal, turned so that rows and columns grow away from the camera.
    across = (col if right else cols - col) - (row if down else rows - row)
    offset = int(np.round(across))
    if abs(across - offset) > 1e-9:
        return
    start = row if down else rows - row
    i = max(int(np.floor(start)), -offset, 0)
    above = False
    below = False
    while i < rows and i + offset < cols:
        j = i + offset
        y = i if down else rows - 1 - i
        x = j if right else cols - 1 - j
        back_y = y - 1 if down else y + 1
        back_x = x - 1 if right else x + 1
        if i - start > 1e-9:  # the corner lies before us, not behind the camera
            above |= 0 <= back_y < rows and obstacle[back_y * cols + x]
            below |= 0 <= back_x < cols and obstacle[y * cols + back_x]
        here = obstacle[y * cols + x]
        if i + 0.5 - start > 1e-9:
            visible[y * cols + x] = not (here or (above and below))
        if here:
            above = True
            below = True
        i += 1


@_compile
def visible_pixels(obstacle: Bools, rows: int, cols: int, row: float, col: float) -> Bools:
    """Which pixels are seen from a point.

    Args:
        obstacle: ``(rows * cols,)`` bool, row by row.
        rows, cols: Size of the raster.
        row, col: The camera; pixel centres at +0.5. It may lie outside.

    Returns:
        ``(rows * cols,)`` bool.
    """
    visible = np.zeros(rows * cols, np.bool_)
    # Twice the longest list there can be: 4 max(rows, cols) intervals, and a row's runs.
    size = 6 * max(rows, cols) + 16
    lows = np.empty(size)
    highs = np.empty(size)
    new_lows = np.empty(size)
    new_highs = np.empty(size)
    end = rows * cols - 1
    # down, up, right, left
    _quadrant(obstacle, visible, 0, cols, 1, rows, cols, row, col, lows, highs, new_lows, new_highs)
    _quadrant(
        obstacle,
        visible,
        end,
        -cols,
        -1,
        rows,
        cols,
        rows - row,
        cols - col,
        lows,
        highs,
        new_lows,
        new_highs,
    )
    _quadrant(obstacle, visible, 0, 1, cols, cols, rows, col, row, lows, highs, new_lows, new_highs)
    _quadrant(
        obstacle,
        visible,
        end,
        -1,
        -cols,
        cols,
        rows,
        cols - col,
        rows - row,
        lows,
        highs,
        new_lows,
        new_highs,
    )
    for down in (True, False):
        for right in (True, False):
            _diagonal(obstacle, visible, rows, cols, row, col, down, right)
    i = int(np.floor(row))
    j = int(np.floor(col))
    if 0 <= i < rows and 0 <= j < cols and row == i + 0.5 and col == j + 0.5:
        visible[i * cols + j] = not obstacle[i * cols + j]
    return visible
