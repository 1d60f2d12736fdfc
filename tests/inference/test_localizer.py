"""The whole way from inputs to a result, with a network whose answers are known."""

import json
import math

import numpy as np
import pytest
import rasterio
from affine import Affine

import cvsegguide
from cvsegguide.errors import CheckpointError, ConfigurationError, InferenceWarning, InputError
from cvsegguide.geo import Bounds, GeoReference, tile_bounds
from cvsegguide.inference.localizer import Localizer
from helpers.files import UTM, write_raster
from helpers.models import ColourModel

MAGENTA, CYAN, YELLOW, WHITE = (230, 20, 230), (20, 230, 230), (230, 230, 20), (250, 250, 250)
NORTH = (CYAN, MAGENTA, YELLOW, WHITE)  # what the quarters of `panorama` show


def aerial(shape=(64, 64), spot=None, size=3, color=MAGENTA):
    """Grey ground with a building left and trees right, and a coloured spot at (row, col)."""
    image = np.full((*shape, 3), 178, np.uint8)
    image[:, : shape[1] // 4] = (204, 51, 26)
    image[:, -(shape[1] // 4) :] = (26, 153, 26)
    if spot is not None:
        row, col = spot
        half = size // 2
        image[row - half : row + half + 1, col - half : col + half + 1] = color
    return image


def panorama(height=64, width=256):
    """Four quarters of one colour each: north cyan, east magenta, south yellow, west white."""
    image = np.zeros((height, width, 3), np.uint8)
    azimuth = (np.arange(width) + 0.5 - width / 2) * 360 / width
    quarter = np.floor(((azimuth + 45) % 360) / 90).astype(int)
    image[:] = np.array(NORTH, np.uint8)[quarter]
    return image


@pytest.fixture
def localizer():
    return Localizer(ColourModel(), device="cpu", name="colour")


def check(result, shape):
    assert result.posterior.shape == shape
    assert result.posterior.dtype == np.float32
    assert result.posterior.min() >= 0
    assert float(result.posterior.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-5)
    assert result.landcover.shape == shape
    assert result.landcover.dtype == np.uint8
    assert sum(region.probability for region in result.regions) <= 1 + 1e-6


def test_one_tile(localizer):
    result = localizer.localize(aerial(spot=(40, 30)), panorama(), gsd=0.5, heading=-90.0)
    check(result, (64, 64))
    assert (result.row, result.col) == pytest.approx((40.5, 30.5), abs=0.6)
    assert result.lon is None
    assert result.bounds is None
    assert result.gsd == 0.5
    assert result.heading == 270.0
    assert result.regions[0].probability > 0.8
    assert (result.regions[0].row, result.regions[0].col) == pytest.approx((40.5, 30.5), abs=0.1)
    assert result.regions[0].area_m2 == pytest.approx(9 * 0.25, rel=0.2)
    assert set(np.unique(result.landcover[:, :16])) == {5}
    assert set(np.unique(result.landcover[:, -16:])) == {1}
    assert result.model == "colour"
    assert result.version == cvsegguide.__version__


@pytest.mark.parametrize("quarter", range(4))
def test_heading_turns_the_view(localizer, quarter):
    # A view whose centre looks to -90 q shows to the north what stands q quarters right of it.
    image = aerial()
    for i, color in enumerate(NORTH):
        image[10 * i + 8 : 10 * i + 13, 30:35] = color
    result = localizer.localize(image, panorama(), gsd=0.5, heading=-90.0 * quarter)
    assert result.row == pytest.approx(10 * quarter + 10.5, abs=2.5)
    assert result.col == pytest.approx(32.5, abs=2.5)


def test_a_limited_view_is_placed(localizer):
    view = np.full((100, 100, 3), MAGENTA, np.uint8)
    localizer.localize(aerial(), view, gsd=0.5, heading=0.0, fov=90.0)
    seen = localizer.model.last_street[0].amax(dim=0)
    assert (seen.amax(dim=0) > 0.5).nonzero().flatten().tolist() == list(range(24, 40))


def test_unknown_heading_stays_unknown(localizer):
    with pytest.warns(InferenceWarning, match=r"heading unknown: .* looked north"):
        result = localizer.localize(aerial(), panorama(), gsd=0.5, heading=None)
    assert result.heading is None


@pytest.mark.parametrize("shape", [(256, 256), (640, 640), (150, 200), (32, 32), (100, 33)])
def test_unknown_resolution_passes_once_and_keeps_the_shape(localizer, shape):
    spot = (shape[0] // 2 + 5, shape[1] // 2 + 4)
    size = max(3, shape[0] // 32 * 2 + 1)
    image = aerial(shape, spot, size)
    result = localizer.localize(image, panorama(), heading=-90)
    check(result, shape)
    assert localizer.model.tiles == 1
    limit = 0.75 * size
    assert (result.row, result.col) == pytest.approx((spot[0] + 0.5, spot[1] + 0.5), abs=limit)


def test_small_images_are_padded_not_stretched(localizer):
    result = localizer.localize(aerial((24, 40), (10, 20)), panorama(), gsd=0.5, heading=-90)
    check(result, (24, 40))
    assert (result.row, result.col) == pytest.approx((10.5, 20.5), abs=1.0)
    assert localizer.model.tiles == 1


def test_large_images_use_windows_at_the_models_resolution(localizer):
    image = aerial((200, 300), (150, 130), 5)
    result = localizer.localize(image, panorama(), gsd=0.5, heading=-90)
    check(result, (200, 300))
    assert localizer.model.tiles > 20
    assert (result.row, result.col) == pytest.approx((150.5, 130.5), abs=2.5)
    assert result.regions[0].probability > 0.8
    # The answer is that of one look at everything.
    whole = Localizer(ColourModel(overhead_size=(200, 300)), device="cpu")
    once = whole.localize(image, panorama(), gsd=0.5, heading=-90)
    assert whole.model.tiles == 1
    assert np.allclose(result.posterior, once.posterior, atol=1e-6)
    assert np.array_equal(result.landcover, once.landcover)


def test_another_resolution(localizer):
    result = localizer.localize(
        aerial((512, 512), (400, 300), 41), panorama(), gsd=0.125, heading=-90
    )
    check(result, (512, 512))
    assert localizer.model.tiles > 1  # 64 m in tiles of 32 m
    assert (result.row, result.col) == pytest.approx((400.5, 300.5), abs=21)


def test_coordinates_from_bounds(localizer):
    bounds = tile_bounds(19, 154514, 197033)
    result = localizer.localize(aerial((64, 64), (40, 30)), panorama(), bounds=bounds, heading=-90)
    assert result.bounds == pytest.approx(bounds)
    west, south, east, north = bounds
    assert result.lon == pytest.approx(west + (east - west) * result.col / 64)
    assert result.lat == pytest.approx(north - (north - south) * result.row / 64)
    assert result.gsd == pytest.approx(0.2262 * 4, abs=0.001)


def write(path, image, transform=UTM, *crs, **options):
    return write_raster(path, image.transpose(2, 0, 1), transform, *crs, **options)


def test_geotiff_in_utm_and_the_way_back(localizer, tmp_path):
    path = write(tmp_path / "a.tif", aerial(spot=(20, 30)))
    result = localizer.localize(path, panorama(), heading=-90)
    assert result.gsd == pytest.approx(0.5, rel=1e-3)
    reference = GeoReference("EPSG:32618", tuple(UTM)[:6], 64, 64)
    row, col = reference.lonlat_to_rowcol(result.lon, result.lat)
    assert (row, col) == pytest.approx((result.row, result.col), abs=1e-3)
    result.save(tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "posterior.tif") as saved:
        assert saved.crs.to_epsg() == 32618
        assert saved.transform == UTM
        assert np.array_equal(saved.read(1), result.posterior)


def test_a_rotated_raster_is_turned_north_up(localizer, tmp_path):
    # The same ground, photographed by a camera turned by 90 degrees: rows run west.
    ground = aerial(spot=(20, 45), size=5)
    turned = np.rot90(ground, -1)  # turned clockwise
    # x = left + row * 0.5, y = top - 32 + col * 0.5 for column along north... derived:
    transform = Affine(0, 0.5, 587000, 0.5, 0, 4511000 - 32)
    turned = np.ascontiguousarray(np.rot90(ground, -1))
    path = write(tmp_path / "a.tif", turned, transform)
    result = localizer.localize(path, panorama(), heading=-90)
    check(result, (64, 64))
    assert (result.row, result.col) == pytest.approx((20.5, 45.5), abs=2.5)
    assert np.array_equal(result.overhead, ground)


def test_degrees_are_not_square_on_the_ground(localizer, tmp_path):
    # 32 m x 32 m at 60 degrees north: twice as many degrees of longitude.
    degrees = 0.5 / 111319.49
    transform = Affine(degrees, 0, 10.0, 0, -degrees, 60.0)
    image = aerial((64, 128), (40, 90), 5)
    path = write(tmp_path / "a.tif", image, transform, "EPSG:4326")
    result = localizer.localize(path, panorama(), heading=-90)
    check(result, (64, 128))
    assert localizer.model.tiles == 1
    assert result.pixel_size == pytest.approx((0.5, 0.25), rel=0.01)
    assert (result.row, result.col) == pytest.approx((40.5, 90.5), abs=2.5)
    assert result.regions[0].area_m2 < 25 * 0.125 * 1.3


def test_meridian_convergence_is_taken_off_the_heading(localizer, tmp_path):
    transform = Affine(0.5, 0, 200000, 0, -0.5, 5500000)  # 4 degrees west of its meridian
    path = write(tmp_path / "a.tif", aerial(), transform)
    up = GeoReference("EPSG:32618", tuple(transform)[:6], 64, 64).up_azimuth
    assert abs(up) > 3
    localizer.localize(path, panorama(), heading=up)
    with_up = localizer.model.last_street
    localizer.localize(aerial(), panorama(), heading=0.0)
    assert np.allclose(with_up, localizer.model.last_street, atol=1e-3)


def test_nodata_has_no_probability(localizer, tmp_path):
    image = aerial(spot=(20, 20))
    image[:, 30:] = 0
    path = write(tmp_path / "a.tif", image, nodata=0)
    result = localizer.localize(path, panorama(), heading=-90)
    check(result, (64, 64))
    assert result.posterior[:, 30:].max() == 0
    assert result.landcover[:, 30:].max() == 0
    assert result.landcover[:, :30].min() > 0


def test_true_land_cover(tmp_path):
    ids = np.full((128, 128), 2, np.uint8)
    ids[:, :64] = 5
    ids[0] = 0
    localizer = Localizer(ColourModel(guidance="truth"), device="cpu", name="colour")
    result = localizer.localize(aerial((128, 128)), panorama(), landcover=ids)
    guide = localizer.model.last_landcover[0].numpy()
    assert set(np.unique(guide[1:])) == {2, 5}
    assert set(np.unique(result.landcover)) == {0, 5, 7}
    with pytest.raises(ConfigurationError, match="pass landcover"):
        localizer.localize(aerial(), panorama())
    with pytest.raises(InputError, match="128 x 128 is not that of the overhead"):
        localizer.localize(aerial(), panorama(), landcover=ids)
    unguided = Localizer(ColourModel(), device="cpu")
    with pytest.raises(ConfigurationError, match="does not take true land cover"):
        unguided.localize(aerial(), panorama(), landcover=np.ones((64, 64), np.uint8))


def test_unguided_models_still_give_land_cover():
    localizer = Localizer(ColourModel(guidance="none"), device="cpu")
    assert localizer.localize(aerial(), panorama()).landcover.min() > 0


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"fov": 0.0}, "fov: must lie"),
        ({"fov": 400.0}, "fov: must lie"),
        ({"heading": float("nan")}, "heading: must be"),
        ({"gsd": -1.0}, "gsd"),
        ({"gsd": 1000.0}, "too large"),
        ({"gsd": 1e-4}, "too small"),
        ({"bounds": (1, 0, 0, 1)}, "bounds"),
        ({"bounds": (0, 0, 0.001, 0.001), "gsd": 10.0}, "contradicts"),
    ],
)
def test_unusable_arguments(localizer, arguments, fault):
    with pytest.raises(InputError, match=fault):
        localizer.localize(aerial(), panorama(), **arguments)


def test_a_photograph_without_its_fov(localizer):
    with pytest.raises(InputError, match="pass its own fov"):
        localizer.localize(aerial(), np.zeros((300, 400, 3), np.uint8))


def test_too_few_pixels(localizer):
    with pytest.raises(InputError, match="1 x 1 pixels"):
        localizer.localize(np.zeros((1, 1, 3), np.uint8), panorama())
    with pytest.raises(InputError, match="street view: 1 x 1 pixels"):
        localizer.localize(aerial(), np.zeros((1, 1, 3), np.uint8))


def test_unknown_device():
    with pytest.raises(ConfigurationError, match="device: quantum is not available"):
        Localizer(ColourModel(), device="quantum")


def test_saved_files(localizer, tmp_path):
    bounds = Bounds(10.0, 50.0, 10.0006, 50.0004)
    result = localizer.localize(aerial(spot=(40, 30)), panorama(), bounds=bounds, heading=-90)
    out = result.save(tmp_path / "new" / "folder")
    assert sorted(file.name for file in out.iterdir()) == [
        "landcover.tif",
        "posterior.tif",
        "regions.geojson",
        "result.json",
    ]
    table = json.loads((out / "result.json").read_text())
    assert table["row"] == result.row
    assert table["bounds"] == list(bounds)
    assert table["regions"][0]["rank"] == 1
    assert {"lon", "lat", "heading", "gsd", "model", "version"} <= table.keys()
    with rasterio.open(out / "landcover.tif") as cover:
        assert cover.dtypes == ("uint8",)
        assert cover.colormap(1)[5][:3] == (204, 78, 66)
        assert cover.nodata == 0
        assert cover.bounds == pytest.approx((10.0, 50.0, 10.0006, 50.0004))
        assert cover.tags()["CLASS_5"] == "building"
    shapes = json.loads((out / "regions.geojson").read_text())
    ring = np.array(shapes["features"][0]["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all()
    east, north = np.diff(ring[:, 0]), np.diff(ring[:, 1])
    assert (ring[:-1, 0] * north - ring[:-1, 1] * east).sum() > 0  # counter-clockwise
    assert ring[:, 0].min() < result.lon < ring[:, 0].max()
    assert ring[:, 1].min() < result.lat < ring[:, 1].max()


def test_saved_without_georeference(localizer, tmp_path):
    result = localizer.localize(aerial(spot=(40, 30)), panorama(), heading=-90)
    out = result.save(tmp_path / "out")
    shapes = json.loads((out / "regions.geojson").read_text())
    assert shapes["features"][0]["geometry"] is None
    assert shapes["features"][0]["properties"]["row"] == pytest.approx(40.5, abs=0.5)
    assert "pixels" in shapes["note"]
    with rasterio.open(out / "posterior.tif") as saved:
        assert saved.crs is None


def test_a_failed_save_leaves_nothing(localizer, tmp_path):
    result = localizer.localize(aerial(), panorama(), gsd=0.5)
    whole, result.landcover = result.landcover, result.landcover[None]  # no raster has this shape
    with pytest.raises(ValueError):
        result.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    result.landcover = whole
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        result.save(tmp_path / "file" / "out")


def test_damaged_weights_give_no_posterior():
    model = ColourModel(sharpness=math.nan)
    with pytest.raises(CheckpointError, match="not numbers"):
        Localizer(model, device="cpu").localize(
            np.zeros((64, 64, 3), np.uint8), np.zeros((16, 64, 3), np.uint8)
        )


def test_three_bounds_are_not_enough():
    with pytest.raises(InputError, match="bounds: four numbers"):
        Localizer(ColourModel(), device="cpu").localize(
            aerial(), panorama(), bounds=(-74.0, 40.0, -73.0)
        )


def test_the_estimate_lies_where_there_are_data():
    """Missing pixels are shown to the network in the mean colour, here the one looked for."""
    image = np.zeros((64, 64, 4), np.uint8)
    image[:, :16] = (200, 0, 0, 255)
    image[:, 16:32] = (0, 200, 0, 255)
    street = np.full((64, 256, 3), (100, 100, 0), np.uint8)
    result = Localizer(ColourModel(), device="cpu").localize(image, street)
    assert result.col < 32
    assert result.posterior[:, 32:].max() == 0
