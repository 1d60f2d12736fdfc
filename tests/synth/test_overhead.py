"""The overhead photograph, on worlds of one box, where every answer follows from arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from cvsegguide.errors import InputError
from cvsegguide.synth.city import City
from cvsegguide.synth.ids import CAR
from cvsegguide.synth.overhead import render_overhead
from cvsegguide.synth.scene import Objects, Scene
from cvsegguide.synth.styles import PhotoStyle

GSD = 0.5
SIZE = 200

PLAIN = replace(
    PhotoStyle.draw(0),
    sun_azimuth=180.0,
    sun_elevation=45.0,
    lean_azimuth=0.0,
    lean=1e-6,
    season="summer",
    white_balance=(1.0, 1.0, 1.0),
    sky=0.2,
    blur=0.6,
    **dict.fromkeys(("exposure", "contrast", "saturation"), 1.0),
    **dict.fromkeys(("haze", "sharpening", "noise", "vegetation"), 0.0),
)


def world(height: float = 10.0, tree: bool = False) -> Scene:
    """Flat asphalt with one box (or crown) of 20 x 20 pixels in the middle."""
    scene = Scene.flat((SIZE, SIZE), GSD)
    box = np.s_[90:110, 90:110]
    if tree:
        scene.landcover[box] = 1
        scene.canopy_base[box], scene.canopy_top[box] = height / 2, height
    else:
        scene.ground[box] = scene.landcover[box] = 5
        scene.building_id[box], scene.building_height[box] = 4, height
    return replace(scene, seed=1)


def grey(image: np.ndarray) -> np.ndarray:
    return image.astype(float).mean(axis=2)


@pytest.mark.parametrize(
    ("azimuth", "step"), [(180.0, (-1, 0)), (90.0, (0, -1)), (270.0, (0, 1)), (135.0, (-1, -1))]
)
@pytest.mark.parametrize("tree", [False, True])
def test_shadow_falls_away_from_the_sun_as_far_as_it_should(
    azimuth: float, step: tuple[int, int], tree: bool
) -> None:
    height = 10.0
    style = replace(PLAIN, sun_azimuth=azimuth, sun_elevation=45.0)
    # a mean over 5 pixels: sun flecks come through leaves
    lit = ndimage.uniform_filter(grey(render_overhead(world(height, tree), style)), 5)
    open_ground = np.median(lit[:40, :40])
    edge = 10  # from the middle to the box's edge, pixels
    length = height / GSD / max(abs(step[0]), abs(step[1]))
    diagonal = np.hypot(*step)
    reach = int(length / diagonal)  # along rows or columns
    for distance in range(5, reach - 4):
        row = 100 + step[0] * (edge + distance)
        col = 100 + step[1] * (edge + distance)
        assert lit[row, col] < 0.75 * open_ground, distance
    for distance in range(reach + 6, reach + 20):
        row = 100 + step[0] * (edge + distance)
        col = 100 + step[1] * (edge + distance)
        assert lit[row, col] > 0.75 * open_ground, distance
    toward = lit[100 - step[0] * 25, 100 - step[1] * 25]
    assert toward > 0.75 * open_ground


def test_shadow_is_longer_when_the_sun_is_low() -> None:
    def length(elevation: float) -> int:
        lit = grey(render_overhead(world(), replace(PLAIN, sun_elevation=elevation)))
        return int((lit[:88, 95:105].mean(axis=1) < 0.75 * np.median(lit[:20])).sum())

    for elevation in (40.0, 60.0):
        expected = 10.0 / np.tan(np.radians(elevation)) / GSD
        assert abs(length(elevation) - expected) <= 3


@pytest.mark.parametrize(("azimuth", "step"), [(0.0, (-1, 0)), (90.0, (0, 1)), (180.0, (1, 0))])
def test_roofs_are_displaced_along_the_lean(azimuth: float, step: tuple[int, int]) -> None:
    # sun from behind the camera's side, the roof is lighter than road and facades
    scene = world(20.0)
    scene.labels["material"] = np.where(scene.ground == 5, 32, 1).astype(np.uint8)
    scene.labels["tone"] = np.where(scene.ground == 5, 255, 0).astype(np.uint8)
    style = replace(PLAIN, lean=0.2, lean_azimuth=azimuth, sun_elevation=70.0)
    upright = grey(render_overhead(scene, replace(style, lean=1e-6)))
    leaned = grey(render_overhead(scene, style))

    def middle(image: np.ndarray) -> np.ndarray:
        return np.argwhere(image > 150).mean(axis=0)

    moved = middle(leaned) - middle(upright)
    expected = np.array(step) * 0.2 * 20.0 / GSD
    np.testing.assert_allclose(moved, expected, atol=1.2)


def test_cars_are_drawn_where_they_stand() -> None:
    scene = world()
    one = np.ones(1)
    scene.overhead_objects = Objects(
        row=40.0 * one,
        col=60.0 * one,
        azimuth=90.0 * one,
        length=np.float32([8.0]),
        width=np.float32([3.0]),
        height=np.float32([1.5]),
        kind=np.array([CAR], np.uint8),
        color=np.array([[230, 20, 20]], np.uint8),
    )
    image = render_overhead(scene, PLAIN).astype(int)
    red = np.argwhere(image[:, :, 0] - image[:, :, 1] > 60)
    assert len(red) > 20
    np.testing.assert_allclose(red.mean(axis=0) + 0.5, (40, 60), atol=1.5)
    assert np.ptp(red[:, 1]) > np.ptp(red[:, 0])  # long side along the azimuth, to the east


def test_bare_crowns_let_the_ground_through() -> None:
    scene = world(10.0, tree=True)
    summer = render_overhead(scene, PLAIN).astype(int)[92:108, 92:108]
    bare = render_overhead(scene, replace(PLAIN, season="leaf-off")).astype(int)[92:108, 92:108]
    assert (summer[..., 1] - summer[..., 2]).mean() > (bare[..., 1] - bare[..., 2]).mean() + 8


def test_photographs_of_overlapping_windows_agree() -> None:
    city = City(3)
    style = PhotoStyle.draw(11)
    a = city.overhead(-200, 300, 200, 260, style)
    b = city.overhead(-120, 430, 200, 200, style)
    np.testing.assert_array_equal(a[80:, 130:], b[:120, :130])


def test_brightness_is_that_of_a_photograph() -> None:
    means = []
    for seed in range(6):
        image = City(seed).overhead(3000, 3000, 200, 200)
        assert image.dtype == np.uint8
        means.append(image.mean())
        assert image.std() > 15
    assert 60 < np.mean(means) < 140
    assert max(means) < 200
    assert min(means) > 30


def test_window_must_lie_in_the_scene() -> None:
    with pytest.raises(InputError, match="window"):
        render_overhead(world(), PLAIN, (0, 10, 0, SIZE + 1))
