"""From a network's answers about an overhead image to a result.

Whatever ran the network, and however the image reached it, answers become results here alone:
probabilities on the image's own grid, none where it has no data, the estimate and its coordinates,
ranked regions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvsegguide import __version__
from cvsegguide.inference.posterior import mass_from_log, refined_mode, regrid
from cvsegguide.inference.regions import regions
from cvsegguide.inference.result import Localization
from cvsegguide.io.rasters import Overhead
from cvsegguide.io.resampling import resample_mask
from cvsegguide.landcover import ClassScheme


def assemble_result(
    aerial: Overhead,
    view: NDArray[np.uint8],
    scores: NDArray[np.floating],
    ids: NDArray[np.uint8],
    *,
    heading: float | None,
    fov: float,
    model: str,
    scheme: ClassScheme,
    heading_posterior: NDArray[np.float32] | None = None,
) -> Localization:
    """Complete a localisation.

    Args:
        aerial: The overhead image, ``(H, W)``.
        view: ``(h, w, 3)``, the street view.
        scores: Log-probabilities over all of the image, at any resolution.
        ids: ``(H, W)`` class ids.
        heading: Azimuth of the street view's centre from true north: given or found; None where
            it is neither.
        fov: Horizontal extent of the street view in degrees.
        model: Name of the model.
        scheme: Of ``ids``.
        heading_posterior: Mass over sectors of heading, where it was found.
    """
    height, width = scores.shape
    valid = None if aerial.valid.all() else aerial.valid
    if valid is not None:
        scores = np.where(resample_mask(valid, (height, width)), scores, -np.inf)
        ids = np.where(valid, ids, 0).astype(np.uint8)
    posterior = regrid(mass_from_log(scores), aerial.shape, valid)
    row, col = refined_mode(scores)
    row *= aerial.shape[0] / height
    col *= aerial.shape[1] / width
    reference, pixel = aerial.reference, aerial.pixel_size
    lon = lat = None
    if reference is not None:
        longitude, latitude = reference.rowcol_to_lonlat(row, col)
        lon, lat = float(longitude), float(latitude)
    return Localization(
        posterior=posterior,
        landcover=ids,
        row=row,
        col=col,
        lon=lon,
        lat=lat,
        heading=heading,
        heading_posterior=heading_posterior,
        regions=regions(
            posterior,
            separation=None if pixel is None else 3.0 / math.sqrt(pixel[0] * pixel[1]),
            pixel_area=None if pixel is None else pixel[0] * pixel[1],
            reference=reference,
        ),
        gsd=aerial.gsd,
        model=model,
        version=__version__,
        bounds=None if reference is None else reference.bounds,
        reference=reference,
        overhead=aerial.image,
        street=view,
        fov=fov,
        pixel_size=pixel,
        scheme=scheme,
    )


def reduce_to_channels(landcover: NDArray[np.uint8], scheme: ClassScheme) -> NDArray[np.uint8]:
    """Class ids as the ids that stand for their guidance channels; 0 where they have none."""
    ids = np.zeros(256, np.uint8)
    ids[: len(scheme.channel_ids)] = scheme.channel_ids
    return np.asarray(ids[scheme.fold(landcover)], np.uint8)
