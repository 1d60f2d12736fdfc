"""Heights, shadows and sky light on the grid of a scene."""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F32, compiled


class Sweep(NamedTuple):
    """How shadows fall."""

    # step_row, step_col: direction in pixels; the larger of the two in magnitude is 1
    step_row: float
    step_col: float
    drop: float  # metres by which light descends per step
    ceiling: float  # metres above the ground; nothing casts from above


@compiled
def cast_shadows(height: F32, row0: int, col0: int, sweep: Sweep) -> F32:
    """Height of the shadow's upper edge above every pixel, 0 where nothing shades it.

    A surface at height z in pixel p lies in shadow when ``result[p] > z``. One sweep along the
    light: each line hands its height, less the drop per step, to the next. Steps to the side are
    taken by whole pixels at places that the world's grid fixes, so that windows agree.

    Args:
        height: ``(H, W)`` metres above the ground.
        row0, col0: World pixel of the first pixel.
        sweep: Direction.
    """
    out = np.zeros(height.shape, np.float32)
    if abs(sweep.step_row) >= abs(sweep.step_col):
        _sweep_rows(height, row0, sweep.step_row > 0, sweep.step_col, sweep, out)
    else:
        _sweep_rows(height.T, col0, sweep.step_col > 0, sweep.step_row, sweep, out.T)
    return out


@compiled
def _sweep_rows(
    height: F32, row0: int, forward: bool, sideways: float, sweep: Sweep, out: F32
) -> None:
    rows, cols = height.shape
    sign = 1 if forward else -1
    drop = np.float32(sweep.drop)
    for k in range(1, rows):
        r = k if forward else rows - 1 - k
        # columns that the light has gone sideways since the previous row, in world steps
        world = sign * (row0 + r)
        shift = int(np.floor(world * sideways)) - int(np.floor((world - 1) * sideways))
        for c in range(max(0, shift), min(cols, cols + shift)):
            up = min(height[r - sign, c - shift], np.float32(sweep.ceiling))
            up = max(up, out[r - sign, c - shift]) - drop
            out[r, c] = up if up > 0.0 else np.float32(0.0)


@compiled
def surroundings(height: F32, row0: int, col0: int, cell: int, reach: int) -> F32:
    """Mean height around each cell of a coarse grid that is anchored in the world.

    Args:
        height: ``(H, W)`` metres.
        row0, col0: World pixel of the first pixel.
        cell: Pixels per cell.
        reach: Cells to each side over which the mean goes.

    Returns:
        ``(h, w)`` for cells ``row0 // cell ...``; cells cut by the border hold what is inside.
    """
    rows, cols = height.shape
    first_row, first_col = row0 // cell, col0 // cell
    h = (row0 + rows - 1) // cell - first_row + 1
    w = (col0 + cols - 1) // cell - first_col + 1
    total = np.zeros((h, w), np.float32)
    for r in range(rows):
        i = (row0 + r) // cell - first_row
        for c in range(cols):
            total[i, (col0 + c) // cell - first_col] += height[r, c]
    total /= np.float32(cell * cell)
    across = np.zeros((h, w), np.float32)
    out = np.zeros((h, w), np.float32)
    scale = np.float32(1.0 / (2 * reach + 1))
    for i in range(h):
        for j in range(w):
            value = np.float32(0.0)
            for k in range(-reach, reach + 1):
                value += total[i, min(max(j + k, 0), w - 1)]
            across[i, j] = value * scale
    for i in range(h):
        for j in range(w):
            value = np.float32(0.0)
            for k in range(-reach, reach + 1):
                value += across[min(max(i + k, 0), h - 1), j]
            out[i, j] = value * scale
    return out


@compiled
def tallest(height: F32, cell: int) -> F32:
    """Maximum over cells of ``cell`` pixels from the first pixel on, ``(h, w)``."""
    rows, cols = height.shape
    out = np.zeros(((rows + cell - 1) // cell, (cols + cell - 1) // cell), np.float32)
    for r in range(rows):
        i = r // cell
        for c in range(cols):
            if height[r, c] > out[i, c // cell]:
                out[i, c // cell] = height[r, c]
    return out
