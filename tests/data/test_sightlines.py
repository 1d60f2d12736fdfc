"""Sightlines against geometry by hand, a ray-by-ray oracle, and the published pictures."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cvsegguide.data import sightline
from cvsegguide.errors import InputError
from cvsegguide.geo.sightline import visible

Bools = NDArray[np.bool_]


def traced(blocked: Bools, row: float, col: float) -> Bools:
    """Visibility pixel by pixel: which pixels does the line pass through?

    A line that grazes corners counts as free when it is free turned a trifle to either side.
    """
    height, width = blocked.shape

    def free(i: int, j: int, turn: float) -> bool:
        down, right = i + 0.5 - row, j + 0.5 - col
        down, right = down - turn * right, right + turn * down
        cuts = [0.0, 1.0]
        for start, step, end in ((row, down, i), (col, right, j)):
            lines = range(min(end, int(np.floor(start))) - 1, max(end, int(np.floor(start))) + 3)
            cuts += [(line - start) / step for line in lines if step]
        cuts = np.unique(np.clip(cuts, 0, 1))
        cuts = cuts[np.concatenate([[True], np.diff(cuts) > 1e-13])]
        middles = (cuts[1:] + cuts[:-1]) / 2
        y = np.floor(row + middles * down).astype(int)
        x = np.floor(col + middles * right).astype(int)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        return not blocked[y[inside], x[inside]].any()

    seen = np.zeros(blocked.shape, bool)
    for i in range(height):
        for j in range(width):
            seen[i, j] = not blocked[i, j] and (free(i, j, 1e-9) or free(i, j, -1e-9))
    return seen


@pytest.mark.parametrize("seed", range(8))
def test_visibility_equals_lines_traced_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for trial in range(60):
        height, width = rng.integers(1, 16, 2)
        blocked = rng.random((height, width)) < rng.choice([0.02, 0.1, 0.3, 0.6])
        # Anywhere, on pixel borders, in pixel centres, at quarters; also outside of the raster.
        row, col = rng.uniform(-3, [height + 3, width + 3])
        if trial % 4:
            step = [0.5, 0.5, 0.25][trial % 4 - 1]
            row, col = (np.floor(value / step) * step for value in (row, col))
        seen = visible(np.where(blocked, 5, 2).astype(np.uint8), row, col)
        np.testing.assert_array_equal(seen, traced(blocked, row, col), err_msg=f"{row}, {col}")


def test_free_view_is_a_gaussian() -> None:
    landcover = np.full((40, 60), 2, np.uint8)
    result = sightline(landcover, 10.0, 33.25, sigma=7.0)
    rows, cols = np.mgrid[:40, :60] + 0.5
    expected = np.exp(-((rows - 10.0) ** 2 + (cols - 33.25) ** 2) / (2 * 7.0**2))
    assert result.dtype == np.float32
    assert result.shape == (40, 60)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-7)


def test_a_wall_casts_its_shadow() -> None:
    landcover = np.zeros((9, 9), np.uint8)
    landcover[2, 3:6] = 5
    seen = visible(landcover, 4.5, 4.5)
    # From the centre of pixel (4, 4) the wall's lower edge spans +-1.5 at a distance of 1.5: its
    # shadow is the cone of 45 degrees to each side. The lines to the corners graze it alone.
    rows, cols = np.mgrid[:9, :9] - 4
    shadow = (rows <= -2) & (abs(cols) < abs(rows))
    np.testing.assert_array_equal(seen, ~shadow)


def test_obstacles_and_their_choice() -> None:
    landcover = np.full((3, 9), 2, np.uint8)
    landcover[:, 4] = 1
    landcover[:, 6] = 5
    view = sightline(landcover, 1.5, 0.5)
    assert (view[:, :6] > 0).all()
    assert (view[:, 6:] == 0).all()
    trees = sightline(landcover, 1.5, 0.5, obstacles=[1, 5])
    assert (trees[:, :4] > 0).all()
    assert (trees[:, 4:] == 0).all()
    assert (sightline(landcover, 1.5, 0.5, obstacles=()) > 0).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.uint16])
def test_any_integers_will_do(kind: type) -> None:
    landcover = np.array([[0, 5, 0]], kind)
    assert (sightline(landcover, 0.5, 0.5) > 0).tolist() == [[True, False, False]]


def test_a_camera_inside_an_obstacle_sees_nothing() -> None:
    landcover = np.zeros((8, 8), np.uint8)
    landcover[3:5, 3:5] = 5
    assert not sightline(landcover, 4.2, 3.7).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 3)), 1, 1), "landcover: must be integers"),
        ((np.zeros(9, np.uint8), 1, 1), "landcover: must be integers of shape"),
        ((np.zeros((0, 3), np.uint8), 1, 1), "landcover"),
        ((np.zeros((3, 3), np.uint8), np.nan, 1), "row, col: must be finite"),
        ((np.zeros((3, 3), np.uint8), 1, 1, 0.0), "sigma: must be a positive"),
    ],
)
def test_unusable_input_is_named(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sightline(*arguments)  # type: ignore[arg-type]
