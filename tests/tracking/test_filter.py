"""The filter in a world where every answer follows from arithmetic."""

import math

import numpy as np
import pytest
import torch

from cvsegguide.errors import InputError
from cvsegguide.tracking import Motion, Settings
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.filter import HistogramFilter
from cvsegguide.tracking.likelihood import JointLikelihood, temper_scores
from cvsegguide.tracking.mosaic import open_mosaic
from helpers.colors import CELL, ColorNetwork, drive, overhead_image, street_image

STEPS = [(8.0, 0.0)] * 4 + [(8.0, 30.0)] * 3 + [(8.0, 0.0)] * 4
SURE = np.diag([0.2**2, 0.2**2, 1.0])


@pytest.fixture
def world():
    with open_mosaic(overhead_image(), 0.5, own_gsd=0.5) as mosaic:
        yield lambda network: JointLikelihood(network, mosaic, torch.device("cpu"), 64.0)


def run(tracker, poses, steps, missing=(), wrong=None):
    """Errors in metres and degrees of each frame."""
    errors = []
    for index, (row, col, heading) in enumerate(poses):
        view = street_image(row, col, heading)
        if wrong is not None and index in wrong:
            view = street_image(*wrong[index])
        motion = None
        if index:
            # The turn comes at the end of a step.
            motion = Motion(steps[index - 1][0], 0.0, steps[index - 1][1], SURE)
        found = tracker.step(None if index in missing else view, motion, fov=70.0, first=index == 0)
        away = math.hypot(found.row - row, found.col - col) * CELL
        turn = math.nan
        if found.heading is not None:
            turn = abs((found.heading - heading + 180) % 360 - 180)
        errors.append((away, turn))
    return np.array(errors)


def test_start_anywhere_with_any_heading_is_found_and_followed_across_blocks(world):
    likelihood = world(ColorNetwork())
    tracker = HistogramFilter(likelihood, Settings(headings=32))
    poses = drive(80.5, 30.5, 20.0, STEPS)
    errors = run(tracker, poses, STEPS)

    assert errors[0, 0] < 3.0  # one picture is sharp to three cells
    assert errors[2:, 0].max() < 1.5
    assert errors[2:, 1].max() < 4.0
    # Each block passed the network once, though every picture looked at several.
    blocks = math.ceil(120 / 16) ** 2
    assert likelihood.encoded == likelihood.model.passed <= blocks


def test_a_drive_tells_places_that_look_alike_apart_where_one_leaves_the_map(world):
    # Rows repeat every 40 cells, and a picture cannot tell rows 12, 52 and 92 apart. 45 cells to
    # the north the first of them would have left the map.
    tracker = HistogramFilter(world(ColorNetwork(period=40)), Settings(headings=32, floor=1e-4))
    poses = drive(52.5, 60.5, 0.0, [(10.0, 0.0)] * 9)
    shares = []
    for index, pose in enumerate(poses):
        motion = None if index == 0 else Motion(10.0, 0.0, 0.0, SURE)
        tracker.step(street_image(*pose), motion, first=index == 0)
        rows, _ = tracker.belief.centres()
        line = tracker.belief.position().sum(dim=1)
        shares.append([float(line[(rows - pose[0] - off).abs() < 8].sum()) for off in (-40, 0, 40)])

    assert shares[0] == pytest.approx([1 / 3] * 3, abs=0.1)
    assert shares[-1] == pytest.approx([0.0, 0.5, 0.5], abs=0.1)


def test_missing_pictures_are_predicted_over(world):
    tracker = HistogramFilter(world(ColorNetwork()), Settings(headings=64))
    tracker.start((80.5, 30.5), 2.0, 20.0, 3.0)
    poses = drive(80.5, 30.5, 20.0, STEPS)
    gap = range(4, 9)
    errors = run(tracker, poses, STEPS, missing=gap)

    assert errors[4:9, 0].max() < 4.0
    assert errors[10:, 0].max() < 1.5
    areas = [tracker.step(None, Motion(8.0, 0.0, 0.0, SURE)).area for _ in range(9)]
    assert areas == sorted(areas)  # without pictures, less and less is known
    assert math.isnan(tracker.evidence)


def test_one_wrong_picture_does_not_kill_the_track(world):
    tracker = HistogramFilter(world(ColorNetwork()), Settings(headings=32))
    tracker.start((80.5, 30.5), 3.0)
    poses = drive(80.5, 30.5, 20.0, STEPS)
    lie = (poses[5][0] + 8, poses[5][1] - 8, 200.0)
    errors = run(tracker, poses, STEPS, wrong={5: lie})

    assert errors[4:, 0].max() < 2.5
    assert errors[5, 0] < 2.5


