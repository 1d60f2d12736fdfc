"""Overhead images from every source: where they lie, what is valid, what is refused."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.control import GroundControlPoint

from cvsegguide.errors import ConfigurationError, InferenceWarning, InputError
from cvsegguide.geo import Bounds, GeoReference, tile_bounds
from cvsegguide.io.geotiff import create_geotiff, write_geotiff
from cvsegguide.io.rasters import open_raster, read_landcover, read_overhead
from cvsegguide.io.resampling import resample
from cvsegguide.io.vectors import write_geojson
from cvsegguide.landcover import NYC
from helpers.commands import run_python
from helpers.files import UTM, write_raster

RGB = np.random.default_rng(0).integers(1, 256, (40, 60, 3), np.uint8)
BANDS = RGB.transpose(2, 0, 1)


def test_geotiff(tmp_path):
    overhead = read_overhead(write_raster(tmp_path / "a.tif", BANDS))
    assert np.array_equal(overhead.image, RGB)
    assert overhead.valid.all()
    assert overhead.reference.crs == "EPSG:32618"
    assert overhead.reference.transform == tuple(UTM)[:6]
    assert overhead.gsd == pytest.approx(0.5, rel=1e-3)


def test_other_systems(tmp_path):
    mercator = write_raster(tmp_path / "m.tif", BANDS, Affine(1, 0, -8e6, 0, -1, 5e6), "EPSG:3857")
    assert read_overhead(mercator).gsd == pytest.approx(np.cos(np.radians(40.9)), rel=0.01)
    own = "+proj=laea +lat_0=40 +lon_0=-74 +units=m +datum=WGS84"
    laea = write_raster(tmp_path / "l.tif", BANDS, Affine(0.3, 0, 0, 0, -0.3, 0), own)
    overhead = read_overhead(laea)
    assert overhead.gsd == pytest.approx(0.3, rel=1e-4)
    assert overhead.reference.bounds.north == pytest.approx(40.0, abs=1e-6)


def test_where_plain_images_lie(tmp_path):
    bounds = (10.0, 50.0, 10.001, 50.0005)
    Image.fromarray(RGB).save(tmp_path / "a.png")
    for source in (RGB, Image.fromarray(RGB), tmp_path / "a.png"):
        unknown = read_overhead(source)
        assert (unknown.reference, unknown.gsd, unknown.pixel_size) == (None, None, None)
        measured = read_overhead(source, gsd=0.25)
        assert (measured.reference, measured.gsd) == (None, 0.25)
        placed = read_overhead(source, bounds=bounds)
        assert placed.reference.bounds == pytest.approx(bounds)
        assert np.array_equal(placed.image, RGB)


def test_slippy_names(tmp_path):
    path = tmp_path / "19" / "154514" / "197033.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(path)
    overhead = read_overhead(path)
    assert overhead.reference.bounds == pytest.approx(tile_bounds(19, 154514, 197033), abs=1e-9)
    assert overhead.gsd == pytest.approx(0.2262, abs=2e-4)
    # Whoever says otherwise is believed: the name may be a coincidence.
    with pytest.warns(InferenceWarning, match=r"gsd 2 .* 19/154514/197033, .* no place"):
        assert read_overhead(path, gsd=2.0).reference is None
    assert read_overhead(path, bounds=(0, 0, 1e-3, 1e-3)).reference.bounds.west == 0


def test_bounds_override_the_file_and_gsd_must_agree(tmp_path):
    path = write_raster(tmp_path / "a.tif", BANDS)
    assert read_overhead(path, bounds=(1, 2, 1.001, 2.001)).reference.bounds.west == 1
    assert read_overhead(path, gsd=0.51).gsd == pytest.approx(0.5, rel=1e-3)
    with pytest.raises(ConfigurationError, match=r"a\.tif: gsd 1 contradicts the file"):
        read_overhead(path, gsd=1.0)
    with pytest.raises(ConfigurationError, match="contradicts bounds"):
        read_overhead(RGB, gsd=1.0, bounds=(1, 2, 1.001, 2.001))


def test_nodata_alpha_and_masks(tmp_path):
    bands = BANDS.copy()
    bands[:, :, :20] = 0
    expected = np.arange(60)[None, :].repeat(40, 0) >= 20
    nodata = read_overhead(write_raster(tmp_path / "n.tif", bands, nodata=0))
    assert np.array_equal(nodata.valid, expected)
    alpha = np.where(expected, np.uint8(255), np.uint8(0))[None]
    rgba = write_raster(
        tmp_path / "r.tif", np.concatenate((BANDS, alpha)), photometric="RGB", alpha="YES"
    )
    assert np.array_equal(read_overhead(rgba).valid, expected)
    png = tmp_path / "r.png"
    Image.fromarray(np.dstack((RGB, alpha[0]))).save(png)
    assert np.array_equal(read_overhead(png).valid, expected)
    with pytest.raises(InputError, match="no valid pixel"):
        read_overhead(write_raster(tmp_path / "z.tif", np.zeros_like(BANDS), nodata=0))


def test_bands_and_palettes(tmp_path):
    grey = read_overhead(write_raster(tmp_path / "g.tif", BANDS[:1]))
    assert np.array_equal(grey.image, RGB[..., :1].repeat(3, 2))
    five = np.concatenate((BANDS, BANDS[:2]))
    assert np.array_equal(read_overhead(write_raster(tmp_path / "5.tif", five)).image, RGB)
    with pytest.raises(InputError, match=r"2\.tif: has 2 bands"):
        read_overhead(write_raster(tmp_path / "2.tif", BANDS[:2], photometric="MINISBLACK"))
    colors = {i: (i, 255 - i, 7, 255) for i in range(256)}
    palette = read_overhead(write_raster(tmp_path / "p.tif", BANDS[:1], colors=colors))
    band = RGB[..., 0]
    assert np.array_equal(palette.image, np.dstack((band, 255 - band, np.full_like(band, 7))))


def test_wide_values(tmp_path):
    wide = write_raster(tmp_path / "w.tif", BANDS.astype(np.uint16) * 17)
    with pytest.raises(InputError, match=r"w\.tif: holds uint16.*gdal_translate -ot Byte"):
        read_overhead(wide)
    spaced = write_raster(tmp_path / "my w.tif", BANDS.astype(np.uint16) * 17)
    with pytest.raises(InputError) as caught:
        read_overhead(spaced)
    # a command that can be pasted
    assert f"-scale MIN MAX '{spaced}' out.tif" in str(caught.value)
    unit = (BANDS / 255).astype(np.float32)
    unit[:, :5] = np.nan
    overhead = read_overhead(write_raster(tmp_path / "f.tif", unit))
    assert np.array_equal(overhead.image[5:], RGB[5:])
    assert not overhead.valid[:5].any()
    assert overhead.valid[5:].all()
    with pytest.raises(InputError, match=r"h\.tif: holds float32 values from"):
        read_overhead(write_raster(tmp_path / "h.tif", BANDS.astype(np.float32)))
    with pytest.raises(InputError, match="no valid pixel"):
        read_overhead(write_raster(tmp_path / "x.tif", np.full_like(unit, np.nan)))


def test_turned_rasters(tmp_path):
    angle = np.radians(30)
    cosine, sine = 0.5 * np.cos(angle), 0.5 * np.sin(angle)
    flat = np.full((3, 40, 60), 200, np.uint8)
    path = write_raster(
        tmp_path / "a.tif", flat, Affine(cosine, -sine, 587000, -sine, -cosine, 4511000)
    )
    overhead = read_overhead(path)
    a, b, _, d, e, _ = overhead.reference.transform
    assert (b, d) == (0, 0)
    assert (a, -e) == pytest.approx((0.5, 0.5), rel=1e-6)
    assert overhead.shape == pytest.approx(
        (40 * np.cos(angle) + 60 * np.sin(angle), 60 * np.cos(angle) + 40 * np.sin(angle)), abs=1
    )
    assert overhead.valid.sum() == pytest.approx(40 * 60, rel=0.02)
    # A corner of the original, seen in both frames.
    original = GeoReference("EPSG:32618", (cosine, -sine, 587000, -sine, -cosine, 4511000), 40, 60)
    row, col = overhead.reference.lonlat_to_rowcol(*original.rowcol_to_lonlat(20.0, 30.0))
    rows, cols = np.nonzero(overhead.valid)
    assert (rows.mean() + 0.5, cols.mean() + 0.5) == pytest.approx((row, col), abs=0.3)


def test_south_up_rasters_are_flipped(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", BANDS[:, ::-1], Affine(0.5, 0, 587000, 0, 0.5, 4511000 - 20)
    )
    overhead = read_overhead(path)
    assert np.array_equal(overhead.image, RGB)
    assert overhead.reference.transform == pytest.approx(tuple(UTM)[:6])


def test_degenerate_and_foreign_frames(tmp_path):
    local = 'LOCAL_CS["here",UNIT["metre",1]]'
    path = write_raster(tmp_path / "a.tif", BANDS, crs=rasterio.crs.CRS.from_wkt(local))
    with pytest.raises(InputError, match=r"a\.tif: coordinate reference system 'here' has no way"):
        read_overhead(path)
    assert read_overhead(path, bounds=(1, 2, 1.001, 2.001)).reference is not None


def test_pictures_beyond_the_limit_are_read_by_windows(tmp_path, monkeypatch):
    import cvsegguide.io.rasters as module

    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with open_raster(tmp_path / "a.png") as raster:
        assert np.array_equal(raster.read(5, 6, 15, 26)[0], RGB[5:15, 6:26])
    with pytest.raises(InputError, match="megapixels"):
        read_overhead(tmp_path / "a.png")


@pytest.mark.parametrize("blocks", [{"tiled": True, "blockxsize": 64, "blockysize": 32}, {}])
@pytest.mark.parametrize("nodata", [None, 7])
def test_windows_in_any_order(tmp_path, blocks, nodata):
    """Down one panel and the next, over the same rows again, back up, and beside: always these."""
    image = np.random.default_rng(1).integers(0, 256, (300, 200, 3), np.uint8)
    bands = image.transpose(2, 0, 1)
    path = write_raster(tmp_path / "a.tif", bands, nodata=nodata, compress="deflate", **blocks)
    down = [(0, 50), (45, 95), (60, 70), (40, 55), (61, 140), (140, 200), (200, 300), (250, 300)]
    windows = [(top, left, end, left + 90) for left in (0, 77) for top, end in down]
    windows += [(20, 77, 60, 167), (30, 77, 80, 150), (30, 10, 80, 110), (200, 10, 220, 110)]
    with open_raster(path) as raster:
        for top, left, bottom, right in windows:
            found, valid = raster.read(top, left, bottom, right)
            expected = image[top:bottom, left:right]
            assert np.array_equal(found, expected), (top, left)
            assert np.array_equal(valid, (expected != nodata).any(axis=2)), (top, left)


def test_land_cover(tmp_path):
    ids = RGB[..., 0] % 9
    Image.fromarray(ids).save(tmp_path / "a.png")
    assert np.array_equal(read_landcover(tmp_path / "a.png", (40, 60)), ids)
    write_geotiff(tmp_path / "a.tif", ids, palette=NYC.palette)
    assert np.array_equal(read_landcover(tmp_path / "a.tif", (40, 60)), ids)
    Image.fromarray(RGB).save(tmp_path / "rgb.png")
    with pytest.raises(InputError, match=r"rgb\.png: land cover is one band"):
        read_landcover(tmp_path / "rgb.png", (40, 60))
    with pytest.raises(InputError, match="size"):
        read_landcover(ids, (41, 60))


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def write_half():
        with create_geotiff(tmp_path / "a.tif", (300, 300), "uint8") as write:
            write(np.ones((256, 300), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_resampling_parts_equals_cutting_the_whole():
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    whole = resample(image, (73, 91))
    step_y, step_x = 200 / 73, 300 / 91
    top, left = int(20 * step_y) - 12, int(30 * step_x) - 12
    box = (20 * step_y - top, 30 * step_x - left, 40 * step_y - top, 60 * step_x - left)
    part = resample(np.ascontiguousarray(image[top : top + 90, left : left + 140]), (20, 30), box)
    assert np.abs(part.astype(int) - whole[20:40, 30:60]).max() <= 1


def test_geojson(tmp_path):
    reference = GeoReference.from_bounds(Bounds(10, 50, 11, 51), 10, 10)
    clockwise = [(0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0), (0.0, 0.0)]
    path = tmp_path / "a.geojson"

    def shape(*polygons):
        write_geojson(path, [(polygons, {})], reference)
        return json.loads(path.read_text())["features"][0]["geometry"]

    assert shape([clockwise])["type"] == "Polygon"
    assert shape([clockwise], [clockwise])["type"] == "MultiPolygon"
    assert shape() is None
    write_geojson(path, [([[clockwise]], {"rank": 1})], None)
    table = json.loads(path.read_text())
    assert table["features"] == [{"type": "Feature", "geometry": None, "properties": {"rank": 1}}]


@pytest.mark.parametrize("palette", ["None", "NYC.palette"])
def test_a_full_disk_leaves_no_raster(tmp_path, palette):
    """The limit on the size of files stands for it; GDAL reports nothing when it closes."""
    program = (
        "import resource, sys, numpy as np\n"
        "from cvsegguide.io.geotiff import create_geotiff\n"
        "from cvsegguide.landcover import NYC\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "noise = np.random.default_rng(0).integers(0, 9, (600, 600), np.uint8)\n"
        f"with create_geotiff(sys.argv[1], noise.shape, 'uint8', palette={palette}) as write:\n"
        "    write(noise)\n"
    )
    done = run_python("-c", program, tmp_path / "out.tif")
    assert "InputError" in done.stderr
    assert "out.tif: cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bend", [0.0, 9.0])
def test_ground_control_points(tmp_path, bend):
    corners = [(0, 0), (0, 60), (40, 0), (40, 60)]
    points = [
        GroundControlPoint(row, col, 587000 + col / 2, 4511000 - row / 2) for row, col in corners
    ]
    points[3].x += bend
    path = write_raster(tmp_path / "points.tif", BANDS, transform=None, gcps=points)
    if bend:
        with pytest.raises(InputError, match="control points miss"):
            read_overhead(path)
        return
    reference = read_overhead(path).reference
    assert reference.crs == "EPSG:32618"
    assert reference.transform == pytest.approx(UTM[:6])
