"""Frames: against published constants of Web Mercator, rasterio's own warping, and round trips."""

import math

import numpy as np
import pytest
from rasterio.warp import transform as rasterio_transform

from cvsegguide.errors import InputError
from cvsegguide.geo import (
    Bounds,
    GeoReference,
    angular_difference,
    column_azimuths,
    parse_tile_name,
    tile_at,
    tile_bounds,
    tile_gsd,
    wrap_degrees,
)

UTM = GeoReference("EPSG:32618", (0.3, 0.0, 587_000.0, 0.0, -0.3, 4_511_000.0), 200, 300)


def test_tile_gsd_of_queens():
    assert tile_gsd(40.7, 19) == pytest.approx(0.2264, abs=2e-4)
    reference = GeoReference.from_tile(19, 154514, 197033, 256, 256)
    latitude = reference.bounds.center[1]
    assert reference.gsd == pytest.approx(tile_gsd(latitude, 19), rel=1e-6)


def test_tile_and_its_bounds_agree():
    reference = GeoReference.from_tile(19, 154514, 197033, 256, 256)
    bounds = tile_bounds(19, 154514, 197033)
    assert reference.bounds == pytest.approx(bounds, abs=1e-9)
    assert tile_at(*bounds.center, 19) == (154514, 197033)
    spread = GeoReference.from_bounds(bounds, 256, 256)
    lon, lat = reference.rowcol_to_lonlat([0.0, 100.0, 256.0], [0.0, 30.0, 256.0])
    row, col = spread.lonlat_to_rowcol(lon, lat)
    assert np.allclose(row, [0, 100, 256], atol=1e-3)
    assert np.allclose(col, [0, 30, 256], atol=1e-6)


@pytest.mark.parametrize(
    "reference",
    [
        UTM,
        GeoReference.from_tile(19, 154514, 197033, 512, 512),
        GeoReference.from_bounds(Bounds(-73.95, 40.7, -73.94, 40.71), 300, 400),
        GeoReference("EPSG:32618", (0.2, 0.1, 587_000.0, 0.1, -0.2, 4_511_000.0), 50, 60),
        GeoReference("EPSG:2263", (1.0, 0.0, 1_000_000.0, 0.0, -1.0, 200_000.0), 100, 100),
    ],
)
def test_round_trip(reference):
    row, col = np.array([0.0, 12.25, reference.height]), np.array([0.0, 7.5, reference.width])
    lon, lat = reference.rowcol_to_lonlat(row, col)
    assert np.allclose(reference.lonlat_to_rowcol(lon, lat), (row, col), atol=1e-4)
    bounds = reference.bounds
    assert bounds.validated() == bounds
    a, b, c, d, e, f = reference.transform
    x, y = a * 7.5 + b * 12.25 + c, d * 7.5 + e * 12.25 + f
    expected = rasterio_transform(reference.crs, "EPSG:4326", [x], [y])
    assert (lon[1], lat[1]) == pytest.approx((expected[0][0], expected[1][0]), abs=1e-9)


def test_metres_are_right():
    assert UTM.gsd == pytest.approx(0.3, rel=5e-4)  # UTM's own scale is within 4e-4 of 1
    feet = GeoReference("EPSG:2263", (1.0, 0.0, 1_000_000.0, 0.0, -1.0, 200_000.0), 100, 100)
    assert feet.gsd == pytest.approx(0.3048006, rel=2e-4)
    mercator = GeoReference("EPSG:3857", (1.0, 0.0, 0.0, 0.0, -1.0, 8_399_737.89), 100, 100)
    assert mercator.gsd == pytest.approx(0.5, rel=1e-3)  # 60 degrees north


def test_up_is_not_always_north():
    # Meridian convergence of UTM: (lon - lon0) sin(lat), here 3 degrees west of zone 18's centre.
    reference = GeoReference("EPSG:32618", (1.0, 0.0, 245_000.0, 0.0, -1.0, 4_511_000.0), 10, 10)
    lon, lat = reference.bounds.center
    expected = (lon + 75.0) * math.sin(math.radians(lat))
    assert reference.up_azimuth == pytest.approx(expected, abs=0.01)
    assert abs(reference.up_azimuth) > 1.5
    assert GeoReference.from_tile(3, 2, 3, 256, 256).up_azimuth == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "bounds",
    [
        (1, 0, 0, 1),
        (0, 1, 1, 0),
        (0, 0, 0, 1),
        (0, 0, 1, 91),
        (-181, 0, 1, 1),
        (0, 0, float("nan"), 1),
    ],
)
def test_impossible_bounds(bounds):
    with pytest.raises(InputError, match=r"^--bounds: "):
        Bounds(*bounds).validated("--bounds")


def test_unknown_system():
    with pytest.raises(InputError, match="coordinate reference system"):
        _ = GeoReference("EPSG:999999", (1.0, 0, 0, 0, -1.0, 0), 4, 4).bounds


def test_tile_names():
    assert parse_tile_name("a/b/19/154514/197033.jpg") == (19, 154514, 197033)
    assert parse_tile_name("19/154514/197033") == (19, 154514, 197033)
    assert parse_tile_name("2/4/0.png") is None  # there are four columns at zoom 2
    assert parse_tile_name("x19/1/2.png") is None


def test_angles():
    assert wrap_degrees(-90) == 270
    assert wrap_degrees(-1e-20) == 0
    assert angular_difference(350, 10) == -20
    assert column_azimuths(4).tolist() == [225, 315, 45, 135]
    assert column_azimuths(2, 90, 90).tolist() == [67.5, 112.5]


def test_the_same_ground_in_other_pixels() -> None:
    frame = GeoReference("EPSG:32618", (0.3, 0.01, 735000.0, 0.02, -0.3, 4520000.0), 200, 100)
    small = frame.resized(50, 80)
    assert (small.height, small.width) == (50, 80)
    for row, col in ((0.0, 0.0), (200.0, 100.0), (40.0, 70.0)):
        before = frame.rowcol_to_lonlat(row, col)
        after = small.rowcol_to_lonlat(row / 4, col * 0.8)
        assert (float(after[0]), float(after[1])) == pytest.approx(
            (float(before[0]), float(before[1])), abs=1e-11
        )