@pytest.mark.parametrize("off", [14.0, 40.0])
def test_a_wrong_start_is_recovered_from(world, off):
    tracker = HistogramFilter(world(ColorNetwork()), Settings(headings=32))
    poses = drive(80.5, 30.5, 20.0, STEPS)
    # Believed in to 3 m; the second lies beyond what a confident track searches.
    tracker.start((poses[0][0], poses[0][1] + off), 3.0)
    errors = run(tracker, poses, STEPS)

    assert errors[0, 0] > 5.0
    assert errors[-3:, 0].max() < 2.0


def test_no_place_is_given_up_before_the_track_has_settled(world):
    # Two pictures in a row speak for another street, 60 m off and consistent with the motion.
    poses = drive(80.5, 30.5, 20.0, STEPS)
    lies = {k: (poses[k][0] - 30, poses[k][1] + 25, poses[k][2]) for k in (0, 1)}
    likelihood = world(ColorNetwork())
    found, boxes = {}, {}
    for settle in (0, 3):
        settings = Settings(headings=32, temper=0.5, settle=settle, margin=8.0)
        tracker = HistogramFilter(likelihood, settings)
        tracker.start()
        errors = run(tracker, poses[:2], STEPS, wrong=lies)
        assert errors[1, 0] > 40.0
        boxes[settle] = tracker.belief.box
        assert tracker.settled == (settle == 0)
        for index in range(2, len(poses)):
            motion = Motion(STEPS[index - 1][0], 0.0, STEPS[index - 1][1], SURE)
            last = tracker.step(street_image(*poses[index]), motion, fov=70.0)
            away = math.hypot(last.row - poses[index][0], last.col - poses[index][1]) * CELL
            found.setdefault(settle, []).append(away)
    row, col = poses[1][:2]
    assert boxes[3].top <= row < boxes[3].bottom
    assert boxes[3].left <= col < boxes[3].right
    assert max(found[3][4:]) < 2.0
    assert found[0][4] > 40.0  # who looks at the favoured street alone has lost the truth


def test_odometry_makes_a_track_better_than_its_pictures(world):
    # Pictures that are blurred to 12 cells, each of them off by chance.
    random = np.random.default_rng(0)
    network = ColorNetwork(sharpness=6.0)
    settings = Settings(headings=32, temper=1.0, margin=60.0)
    poses = drive(80.5, 30.5, 20.0, STEPS)
    tracker = HistogramFilter(world(network), settings)
    alone, together = [], []
    for index, (row, col, heading) in enumerate(poses):
        view = street_image(*np.array([row, col]) + random.normal(0, 5.0, 2), heading)
        single = HistogramFilter(world(network), settings)
        found = single.step(view, None, first=True)
        alone.append(math.hypot(found.row - row, found.col - col))
        motion = None if index == 0 else Motion(*STEPS[index - 1][:1], 0.0, STEPS[index - 1][1])
        found = tracker.step(view, motion, first=index == 0)
        together.append(math.hypot(found.row - row, found.col - col))

    assert np.mean(together[6:]) < 0.6 * np.mean(alone)


def test_a_compass_turns_the_belief(world):
    tracker = HistogramFilter(world(ColorNetwork()), Settings(headings=32))
    tracker.start((60.5, 60.5), 3.0)
    found = tracker.step(None, compass=123.0, compass_error=5.0, first=True)

    assert found.heading == pytest.approx(123.0, abs=2.0)


def test_a_start_off_the_map_and_a_map_too_large_are_refused(world):
    tracker = HistogramFilter(world(ColorNetwork()), Settings(headings=32))
    with pytest.raises(InputError, match="outside"):
        tracker.start((500.0, 3.0))
    with pytest.raises(InputError, match="outside"):
        tracker.start(box=Box(300, 300, 310, 310))
    tracker.likelihood.extent = Box(0, 0, 5000, 5000)
    with pytest.raises(InputError, match="give a start"):
        tracker.start()


def test_tempering_bounds_what_a_picture_can_do():
    scores = torch.full((2, 4, 4), -50.0)
    scores[1, 2, 3] = 0.0
    scores[0, 0] = -torch.inf
    likelihood = temper_scores(scores, 0.5, 0.1)

    assert float(likelihood.min()) == pytest.approx(0.1)
    assert float(likelihood[1, 2, 3]) == pytest.approx(0.9 * 28 + 0.1, rel=1e-4)
    assert float(likelihood[torch.isfinite(scores)].mean()) == pytest.approx(1.0, rel=1e-4)
    assert torch.equal(
        temper_scores(torch.full((1, 2, 2), -torch.inf), 1, 0.1), torch.ones(1, 2, 2)
    )


@pytest.mark.parametrize(
    "option", [{"headings": 3}, {"temper": 0.0}, {"doubt": 1.0}, {"floor": math.nan}]
)
def test_settings_that_make_no_sense_are_refused(option):
    with pytest.raises(InputError, match=next(iter(option))):
        Settings(**option)
