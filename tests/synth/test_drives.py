"""Drives through a SynthCity: what the table says must agree with what was driven."""

import csv
import math

import numpy as np
import pytest
from PIL import Image

from cvsegguide.errors import InputError
from cvsegguide.synth.drives import DRIVE_COLUMNS, Odometry, find_route, generate_drive
from cvsegguide.synth.scene import Scene
from cvsegguide.tracking.mosaic import open_mosaic

EXACT = Odometry(0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drive") / "drive"
    table = generate_drive(
        folder, 9, seed=3, spacing=9.0, fov=70.0, size=(24, 32), side=4, odometry=EXACT
    )
    with table.open(encoding="utf-8") as lines:
        return folder, list(csv.DictReader(lines))


def test_odometry_without_noise_leads_to_where_the_camera_is(drive):
    folder, rows = drive
    assert list(rows[0]) == list(DRIVE_COLUMNS)
    assert rows[0]["forward"] == ""
    with open_mosaic(folder, 0.2262) as mosaic:
        places = [mosaic.locate(float(row["lon"]), float(row["lat"])) for row in rows]
        truth = np.array(places) * mosaic.gsd
    down, right = truth[0]
    heading = float(rows[0]["heading"])
    for row, (true_down, true_right) in zip(rows[1:], truth[1:], strict=True):
        forward, left = float(row["forward"]), float(row["left"])
        angle = math.radians(heading)
        down += -forward * math.cos(angle) - left * math.sin(angle)
        right += forward * math.sin(angle) - left * math.cos(angle)
        heading = (heading + float(row["turn"])) % 360
        assert (down, right) == pytest.approx((true_down, true_right), abs=0.02)
        assert (heading - float(row["heading"]) + 180) % 360 - 180 == pytest.approx(0, abs=0.02)


def test_frames_are_evenly_spaced_and_look_ahead(drive):
    folder, rows = drive
    for row in rows[1:]:
        forward, left = float(row["forward"]), float(row["left"])
        assert 7.5 < math.hypot(forward, left) < 9.1  # a chord of nine metres of way
        assert forward > 5.0
    assert [row["street"] for row in rows] == [f"street/{i:05d}.jpg" for i in range(9)]
    picture = Image.open(folder / "street" / "00004.jpg")
    assert picture.size == (32, 24)


def test_the_drive_lies_on_its_tiles(drive):
    folder, rows = drive
    with open_mosaic(folder, 0.2262) as mosaic:
        for row in rows:
            place = mosaic.locate(float(row["lon"]), float(row["lat"]))
            top, left = (int(value) - 128 for value in place)
            assert mosaic.read(top + 100, left + 100, 56, 56)[1].all()


def test_the_same_seed_is_the_same_drive(drive, tmp_path):
    folder, _ = drive
    again = generate_drive(
        tmp_path / "again", 9, seed=3, spacing=9.0, fov=70.0, size=(24, 32), side=4, odometry=EXACT
    )
    for path in sorted(folder.rglob("*.*")):
        assert path.read_bytes() == (again.parent / path.relative_to(folder)).read_bytes()


def cross(side=400):
    """Two streets of 40 pixels that cross in the middle."""
    scene = Scene.flat((side, side), 0.25, ground=2)
    scene.ground[side // 2 - 20 : side // 2 + 20] = 6
    scene.ground[:, side // 2 - 20 : side // 2 + 20] = 6
    ends = [(side / 2, 12.0), (side / 2, side - 12.0), (12.0, side / 2), (side - 12.0, side / 2)]
    scene.cameras = np.array([(row, col, 0.0) for row, col in ends])
    return scene


def test_a_route_keeps_to_the_road_and_is_as_long_as_asked():
    scene = cross()
    for seed in range(4):
        route = find_route(scene, 8, 10.0, np.random.default_rng(seed))
        steps = np.hypot(*np.diff(route[:, :2], axis=0).T) * scene.gsd
        assert steps.max() <= 10.001
        assert steps.min() > 7.0
        rows, cols = route[:, :2].astype(int).T
        assert (scene.ground[rows, cols] == 6).all()
        # the azimuth is that of the step, but where the corner lies
        east, north = np.diff(route[:, 1]), -np.diff(route[:, 0])
        ahead = np.degrees(np.arctan2(east, north))
        off = np.abs((ahead - route[:-1, 2] + 180) % 360 - 180)
        assert np.median(off) < 3.0


def test_a_town_too_small_for_the_drive_is_refused():
    with pytest.raises(InputError, match="no way"):
        find_route(cross(), 30, 10.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ({"frames": 1}, "frames"),
        ({"spacing": 0.0}, "spacing"),
        ({"fov": 400.0}, "fov"),
        ({"size": (4, 4)}, "size"),
        ({"rig": "boat"}, "rig: there is no 'boat'"),
        ({"side": 0}, "side"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_out_of_range_are_named(tmp_path, option, word):
    with pytest.raises(InputError, match=word):
        generate_drive(tmp_path / "drive", **{"frames": 3, "seed": 0, **option})
    assert not (tmp_path / "drive").exists()
