"""A whole drive through the public door, and the files of the path."""

import json
import math

import numpy as np
import pandas
import pytest

from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.geo.height import from_height
from cvsegguide.inference.localizer import Localizer
from cvsegguide.tracking import Frame, Motion, Settings, Tracker
from helpers.colors import (
    CELL,
    UTM,
    ColorNetwork,
    FlatNetwork,
    drive,
    overhead_image,
    street_image,
    write_overhead,
)

STEPS = [(8.0, 10.0)] * 7
POSES = drive(80.5, 40.5, 20.0, STEPS)
SURE = np.diag([0.2**2, 0.2**2, 1.0])


def frames(missing=(), truth=True, reference=UTM):
    made = []
    for index, (row, col, heading) in enumerate(POSES):
        place = None
        if truth:
            lon, lat = reference.rowcol_to_lonlat(4 * row, 4 * col)
            place = (float(lon), float(lat), heading + reference.up_azimuth)
        made.append(
            Frame(
                image=None if index in missing else street_image(row, col, heading),
                motion=Motion(8.0, 0.0, 10.0, SURE) if index else None,
                fov=70.0,
                time=float(index),
                name=f"{index}.jpg",
                truth=place,
            )
        )
    return made


@pytest.fixture
def localizer():
    return Localizer(ColorNetwork(), device="cpu", name="colours")


@pytest.fixture
def found(localizer, tmp_path):
    path = write_overhead(tmp_path / "overhead.tif")
    return localizer.track(frames(missing=[4]), path, settings=Settings(headings=32))


def test_the_path_is_found_in_pixels_and_degrees(found):
    rows = np.array([point.row for point in found.points[2:]])
    cols = np.array([point.col for point in found.points[2:]])
    truth = np.array(POSES[2:])

    assert np.hypot(rows / 4 - truth[:, 0], cols / 4 - truth[:, 1]).max() * CELL < 1.6
    assert found.errors()[2:].max() < 1.6
    # True north differs from the map's up by the convergence of UTM, and the result knows.
    assert abs(UTM.up_azimuth) > 0.5
    assert found.heading_errors()[2:].max() < 4.0
    point = found.points[-1]
    assert UTM.lonlat_to_rowcol(point.lon, point.lat) == pytest.approx(
        (point.row, point.col), abs=1e-4
    )
    assert [p.used for p in found.points] == [True] * 4 + [False] + [True] * 3
    assert found.points[4].evidence is None
    assert found.points[5].evidence > 1


def test_street_views_alone_and_none_are_frames(localizer):
    views = [street_image(*pose) for pose in POSES]
    views[3] = None
    found = localizer.track(
        views, overhead_image(), gsd=0.5, fov=70.0, start_pixel=(322.0, 162.0), start_error=5.0,
        settings=Settings(headings=32),
    )  # fmt: skip
    last = found.points[-1]

    assert (last.row / 4, last.col / 4) == pytest.approx(POSES[-1][:2], abs=2.0)
    assert last.lon is None
    assert last.error is None
    assert not found.georeferenced


def test_start_is_taken_in_degrees(localizer, tmp_path):
    path = write_overhead(tmp_path / "overhead.tif")
    lon, lat = UTM.rowcol_to_lonlat(4 * 30.0, 4 * 70.0)
    found = localizer.track(
        [None], path, start=(float(lon), float(lat)), start_error=4.0, start_heading=75.0,
        start_heading_error=4.0,
    )  # fmt: skip
    point = found.points[0]

    assert (point.row, point.col) == pytest.approx((120.0, 280.0), abs=0.5)
    assert point.heading == pytest.approx(75.0, abs=1.5)
    assert math.sqrt(point.variance_east) == pytest.approx(4.0, rel=0.15)


def test_covariance_is_told_in_east_and_north():
    localizer = Localizer(ColorNetwork(), device="cpu")
    found = localizer.track(
        [None, Frame(None, Motion(10.0, 0.0, 0.0, np.diag([9.0, 0.01, 0.0])))],
        overhead_image(), gsd=0.5, start_pixel=(240.0, 240.0), start_error=0.5, start_heading=0.0,
        start_heading_error=0.1, settings=Settings(headings=64),
    )  # fmt: skip
    point = found.points[1]

    assert point.variance_north == pytest.approx(9.0, rel=0.35)
    assert point.variance_east < 3.0
    assert abs(point.covariance) < 0.5


def test_the_table_has_a_row_a_frame(found, tmp_path):
    found.write_table(tmp_path / "track.parquet")
    table = pandas.read_parquet(tmp_path / "track.parquet")

    assert len(table) == len(POSES)
    assert table["frame"].tolist() == list(range(len(POSES)))
    assert table["lon"].iloc[3] == pytest.approx(found.points[3].lon)
    assert math.isnan(table["evidence"].iloc[4])
    wanted = {"row", "col", "lat", "heading", "variance_east", "variance_north", "covariance",
              "probability", "effective_area", "error", "time", "name"}  # fmt: skip
    assert wanted <= set(table)


