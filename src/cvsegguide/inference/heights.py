"""Cameras that stood higher or lower than those a network was trained with."""

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import ConfigurationError, InputError
from cvsegguide.geo.height import HIGHEST, LOWEST, from_height

UNKNOWN = "unknown"
"""A camera height that is searched."""

USUAL = (1.5, 2.5)
"""Metres above the ground between which street views are taken as they are. The bundled weights
know 1.5 to 3 m; most of their pictures were taken from 2.5 m."""

SEARCHED = (None, 0.5, 0.8, 4.0, 6.0)
"""Metres that are tried where the height is unknown; None takes the street view as it is."""


def heights_to_try(
    camera_height: float | str | None, searches: bool, name: str
) -> tuple[float | None, ...]:
    """The heights that a street view is looked at from.

    Args:
        camera_height: Metres, :data:`UNKNOWN`, or None: a usual one.
        searches: Whether the network compares headings: those of others are no log-probabilities,
            which cannot be compared from one height to another.
        name: Of the model.

    Raises:
        InputError: It is neither, or out of range.
        ConfigurationError: Heights are to be searched with a network that cannot compare them.
    """
    if camera_height == UNKNOWN:
        if not searches:
            raise ConfigurationError(
                f"{UNKNOWN}: the scores of model {name} cannot be compared from one street view to "
                "another; give the height in metres",
                "camera_height",
            )
        return SEARCHED
    if isinstance(camera_height, str):
        raise InputError(f"is metres or '{UNKNOWN}', not '{camera_height}'", "camera_height")
    if camera_height is not None and not LOWEST <= camera_height <= HIGHEST:
        raise InputError(
            f"must lie in {LOWEST:g}..{HIGHEST:g} metres, got {camera_height:g}", "camera_height"
        )
    return (camera_height,)


def to_usual_height(view: NDArray[np.uint8], fov: float, height: float | None) -> NDArray[np.uint8]:
    """The street view as a camera of usual height would have taken it.

    Args:
        view: ``(h, w, 3)`` uint8, equirectangular, centred on the horizon.
        fov: Its horizontal extent in degrees.
        height: Metres above the ground that it was taken from; None: a usual one.
    """
    if height is None:
        return view
    wanted = min(max(height, USUAL[0]), USUAL[1])
    return view if wanted == height else from_height(view, fov, height, wanted)
