"""Cameras of other heights: what reaches the network, and how answers are put together."""

import numpy as np
import pytest
import torch

from cvsegguide.errors import ConfigurationError, InputError
from cvsegguide.inference.heights import SEARCHED
from cvsegguide.inference.localizer import Localizer
from cvsegguide.models.base import Prediction
from helpers.models import ColourModel

SHAPE = (64, 256)


class HeadingModel(ColourModel):
    """Tries the headings that it is asked to; counts what it is asked."""

    searches_headings = True

    def __init__(self):
        super().__init__(sharpness=20.0)
        self.heatmaps, self.mass, self.turns = [], [], []

    def forward(self, overhead, street, landcover=None, headings=None):
        answer = super().forward(overhead, street, landcover)
        self.heatmaps.append(answer.heatmap)
        if headings is None:
            return answer
        # the more red the street shows, the further east it looks
        turn = street[:, 0].mean().expand(len(overhead)) * 100
        log = (-(((headings - turn) / 20) ** 2)).log_softmax(dim=0)
        self.mass.append(float(answer.heatmap.flatten().logsumexp(dim=0)))
        self.turns.append(float(turn[0]))
        return Prediction(answer.landcover, answer.heatmap, turn, log.expand(len(overhead), -1))


def ground(height, shape=SHAPE):
    """Flat ground whose red tells how far away it is, below a black sky; 360 degrees."""
    elevation = (0.5 - (np.arange(shape[0]) + 0.5) / shape[0]) * np.pi * shape[0] / shape[1] * 2
    distance = height / np.tan(np.maximum(-elevation, 1e-3))
    red = np.where(elevation < 0, np.clip(20 * distance, 1, 255), 0)
    rows = np.stack([red, red / 2, np.zeros_like(red)], axis=1)
    return np.repeat(np.rint(rows).astype(np.uint8)[:, None], shape[1], axis=1)


def overhead():
    return np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)


def asked(height, model=None, **options):
    """What the network got to see, and the answer."""
    model = model or ColourModel()
    localizer = Localizer(model, device="cpu", name="colour")
    result = localizer.localize(overhead(), ground(height), gsd=model.gsd, **options)
    return model.last_street[0], result


@pytest.mark.parametrize(("height", "usual"), [(0.8, 1.5), (5.0, 2.5)])
def test_ground_is_shown_to_the_network_as_from_a_usual_height(height, usual):
    wanted, _ = asked(usual)
    plain, _ = asked(height)
    found, result = asked(height, camera_height=height)

    # rows from 10 degrees below the horizon, and as far down as both pictures show
    rows = slice(10, 13) if height > usual else slice(10, 16)
    off = (found - wanted)[0, rows].abs().max()
    assert off < 0.1
    assert (plain - wanted)[0, rows].abs().max() > 2 * off
    np.testing.assert_array_equal(result.street, ground(height))  # what was given is returned


@pytest.mark.parametrize("height", [None, 1.5, 2.0, 2.5])
def test_usual_heights_change_nothing(height):
    plain, _ = asked(2.0)
    found, _ = asked(2.0, camera_height=height)
    assert torch.equal(found, plain)


def test_unknown_heights_are_tried_and_count_alike():
    model = HeadingModel()
    _, result = asked(0.8, model, heading=None, camera_height="unknown")

    assert len(model.heatmaps) == len(SEARCHED)
    together = torch.cat(model.heatmaps).flatten(1).logsumexp(dim=0)
    expected = together.softmax(dim=0).view(64, 64).numpy()
    np.testing.assert_allclose(result.posterior, expected, rtol=1e-3, atol=1e-7)
    # The heading is that of the height under which all that is seen is most probable.
    best = int(np.argmax(model.mass))
    assert result.heading == pytest.approx(model.turns[best], abs=1e-3)
    assert len({round(turn, 2) for turn in model.turns}) == len(SEARCHED)
    assert result.heading_posterior.sum() == pytest.approx(1.0, abs=1e-4)


def test_a_known_heading_is_kept_while_heights_are_searched():
    model = HeadingModel()
    _, result = asked(0.8, model, heading=30.0, camera_height="unknown")
    assert len(model.heatmaps) == len(SEARCHED)
    assert result.heading == 30.0
    assert result.heading_posterior is None


def test_scores_that_are_no_probabilities_are_not_compared():
    with pytest.raises(ConfigurationError, match=r"camera_height: unknown: .*model colour"):
        asked(2.0, camera_height="unknown")


@pytest.mark.parametrize("height", [0.1, 0.0, -2.0, 25.0, float("nan"), float("inf"), "tall"])
def test_heights_that_no_camera_has(height):
    with pytest.raises(InputError, match=r"^camera_height: "):
        asked(2.0, camera_height=height)
