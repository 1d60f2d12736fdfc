"""Headings over an image of several windows: what two windows see counts once."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cvsegguide.inference.localizer import Localizer
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.headings import best_heading

SIDE = 64


class TwoLights(LocalizationModel):
    """Stands on white pixels, looking north, or on grey ones, looking east; all the same weight."""

    searches_headings = True
    overhead_size = (SIDE, SIDE)
    street_size = (16, 64)
    street_extent = (90.0, 360.0)
    gsd = 0.5
    guidance = "none"
    channels = ("road",)

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        assert headings is not None
        brightness = overhead.mean(dim=1, keepdim=True)
        heatmap = torch.where(brightness > 0.2, 0.0, -50.0)
        looks = torch.stack([(brightness > 0.9).sum((1, 2, 3)), (brightness > 0.2).sum((1, 2, 3))])
        north = looks[0].clamp_min(1e-9).float()
        east = (looks[1] - looks[0]).clamp_min(1e-9).float()
        log = torch.full((len(overhead), len(headings)), -60.0)
        log[:, int(headings.abs().argmin())] = north.log()
        log[:, int((headings - 90).abs().argmin())] = east.log()
        return Prediction(None, heatmap, best_heading(log, headings), log.log_softmax(dim=1))

    def log_posterior(self, prediction: Prediction) -> Tensor:
        heatmap = prediction.heatmap[:, 0]
        return heatmap.flatten(1).log_softmax(dim=1).view_as(heatmap)

    def segment(self, overhead: Tensor) -> Tensor:
        return torch.zeros(len(overhead), 1, *overhead.shape[2:])


def test_what_several_windows_see_counts_once() -> None:
    # Windows of 64 pixels begin at 0, 32 and 64: columns 32 to 96 lie in two of them.
    image = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    image[20:24, 4:8] = 255  # in one window
    image[20:24, 68:72] = 128  # in two others
    localizer = Localizer(TwoLights(), device="cpu")
    street = np.full((16, 64, 3), 200, np.uint8)
    result = localizer.localize(image, street, heading=None, gsd=0.5)
    masses = result.heading_posterior
    assert masses is not None
    count = len(masses)
    assert masses[0] == pytest.approx(0.5, abs=1e-3)
    assert masses[count // 4] == pytest.approx(0.5, abs=1e-3)
