"""Rasters by parts: a network that sees one pixel at a time shows any seam."""

import math

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from cvsegguide.errors import CheckpointError, ConfigurationError, InputError
from cvsegguide.inference.localizer import Localizer
from cvsegguide.inference.segmentation import segment_array
from cvsegguide.inference.torch_network import TorchNetwork
from cvsegguide.inference.windows import Blender, lattice, window_starts
from cvsegguide.io.rasters import Raster, open_raster
from cvsegguide.landcover import NYC
from cvsegguide.models.registry import create_model
from helpers.files import write_raster
from helpers.models import PROTOTYPES, ColourModel

IDS = np.array([1, 5, 6, 7], np.uint8)


def patchwork(shape, seed=0, cell=7):
    """An image of random patches of the four prototypes' colours, and its class ids."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, (shape[0] // cell + 1, shape[1] // cell + 1))
    classes = classes.repeat(cell, 0).repeat(cell, 1)[: shape[0], : shape[1]]
    colors = np.rint(PROTOTYPES.numpy() * 255).astype(np.uint8)
    return colors[classes], IDS[classes]


def write(path, image, *place, **options):
    return write_raster(path, image.transpose(2, 0, 1), *place, **options)


@pytest.mark.parametrize(("length", "window"), [(10, 64), (64, 64), (65, 64), (1000, 64), (7, 3)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_windows_cover_everything_and_overlap(length, window, overlap):
    starts = window_starts(length, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - window)
    gaps = np.diff(starts)
    assert (gaps <= max(1, window * (1 - overlap))).all()
    assert (gaps > 0).all()


def test_blending_restores_what_all_windows_agree_on():
    truth = np.random.default_rng(0).random((2, 50, 70)).astype(np.float32)
    windows = lattice((50, 70), (16, 24), 0.3)
    blender = Blender((50, 70), windows)
    total = np.zeros((50, 70))
    for window in windows:
        blender.add(window, truth[:, window.rows, window.columns])
        total[window.rows, window.columns] += blender.share(window)
        assert blender.share(window).min() > 0
    np.testing.assert_allclose(blender.result(), truth, atol=1e-6)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_blending_has_no_step():
    # Two windows of constant scores 0 and 1: between them a ramp, not a cliff.
    windows = lattice((8, 24), (8, 16), 0.5)
    blender = Blender((8, 24), windows)
    for value, window in enumerate(windows):
        blender.add(window, np.full((1, 8, 16), value, np.float32))
    line = blender.result()[0, 4]
    assert line[:8].max() == 0
    assert line[16:].min() == 1
    assert np.diff(line).max() < 0.2


def segment(image, model=None, **options):
    return Localizer(model or ColourModel(), device="cpu").segment(image, **options)


@pytest.mark.parametrize("shape", [(64, 64), (300, 170), (40, 700), (10, 9)])
def test_every_pixel_of_an_array(shape):
    image, ids = patchwork(shape)
    assert np.array_equal(segment(image, gsd=0.5), ids)


def test_wide_rasters_are_read_by_parts():
    """Three times as wide as what is read at once, with windows on every border."""
    image, ids = patchwork((70, 20_000))
    assert np.array_equal(segment(image, gsd=0.5), ids)


class LeftHalf(ColourModel):
    """Tree canopy in the left half of each window, building in the right one."""

    def segment(self, overhead):
        scores = torch.zeros(len(overhead), 4, *overhead.shape[2:])
        half = overhead.shape[3] // 2
        scores[:, 0, :, :half] = 1.0
        scores[:, 1, :, half:] = 1.0
        return scores


@pytest.mark.parametrize("gsd", [0.5, 0.25, 0.8])
def test_a_pixel_has_the_class_of_the_window_whose_middle_is_nearest(gsd):
    image = np.full((64, 300, 3), 90, np.uint8)
    found = segment(image, LeftHalf(), gsd=gsd)
    size = round(300 * gsd / 0.5)
    middles = np.array(window_starts(size, 64, 1 / 32)) + 32
    position = (np.arange(300) + 0.5) * size / 300
    nearest = middles[np.abs(position[:, None] - middles).argmin(axis=1)]
    expected = np.where(position < nearest, 1, 5)
    borders = np.abs(np.abs(position[:, None] - middles) - 32).min(axis=1)  # where windows change
    clear = (borders > 3) & (np.abs(position - nearest) > 1)
    assert clear.sum() > 200
    assert np.array_equal(found[:, clear], np.broadcast_to(expected, found.shape)[:, clear])


def test_another_resolution_is_met():
    image, ids = patchwork((320, 320), cell=40)
    model = ColourModel()
    result = segment(image, model, gsd=0.125)
    assert model.segmented == 4  # 80 x 80 pixels at 0.5 m
    inner = np.zeros((320, 320), bool)
    for r in range(0, 320, 40):
        for c in range(0, 320, 40):
            inner[r + 5 : r + 35, c + 5 : c + 35] = True
    assert np.array_equal(result[inner], ids[inner])


def majority(classes, factor):
    """The most frequent class of each block, and where it is the only one."""
    height, width = (side // factor for side in classes.shape)
    blocks = classes[: height * factor, : width * factor].reshape(height, factor, width, factor)
    counts = np.stack([(blocks == value).sum(axis=(1, 3)) for value in range(9)])
    counts[0] = 0
    return counts.argmax(axis=0), (counts == counts.max(axis=0)).sum(axis=0) == 1


def test_file(tmp_path):
    image, ids = patchwork((700, 530))
    image[:50, :70] = 0
    ids[:50, :70] = 0
    path = write(tmp_path / "a.tif", image, nodata=0)
    out = tmp_path / "new" / "cover.tif"
    segment(path, out=out)
    with rasterio.open(path) as source, rasterio.open(out) as cover:
        assert np.array_equal(cover.read(1), ids)
        assert cover.crs == source.crs
        assert cover.transform == source.transform
        assert cover.block_shapes == [(256, 256)]
        assert cover.profile["compress"] == "deflate"
        assert cover.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert cover.nodata == 0
        assert cover.colormap(1)[1][:3] == (38, 115, 0)
        assert cover.overviews(1) == [2, 4]
        assert float(cover.tags(1)["STATISTICS_MINIMUM"]) == ids[ids > 0].min()
        mean = float(cover.tags(1)["STATISTICS_MEAN"])
        assert mean == pytest.approx(ids[ids > 0].mean(dtype=np.float64))
    with rasterio.open(out, overview_level=0) as overview:
        most, clear = majority(ids, 2)
        assert np.array_equal(overview.read(1)[clear], most[clear])
    assert [file.name for file in out.parent.iterdir()] == ["cover.tif"]


class AnySize(ColourModel):
    any_size = 16


@pytest.mark.parametrize("gsd", [0.5, 0.37])
def test_larger_windows_change_no_pixel_that_looks_at_itself(gsd):
    image, ids = patchwork((610, 333))
    usual, larger = ColourModel(), AnySize()
    one, other = segment(image, usual, gsd=gsd), segment(image, larger, gsd=gsd)
    assert larger.segmented < usual.segmented / 2
    assert (one != other).mean() < (1e-9 if gsd == 0.5 else 1e-3)
    if gsd == 0.5:
        assert np.array_equal(other, ids)


def test_rotated_rasters_keep_their_grid(tmp_path):
    image, ids = patchwork((90, 80))
    transform = Affine(0.4, 0.3, 587000, 0.3, -0.4, 4511000)
    path = write(tmp_path / "a.tif", image, transform)
    Localizer(ColourModel(), device="cpu").segment(path, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as cover:
        assert cover.transform == transform
        assert np.array_equal(cover.read(1), ids)


def test_nodata_stays_nodata(tmp_path):
    image, ids = patchwork((400, 400))
    image[:130, 170:] = 0
    image[300:, :300] = 0
    path = write(tmp_path / "a.tif", image, nodata=0)
    result = Localizer(ColourModel(), device="cpu").segment(path)
    assert result[:130, 170:].max() == 0
    assert result[300:, :300].max() == 0
    valid = image.max(axis=2) > 0
    assert np.array_equal(result[valid], ids[valid])


def test_a_failure_leaves_no_file(tmp_path):
    image, _ = patchwork((700, 300))
    path = write(tmp_path / "a.tif", image)
    with rasterio.open(path) as dataset:
        offset = dataset.height  # strips follow each other: cut the file in the middle
    path.write_bytes(path.read_bytes()[: 300 * offset])
    with pytest.raises(InputError, match=r"a\.tif: damaged"):
        Localizer(ColourModel(), device="cpu").segment(path, tmp_path / "out.tif")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif"]


def test_absurd_resolution():
    with pytest.raises(InputError, match="too far"):
        Localizer(ColourModel(), device="cpu").segment(patchwork((50, 50))[0], gsd=100.0)


@pytest.mark.parametrize("gsd", [0.5, 0.3])
def test_what_is_held_at_once_does_not_grow(gsd):
    """Of a raster that counts what is read of it."""
    largest = []
    for side in (600, 1200):
        image, _ = patchwork((side, side))
        with open_raster(image, gsd=gsd) as raster:
            counting = CountingRaster(raster)
            segment_array(TorchNetwork(ColourModel(), "cpu", "auto", False), counting, NYC)
        largest.append(max(counting.heights))
    # A row of windows of 64 pixels, whatever the height.
    assert max(largest) < 150


class CountingRaster(Raster):
    def __init__(self, raster):
        super().__init__(raster.name, raster.shape, raster.reference, raster.gsd)
        self.raster, self.heights = raster, []

    def read(self, top, left, bottom, right):
        self.heights.append(bottom - top)
        return self.raster.read(top, left, bottom, right)


def test_borders_stay_where_they_are_when_resampled():
    # Two classes that meet in the middle, at a quarter of the model's pixel size.
    image = np.empty((320, 320, 3), np.uint8)
    image[:, :160] = np.rint(PROTOTYPES[0].numpy() * 255)
    image[:, 160:] = np.rint(PROTOTYPES[1].numpy() * 255)
    result = Localizer(ColourModel(), device="cpu").segment(image, gsd=0.125)
    first = (result == 5).argmax(axis=1)
    assert abs(first - 160).max() <= 1


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)],
)
def test_precision_is_that_of_the_convolutions(precision, expected):
    """What the network computes in, not what is said of it."""
    model = create_model("geometric-tiny").eval()
    seen = []
    model.overhead_branch.landcover.register_forward_hook(lambda *given: seen.append(given[-1]))
    image = np.zeros((64, 96, 3), np.uint8)
    localizer = Localizer(model, device="cpu", precision=precision)
    assert localizer.segment(image, gsd=model.gsd).dtype == np.uint8
    result = localizer.localize(image, np.zeros((32, 128, 3), np.uint8), gsd=model.gsd)
    assert result.posterior.dtype == np.float32
    assert float(result.posterior.sum()) == pytest.approx(1, abs=1e-5)
    assert {scores.dtype for scores in seen} == {expected}


def test_unknown_precision():
    with pytest.raises(ConfigurationError, match="precision: is 'half', not one of auto, bf16"):
        Localizer(ColourModel(), device="cpu", precision="half")


def test_damaged_weights_write_no_classes(tmp_path):
    class Damaged(ColourModel):
        def segment(self, overhead):
            return super().segment(overhead) * math.nan

    image = np.full((200, 150, 3), 90, np.uint8)
    with pytest.raises(CheckpointError, match="not numbers"):
        Localizer(Damaged(), device="cpu").segment(image, tmp_path / "out.tif", gsd=0.5)
    assert list(tmp_path.iterdir()) == []
