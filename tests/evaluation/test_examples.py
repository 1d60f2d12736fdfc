"""What pictures of reports show is what the localizer says, wherever the tile lies and however."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from PIL import Image

from cvsegguide.data import Manifest
from cvsegguide.data.sample import Sample
from cvsegguide.evaluation.examples import answer
from cvsegguide.geo import Bounds, GeoReference
from cvsegguide.inference.example import Example
from cvsegguide.inference.localizer import Localizer
from helpers.files import write_raster, write_table
from helpers.models import ColourModel

RED = (200, 20, 20)
SQUARE = 20, 40
"""Row and column of the middle of the red square, in the raster as it is stored."""

WEST, NORTH = 700_000.0, 4_511_000.0
"""In UTM zone 18, far from its middle: up is 1.5 degrees off north there."""

FRAMES = {
    "utm": Affine(0.5, 0, WEST, 0, -0.5, NORTH),
    "rotated": Affine(0.5, 0.25, WEST, 0.25, -0.5, NORTH),
    "sheared": Affine(0.5, 0.25, WEST, -0.25, -0.5, NORTH),
    "south up": Affine(0.5, 0, WEST, 0, 0.5, NORTH),
}


def network(size: int = 64, guidance: str = "predicted") -> ColourModel:
    return ColourModel(overhead_size=(size, size), guidance=guidance).eval()


def world(folder: Path, transform: Affine, heading: float = 0.0) -> tuple[Path, Path, Sample]:
    """A raster with a red square, a view that is red about its centre, and their sample."""
    picture = np.full((3, 64, 64), 90, np.uint8)
    row, col = SQUARE
    picture[:, row - 3 : row + 3, col - 3 : col + 3] = np.array(RED)[:, None, None]
    overhead, street = folder / "overhead.tif", folder / "street.png"
    write_raster(overhead, picture, transform)
    view = np.full((16, 64, 3), 90, np.uint8)
    north = round(32 - heading * 64 / 360)
    view[:, north - 6 : north + 6] = RED
    Image.fromarray(view).save(street)
    frame = GeoReference("EPSG:32618", tuple(transform)[:6], 64, 64)
    lon, lat = frame.rowcol_to_lonlat(*SQUARE)
    row = {"overhead": overhead.name, "street": street.name, "heading": heading}
    write_table(folder / "pairs.csv", [{**row, "lon": float(lon), "lat": float(lat)}])
    return overhead, street, Manifest(folder / "pairs.csv", overhead_size=64)[0]


def metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    east = (one[0] - other[0]) * math.cos(math.radians(one[1]))
    return math.hypot(east, one[1] - other[1]) * 111_195


@pytest.mark.parametrize("name", FRAMES)
def test_coordinates_are_those_of_the_ground_in_any_frame(name, tmp_path):
    overhead, street, sample = world(tmp_path, FRAMES[name])
    found = answer(network(), sample, "colours")
    truth = GeoReference("EPSG:32618", tuple(FRAMES[name])[:6], 64, 64).rowcol_to_lonlat(*SQUARE)
    assert found.lon is not None
    assert found.lat is not None
    assert metres((found.lon, found.lat), truth) < 1.5  # within the square of 3 m
    assert metres((found.regions[0].lon, found.regions[0].lat), truth) < 1.5
    assert Example(sample, [found]).error(0) < 1.5
    # A tile that is not resampled on its way is the very image that the localizer reads.
    if name == "utm":
        whole = Localizer(network(), device="cpu").localize(overhead, street)
        assert np.allclose(found.posterior, whole.posterior, atol=1e-6)
        assert np.array_equal(found.landcover, whole.landcover)
        assert (found.lon, found.lat) == (whole.lon, whole.lat)
        assert found.to_dict()["regions"] == whole.to_dict()["regions"]


def test_headings_count_from_true_north_where_up_is_not(tmp_path):
    _, _, sample = world(tmp_path, FRAMES["utm"], heading=30.0)
    assert sample.heading == pytest.approx(28.5, abs=0.1)  # in the raster: from up
    for size in (64, 32):  # as it is, and resampled by the localizer
        found = answer(network(size), sample, "colours")
        assert found.heading == pytest.approx(30.0)
        assert Example(sample, [found]).error(0) < 1.5
    assert Example(sample, []).heading == pytest.approx(30.0)


def test_what_a_turned_raster_does_not_cover_is_no_black_ground(tmp_path):
    _, _, sample = world(tmp_path, FRAMES["sheared"])
    assert sample.overhead[:, 0, 0].tolist() == pytest.approx(
        [value / 255 for value in (91, 89, 89)], abs=0.01
    )  # the mean of the raster, as the localizer fills it


@pytest.mark.parametrize("size", [64, 32])
def test_a_sample_without_a_place_has_no_coordinates(size, tmp_path):
    _, _, sample = world(tmp_path, FRAMES["utm"])
    sample.reference = sample.bounds = None
    found = answer(network(size), sample, "colours")
    assert (found.lon, found.lat, found.bounds, found.reference) == (None, None, None, None)
    assert found.gsd == sample.gsd
    assert found.regions[0].area_m2 == pytest.approx(
        found.regions[0].cutout.sum() * sample.gsd**2, rel=1e-6
    )


def test_bounds_alone_are_spread_evenly(tmp_path):
    _, _, sample = world(tmp_path, FRAMES["utm"])
    sample.reference, sample.bounds = None, Bounds(-73.0, 40.0, -72.9, 40.2)
    found = answer(network(), sample, "colours")
    assert found.lon == pytest.approx(-73.0 + 0.1 * found.col / 64)
    assert found.lat == pytest.approx(40.2 - 0.2 * found.row / 64)


@pytest.mark.parametrize("heading_error", [0.0, 20.0, 180.0])
@pytest.mark.parametrize("name", ["geometric-tiny", "mst-tiny"])
def test_pictures_show_what_a_test_measures(name, heading_error, tmp_path):
    """A simulated compass, too: the same error of it, the same search, the same estimate."""
    from cvsegguide.data.sample import collate
    from cvsegguide.evaluation.evaluator import estimate_position
    from cvsegguide.training.module import LocalizationTask

    _, _, sample = world(tmp_path, FRAMES["utm"], heading=30.0)
    losses = "geometric" if name.startswith("geometric") else "corrected"
    task = LocalizationTask(network=name, losses=losses, heading_error=heading_error).eval()
    with torch.inference_mode():
        prediction = task(collate([sample]))
        ((row, col),) = estimate_position(task.network.log_posterior(prediction)).tolist()
    found = answer(task.network, sample, name, heading_error=heading_error)
    assert (found.row, found.col) == pytest.approx((row, col), abs=1e-3)
    if heading_error and name.startswith("geometric"):
        up = sample.reference.up_azimuth
        assert found.heading == pytest.approx((float(prediction.heading[0]) + up) % 360, abs=1e-3)
    else:
        offset = (found.heading - 30.0 + 180) % 360 - 180
        assert (abs(offset) < 1e-6) == (heading_error == 0)
        assert abs(offset) <= heading_error + 1e-6
