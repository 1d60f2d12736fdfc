"""Overhead imagery under one frame: tiles, rasters, scales, places."""

import numpy as np
import pytest
from PIL import Image

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference
from cvsegguide.geo.slippy import tile_bounds, tile_gsd
from cvsegguide.tracking.mosaic import open_mosaic
from helpers.colors import GSD, UTM, overhead_image, write_overhead

X, Y = 154_400, 197_000
OWN = tile_gsd(40.5, 19)


def tiles(root, missing=(), side=64):
    """Two rows and three columns of tiles whose pixels are all different."""
    whole = np.arange(2 * side * 3 * side * 3, dtype=np.uint32).reshape(2 * side, 3 * side, 3)
    whole = (whole * 2654435761 >> 24).astype(np.uint8)
    for i in range(2):
        for j in range(3):
            if (i, j) in missing:
                continue
            path = root / "19" / str(X + j) / f"{Y + i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            part = whole[i * side : (i + 1) * side, j * side : (j + 1) * side]
            Image.fromarray(part).save(path)
    return whole


def gsd_of(root):
    with open_mosaic(root, 4 * OWN) as mosaic:
        return mosaic.gsd


@pytest.mark.parametrize("folder", ["", "images", "overhead/images"])
def test_tiles_make_one_picture_wherever_they_lie(tmp_path, folder):
    whole = tiles(tmp_path / folder)
    with open_mosaic(tmp_path, 4 * OWN) as mosaic:
        assert mosaic.shape == (128, 192)
        image, valid = mosaic.read(0, 0, 128, 192)
        np.testing.assert_array_equal(image, whole)
        assert valid.all()
        image, _ = mosaic.read(50, 60, 30, 70)  # across the corner of four tiles
        np.testing.assert_array_equal(image, whole[50:80, 60:130])


def test_beyond_the_border_and_without_a_tile_there_is_no_data(tmp_path):
    whole = tiles(tmp_path, missing=[(1, 1)])
    with open_mosaic(tmp_path, 4 * OWN) as mosaic:
        image, valid = mosaic.read(-10, -20, 148, 222)
    expected = np.zeros((148, 222), bool)
    expected[10:138, 20:212] = True
    expected[74:138, 84:148] = False

    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_array_equal(
        image[expected], np.pad(whole, ((10, 10), (20, 10), (0, 0)))[expected]
    )
    assert not image[~expected].any()


def test_tiles_know_their_place(tmp_path):
    tiles(tmp_path)
    corner = tile_bounds(19, X + 1, Y + 1)
    with open_mosaic(tmp_path, 4 * OWN) as mosaic:
        assert mosaic.lonlat(64, 64) == pytest.approx((corner.west, corner.north), abs=1e-10)
        assert mosaic.locate(corner.west, corner.north) == pytest.approx((64, 64), abs=1e-5)
        assert mosaic.own_pixels(3.0, 4.0) == (3.0, 4.0)


def test_imagery_is_brought_to_the_models_resolution_and_metres_stay_metres():
    # 0.5 m pixels, wanted at 1 m: every colour is the mean of four.
    with open_mosaic(overhead_image(), 1.0, own_gsd=0.5) as mosaic:
        assert mosaic.shape == (240, 240)
        assert mosaic.gsd == 1.0
        image, _ = mosaic.read(100, 60, 20, 30)
        assert mosaic.own_pixels(100, 60) == (200.0, 120.0)
        assert mosaic.map_pixels(200, 120) == (100.0, 60.0)
    rows, cols = np.arange(100, 120) // 2, np.arange(60, 90) // 2
    assert np.abs(image[..., 0].astype(int) - rows[:, None]).max() <= 1
    assert np.abs(image[..., 1].astype(int) - cols).max() <= 1


def test_windows_of_resampled_imagery_agree_with_the_whole():
    with open_mosaic(overhead_image(), 0.83, own_gsd=0.5) as mosaic:
        whole, _ = mosaic.read(0, 0, *mosaic.shape)
        part, valid = mosaic.read(70, 90, 50, 60)

    assert valid.all()
    assert np.abs(part.astype(int) - whole[70:120, 90:150]).max() <= 1


def test_a_resolution_that_is_as_good_as_the_wanted_one_is_kept():
    with open_mosaic(overhead_image(), 0.505, own_gsd=0.5) as mosaic:
        assert mosaic.gsd == pytest.approx(0.5)
        np.testing.assert_array_equal(mosaic.read(8, 8, 9, 9)[0], overhead_image()[8:17, 8:17])


def test_a_geotiff_is_read_by_windows_with_its_place(tmp_path):
    path = write_overhead(tmp_path / "overhead.tif")
    with open_mosaic(path, GSD) as mosaic:
        np.testing.assert_array_equal(
            mosaic.read(100, 120, 40, 50)[0], overhead_image()[100:140, 120:170]
        )
        lon, lat = UTM.rowcol_to_lonlat(33.0, 44.0)
        assert mosaic.lonlat(33.0, 44.0) == pytest.approx((float(lon), float(lat)))


def test_a_raster_that_is_turned_is_warped(tmp_path):
    turned = GeoReference("EPSG:32618", (0.4, 0.3, 590_000.0, 0.3, -0.4, 4_510_000.0), 480, 480)
    path = write_overhead(tmp_path / "turned.tif", turned)
    lon, lat = turned.rowcol_to_lonlat(242.0, 202.0)  # cell row 60, column 50
    with open_mosaic(path, GSD) as mosaic:
        row, col = mosaic.locate(float(lon), float(lat))
        image, valid = mosaic.read(int(row), int(col), 1, 1)

    assert valid.all()
    assert image[0, 0, :2].tolist() == pytest.approx([60, 50], abs=1)


def test_faults_name_the_file(tmp_path):
    with pytest.raises(InputError, match="no map tiles"), open_mosaic(tmp_path, 0.5):
        pass
    tiles(tmp_path / "brooklyn" / "overhead" / "images")
    with pytest.raises(InputError, match=r"did you mean .*brooklyn"), open_mosaic(tmp_path, 0.5):
        pass
    folder = tmp_path / "mixed"
    tiles(folder)
    Image.new("RGB", (32, 32)).save(folder / "19" / str(X + 1) / f"{Y}.png")
    with open_mosaic(folder, 4 * OWN) as mosaic, pytest.raises(InputError, match=f"{Y}.png"):
        mosaic.read(0, 0, 128, 192)
    with pytest.raises(InputError, match="resolution"), open_mosaic(overhead_image(), 0.5):
        pass
    plain = write_overhead(tmp_path / "plain.tif", None)
    with open_mosaic(plain, 0.5, own_gsd=0.5) as mosaic:
        assert mosaic.lonlat(1, 1) is None
        with pytest.raises(InputError, match=r"plain\.tif"):
            mosaic.locate(0, 0)


def test_of_several_zooms_the_nearest_is_taken(tmp_path):
    tiles(tmp_path)
    other = tmp_path / "18" / str(X // 2) / f"{Y // 2}.png"
    other.parent.mkdir(parents=True)
    Image.new("RGB", (64, 64), (9, 9, 9)).save(other)

    assert gsd_of(tmp_path) == pytest.approx(4 * OWN, rel=0.02)
    with open_mosaic(tmp_path, 8 * OWN) as mosaic:
        assert mosaic.read(0, 0, 1, 1)[0].tolist() == [[[9, 9, 9]]]
