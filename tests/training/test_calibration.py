"""Calibration, on posteriors whose right temperature is known."""

import pytest
import torch

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.registry import create_model
from cvsegguide.training.calibration import MINIMUM, calibrate


class Sharpened(LocalizationModel):
    """A network that only remembers by what it was sharpened."""

    factor = 1.0

    def sharpen(self, factor: float) -> None:
        self.factor *= factor


def gaussians(claimed: float, true: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-posteriors that claim one deviation (pixels) and cameras that scatter with another."""
    generator = torch.Generator().manual_seed(0)
    rows, cols = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    offset = torch.randn(count, 2, generator=generator) * true
    squared = (rows - 48.0) ** 2 + (cols - 48.0) ** 2
    log = (-squared / (2 * claimed**2)).flatten().log_softmax(dim=0).view(1, 96, 96)
    return log.expand(count, -1, -1), 48.0 + offset


@pytest.mark.parametrize(("claimed", "true"), [(3.0, 6.0), (6.0, 5.0), (4.0, 4.0)])
def test_the_factor_makes_the_deviation_right(claimed: float, true: float) -> None:
    log, position = gaussians(claimed, true, 600)
    model = Sharpened()
    parts = [(log[:200], position[:200]), (log[200:], position[200:])]
    found = calibrate(model, parts)
    assert found is not None
    assert found.samples == 600
    # a Gaussian's log-probabilities times f have the deviation divided by the root of f
    assert model.factor == found.factor == pytest.approx((claimed / true) ** 2, rel=0.15)
    assert found.after <= found.before
    assert found.after < 0.03


def test_few_samples_say_nothing() -> None:
    log, position = gaussians(3.0, 6.0, MINIMUM)
    few, enough = Sharpened(), Sharpened()
    found = calibrate(few, [(log[1:], position[1:])])
    assert found is not None
    assert (found.factor, found.samples, few.factor) == (1.0, MINIMUM - 1, 1.0)
    assert found.after == found.before
    calibrate(enough, [(log, position)])
    assert enough.factor < 0.5


def test_without_samples_nothing_changes() -> None:
    model = Sharpened()
    assert calibrate(model, []) is None
    assert model.factor == 1.0


@pytest.mark.parametrize("name", ["geometric-tiny", "mst-tiny"])
def test_networks_are_sharpened_by_what_is_asked(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name).eval()
    height, width = model.overhead_size
    pair = (torch.rand(1, 3, height, width), torch.rand(1, 3, *model.street_size))
    with torch.no_grad():
        before = model.log_posterior(model(*pair))
        model.sharpen(0.5)
        after = model.log_posterior(model(*pair))
    expected = (0.5 * before).flatten(1).log_softmax(dim=1).view_as(before)
    assert torch.allclose(after, expected, atol=1e-4)


def test_searched_headings_have_a_temperature_of_their_own() -> None:
    torch.manual_seed(0)
    model = create_model("geometric-tiny").eval()
    height, width = model.overhead_size
    pair = (torch.rand(1, 3, height, width), torch.rand(1, 3, *model.street_size))
    turns = torch.tensor([-90.0, 0.0])

    def densities() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            known, searched = model(*pair), model(*pair, headings=turns)
        assert searched.heading_log is not None
        return model.log_posterior(known), searched.heading_log[0]

    known, headings = densities()
    found = calibrate(model, [gaussians(3.0, 6.0, 600)], search=True)
    assert found is not None
    assert found.factor == pytest.approx(0.25, rel=0.15)
    after, turned = densities()
    assert torch.equal(after, known)
    # the flatter density gives the two headings more equal shares
    assert float((turned[0] - turned[1]).abs()) < float((headings[0] - headings[1]).abs())


def test_published_networks_cannot_be_sharpened() -> None:
    model = create_model("mst-tiny", variant="published")
    with pytest.raises(ConfigurationError, match="no temperature"):
        model.sharpen(0.5)
    with pytest.raises(ConfigurationError, match="no temperature of searched headings"):
        model.sharpen_search(0.5)
