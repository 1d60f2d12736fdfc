"""Overhead images that lack data at their corners: `test` answers as `localize` does."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from rasterio.warp import transform

from cvsegguide.data import Manifest
from cvsegguide.data.sample import Sample, collate
from cvsegguide.data.transforms import Draws, Mirror, transform_sample
from cvsegguide.evaluation.evaluator import Evaluator, measure
from cvsegguide.evaluation.examples import answer
from cvsegguide.evaluation.posterior import IMPOSSIBLE
from helpers.files import write_picture, write_raster, write_table
from helpers.models import ColourModel

SIZE = 64
"""Pixels of 0.5 m: what the model takes."""


@pytest.fixture
def model() -> ColourModel:
    return ColourModel().eval()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A raster turned by 30 degrees, half dark and half bright; north up its corners are empty.

    They are filled with grey, the mean, which is what the street view shows.
    """
    centre = Affine.translation(586000.0, 4512000.0)
    place = centre @ Affine.rotation(30.0) @ Affine.scale(0.5, -0.5) @ Affine.translation(-32, -32)
    planes = np.full((3, SIZE, SIZE), 20, np.uint8)
    planes[:, :, SIZE // 2 :] = 200
    write_raster(tmp_path / "turned.tif", planes, place)
    write_picture(tmp_path / "street.png", 64, 16, (112, 112, 112))
    lon, lat = transform("EPSG:32618", "EPSG:4326", [586002.0], [4512003.0])
    row = {"overhead": "turned.tif", "street": "street.png", "lon": lon[0], "lat": lat[0]}
    return write_table(tmp_path / "pairs.csv", [row])


def sample_of(manifest: Path) -> Sample:
    return Manifest(manifest, overhead_size=SIZE, street_size=(16, 64))[0]


def test_pixels_without_data_are_known(manifest: Path) -> None:
    sample = sample_of(manifest)
    assert sample.valid is not None
    assert sample.valid.dtype == torch.bool
    # the square fills this share of the one around it
    share = 1 / (math.cos(math.radians(30)) + math.sin(math.radians(30))) ** 2
    assert float(sample.valid.float().mean()) == pytest.approx(share, abs=0.05)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert not sample.valid[corner]
    assert sample.valid[SIZE // 2, SIZE // 2]
    mirrored = transform_sample(sample, [Mirror(1.0)], Draws(0))
    assert torch.equal(mirrored.valid, sample.valid.flip(-1))


def test_no_estimate_lies_where_there_is_no_imagery(manifest: Path, model: ColourModel) -> None:
    sample = sample_of(manifest)
    evaluator = Evaluator(model.channels)
    (row,) = measure(model, evaluator, collate([sample]))
    assert sample.valid is not None
    assert sample.valid[int(row["row"]), int(row["col"])]
    assert math.isfinite(row["nll"])
    assert sum(row["region_p"]) <= 1 + 1e-5
    again = answer(model, sample, "colour")
    assert (again.row, again.col) == pytest.approx((row["row"], row["col"]), abs=1e-4)
    assert float(again.posterior[~sample.valid.numpy()].max()) == 0.0
    # and the probabilities are those of the valid pixels alone
    assert row["p_true"] == pytest.approx(
        float(again.posterior[int(sample.row), int(sample.col)]), rel=1e-3
    )


def test_a_camera_where_there_is_no_imagery_keeps_means_finite(
    manifest: Path, model: ColourModel
) -> None:
    sample = sample_of(manifest)
    sample.row, sample.col = 0.5, 0.5
    evaluator = Evaluator(model.channels)
    (row,) = measure(model, evaluator, collate([sample]))
    assert row["nll"] == pytest.approx(IMPOSSIBLE)
    assert row["mass_above"] == pytest.approx(1.0, abs=1e-4)


def test_whole_tiles_are_as_they_were(manifest: Path, model: ColourModel) -> None:
    holed = sample_of(manifest)
    torch.manual_seed(0)
    whole = sample_of(manifest)
    whole.valid, whole.overhead = None, torch.rand(3, SIZE, SIZE)
    assert collate([whole]).valid is None
    (alone,) = measure(model, Evaluator(model.channels), collate([whole]))
    _, beside = measure(model, Evaluator(model.channels), collate([holed, whole]))
    assert beside["nll"] == pytest.approx(alone["nll"], abs=1e-4)
    assert (beside["row"], beside["col"]) == (alone["row"], alone["col"])
