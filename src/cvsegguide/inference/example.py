"""Samples of a data set with what models make of them: the matter of figures and reports."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cvsegguide.data.sample import Sample
from cvsegguide.geo import wrap_degrees
from cvsegguide.inference.regions import rank_at
from cvsegguide.inference.result import Localization


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
        return to_picture(self.sample.overhead)

    @property
    def street(self) -> NDArray[np.uint8]:
        """``(h, w, 3)`` uint8."""
        return to_picture(self.sample.street)

    @property
    def heading(self) -> float:
        """True azimuth of the street view's centre in degrees."""
        return wrap_degrees(self.sample.heading + up_azimuth(self.sample))

    def error(self, number: int) -> float:
        """Distance between the estimate of a model and the truth in metres on the ground."""
        answer, sample = self.answers[number], self.sample
        return math.hypot(answer.row - sample.row, answer.col - sample.col) * sample.gsd

    def true_rank(self, number: int) -> int:
        """Rank of a model's region that the camera stands in; 0 when it is in none."""
        answer = self.answers[number]
        return rank_at(answer.regions, answer.posterior.shape, self.sample.row, self.sample.col)


def up_azimuth(sample: Sample) -> float:
    """True azimuth of up in the tile: from there headings of samples count."""
    return 0.0 if sample.reference is None else sample.reference.up_azimuth


def to_picture(picture: torch.Tensor) -> NDArray[np.uint8]:
    """``(3, H, W)`` in [0, 1] to ``(H, W, 3)`` uint8."""
    values = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy())
