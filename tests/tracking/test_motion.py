"""Odometry: arcs, displacements on the map, covariances."""

import numpy as np
import pytest

from cvsegguide.errors import InputError
from cvsegguide.tracking import Motion
from cvsegguide.tracking.motion import displacements


def test_a_quarter_circle_ends_a_radius_ahead_and_a_radius_to_the_side():
    right = Motion.arc(10 * np.pi / 2, 90.0)
    left = Motion.arc(10 * np.pi / 2, -90.0)

    assert (right.forward, right.left) == pytest.approx((10.0, -10.0))
    assert (left.forward, left.left) == pytest.approx((10.0, 10.0))
    assert Motion.arc(7.0) == Motion(7.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("heading", "down", "right"),
    [(0.0, -5.0, -2.0), (90.0, -2.0, 5.0), (180.0, 5.0, 2.0), (270.0, 2.0, -5.0)],
)
def test_ahead_is_up_at_heading_zero_and_left_is_to_its_left(heading, down, right):
    mean, _ = displacements(Motion(5.0, 2.0), np.array([heading]))

    np.testing.assert_allclose(mean[0], [down, right], atol=1e-12)


def test_covariance_turns_with_the_heading():
    motion = Motion(5.0, 0.0, 0.0, np.diag([4.0, 1.0, 0.0]))
    _, covariance = displacements(motion, np.array([0.0, 90.0, 45.0]))

    np.testing.assert_allclose(covariance[0], [[4, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(covariance[1], [[1, 0], [0, 4]], atol=1e-12)
    # north-east: up and right go together, so down and right against each other
    np.testing.assert_allclose(covariance[2], [[2.5, -1.5], [-1.5, 2.5]], atol=1e-12)


def test_a_bin_of_headings_spreads_sideways_alone():
    motion = Motion(10.0, 0.0, 0.0, np.zeros((3, 3)))
    _, covariance = displacements(motion, np.array([0.0]), spread=6.0)

    expected = (10 * np.radians(6.0)) ** 2 / 12
    np.testing.assert_allclose(covariance[0], [[0, 0], [0, expected]], atol=1e-12)


@pytest.mark.parametrize(
    "matrix", [np.eye(2), -np.eye(3), np.full((3, 3), np.nan), [[1, 2, 0], [0, 1, 0], [0, 0, 1]]]
)
def test_what_is_no_covariance_is_refused(matrix):
    with pytest.raises(InputError, match="odometry"):
        Motion(1.0, covariance=matrix).matrix()
