"""Names, positions and files of a synthetic city on disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.data.decode import read_sparse
from cvsegguide.geo import GeoReference, tile_bounds, tile_gsd
from cvsegguide.synth.street import StreetView
from cvsegguide.synth.writer import (
    anchor,
    lonlat_of,
    position_name,
    snap,
    write_panorama,
    write_tile,
)


@pytest.mark.parametrize(
    ("lat", "lon", "name"),
    [
        (40.758808, -73.903034, "40.758/-73.903/40.758808_-73.903034"),
        (40.74, -73.899778, "40.740/-73.899/40.74_-73.899778"),
        (40.74974, -73.89, "40.749/-73.890/40.74974_-73.89"),
    ],
)
def test_panoramas_are_named_as_the_published_ones(lat: float, lon: float, name: str) -> None:
    assert position_name(lat, lon) == name


def test_positions_follow_web_mercator() -> None:
    x, y = anchor("brooklyn")
    frame = GeoReference.from_tile(19, x, y, 256, 256)
    for row, col in [(0.0, 0.0), (17.25, 200.5), (256.0, 256.0)]:
        lon, lat = lonlat_of(row, col, x, y)
        expected = frame.rowcol_to_lonlat(row, col)
        assert (lon, lat) == pytest.approx([float(v) for v in expected], abs=1e-10)
    bounds = tile_bounds(19, x, y)
    assert lonlat_of(256.0, 0.0, x, y) == pytest.approx((bounds.west, bounds.south), abs=1e-12)
    assert tile_gsd(bounds.center[1], 19) == pytest.approx(0.2262, abs=2e-5)


def test_snapping_moves_by_centimetres_to_what_the_name_says() -> None:
    x, y = anchor("queens")
    row, col, lat, lon = snap(1000.123, 77.7, x, y)
    assert np.hypot(row - 1000.123, col - 77.7) * 0.2262 < 0.08
    assert (lat, lon) == (round(lat, 6), round(lon, 6))
    assert lonlat_of(row, col, x, y) == pytest.approx((lon, lat), abs=1e-10)


def test_files_hold_what_was_written(tmp_path: Path) -> None:
    city = tmp_path / "brooklyn"
    image = np.full((256, 256, 3), 90, np.uint8)
    cover = np.full((256, 256), 6, np.uint8)
    height = np.zeros((256, 256), np.float32)
    height[10:20, 30:40] = 12.0
    write_tile(city, "19/1/2", image, cover, height, {"age": cover}, 90)
    feet = read_sparse(tmp_path / "brooklyn/labels/height/19/1/2.npz")
    assert feet.max() == pytest.approx(12.0 * 3937 / 1200, rel=1e-6)
    assert np.count_nonzero(feet) == 100
    depth = np.full((16, 64), np.inf, np.float32)
    depth[8:] = 12.344
    view = StreetView(np.zeros((16, 64, 3), np.uint8), depth, np.full((16, 64), 6, np.uint8))
    name = position_name(40.74, -50.0)
    write_panorama(city, name, view, 90)
    folder = tmp_path / "brooklyn/labels"
    stored = np.asarray(Image.open(folder / f"street_depth/{name}.png"))
    assert stored.max() == 1234
    assert (stored[:8] == 0).all()
    assert np.asarray(Image.open(folder / f"street_landcover/{name}.png")).min() == 6
    assert not list(tmp_path.rglob(".*"))
