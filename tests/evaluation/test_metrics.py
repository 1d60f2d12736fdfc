"""Metrics against arithmetic."""

import math

import numpy as np
import pytest
import torch

from cvsegguide.evaluation.baselines import CENTRE, PRIOR, UNIFORM, Baselines, fit_prior
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.evaluation.position import HeadingError, PositionError
from cvsegguide.evaluation.posterior import (
    PosteriorReading,
    PosteriorScores,
    RegionScores,
    read_posterior,
)
from cvsegguide.evaluation.segmentation import LandCoverScores
from cvsegguide.evaluation.streaming import error_figures


def test_position_error_in_metres() -> None:
    metric = PositionError()
    truth = torch.tensor([[10.0, 10.0], [10.0, 10.0]])
    estimate = torch.tensor([[13.0, 14.0], [10.0, 10.0]])
    metric.update(estimate, truth, torch.tensor([0.5, 0.5]))
    metric.update(torch.tensor([[0.0, 8.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([1.0]))
    figures = metric.compute()
    assert figures["count"] == 3
    assert figures["mean"] == pytest.approx((2.5 + 0 + 8) / 3)
    assert figures["median"] == 2.5
    assert figures["p25"] == 1.25
    assert figures["recall_1m"] == pytest.approx(1 / 3)
    assert figures["recall_3m"] == pytest.approx(2 / 3)
    assert figures["recall_10m"] == 1.0
    assert "lateral_mean" not in figures


def test_lateral_and_longitudinal() -> None:
    metric = PositionError()
    # 3 m north and 4 m east of the truth; one street runs north, the other east, one is unknown.
    truth = torch.tensor([[10.0, 10.0]] * 3)
    estimate = torch.tensor([[7.0, 14.0]] * 3)
    azimuth = torch.tensor([0.0, 90.0, math.nan])
    metric.update(estimate, truth, torch.ones(3), azimuth)
    assert metric.longitudinal[0][:2].tolist() == pytest.approx([3.0, 4.0], abs=1e-5)
    assert metric.lateral[0][:2].tolist() == pytest.approx([4.0, 3.0], abs=1e-5)
    figures = metric.compute()
    assert figures["lateral_mean"] == pytest.approx(3.5)
    assert figures["lateral_p90"] == pytest.approx(3.9)
    assert figures["longitudinal_p25"] == pytest.approx(3.25)
    assert (figures["lateral_recall_1m"], figures["lateral_recall_5m"]) == (0.0, 1.0)


def test_heading_error_wraps_and_skips_unknown() -> None:
    metric = HeadingError()
    metric.update(torch.tensor([359.0, 10.0, math.nan]), torch.tensor([3.0, 350.0, 0.0]))
    figures = metric.compute()
    assert figures["count"] == 2
    assert figures["mean"] == pytest.approx(12.0, abs=1e-4)


def test_land_cover_scores() -> None:
    metric = LandCoverScores(("road", "tree"))
    target = torch.tensor([[[0, 0, 0, 1]], [[1, 255, 255, 255]]])
    predicted = torch.tensor([[[0, 0, 1, 1]], [[1, 0, 0, 0]]])
    metric.update(predicted, target)
    figures = metric.compute()
    assert figures["confusion"] == [[2, 1], [0, 2]]
    assert figures["accuracy"] == pytest.approx(4 / 5)
    assert figures["iou"]["road"] == pytest.approx(2 / 3)
    assert figures["iou"]["tree"] == pytest.approx(2 / 3)
    assert figures["dice_of"]["road"] == pytest.approx(4 / 5)
    scores = torch.nn.functional.one_hot(predicted, 2).movedim(-1, 1).float()
    again = LandCoverScores(("road", "tree"))
    again.update(scores, target)
    assert again.compute() == figures


def test_reading_a_posterior() -> None:
    mass = torch.tensor([[[0.4, 0.3], [0.2, 0.1]]])
    reading = read_posterior(mass.log(), torch.tensor([[1.5, 0.5]]), torch.tensor([2.0]))
    assert reading.p_true.item() == pytest.approx(0.2)
    assert reading.nll.item() == pytest.approx(-math.log(0.2))
    assert reading.mass_above.item() == pytest.approx(0.7)
    # Half the mass is in two pixels, 90 % in three; a pixel has 4 square metres.
    assert reading.hdr_area_m2.tolist() == [[8.0, 12.0]]
    metric = PosteriorScores()
    metric.update(reading, 4, torch.zeros(1))
    figures = metric.compute()
    assert figures["hdr50_coverage"] == 0.0
    assert figures["hdr90_coverage"] == 1.0
    assert figures["nll_gain"] == pytest.approx(math.log(4) + math.log(0.2), abs=1e-6)


def test_a_position_on_the_far_edge_is_in_the_last_pixel() -> None:
    mass = torch.tensor([[[0.4, 0.3], [0.2, 0.1]]])
    reading = read_posterior(mass.log(), torch.tensor([[2.0, 2.0]]), torch.tensor([1.0]))
    assert reading.p_true.item() == pytest.approx(0.1)


def test_coverage_of_a_calibrated_posterior() -> None:
    """Cameras drawn from the posterior itself lie in its 90 % set nine times out of ten."""
    generator = torch.Generator().manual_seed(1)
    scores = 2 * torch.randn(1, 16, 16, generator=generator)
    log = scores.flatten(1).log_softmax(1).reshape(1, 16, 16)
    drawn = torch.multinomial(log.exp().flatten(), 4000, replacement=True, generator=generator)
    position = torch.stack([drawn // 16, drawn % 16], 1) + 0.5
    metric = PosteriorScores()
    reading = read_posterior(log.expand(4000, 16, 16), position, torch.ones(4000))
    metric.update(reading, 256, torch.zeros(4000))
    figures = metric.compute()
    assert figures["hdr50_coverage"] == pytest.approx(0.5, abs=0.03)
    assert figures["hdr90_coverage"] == pytest.approx(0.9, abs=0.02)


def test_region_scores() -> None:
    metric = RegionScores()
    metric.update(torch.tensor([1, 3, 0, 6]), torch.tensor([0.5, 0.2, 0.0, 0.1]))
    assert metric.compute() == {
        "hit_1": 0.25,
        "hit_3": 0.5,
        "hit_5": 0.5,
        "true_mass": pytest.approx(0.2),
    }


def test_intervals_cover_and_do_not_mind_the_order() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(60):
        errors = generator.exponential(size=80)

        def mean(indices: np.ndarray, errors: np.ndarray = errors) -> float:
            return float(errors[indices].mean())

        low, high = percentile_interval(mean, 80, resamples=300, seed=trial)
        hits += low <= 1.0 <= high
    assert 50 <= hits <= 60
    errors = generator.exponential(size=101)
    figures = error_figures(errors, (1.0,), 300)
    assert figures == error_figures(errors[::-1], (1.0,), 300)
    assert figures["median_low"] < np.median(errors) < figures["median_high"]
    assert figures["recall_1m_low"] < (errors <= 1).mean() < figures["recall_1m_high"]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_intervals_of_equal_values(count: int) -> None:
    figures = error_figures(np.full(count, 2.0), (1.0, 3.0), 100)
    for name, value in (("mean", 2.0), ("median", 2.0), ("recall_1m", 0.0), ("recall_3m", 1.0)):
        assert figures[name] == figures[f"{name}_low"] == figures[f"{name}_high"] == value


def test_groups_are_drawn_whole() -> None:
    """Of a (0, 0, 0) and b (6): a resample is all a, all b, or both with a mean of 1.5."""
    values, groups = np.array([0.0, 6.0, 0.0, 0.0]), np.array(["a", "b", "a", "a"])
    means = []

    def figures(indices: np.ndarray) -> list[float]:
        means.append(float(values[indices].mean()))
        return [means[-1], float(len(indices))]

    low, high = percentile_interval(figures, groups, resamples=400)
    assert set(means) == {0.0, 1.5, 6.0}
    assert means.count(1.5) / 400 == pytest.approx(0.5, abs=0.08)
    assert low.tolist() == [0.0, 2.0]
    assert high.tolist() == [6.0, 6.0]


def test_figures_of_several_runs_are_means_of_theirs() -> None:
    errors = np.array([[1.0, 2.0, 3.0, 10.0], [3.0, 4.0, 5.0, 20.0]])
    figures = error_figures(errors, (5.0,), 1000)
    assert figures["mean"] == pytest.approx(6.0)
    assert figures["median"] == pytest.approx((2.5 + 4.5) / 2)
    assert figures["recall_5m"] == pytest.approx(6 / 8)
    # Samples are drawn, with all their runs: no interval is wider than the samples' own means.
    assert 2.0 <= figures["mean_low"] < 6.0 < figures["mean_high"] <= 15.0


def test_a_figure_that_a_resample_does_not_have_is_left_out() -> None:
    """IoU of a class that one of two pictures shows: 0.25 wherever that picture was drawn."""
    hits, unions = np.array([1.0, 0.0]), np.array([4.0, 0.0])

    def iou(indices: np.ndarray) -> float:
        return hits[indices].sum() / unions[indices].sum() if unions[indices].sum() else np.nan

    assert percentile_interval(iou, 2) == (0.25, 0.25)


def test_prior_finds_the_ratio_of_densities() -> None:
    # Roads cover a tenth of each tile and hold half of the cameras; buildings hold none.
    areas = np.tile([10.0, 60.0, 30.0], (40, 1))
    standing = np.array([0] * 20 + [1] * 20)
    weights = fit_prior(areas, standing)
    density = weights / weights[1]
    assert density[0] == pytest.approx(6.0)
    assert density[2] == 0.0


def test_baselines() -> None:
    cover = torch.full((2, 8, 8), 5, dtype=torch.uint8)
    cover[:, :, 3] = 6
    metric = Baselines((0, 5, 6))
    position = torch.tensor([[0.5, 3.5], [7.5, 3.5]])
    metric.update(position, torch.tensor([2.0, 2.0]), (8, 8), ["a", "b"], cover)
    figures = metric.compute()
    assert figures[CENTRE]["mean"] == pytest.approx(2 * math.hypot(3.5, 0.5))
    assert figures[UNIFORM]["nll"] == pytest.approx(math.log(64))
    # Cameras stand on the road only: the prior is uniform on its 8 pixels, its mean their middle.
    assert figures[PRIOR]["nll"] == pytest.approx(math.log(8))
    assert figures[PRIOR]["mean"] == pytest.approx(2 * 3.5)


def test_baselines_without_land_cover() -> None:
    metric = Baselines((0, 5, 6))
    metric.update(torch.tensor([[4.0, 4.0]]), torch.ones(1), (8, 8), ["a"])
    assert set(metric.compute()) == {CENTRE, UNIFORM}


def test_the_error_without_the_most_uncertain_fifth() -> None:
    metric = PosteriorScores()
    for errors, areas in (([1.0, 20.0, 2.0], [5.0, 90.0, 4.0]), ([3.0, 4.0], [80.0, 6.0])):
        area = torch.tensor(areas)
        reading = PosteriorReading(area, area, area, torch.stack([area, area], dim=1))
        metric.update(reading, 4, torch.tensor(errors))
    found = metric.compute()
    assert found["mean_certain"] == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert found["mean_certain_share"] == pytest.approx(2.5 / 6.0)
