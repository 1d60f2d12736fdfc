"""Single samples with what models make of them: the matter of figures and reports."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from cvsegguide.data.sample import Sample, collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import GeoReference, wrap_degrees
from cvsegguide.inference.example import Example, to_picture, up_azimuth
from cvsegguide.inference.network import class_ids_of_channels
from cvsegguide.inference.postprocess import assemble_result, reduce_to_channels
from cvsegguide.inference.prediction import predict
from cvsegguide.inference.result import Localization
from cvsegguide.io.rasters import Overhead
from cvsegguide.landcover import ClassScheme, scheme_of
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.headings import heading_grid


def answer(
    model: LocalizationModel,
    sample: Sample,
    name: str,
    scheme: ClassScheme | None = None,
    heading_error: float = 0.0,
) -> Localization:
    """Localise a sample as ``test`` does: its tile passes the network as it is.

    A tile of another size than the model's is resampled by :class:`cvsegguide.Localizer`.

    Args:
        model: In evaluation mode.
        sample: Its heading is known to within ``heading_error``.
        name: Of the model.
        scheme: Class ids of the land cover; by default the built-in one of the model's channels.
        heading_error: Largest error of the compass that is simulated, in degrees either way, as
            ``test`` does; networks that search headings search so far.

    Raises:
        ConfigurationError: The model is guided by true land cover and the sample has none.
    """
    assumed = sample.heading + float(compass_errors([sample.id], heading_error)[0])
    device = next(model.parameters(), torch.empty(0)).device
    if tuple(sample.overhead.shape[1:]) != tuple(model.overhead_size):
        return _resampled(model, sample, name, device, assumed, heading_error)
    batch = collate([sample]).to(device)
    if model.guidance == "truth" and batch.landcover is None:
        raise ConfigurationError(f"model {name} is guided by true land cover, and there is none")
    search = heading_grid(heading_error, device) if model.searches_headings else None
    with torch.inference_mode():
        prediction = predict(
            model, batch.overhead, batch.street, [assumed], batch.fov, batch.landcover, search
        )
        if prediction.heading is not None:
            assumed = float(prediction.heading[0])
        scores = model.log_posterior(prediction)[0].float().cpu().numpy()
        cover = prediction.landcover
        if cover is None and model.guidance != "truth":
            cover = model.segment(batch.overhead)
    found = scheme_of(model.channels) if scheme is None else scheme
    if cover is not None:
        best = cover[0].float().argmax(dim=0).cpu().numpy()
        ids = class_ids_of_channels(model.channels, found)[best]
    else:
        assert sample.landcover is not None
        ids = reduce_to_channels(sample.landcover.numpy(), found)
    return assemble_result(
        _aerial(sample),
        to_picture(sample.street),
        scores,
        ids,
        heading=wrap_degrees(assumed + up_azimuth(sample)),
        fov=sample.fov,
        model=name,
        scheme=found,
    )


def examples(
    models: Sequence[tuple[str, LocalizationModel]], samples: Sequence[Sample]
) -> list[Example]:
    """Localise samples with models, given as pairs of name and network."""
    return [
        Example(sample, [answer(model, sample, name) for name, model in models])
        for sample in samples
    ]


def _resampled(
    model: LocalizationModel,
    sample: Sample,
    name: str,
    device: torch.device,
    heading: float,
    heading_error: float,
) -> Localization:
    from cvsegguide.inference.localizer import Localizer

    localizer = Localizer(model, device=device, name=name)
    truth = None
    if model.guidance == "truth" and sample.landcover is not None:
        truth = sample.landcover.numpy()
    return localizer.localize(
        _aerial(sample),
        to_picture(sample.street),
        heading=heading + up_azimuth(sample),
        heading_error=heading_error if model.searches_headings else 0.0,
        fov=sample.fov,
        landcover=truth,
    )


def _aerial(sample: Sample) -> Overhead:
    """The overhead image as the localizers know it, in the sample's own frame."""
    image = to_picture(sample.overhead)
    height, width = image.shape[:2]
    reference = sample.reference
    if reference is None and sample.bounds is not None:
        reference = GeoReference.from_bounds(sample.bounds, height, width)
    valid = np.ones((height, width), bool) if sample.valid is None else sample.valid.numpy()
    return Overhead(image, valid, reference, sample.gsd, sample.id)


def compass_errors(names: Sequence[str], largest: float) -> torch.Tensor:
    """The compass that validation and tests simulate.

    Returns:
        ``(B,)`` degrees evenly from ``[-largest, largest]``, a function of the samples' names.
    """
    shares = [zlib.crc32(name.encode()) / 2**32 for name in names]
    return (torch.tensor(shares) * 2.0 - 1.0) * largest
