"""Headings that are unknown or off, searched with the bundled weights in a city of their own."""

from pathlib import Path

import pytest
import torch

import cvsegguide
from cvsegguide.data import BrooklynQueens, Sample, collate
from cvsegguide.geo.heading import angular_difference
from cvsegguide.inference.localizer import Localizer
from cvsegguide.synth import generate
from cvsegguide.training.module import LocalizationTask

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("city")
    generate(folder, tiles=3, seed=31, workers=1)
    data = BrooklynQueens(folder)
    return [data[index] for index in range(0, len(data), 2)][:6]


def picture(tensor: torch.Tensor) -> object:
    return (tensor.permute(1, 2, 0).numpy() * 255).round().astype("uint8")


def localised(samples: list[Sample], turn: int, **options: float | None) -> list[float]:
    """Errors of the heading in degrees, the panorama's centre turned by ``turn`` columns."""
    localizer = Localizer.from_pretrained("synthcity", device="cpu")
    errors = []
    for sample in samples:
        result = localizer.localize(
            picture(sample.overhead), picture(sample.street.roll(-turn, -1)), gsd=sample.gsd,
            **options,
        )  # fmt: skip
        assert result.heading is not None
        errors.append(abs(angular_difference(result.heading, turn * 360 / 512)))
    return sorted(errors)


def test_all_headings_are_searched(samples: list[Sample]) -> None:
    errors = localised(samples, turn=150, heading=None)
    assert errors[len(errors) // 2] < 4.0, errors


def test_the_rest_of_the_circle_is_not_searched(samples: list[Sample]) -> None:
    errors = localised(samples, turn=150, heading=150 * 360 / 512 + 8.0, heading_error=10.0)
    assert errors[len(errors) // 2] < 3.0, errors
    assert errors[-1] <= 18.0


def test_the_masses_of_the_headings(samples: list[Sample], tmp_path: Path) -> None:
    localizer = cvsegguide.Localizer.from_pretrained("synthcity", device="cpu")
    sample = samples[0]
    result = localizer.localize(
        picture(sample.overhead), picture(sample.street), gsd=sample.gsd, heading=None
    )
    masses = result.heading_posterior
    assert masses is not None
    assert masses.sum() == pytest.approx(1.0, abs=1e-4)
    assert result.heading is not None
    best = int(masses.argmax()) * 360 / len(masses)
    assert abs(angular_difference(result.heading, best)) <= 360 / len(masses)


def test_an_evaluation_gives_wrong_headings_and_finds_the_true_ones(samples: list[Sample]) -> None:
    task = LocalizationTask(weights="synthcity", losses="geometric", heading_error=180.0).eval()
    batch = collate(samples[:4])
    with torch.inference_mode():
        prediction = task(batch)
    assert prediction.heading is not None
    errors = sorted(
        abs(angular_difference(float(found), float(true)))
        for found, true in zip(prediction.heading, batch.heading, strict=True)
    )
    assert errors[1] < 4.0, errors
