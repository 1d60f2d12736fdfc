"""Geometry of the street view against arithmetic and a plain ray caster."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from cvsegguide.errors import InputError
from cvsegguide.geo import column_azimuths
from cvsegguide.synth import City
from cvsegguide.synth.cameras import Camera, free_cameras, without_obstacles
from cvsegguide.synth.ids import CAR
from cvsegguide.synth.scene import Objects, Scene, Trees
from cvsegguide.synth.street import StreetStyle, prepare, render_street
from cvsegguide.synth.street.columns import SHOP

SOLID = StreetStyle(leaf_threshold=-1.0)
SIZE = (64, 256)


def flat_scene(size: int = 200, gsd: float = 0.25, ground: int = 6) -> Scene:
    """Level ground of one class, nothing on it."""
    return replace(Scene.flat((size, size), gsd, ground), seed=5)


def add_building(scene: Scene, rows: slice, cols: slice, height: float, number: int = 1) -> None:
    scene.building_id[rows, cols] = number
    scene.building_height[rows, cols] = height
    scene.ground[rows, cols] = 5
    scene.landcover[rows, cols] = 5


def rough_scene(seed: int = 3, size: int = 160, gsd: float = 0.5) -> Scene:
    """Hills, buildings of many heights, patches of every ground class."""
    random = np.random.default_rng(seed)
    scene = flat_scene(size, gsd)
    row, col = np.indices((size, size))
    scene.elevation[:] = 0.02 * gsd * col + 0.8 * np.sin(row * gsd / 11.0)
    patches = random.choice([2, 3, 4, 6, 7, 8], (size // 10 + 1, size // 10 + 1))
    scene.ground[:] = np.kron(patches, np.ones((10, 10), int))[:size, :size]
    scene.landcover[:] = scene.ground
    for number in range(1, 30):
        r, c = random.integers(0, size - 20, 2)
        h, w = random.integers(6, 20, 2)
        if abs(r + h / 2 - size / 2) < 18 and abs(c + w / 2 - size / 2) < 18:
            continue
        height = float(random.uniform(3, 25))
        add_building(scene, slice(r, r + h), slice(c, c + w), height, number)
    return scene


def elevations(height: int, extent: float) -> np.ndarray:
    return np.radians((height / 2 - np.arange(height) - 0.5) * extent / height)


def slow_distance(scene: Scene, camera: Camera, azimuth: float, elevation: float) -> float:
    """Cut the ray at every grid line and look at each piece: no stepping, no blocks."""
    top = (scene.elevation + scene.building_height).astype(float)
    z = scene.elevation[int(camera.row), int(camera.col)] + camera.height
    east = math.cos(elevation) * math.sin(azimuth) / scene.gsd
    south = -math.cos(elevation) * math.cos(azimuth) / scene.gsd
    lines = np.arange(top.shape[0] + 1)
    cuts = np.concatenate([(lines - camera.col) / east, (lines - camera.row) / south, [0.0]])
    cuts = np.sort(cuts[cuts >= 0])
    for enter, leave in itertools.pairwise(cuts):
        middle = (enter + leave) / 2
        row, col = camera.row + middle * south, camera.col + middle * east
        if not (0 <= row < top.shape[0] and 0 <= col < top.shape[1]):
            return math.inf
        height = top[int(row), int(col)]
        if z + enter * math.sin(elevation) < height:
            return float(enter)
        if z + leave * math.sin(elevation) < height:
            return float((height - z) / math.sin(elevation))
    return math.inf


@pytest.mark.parametrize(
    "camera", [Camera(80.3, 79.6, heading=37.0), Camera(80.3, 79.6, 2.5, 20.0, 4.0, -3.0)]
)
def test_depth_is_the_distance_through_the_height_raster(camera: Camera) -> None:
    scene = rough_scene()
    view = render_street(scene, camera, SIZE, style=SOLID)
    p, q, h = np.radians([camera.pitch, camera.roll, camera.heading])
    random = np.random.default_rng(1)
    seen = 0
    for r, c in random.integers(0, SIZE, (220, 2)):
        a = (c + 0.5 - SIZE[1] / 2) * 2 * np.pi / SIZE[1]
        e = elevations(SIZE[0], 90.0)[r]
        x, y, z = math.cos(e) * math.sin(a), math.cos(e) * math.cos(a), math.sin(e)
        # Roll, then pitch, then heading: from the camera to east, north, up.
        x, z = x * math.cos(q) + z * math.sin(q), z * math.cos(q) - x * math.sin(q)
        y, z = y * math.cos(p) - z * math.sin(p), z * math.cos(p) + y * math.sin(p)
        east, north = x * math.cos(h) + y * math.sin(h), y * math.cos(h) - x * math.sin(h)
        expected = slow_distance(scene, camera, math.atan2(east, north), math.asin(z))
        if math.isinf(expected):
            assert math.isinf(view.depth[r, c])
            assert view.landcover[r, c] == 0
        else:
            assert view.depth[r, c] == pytest.approx(expected, abs=0.001)
            seen += 1
    assert seen > 110


def test_skyline_is_the_steepest_of_each_direction() -> None:
    scene = rough_scene(seed=8)
    camera = Camera(80.0, 80.0)
    height = 720
    view = render_street(scene, camera, (height, 64), (180.0, 360.0), SOLID)
    top = scene.elevation + scene.building_height
    z = scene.elevation[80, 80] + camera.height
    for column, azimuth in enumerate(np.radians(column_azimuths(64))):
        t = np.arange(0.05, 110.0, 0.01)
        row = camera.row - t * math.cos(azimuth) / scene.gsd
        col = camera.col + t * math.sin(azimuth) / scene.gsd
        inside = (row >= 0) & (col >= 0) & (row < 160) & (col < 160)
        rise = top[row[inside].astype(int), col[inside].astype(int)] - z
        expected = math.degrees(np.arctan(rise / t[inside]).max())
        first = int(np.argmax(np.isfinite(view.depth[:, column])))
        assert 90.0 - first * 180.0 / height == pytest.approx(expected, abs=0.3)


def test_ground_pixels_have_the_class_of_the_raster_where_they_project() -> None:
    scene = rough_scene()
    camera = Camera(80.3, 79.6)
    view = render_street(scene, camera, SIZE, style=SOLID)
    azimuths = np.radians(column_azimuths(SIZE[1]))[None, :]
    up = elevations(SIZE[0], 90.0)[:, None]
    with np.errstate(invalid="ignore"):
        row = camera.row - view.depth * np.cos(up) * np.cos(azimuths) / scene.gsd
        col = camera.col + view.depth * np.cos(up) * np.sin(azimuths) / scene.gsd
    low = np.isfinite(view.depth) & (view.landcover != 5)
    # Not on the side of a step, which belongs to two cells.
    with np.errstate(invalid="ignore"):
        low &= np.minimum(np.abs(row - np.round(row)), np.abs(col - np.round(col))) > 1e-3
    assert low.sum() > 3000
    expected = scene.landcover[row[low].astype(int), col[low].astype(int)]
    assert (view.landcover[low] == expected).mean() > 0.999
    assert len(np.unique(view.landcover[low])) >= 4


@pytest.mark.parametrize(
    ("row", "col", "share"), [(95, 140, 0.75), (140, 95, 0.0), (95, 50, 0.25), (50, 95, 0.5)]
)
def test_columns_look_clockwise_from_north(row: int, col: int, share: float) -> None:
    scene = flat_scene()
    add_building(scene, slice(row, row + 10), slice(col, col + 10), 8.0)
    view = render_street(scene, Camera(100.0, 100.0), SIZE, style=SOLID)
    columns = np.flatnonzero((view.landcover == 5).any(axis=0))
    angles = (columns + 0.5) / SIZE[1] * 2 * np.pi
    middle = np.angle(np.exp(1j * angles).mean()) / (2 * np.pi) % 1.0
    assert abs((middle - share + 0.5) % 1.0 - 0.5) < 0.01


def test_pitch_and_roll_turn_about_the_camera() -> None:
    scene = flat_scene(400)

    def horizon(camera: Camera) -> np.ndarray:
        view = render_street(scene, camera, (180, 360), (180.0, 360.0), SOLID)
        return np.argmax(np.isfinite(view.depth), axis=0)

    level = horizon(Camera(200.0, 200.0))
    up = horizon(Camera(200.0, 200.0, pitch=5.0)) - level
    right = horizon(Camera(200.0, 200.0, roll=5.0)) - level
    # Looking up, what lies ahead moves down; what lies behind moves up.
    assert up[180] == pytest.approx(5, abs=1)
    assert up[0] == pytest.approx(-5, abs=1)
    assert up[90] == pytest.approx(0, abs=1)
    # Leaning right, what lies to the right appears higher: in an earlier row.
    assert right[270] == pytest.approx(-5, abs=1)
    assert right[90] == pytest.approx(5, abs=1)
    assert right[180] == pytest.approx(0, abs=1)


def tree_scene() -> Scene:
    """A building to the north behind a wide crown on a thin trunk."""
    scene = flat_scene(200, 0.25, ground=6)
    add_building(scene, slice(0, 20), slice(0, 200), 9.0)
    scene.canopy_base[40:80, 80:120] = 4.0
    scene.canopy_top[40:80, 80:120] = 9.0
    scene.landcover[40:80, 80:120] = 1
    one = np.ones(1, np.float32)
    place = np.array([60.0]), np.array([100.0])
    scene.trees = Trees(*place, 0.2 * one, 5 * one, 4 * one, 9 * one, np.ones(1, np.uint8))
    return scene


def test_one_sees_under_crowns() -> None:
    scene = tree_scene()
    view = render_street(scene, Camera(120.0, 100.0), SIZE, style=SOLID)
    up = np.degrees(elevations(SIZE[0], 90.0))
    beside = SIZE[1] // 2 + 6
    # The crown hangs 4 to 9 m high, its near edge 10 m away; the wall stands 25 m away.
    crown = view.landcover[:, beside] == 1
    assert crown.any()
    assert up[crown].max() <= math.degrees(math.atan(6.5 / 10)) + 1.5
    assert up[crown].min() >= math.degrees(math.atan(1.5 / 20)) - 1.5
    wall = view.landcover[:, beside] == 5
    assert wall.any()
    assert view.depth[wall, beside] == pytest.approx(25.0, rel=0.08)
    trunk = int(np.argmin(np.abs(up + 2.0)))
    middle = SIZE[1] // 2
    assert view.landcover[trunk, middle] == 1
    assert view.depth[trunk, middle] == pytest.approx(14.8, abs=0.3)


def test_crowns_have_holes_unless_asked_not_to() -> None:
    scene = tree_scene()
    camera = Camera(120.0, 100.0)
    solid = render_street(scene, camera, SIZE, style=SOLID)
    holes = render_street(scene, camera, SIZE, style=StreetStyle(leaf_threshold=0.4))
    assert 0.3 < (holes.landcover == 1).sum() / (solid.landcover == 1).sum() < 0.95


def car(row: float, col: float) -> Objects:
    one = np.ones(1, np.float32)
    place = (np.array([value]) for value in (row, col, 90.0))
    look = np.array([CAR], np.uint8), np.full((1, 3), 200, np.uint8)
    return Objects(*place, 4.4 * one, 1.8 * one, 1.5 * one, *look)


def test_vehicles_stand_in_the_way_and_keep_the_class_of_the_ground() -> None:
    scene = flat_scene(ground=7)
    empty = render_street(scene, Camera(100.0, 100.0), SIZE, style=SOLID)
    scene.street_objects = car(60.0, 100.0)
    view = render_street(scene, Camera(100.0, 100.0), SIZE, style=SOLID)
    changed = view.depth < empty.depth - 0.01
    assert changed.sum() > 20
    # 10 m to its middle, 0.9 m less to its side.
    assert view.depth[changed].min() == pytest.approx(9.2, abs=0.4)
    assert (view.landcover[changed] == 7).all()
    assert abs(np.flatnonzero(changed.any(axis=0)).mean() - SIZE[1] / 2) < 1.0


def test_cameras_are_kept_free() -> None:
    scene = flat_scene()
    add_building(scene, slice(0, 50), slice(0, 50), 8.0)
    scene.street_objects = car(100.0, 100.0)
    scene.cameras = np.array([[100.0, 102.0, 0.0], [20.0, 20.0, 0.0], [300.0, 5.0, 0.0]])
    assert len(without_obstacles(scene).street_objects) == 0
    assert free_cameras(scene).tolist() == [[100.0, 102.0, 0.0]]
    with pytest.raises(InputError, match="inside a building"):
        render_street(scene, Camera(20.0, 20.0), SIZE)
    with pytest.raises(InputError, match="outside"):
        render_street(scene, Camera(300.0, 5.0), SIZE)


def test_a_full_panorama_and_a_single_ray() -> None:
    scene = flat_scene()
    full = render_street(scene, Camera(100.0, 100.0), (128, 256), (180.0, 360.0), SOLID)
    assert full.image.shape == (128, 256, 3)
    # Straight down: the height of the camera.
    assert full.depth[-1] == pytest.approx(2.5, abs=0.01)
    add_building(scene, slice(0, 20), slice(0, 200), 9.0)
    ray = render_street(scene, Camera(100.0, 100.0), (1, 1), (1.0, 1.0), SOLID)
    assert ray.depth[0, 0] == pytest.approx(20.0, abs=0.001)


def city_scene(row0: int = 0, col0: int = 0, size: int = 700) -> Scene:
    return City(7).scene(row0, col0, size, size)


def test_a_place_looks_the_same_from_every_window() -> None:
    """Ground, trunks, crowns, cars and signs are drawn from the world, not from the window."""
    near, far = city_scene(100, 0), city_scene(137, 50)
    cameras = near.cameras
    # 40 m inside both windows.
    middle = (np.abs(cameras[:, :2] - (368.0, 375.0)) < 145.0).all(axis=1)
    assert middle.any()
    style = StreetStyle(noise=0.0)
    for row, col, azimuth in cameras[middle][:3]:
        views = [
            render_street(
                scene,
                Camera(
                    row + near.origin[0] - scene.origin[0],
                    col + near.origin[1] - scene.origin[1],
                    street_azimuth=azimuth,
                ),
                SIZE,
                style=style,
                reach=40.0,
            )
            for scene in (near, far)
        ]
        assert (views[0].landcover == views[1].landcover).mean() > 0.999
        difference = np.abs(views[0].image.astype(int) - views[1].image)
        assert (difference.max(axis=-1) <= 2).mean() > 0.995


def test_conifers_alone_keep_their_leaves() -> None:
    """In winter a conifer hides what stands behind it; every other species lets it through."""
    scene = tree_scene()
    style = StreetStyle(leaf_threshold=0.3, bare=1.0)
    seen = {}
    for species in range(6):
        scene.trees.species[:] = species
        view = render_street(scene, Camera(120.0, 100.0), SIZE, style=style)
        seen[species] = int((view.landcover == 1).sum())
    assert seen[3] > 2 * max(count for species, count in seen.items() if species != 3)


def test_shop_fronts_are_on_shops() -> None:
    scene = city_scene()
    world = prepare(scene)
    shops = world.buildings[world.owner[..., 0], SHOP] > 0
    function = scene.labels["function"]
    assert shops[function == 5].mean() > 0.95
    for other in (2, 3, 6, 7):
        assert not shops[function == other].any()
