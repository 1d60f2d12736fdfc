"""Photographs through an ordinary lens as street views."""

import math

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError

WIDEST = 150.0
"""Degrees: beyond, straight lines in a picture are not kept by any common lens."""


def from_lens(photo: NDArray[np.uint8], fov: float) -> NDArray[np.uint8]:
    """Turn a photograph that keeps straight lines straight into an equirectangular view.

    Column by column: a pixel at ``x`` right of the middle and ``y`` above it, of a lens with focal
    length ``f`` (all in pixels), has the azimuth ``atan(x / f)`` and the elevation
    ``atan(y / hypot(x, f))``. The photograph was held level, its horizon in the middle row. The
    result has the same horizontal field of view and centre, the resolution of the photograph's
    middle, and the rows that the photograph shows all along.

    Args:
        photo: ``(H, W, 3)`` uint8.
        fov: Its horizontal extent in degrees, below :data:`WIDEST`. Of a lens of ``L`` mm on full
            frame (or the equivalent that a phone states) it is ``2 * atan(18 / L)``.

    Returns:
        ``(h, w, 3)`` uint8, whose vertical extent is ``fov * h / w`` degrees.

    Raises:
        InputError: ``fov`` is out of range.
    """
    if not 0.0 < fov <= WIDEST:
        raise InputError(
            f"of a photograph through a lens it lies in (0, {WIDEST:g}] degrees, got {fov:g}",
            parameter="fov",
        )
    height, width = photo.shape[:2]
    half = math.radians(fov) / 2
    focal = width / 2 / math.tan(half)
    # in the outermost columns the picture reaches least high
    up = math.atan(height / 2 / focal * math.cos(half))
    columns = max(1, round(2 * half * focal))
    rows = max(1, round(columns * up / half))
    azimuth = ((np.arange(columns) + 0.5) / columns * 2 - 1) * half
    elevation = ((rows / 2 - np.arange(rows) - 0.5) / columns) * 2 * half
    x = width / 2 + focal * np.tan(azimuth)
    y = height / 2 - focal * np.tan(elevation)[:, None] / np.cos(azimuth)
    return _sampled(photo, x, y)


def _sampled(
    picture: NDArray[np.uint8], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Bilinear values at ``x`` ``(w,)`` and ``y`` ``(h, w)``, measured from the corner."""
    height, width = picture.shape[:2]
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across = (x - left).astype(np.float32)[:, None]
    down = (y - top).astype(np.float32)[..., None]
    upper = picture[top, left] * (1 - across) + picture[top, right] * across
    lower = picture[bottom, left] * (1 - across) + picture[bottom, right] * across
    return np.asarray(np.rint(upper * (1 - down) + lower * down), np.uint8)
