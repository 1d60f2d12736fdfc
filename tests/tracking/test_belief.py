"""The histogram: moments after a step, windows, estimates."""

import numpy as np
import pytest
import torch

from cvsegguide.tracking import Motion
from cvsegguide.tracking.belief import Belief, Box

MAP = Box(0, 0, 200, 200)


def at(row, col, deviation=1.5, headings=16, extent=MAP):
    return Belief.around(row, col, deviation, extent, 1.0, headings)


def moments(belief, heading):
    """Mean and covariance (down, right) of the mass of one heading."""
    mass = belief.mass[heading].double()
    mass = mass / mass.sum()
    rows, cols = (line.double() for line in belief.centres())
    mean = torch.stack([(mass.sum(1) * rows).sum(), (mass.sum(0) * cols).sum()])
    down, right = rows - mean[0], cols - mean[1]
    cross = (mass * down[:, None] * right).sum()
    return mean, torch.tensor(
        [[(mass.sum(1) * down**2).sum(), cross], [cross, (mass.sum(0) * right**2).sum()]]
    )


def test_a_step_shifts_each_heading_its_own_way_below_the_cell():
    covariance = np.diag([4.0, 1.0, 0.0])
    before = at(100.5, 100.5)
    after = before.move(Motion(10.3, 0.0, 0.0, covariance))

    across = (10.3 * np.radians(22.5)) ** 2 / 12  # what lies within a heading's bin
    for heading, (down, right) in {0: (-10.3, 0), 4: (0, 10.3), 8: (10.3, 0)}.items():
        start, spread = moments(before, heading)
        mean, found = moments(after, heading)
        assert (mean - start).tolist() == pytest.approx([down, right], abs=0.02)
        ahead, side = 4.0 + 0.16, 1.0 + across + 0.16
        expected = [ahead, side] if heading != 4 else [side, ahead]
        assert (found - spread).diagonal().tolist() == pytest.approx(expected, rel=0.03)
    assert float(after.mass.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(after.mass.min()) >= 0


def test_a_turn_moves_the_headings_and_blurs_nothing():
    before = at(100, 100).with_headings(90.0, 1.0)
    after = before.move(Motion(0.0, 0.0, 37.3, np.zeros((3, 3))))

    assert after.estimate().heading == pytest.approx(127.3, abs=0.05)
    np.testing.assert_allclose(
        after.mass.sum((1, 2)).numpy(), before.mass.sum((1, 2)).numpy(), atol=1e-5
    )


def test_the_heading_spreads_by_the_variance_of_the_turn():
    headings = 64
    before = at(100, 100, headings=headings)
    one = torch.zeros(headings)
    one[10] = 1.0
    before = before.with_mass(before.mass * one[:, None, None])
    after = before.move(Motion(0.0, 0.0, 0.0, np.diag([0.0, 0.0, 8.0**2])))

    share = after.mass.sum((1, 2)).double().numpy()
    off = (np.arange(headings) - 10) * 360 / headings
    assert (share * off).sum() == pytest.approx(0.0, abs=0.01)
    assert (share * off**2).sum() == pytest.approx(64.0, rel=0.01)


def test_nothing_wraps_around_where_the_map_ends():
    extent = Box(0, 0, 40, 40)
    belief = at(3.5, 20.5, 1.0, extent=extent)
    north = torch.zeros(16, 1, 1)
    north[0] = 1.0
    belief = belief.with_mass(belief.mass * north)
    after = belief.move(Motion(30.0, 0.0, 0.0, np.diag([0.01, 0.01, 0.0])))

    # All of it left the map to the north: nothing is known any more, and nothing came in south.
    position = after.position()
    assert after.box.within(extent) == after.box
    assert float(position.max()) < 3 * float(position.mean())


def test_estimate_is_below_the_cell_and_tells_its_covariance():
    belief = at(100.3, 57.8, 2.0).with_headings(84.0, 6.0)
    found = belief.estimate()

    assert (found.row, found.col) == pytest.approx((100.3, 57.8), abs=0.06)
    assert found.heading == pytest.approx(84.0, abs=1.5)
    assert found.covariance.diagonal().tolist() == pytest.approx([4.0, 4.0], rel=0.12)
    # of a normal distribution: 1 - exp(-r^2 / 2 s^2), and 2 pi e s^2
    assert found.probability == pytest.approx(1 - np.exp(-25 / 8), abs=0.02)
    assert found.area == pytest.approx(2 * np.pi * np.e * 4, rel=0.05)


def test_with_two_places_the_more_probable_one_is_told_with_its_own_covariance():
    one, other = at(60.5, 60.5, 1.5), at(120.5, 90.5, 1.5)
    box = one.box.union(other.box)
    both = one.resize(box)
    both = both.with_mass(0.6 * both.mass + 0.4 * other.resize(box).mass)
    found = both.estimate()

    assert (found.row, found.col) == pytest.approx((60.5, 60.5), abs=0.05)
    assert found.probability == pytest.approx(0.6, abs=0.02)
    assert found.covariance[0, 0] < 3.0
    assert found.heading is None  # all alike


def test_heading_is_a_circular_mean():
    belief = at(100, 100, headings=32).with_headings(358.0, 9.0)

    heading = belief.estimate().heading
    assert (heading + 180) % 360 - 180 == pytest.approx(-2.0, abs=1.0)


def test_support_leaves_out_no_more_than_asked():
    belief = at(100.5, 100.5, 3.0)
    box = belief.support(1e-3)
    inside = belief.position()[
        box.top - belief.box.top : box.bottom - belief.box.top,
        box.left - belief.box.left : box.right - belief.box.left,
    ]

    assert float(inside.sum()) > 1 - 4.1e-3
    assert box.shape[0] < belief.box.shape[0]


def test_mixing_in_a_uniform_share_keeps_to_cells_with_data():
    belief = at(100, 100)
    allowed = torch.zeros(belief.box.shape, dtype=torch.bool)
    allowed[0, :3] = True
    mixed = belief.mix(0.3, allowed)

    gained = mixed.position() - 0.7 * belief.position()
    assert gained[0, :3].tolist() == pytest.approx([0.1] * 3, abs=1e-5)
    assert float(gained[1:].abs().max()) < 1e-6
