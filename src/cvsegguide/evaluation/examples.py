"""Single samples with what models make of them: the matter of figures and reports."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cvsegguide.data.sample import Sample, collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import GeoReference, wrap_degrees
from cvsegguide.geo.panorama import street_canvas
from cvsegguide.inference.finishing import finished, folded
from cvsegguide.inference.result import Localization
from cvsegguide.inference.segmentation import landcover_ids
from cvsegguide.io.rasters import Overhead
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

    @property
    def heading(self) -> float:
        """True azimuth of the street view's centre in degrees."""
        return _heading(self.sample)

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
    return finished(
        _aerial(sample),
        _bytes(sample.street),
        scores,
        ids,
        heading=_heading(sample),
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


def _resampled(model: LocalizationModel, sample: Sample, name: str) -> Localization:
    from cvsegguide.inference.localizer import Localizer

    localizer = Localizer(model, device=next(model.parameters()).device, name=name)
    truth = None
    if model.guidance == "truth" and sample.landcover is not None:
        truth = sample.landcover.numpy()
    return localizer.localize(
        _aerial(sample),
        _bytes(sample.street),
        heading=_heading(sample),
        fov=sample.fov,
        landcover=truth,
    )


def _aerial(sample: Sample) -> Overhead:
    """The overhead image as the localizers know it, in the sample's own frame."""
    image = _bytes(sample.overhead)
    height, width = image.shape[:2]
    reference = sample.reference
    if reference is None and sample.bounds is not None:
        reference = GeoReference.from_bounds(sample.bounds, height, width)
    return Overhead(image, np.ones((height, width), bool), reference, sample.gsd, sample.id)


def _heading(sample: Sample) -> float:
    """Headings of samples count from up in their tiles; this one from true north."""
    up = 0.0 if sample.reference is None else sample.reference.up_azimuth
    return wrap_degrees(sample.heading + up)


def _bytes(picture: torch.Tensor) -> NDArray[np.uint8]:
    """``(3, H, W)`` in [0, 1] to ``(H, W, 3)`` uint8."""
    values = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy())
