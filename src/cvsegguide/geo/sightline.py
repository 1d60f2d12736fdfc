"""The published localisation target: a Gaussian around the camera, 0 behind obstacles.

Source: Xavier et al. 2025, doi:10.1016/j.birob.2024.100208.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo._visibility import visible_pixels


def sightline(
    landcover: ArrayLike,
    row: float,
    col: float,
    sigma: float = 64.0,
    obstacles: Collection[int] = (5,),
) -> NDArray[np.float32]:
    """A Gaussian around the camera, 0 where an obstacle stands in the way.

    Args:
        landcover: ``(H, W)`` class ids (uint8, or any integers).
        row, col: The camera in pixels, centres at +0.5. It may lie on the edge or outside of the
            raster, beyond which the view is free. Inside an obstacle it sees nothing.
        sigma: Standard deviation of the Gaussian in pixels.
        obstacles: Ids that block the view; the published maps know buildings alone.

    Returns:
        ``(H, W)`` float32: ``exp(-d^2 / (2 sigma^2))`` of the distance d from the camera to the
        pixel's centre, not normalised (at most 1); 0 at obstacles and behind them.

    Raises:
        InputError: No raster of integers, a position that is not finite, or a sigma that is not
            positive.
    """
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(f"must be a positive number of pixels, got {sigma}", parameter="sigma")
    seen = visible(landcover, row, col, obstacles)
    rows, cols = seen.shape
    vertical = np.exp(-0.5 * ((np.arange(rows) + 0.5 - row) / sigma) ** 2)
    horizontal = np.exp(-0.5 * ((np.arange(cols) + 0.5 - col) / sigma) ** 2)
    bell: NDArray[np.float32] = vertical.astype(np.float32)[:, None] * horizontal.astype(np.float32)
    bell *= seen
    return bell


def visible(
    landcover: ArrayLike, row: float, col: float, obstacles: Collection[int] = (5,)
) -> NDArray[np.bool_]:
    """Which pixels can be seen from the camera.

    A pixel is seen when the straight line from the camera to its centre meets no obstacle pixel,
    itself included. Pixels are squares: the test is exact, not sampled along the line. A line that
    only grazes a corner or an edge passes, unless obstacles touch it on both sides.

    Args:
        landcover: ``(H, W)`` class ids.
        row, col: The camera in pixels, as in :func:`sightline`.
        obstacles: Ids that block the view.

    Returns:
        ``(H, W)`` bool.

    Raises:
        InputError: No raster of integers, or a position that is not finite.
    """
    ids = np.asarray(landcover)
    if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "iub":
        raise InputError(
            f"must be integers of shape (H, W), got {ids.dtype} {tuple(ids.shape)}",
            parameter="landcover",
        )
    if not (np.isfinite(row) and np.isfinite(col)):
        raise InputError(f"must be finite, got ({row}, {col})", parameter="row, col")
    if ids.dtype == np.uint8:
        lookup = np.zeros(256, np.bool_)
        lookup[[value for value in obstacles if 0 <= value <= 255]] = True
        blocked = lookup[ids]
    else:
        blocked = np.isin(ids, list(obstacles))
    return visible_pixels(np.ascontiguousarray(blocked), float(row), float(col))
