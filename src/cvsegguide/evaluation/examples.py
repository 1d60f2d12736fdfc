"""Single samples with what models make of them: the matter of figures and reports."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import cvsegguide
from cvsegguide.data.sample import Sample, collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import GeoReference, wrap_degrees
from cvsegguide.geo.panorama import street_canvas
from cvsegguide.inference.posterior import mass_from_log, refined_mode
from cvsegguide.inference.regions import regions
from cvsegguide.inference.result import Localization
from cvsegguide.inference.segmentation import landcover_ids
from cvsegguide.landcover import ClassScheme, scheme_of
from cvsegguide.models.base import LocalizationModel


@dataclass
class Example:
    """A sample and its localisations.

    Attributes:
        sample: Pictures and truth.
        answers: One localisation per model, on the grid of the sample's overhead image.
    """

    sample: Sample
    answers: list[Localization]

    @property
    def overhead(self) -> NDArray[np.uint8]:
        """``(H, W, 3)`` uint8."""
        return _bytes(self.sample.overhead)

    @property
    def street(self) -> NDArray[np.uint8]:
        """``(h, w, 3)`` uint8."""
        return _bytes(self.sample.street)

    def error(self, number: int) -> float:
        """Distance between the estimate of a model and the truth in metres on the ground."""
        answer, sample = self.answers[number], self.sample
        return math.hypot(answer.row - sample.row, answer.col - sample.col) * sample.gsd

    def true_rank(self, number: int) -> int:
        """Rank of a model's region that the camera stands in; 0 when it is in none."""
        height, width = self.answers[number].posterior.shape
        row = min(max(int(self.sample.row), 0), height - 1)
        col = min(max(int(self.sample.col), 0), width - 1)
        for region in self.answers[number].regions:
            top, left = row - region.top, col - region.left
            high, wide = region.cutout.shape
            if 0 <= top < high and 0 <= left < wide and region.cutout[top, left]:
                return region.rank
        return 0


def answer(
    model: LocalizationModel, sample: Sample, name: str, scheme: ClassScheme | None = None
) -> Localization:
    """Localise a sample as ``test`` does: its tile passes the network as it is.

    A tile of another size than the model's is resampled by :class:`cvsegguide.Localizer`.

    Args:
        model: In evaluation mode.
        sample: Its heading is taken as known.
        name: Of the model.
        scheme: Class ids of the land cover; by default the built-in one of the model's channels.

    Raises:
        ConfigurationError: The model is guided by true land cover and the sample has none.
    """
    if tuple(sample.overhead.shape[1:]) != tuple(model.overhead_size):
        return _resampled(model, sample, name)
    device = next(model.parameters()).device
    batch = collate([sample]).to(device)
    if model.guidance == "truth" and batch.landcover is None:
        raise ConfigurationError(f"model {name} is guided by true land cover, and there is none")
    with torch.inference_mode():
        canvas, _ = street_canvas(
            batch.street, batch.heading, batch.fov, model.street_size, model.street_extent
        )
        guide = batch.landcover if model.guidance == "truth" else None
        prediction = model(batch.overhead, canvas, guide)
        scores = model.log_posterior(prediction)[0].float().cpu().numpy()
        cover = prediction.landcover
        if cover is None and guide is None:
            cover = model.segment(batch.overhead)
    found = scheme_of(model.channels) if scheme is None else scheme
    if cover is not None:
        ids = landcover_ids(cover[0].float(), model.channels, found)
    else:
        assert sample.landcover is not None
        ids = folded(sample.landcover.numpy(), found)
    row, col = refined_mode(scores)
    return _localization(
        sample, mass_from_log(scores).astype(np.float32), ids, row, col, name, found
    )


def examples(
    models: Sequence[tuple[str, LocalizationModel]], samples: Sequence[Sample]
) -> list[Example]:
    """Localise samples with models, given as pairs of name and network."""
    return [
        Example(sample, [answer(model, sample, name) for name, model in models])
        for sample in samples
    ]


def folded(landcover: NDArray[np.uint8], scheme: ClassScheme) -> NDArray[np.uint8]:
    """Class ids as the ids that stand for their guidance channels; 0 where they have none."""
    ids = np.zeros(256, np.uint8)
    ids[: len(scheme.channel_ids)] = scheme.channel_ids
    return np.asarray(ids[scheme.fold(landcover)])


def _resampled(model: LocalizationModel, sample: Sample, name: str) -> Localization:
    from cvsegguide.inference.localizer import Localizer

    localizer = Localizer(model, device=next(model.parameters()).device, name=name)
    truth = None
    if model.guidance == "truth" and sample.landcover is not None:
        truth = sample.landcover.numpy()
    return localizer.localize(
        _bytes(sample.overhead),
        _bytes(sample.street),
        gsd=sample.gsd,
        heading=sample.heading,
        fov=sample.fov,
        landcover=truth,
    )


def _localization(
    sample: Sample,
    posterior: NDArray[np.float32],
    ids: NDArray[np.uint8],
    row: float,
    col: float,
    name: str,
    scheme: ClassScheme,
) -> Localization:
    reference = None
    lon = lat = None
    if sample.bounds is not None:
        height, width = posterior.shape
        reference = GeoReference.from_bounds(sample.bounds, height, width)
        longitude, latitude = reference.rowcol_to_lonlat(row, col)
        lon, lat = float(longitude), float(latitude)
    return Localization(
        posterior=posterior,
        landcover=ids,
        row=row,
        col=col,
        lon=lon,
        lat=lat,
        heading=wrap_degrees(sample.heading),
        regions=regions(
            posterior, separation=3.0 / sample.gsd, pixel_area=sample.gsd**2, reference=reference
        ),
        gsd=sample.gsd,
        model=name,
        version=cvsegguide.__version__,
        bounds=sample.bounds,
        reference=reference,
        overhead=_bytes(sample.overhead),
        street=_bytes(sample.street),
        fov=sample.fov,
        pixel_size=(sample.gsd, sample.gsd),
        scheme=scheme,
    )


def _bytes(picture: torch.Tensor) -> NDArray[np.uint8]:
    """``(3, H, W)`` in [0, 1] to ``(H, W, 3)`` uint8."""
    values = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy())
