"""What is given to a localisation, opened and looked at before anything is computed."""

from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.io.images import ImageLike
from cvsegguide.io.location import check_given_bounds
from cvsegguide.io.rasters import Overhead, read_overhead

MINIMUM_SIDE = 8
"""Pixels that a side of a picture has at least."""


def open_overhead(
    overhead: ImageLike | Overhead,
    bounds: tuple[float, float, float, float] | None,
    gsd: float | None,
) -> Overhead:
    """An overhead image, read if it is not yet.

    Raises:
        InputError: It cannot be used, has too few pixels, or does not fit its bounds.
        ConfigurationError: See :func:`cvsegguide.io.rasters.read_overhead`.
    """
    aerial = overhead if isinstance(overhead, Overhead) else read_overhead(overhead, bounds, gsd)
    if bounds is not None:
        check_given_bounds(aerial)
    _check_sides(aerial.shape, aerial.name)
    return aerial


def check_street(view: NDArray[np.uint8], fov: float, source: ImageLike) -> None:
    """Refuse a street view of too few pixels, or taller than the sphere.

    Args:
        view: ``(h, w, 3)``.
        fov: Degrees from left to right.
        source: Where it came from, for the message.
    """
    name = fspath(source) if isinstance(source, str | PathLike) else "street view"
    _check_sides(view.shape, name)
    height, width = view.shape[:2]
    vertical = fov * height / width
    if vertical > 185.0:
        raise InputError(
            f"{name}: {width} x {height} pixels that span {fov:g} degrees from left to right "
            f"would span {vertical:.0f} from top to bottom; pass its own `fov`"
        )


def _check_sides(shape: tuple[int, ...], name: str) -> None:
    if min(shape[:2]) < MINIMUM_SIDE:
        raise InputError(
            f"{name}: {shape[1]} x {shape[0]} pixels are too few; at least {MINIMUM_SIDE} a side "
            "are needed"
        )
