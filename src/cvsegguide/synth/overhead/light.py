"""Heights, shadows and sky light on the grid of a scene."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import correlate1d

from cvsegguide.synth.compiled import F32, compiled
from cvsegguide.synth.scene import reduce_blocks


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
    mean = reduce_blocks(np.add, height, cell, (row0, col0)) / np.float32(cell * cell)
    taps = np.full(2 * reach + 1, 1.0 / (2 * reach + 1))
    for axis in (0, 1):
        mean = correlate1d(mean, taps, axis=axis, mode="nearest")
    return mean
