"""From street views and their headings to a network's answer: the one way there."""

from typing import Any

import torch
from torch import Tensor

from cvsegguide.geo.panorama import street_canvas
from cvsegguide.models.base import LocalizationModel, Prediction


def predict(
    model: LocalizationModel,
    overhead: Tensor,
    street: Tensor,
    heading: Any,
    fov: Any,
    landcover: Tensor | None = None,
    headings: Tensor | None = None,
) -> Prediction:
    """Localise street views in overhead tiles: canvas, network, headings counted from north again.

    Training, evaluation and inference all pass here. Each view is put on the model's canvas, turned
    to the tile's up and filled above and below (:func:`~cvsegguide.geo.panorama.street_canvas`).
    ``model.log_posterior(prediction)`` then gives log-probabilities over the tile's pixels.

    Args:
        model: The network, in training or evaluation mode, on the device of ``overhead``.
        overhead: ``(B, 3, H, W)`` float32 in [0, 1], RGB.
        street: ``(B, 3, h, w)`` equirectangular views of any size, floats in [0, 1] or uint8.
        heading: ``(B,)`` azimuth of each view's centre column, degrees clockwise from the tile's
            up; a tensor or numbers.
        fov: ``(B,)`` horizontal extent of each view in degrees, in (0, 360].
        landcover: ``(B, H, W)`` class ids 1..8, needed when ``model.guidance`` is ``"truth"``;
            not looked at otherwise.
        headings: ``(K,)`` degrees: how far the true heading may lie from ``heading``, each as
            probable, for networks that search headings
            (:func:`cvsegguide.models.headings.heading_grid`). None: ``heading`` is right.

    Returns:
        The network's answer, on the device of ``overhead``. Its ``heading`` is an azimuth like
        ``heading``, in [0, 360), where headings were searched; ``heading_log`` stays in the order
        of ``headings``.

    Raises:
        ConfigurationError: Sizes do not fit the network, or true land cover is missing.
    """
    canvas: Tensor = street_canvas(street, heading, fov, model.street_size, model.street_extent)
    known = landcover if model.guidance == "truth" else None
    prediction: Prediction = model(overhead, canvas.to(overhead.device), known, headings)
    if prediction.heading is not None:
        given = torch.as_tensor(heading).to(prediction.heading)
        prediction.heading = (given + prediction.heading).remainder(360.0)
    return prediction
