"""Street views as if their cameras had stood higher or lower."""

import math

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.2, 20.0
"""Metres above the ground between which a camera's height is believed."""


def from_height(
    view: NDArray[np.uint8], fov: float, height: float, wanted: float
) -> NDArray[np.uint8]:
    """The ground as a camera ``wanted`` metres above it would have seen it.

    A place on flat ground that is ``r`` metres away lies ``atan(height / r)`` below the horizon.
    Its row is moved to ``atan(wanted / r)`` below; what lies above the horizon stays. Things that
    stand on the ground are stretched from the horizon downwards, their feet stay where they
    belong. Where the view does not reach far enough down, its last row is repeated.

    Args:
        view: ``(h, w, 3)`` uint8, equirectangular, centred on the horizon.
        fov: Its horizontal extent in degrees; its pixels are square.
        height: Metres above the ground that it was taken from.
        wanted: Metres above the ground.

    Returns:
        ``(h, w, 3)`` uint8.
    """
    rows, columns = view.shape[:2]
    degrees = fov / columns
    elevation = np.radians((rows / 2 - np.arange(rows) - 0.5) * degrees)
    elevation = np.clip(elevation, -math.pi / 2, None)
    seen = np.where(elevation < 0, np.arctan(height / wanted * np.tan(elevation)), elevation)
    source = np.clip(rows / 2 - 0.5 - np.degrees(seen) / degrees, 0, rows - 1)
    upper = source.astype(np.int64)
    lower = np.minimum(upper + 1, rows - 1)
    share = (source - upper).astype(np.float32)[:, None, None]
    return np.asarray(np.rint(view[upper] * (1 - share) + view[lower] * share), np.uint8)
