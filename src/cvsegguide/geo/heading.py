"""Headings and the azimuths of panorama columns, in degrees clockwise from north."""

import numpy as np
from numpy.typing import NDArray


def wrap_degrees(angle: float) -> float:
    """The same direction in ``[0, 360)``."""
    wrapped = float(angle) % 360.0
    return 0.0 if wrapped == 360.0 else wrapped


def angular_difference(first: float, second: float) -> float:
    """``first - second`` as the shortest turn, in ``[-180, 180)`` degrees."""
    return (float(first) - float(second) + 180.0) % 360.0 - 180.0


def column_azimuths(width: int, heading: float = 0.0, fov: float = 360.0) -> NDArray[np.float64]:
    """Azimuth of each column's centre in an equirectangular image.

    Args:
        width: Number of columns W.
        heading: Azimuth of the centre of the image, degrees clockwise from north.
        fov: Horizontal extent in degrees.

    Returns:
        ``(W,)`` azimuths in ``[0, 360)``; columns to the right look further clockwise.
    """
    offsets = (np.arange(width) + 0.5 - width / 2) * (fov / width)
    return np.asarray((heading + offsets) % 360.0)
