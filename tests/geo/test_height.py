"""Street views of flat ground from other heights: places from arithmetic."""

import numpy as np
import pytest

from cvsegguide.geo.height import from_height

FOV, ROWS, COLUMNS = 90.0, 600, 800
ELEVATION = (0.5 - (np.arange(ROWS) + 0.5) / ROWS) * FOV * ROWS / COLUMNS


def flat_ground(height: float) -> np.ndarray:
    """Red tells how far away the ground is (10 a metre), blue the elevation above the horizon."""
    below = np.radians(np.minimum(ELEVATION, -1e-6))
    distance = height / np.tan(-below)
    red = np.where(ELEVATION < 0, np.clip(10 * distance, 0, 250), 0)
    blue = np.where(ELEVATION > 0, 3 * ELEVATION, 0)
    rows = np.rint(np.stack([red, np.zeros(ROWS), blue], axis=1)).astype(np.uint8)
    return np.repeat(rows[:, None], COLUMNS, axis=1)


@pytest.mark.parametrize(("height", "wanted"), [(0.8, 1.5), (5.0, 2.5)])
def test_the_ground_lies_where_the_wanted_camera_sees_it(height: float, wanted: float) -> None:
    found = from_height(flat_ground(height), FOV, height, wanted).astype(float)
    expected = flat_ground(wanted).astype(float)
    off = np.abs(found - expected)[..., 0]
    # Where the picture shows the place at all, and short of where a row holds many metres.
    reach = np.degrees(np.arctan(wanted / height * np.tan(np.radians(FOV * ROWS / COLUMNS / 2))))
    seen = (ELEVATION < -6) & (-reach + 0.5 < ELEVATION)
    assert seen.sum() > 50
    assert off[seen].max() <= 3.0  # a third of a metre
    assert (np.abs(flat_ground(height).astype(float) - expected)[seen, :, 0] > 10).any()


def test_what_is_above_the_horizon_stays() -> None:
    view = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
    found = from_height(view, FOV, 6.0, 2.5)
    np.testing.assert_array_equal(found[: ROWS // 2], view[: ROWS // 2])
    assert (found[ROWS // 2 + 20 :] != view[ROWS // 2 + 20 :]).any()


def test_the_same_height_changes_nothing() -> None:
    view = np.random.default_rng(0).integers(0, 256, (128, 512, 3), np.uint8)
    np.testing.assert_array_equal(from_height(view, 360.0, 2.5, 2.5), view)


def test_a_full_panorama_ends_at_the_nadir() -> None:
    """Straight down is straight down from any height."""
    view = np.zeros((180, 360, 3), np.uint8)
    view[-4:] = 255
    for height in (0.5, 10.0):
        assert (from_height(view, 360.0, height, 2.0)[-1] > 0).all()
