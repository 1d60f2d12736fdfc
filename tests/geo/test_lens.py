"""Photographs through a lens: angles from arithmetic, and the way back."""

import math

import numpy as np
import pytest

from cvsegguide.errors import InputError
from cvsegguide.geo import from_lens


def photograph(fov: float, height: int, width: int) -> np.ndarray:
    """What a level lens sees of a world whose colour is azimuth (red) and elevation (green)."""
    focal = width / 2 / math.tan(math.radians(fov) / 2)
    x = np.arange(width) + 0.5 - width / 2
    y = height / 2 - np.arange(height)[:, None] - 0.5
    azimuth = np.degrees(np.arctan2(x, focal)) + np.zeros_like(y)
    elevation = np.degrees(np.arctan2(y, np.hypot(x, focal)))
    picture = np.stack([128 + azimuth, 128 + 2 * elevation, np.full_like(azimuth, 7)], axis=2)
    return np.rint(picture).astype(np.uint8)


@pytest.mark.parametrize(("fov", "shape"), [(70, (480, 640)), (100, (300, 400)), (40, (900, 600))])
def test_every_pixel_gets_its_own_angles(fov: float, shape: tuple[int, int]) -> None:
    view = from_lens(photograph(fov, *shape), fov).astype(float)
    rows, columns = view.shape[:2]
    azimuth = ((np.arange(columns) + 0.5) / columns - 0.5) * fov
    vertical = fov * rows / columns
    elevation = (0.5 - (np.arange(rows) + 0.5) / rows) * vertical
    assert np.abs(view[..., 0] - 128 - azimuth).max() <= 1.0
    assert np.abs(view[..., 1] - 128 - 2 * elevation[:, None]).max() <= 1.5
    # As high as the photograph reaches at its sides, and no pixel is made up.
    half = math.radians(fov) / 2
    reach = math.atan(shape[0] / shape[1] * math.tan(half) * math.cos(half))
    assert vertical == pytest.approx(2 * math.degrees(reach), abs=0.3)
    assert (view[..., 2] == 7).all()


def test_a_narrow_photograph_hardly_changes() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert np.abs(from_lens(photo, 0.5).astype(int) - photo).max() <= 1


@pytest.mark.parametrize("fov", [0, -1, 151, 360, math.nan])
def test_no_lens_sees_so_much(fov: float) -> None:
    with pytest.raises(InputError, match=r"^fov: of a photograph through a lens it lies in"):
        from_lens(np.zeros((8, 8, 3), np.uint8), fov)