def test_geojson_follows_the_standard(found, tmp_path):
    found.write_geojson(tmp_path / "track.geojson")
    document = json.loads((tmp_path / "track.geojson").read_text())
    kinds = [feature["properties"]["kind"] for feature in document["features"]]
    count = len(POSES)

    assert document["type"] == "FeatureCollection"
    assert kinds == ["path"] + ["position"] * count + ["ellipse"] * count
    line = document["features"][0]["geometry"]
    assert line["type"] == "LineString"
    assert line["coordinates"][2] == [round(found.points[2].lon, 7), round(found.points[2].lat, 7)]
    for feature in document["features"][1 + count :]:
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert ring[0].tolist() == ring[-1].tolist()
        x, y = ring[:-1].T
        area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
        assert area > 0  # counter-clockwise (RFC 7946, section 3.1.6)


def test_the_ellipse_holds_95_percent(found, tmp_path):
    point = found.points[-1]
    inverse = np.linalg.inv(point.matrix())
    squares = np.einsum("in,ij,jn->n", point.ellipse(), inverse, point.ellipse())
    # the 95th percentile of chi squared with two degrees of freedom is -2 ln 0.05
    np.testing.assert_allclose(squares, -2 * math.log(0.05), rtol=1e-4)

    found.write_geojson(tmp_path / "track.geojson")
    document = json.loads((tmp_path / "track.geojson").read_text())
    ring = np.array(document["features"][-1]["geometry"]["coordinates"][0])[:-1]
    metres = np.radians(1) * 6378137
    east = (ring[:, 0] - point.lon) * metres * math.cos(math.radians(point.lat))
    north = (ring[:, 1] - point.lat) * metres
    np.testing.assert_allclose([east, north], point.ellipse(), atol=0.02)


def test_frame_by_frame_is_the_whole_drive(localizer, found, tmp_path):
    overhead = write_overhead(tmp_path / "overhead.tif")
    with Tracker(localizer, overhead, settings=Settings(headings=32)) as tracker:
        points = [tracker.update(frame) for frame in frames(missing=[4])]
    assert points == found.points


def test_a_network_without_headings_follows_by_its_start_and_says_so():
    localizer = Localizer(FlatNetwork(), device="cpu", name="flat")
    start = {"start_pixel": (4 * POSES[0][0], 4 * POSES[0][1]), "start_error": 8.0}
    with pytest.warns(InferenceWarning, match="flat does not tell headings apart"):
        localizer.track([None], overhead_image(), gsd=0.5, settings=Settings(headings=16), **start)
    found = localizer.track(
        frames(truth=False), overhead_image(), gsd=0.5, settings=Settings(headings=32),
        start_heading=POSES[0][2], start_heading_error=5.0, **start,
    )  # fmt: skip
    for point, (row, col, heading) in list(zip(found.points, POSES, strict=True))[3:]:
        assert math.hypot(point.row / 4 - row, point.col / 4 - col) * CELL < 1.5
        assert abs((point.heading - heading + 180) % 360 - 180) < 8.0


def test_faults_are_named(localizer, tmp_path):
    world = overhead_image()
    with pytest.raises(InputError, match="twice"):
        localizer.track([None], world, gsd=0.5, start=(0, 0), start_pixel=(1, 1))
    with pytest.raises(InputError, match="start_error"):
        localizer.track([None], world, gsd=0.5, start_pixel=(1, 1), start_error=-1)
    with pytest.raises(InputError, match="no georeference"):
        localizer.track([None], world, gsd=0.5, start=(0, 0))
    with pytest.raises(InputError, match="none"):
        localizer.track([], world, gsd=0.5)
    with pytest.raises(InputError, match=r"frame 0 \(x\): fov"):
        localizer.track([Frame(None, fov=0, name="x")], world, gsd=0.5)
    with pytest.raises(InputError, match="frame 1: its odometry"):
        localizer.track([None, Frame(None, Motion(math.nan))], world, gsd=0.5)
    found = localizer.track([None], world, gsd=0.5, settings=Settings(headings=8))
    with pytest.raises(InputError, match="georeference"):
        found.write_geojson(tmp_path / "track.geojson")


def test_pictures_from_another_height_are_shown_as_from_a_usual_one(tmp_path):
    network = ColorNetwork()
    localizer = Localizer(network, device="cpu", name="colours")
    path = write_overhead(tmp_path / "overhead.tif")
    view = np.random.default_rng(0).integers(1, 256, (64, 256, 3), np.uint8)
    options = {"settings": Settings(headings=8), "start_pixel": (200, 200)}
    localizer.track([view], path, camera_height=5.0, **options)
    localizer.track([from_height(view, 360.0, 5.0, 2.5)], path, **options)
    localizer.track([view], path, **options)

    found, expected, plain = network.streets
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(plain, expected)
    with pytest.raises(InputError, match="camera_height: is not searched"):
        localizer.track([view], path, camera_height="unknown")
