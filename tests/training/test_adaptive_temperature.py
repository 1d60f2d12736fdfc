"""A temperature of each answer's own: posteriors that are right in a known way at any height."""

from collections.abc import Iterator

import pytest
import torch

from cvsegguide.data.sample import collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.registry import create_model
from cvsegguide.training.adaptive_temperature import (
    KINDS,
    choose_adaptive_temperature,
    made_unfamiliar,
)
from cvsegguide.training.calibration import MINIMUM
from helpers.tiny import TinyPairs

SIDE = 96


class Told(LocalizationModel):
    """A network that only remembers what it was told."""

    told: tuple[float, float] | None = None

    def adapt_temperature(self, peak: float, power: float) -> None:
        self.told = (peak, power)


def match(height: float, deviation: float, count: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Gaussians of the deviation 3 times ``height``, and cameras that scatter by ``deviation``."""
    generator = torch.Generator().manual_seed(seed)
    rows, cols = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    squared = (rows - SIDE / 2) ** 2 + (cols - SIDE / 2) ** 2
    log = (-squared / (2 * 3.0**2) * height).flatten().log_softmax(dim=0).view(1, SIDE, SIDE)
    position = SIDE / 2 + deviation * torch.randn(count, 2, generator=generator)
    return log.expand(count, -1, -1), position


def stands_out(log: torch.Tensor) -> float:
    return float(log[0].max() - log[0].mean())


def test_power_and_peak_are_those_that_make_every_kind_of_match_right() -> None:
    """A match of height a claims the deviation 3 a^-0.5; times (g / peak)^2 it has 3 a^-1.5."""
    heights = (1.0, 0.6, 0.35)
    kinds = [match(a, 3.0 * a**-1.5, 240, n) for n, a in enumerate(heights)]
    parts = (slice(120), slice(120, None))
    halves = [(log[part], position[part]) for part in parts for log, position in kinds]
    model = Told()
    found = choose_adaptive_temperature(model, halves)
    assert found is not None
    assert found.samples == 240
    assert found.power == 2.0
    assert found.peak == pytest.approx(stands_out(kinds[0][0]), rel=0.1)
    assert model.told == (found.peak, found.power)
    assert found.after < 0.03 < found.before


def test_nothing_changes_where_all_matches_are_right() -> None:
    kinds = [match(a, 3.0 * a**-0.5, 240, n) for n, a in enumerate((1.0, 0.6, 0.35))]
    model = Told()
    found = choose_adaptive_temperature(model, kinds)
    assert found is not None
    assert found.power in (0.0, 0.5)
    assert found.before < 0.04


def test_few_samples_say_nothing() -> None:
    kinds = [match(a, 3.0 * a**-1.5, MINIMUM - 1, n) for n, a in enumerate((1.0, 0.6, 0.35))]
    model = Told()
    found = choose_adaptive_temperature(model, kinds)
    assert found is not None
    assert (found.power, model.told) == (0.0, (1.0, 0.0))
    assert choose_adaptive_temperature(Told(), []) is None


def geometric() -> tuple[LocalizationModel, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    model = create_model("geometric-tiny").eval()
    height, width = model.overhead_size
    return model, (torch.rand(2, 3, height, width), torch.rand(2, 3, *model.street_size))


@torch.no_grad()
def test_the_geometric_network_does_as_it_is_told() -> None:
    model, pair = geometric()
    before = model.log_posterior(model(*pair)).flatten(1)
    model.adapt_temperature(5.0, 2.0)
    after = model.log_posterior(model(*pair)).flatten(1)
    factor = ((before.amax(1) - before.mean(1)) / 5.0) ** 2
    expected = (before * factor[:, None]).log_softmax(dim=1)
    assert torch.allclose(after, expected, atol=1e-4)
    model.train()  # training has the plain softmax
    heatmap = model(*pair).heatmap
    plain = model.log_posterior(model(*pair)).flatten(1)
    assert torch.allclose(plain, heatmap.flatten(1).log_softmax(dim=1), atol=1e-5)


def test_what_the_first_weights_had_is_undone_before_anything_is_read() -> None:
    model, _ = geometric()
    model.adapt_temperature(5.0, 2.0)
    read = []

    def batches() -> Iterator[tuple[torch.Tensor, ...]]:
        read.append(model.state_dict()["temperature_power"].item())
        yield from (match(1.0, 3.0, MINIMUM, n) for n in range(KINDS))

    assert choose_adaptive_temperature(model, batches()) is not None
    assert read == [0.0]


@torch.no_grad()
def test_temperatures_mean_the_same_beside_it() -> None:
    """A half makes the posterior its root, whatever was set before."""
    for search in (False, True):
        model, pair = geometric()
        turns = torch.tensor([-90.0, 90.0])[: 2 if search else 1]
        model.adapt_temperature(5.0, 2.0)
        before = model.log_posterior(model(*pair, headings=turns))
        (model.sharpen_search if search else model.sharpen)(0.5)
        after = model.log_posterior(model(*pair, headings=turns))
        expected = (0.5 * before).flatten(1).log_softmax(dim=1).view_as(before)
        # two headings are added up, each a little sharper
        assert torch.allclose(after, expected, atol=0.3 if search else 1e-3)


def test_other_networks_have_none() -> None:
    model = create_model("mst-tiny")
    assert not model.adapts_temperature
    with pytest.raises(ConfigurationError, match="stands out"):
        model.adapt_temperature(1.0, 1.0)


def test_unfamiliar_pictures_show_the_same_place_with_other_looks() -> None:
    pairs = TinyPairs(4)
    batch = collate([pairs[i] for i in range(4)])
    kinds = list(made_unfamiliar([batch, batch]))
    assert len(kinds) == 2 * KINDS
    assert kinds[0] is kinds[KINDS] is batch
    for changed in (kinds[1], kinds[2]):
        assert torch.equal(changed.street, batch.street)
        assert torch.equal(changed.position, batch.position)
        assert not torch.equal(changed.overhead, batch.overhead)
        assert 0.0 <= float(changed.overhead.min()) <= float(changed.overhead.max()) <= 1.0
    assert not torch.equal(kinds[1].overhead, kinds[KINDS + 1].overhead)
    again = list(made_unfamiliar([batch]))
    assert torch.equal(again[2].overhead, kinds[2].overhead)
