"""Rasters by parts: a network that sees one pixel at a time shows any seam."""

import math

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from cvsegguide.errors import CheckpointError, InputError
from cvsegguide.inference.localizer import Localizer
from cvsegguide.inference.segmentation import OVERLAP, segment_array, segment_file, windows
from cvsegguide.inference.windows import Blender, lattice, taper, window_starts
from cvsegguide.io.rasters import open_raster
from cvsegguide.landcover import NYC
from cvsegguide.models.registry import create_model
from helpers.models import PROTOTYPES, ColourModel

CPU = torch.device("cpu")
IDS = np.array([1, 5, 6, 7], np.uint8)


def patchwork(shape, seed=0, cell=7):
    """An image of random patches of the four prototypes' colours, and its class ids."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, (shape[0] // cell + 1, shape[1] // cell + 1))
    classes = classes.repeat(cell, 0).repeat(cell, 1)[: shape[0], : shape[1]]
    colors = np.rint(PROTOTYPES.numpy() * 255).astype(np.uint8)
    return colors[classes], IDS[classes]


def write(path, image, transform=None, crs="EPSG:32618", **options):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=image.shape[0],
        width=image.shape[1],
        count=3,
        dtype="uint8",
        crs=crs,
        transform=transform or Affine(0.5, 0, 587000, 0, -0.5, 4511000),
        **options,
    ) as dataset:
        dataset.write(image.transpose(2, 0, 1))
    return path


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
    truth = torch.rand(2, 50, 70)
    blender = Blender(2, (50, 70), (16, 24), CPU)
    for window in lattice((50, 70), (16, 24), 0.3):
        part = truth[:, window.top : window.top + 16, window.left : window.left + 24]
        blender.add(part, window.top, window.left)
    assert torch.allclose(blender.result(), truth, atol=1e-6)


def test_blending_has_no_step():
    # Two windows of constant scores 0 and 1: between them a ramp, not a cliff.
    blender = Blender(1, (8, 24), (8, 16), CPU)
    blender.add(torch.zeros(1, 8, 16), 0, 0)
    blender.add(torch.ones(1, 8, 16), 0, 8)
    line = blender.result()[0, 4]
    assert line[:8].max() == 0
    assert line[16:].min() == 1
    assert line.diff().max() < 0.2
    assert taper((4, 6)).min() > 0


@pytest.mark.parametrize("shape", [(64, 64), (300, 170), (40, 700), (10, 9)])
@pytest.mark.parametrize("panel", [256, 2048])
def test_every_pixel_of_an_array(shape, panel):
    image, ids = patchwork(shape)
    with open_raster(image) as raster:
        result = segment_array(ColourModel(), raster, CPU, NYC, panel=panel)
    assert np.array_equal(result, ids)


class PositionModel(ColourModel):
    """Scores that also depend on where in its window a pixel lies: windows disagree."""

    def segment(self, overhead):
        ramp = torch.linspace(-0.3, 0.3, self.overhead_size[1])
        return (
            super().segment(overhead) + torch.stack((ramp, -ramp, ramp**2, 0 * ramp))[None, :, None]
        )


@pytest.mark.parametrize("gsd", [None, 0.5, 0.31, 1.1])
def test_blocks_make_no_difference(gsd):
    # Even where windows disagree and pixels are resampled, every block holds what one large
    # block would.
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (600, 530, 3), np.uint8)
    with open_raster(image, gsd=gsd) as raster:
        many = segment_array(PositionModel(), raster, CPU, NYC, panel=256)
        one = segment_array(PositionModel(), raster, CPU, NYC, panel=4096)
    assert len(np.unique(one)) > 2
    # Resampled pixels are rounded to 8 bits, here or there one step apart: ties break otherwise.
    assert (many != one).mean() < (1e-5 if gsd in (None, 0.5) else 5e-4)


@pytest.mark.parametrize("overlap", [0.0, 1 / 32, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("shape", [(200, 300), (64, 90)])
def test_what_windows_share_is_blended(shape, overlap):
    """Against the mean of all windows at once, weighted by their tapers."""
    image = np.random.default_rng(6).integers(0, 256, (*shape, 3), np.uint8)
    model = PositionModel()
    blender = Blender(4, shape, (64, 64), CPU)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0
    for window in lattice(shape, (64, 64), overlap):
        rows = slice(window.top, window.top + 64)
        tile = tensor[..., rows, window.left : window.left + 64]
        blender.add(model.segment(tile)[0], window.top, window.left)
    scores = blender.result()
    with open_raster(image) as raster:
        found = segment_array(model, raster, CPU, NYC, panel=256, overlap=overlap)
    best = scores.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-5).numpy()  # sums are rounded differently
    assert clear.mean() > 0.99
    assert np.array_equal(found[clear], IDS[scores.argmax(dim=0).numpy()][clear])


def test_another_resolution_is_met():
    image, ids = patchwork((320, 320), cell=40)
    model = ColourModel()
    with open_raster(image, gsd=0.125) as raster:
        result = segment_array(model, raster, CPU, NYC)
    assert model.segmented == 4  # 80 x 80 pixels at 0.5 m
    inner = np.zeros((320, 320), bool)
    for r in range(0, 320, 40):
        for c in range(0, 320, 40):
            inner[r + 5 : r + 35, c + 5 : c + 35] = True
    assert np.array_equal(result[inner], ids[inner])


def test_file(tmp_path):
    image, ids = patchwork((700, 530))
    path = write(tmp_path / "a.tif", image)
    out = tmp_path / "new" / "cover.tif"
    with open_raster(path) as raster:
        segment_file(ColourModel(), raster, out, CPU, NYC, panel=256)
    with rasterio.open(path) as source, rasterio.open(out) as cover:
        assert np.array_equal(cover.read(1), ids)
        assert cover.crs == source.crs
        assert cover.transform == source.transform
        assert cover.profile["tiled"]
        assert cover.profile["compress"] == "deflate"
        assert cover.nodata == 0
        assert cover.colormap(1)[1][:3] == (38, 115, 0)
    assert [file.name for file in out.parent.iterdir()] == ["cover.tif"]


class AnySize(ColourModel):
    any_size = 16


def test_windows_of_networks_that_take_any_size():
    fixed, free = ColourModel(), AnySize()
    assert windows(fixed, (1000, 50)) == ((64, 64), 4)
    assert windows(free, (64, 50)) == ((64, 64), 4)
    # 96 x 96 at once instead of four of 64; 128 twice instead of 64 four times.
    assert windows(free, (96, 250), overlap=0.0) == ((96, 128), 1)
    for length in range(1, 3000, 37):
        (height, width), at_once = windows(free, (length, length))
        assert height == width
        assert height % 16 == 0
        assert 64 <= height <= 128
        assert at_once in (1, 2, 3, 4)
        starts = window_starts(length, height, 1 / 32)
        plain = window_starts(length, 64, 1 / 32)
        assert len(starts) * height <= len(plain) * 80


@pytest.mark.parametrize("gsd", [0.5, 0.37])
def test_larger_windows_change_no_pixel_that_looks_at_itself(gsd):
    image, ids = patchwork((610, 333))
    with open_raster(image, gsd=gsd) as raster:
        usual = segment_array(ColourModel(), raster, CPU, NYC, panel=256)
        found = segment_array(AnySize(), raster, CPU, NYC, panel=256)
    assert (found != usual).mean() < (1e-9 if gsd == 0.5 else 1e-3)
    if gsd == 0.5:
        assert np.array_equal(found, ids)


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
def test_what_is_held_at_once_does_not_grow(gsd, monkeypatch):
    largest = {}
    for side in (600, 1200):
        image, _ = patchwork((side, side))
        with open_raster(image, gsd=gsd) as raster:
            read, areas = raster.read, []

            def recording(*box, read=read, areas=areas):
                areas.append((box[2] - box[0]) * (box[3] - box[1]))
                return read(*box)

            monkeypatch.setattr(raster, "read", recording)
            segment_array(ColourModel(), raster, CPU, NYC, panel=256)
        largest[side] = max(areas)
    # A block of 256 pixels, and the windows of 64 that reach over its edges.
    assert max(largest.values()) < 500**2


def test_borders_stay_where_they_are_when_resampled():
    # Two classes that meet in the middle, at a quarter of the model's pixel size.
    image = np.empty((320, 320, 3), np.uint8)
    image[:, :160] = np.rint(PROTOTYPES[0].numpy() * 255)
    image[:, 160:] = np.rint(PROTOTYPES[1].numpy() * 255)
    result = Localizer(ColourModel(), device="cpu").segment(image, gsd=0.125)
    first = (result == 5).argmax(axis=1)
    assert abs(first - 160).max() <= 1


def test_half_precision_is_that_of_the_convolutions():
    """``--precision bf16`` on a CPU: what the network computes in, not what is said of it."""
    model = create_model("geometric-tiny").eval()
    seen = []
    model.overhead_branch.landcover.register_forward_hook(lambda *given: seen.append(given[-1]))
    image = np.zeros((64, 96, 3), np.uint8)
    Localizer(model, device="cpu", precision="bf16").segment(image, gsd=model.gsd)
    assert {scores.dtype for scores in seen} == {torch.bfloat16}


def test_classes_are_those_of_blended_scores_of_the_whole_network():
    """Chosen before the enlargement where a window is alone, blended after it where not."""
    torch.manual_seed(4)
    model = create_model("geometric-tiny").eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    image = np.random.default_rng(2).integers(0, 256, (150, 260, 3), np.uint8)
    found = Localizer(model, device="cpu").segment(image, gsd=model.gsd)
    size, _ = windows(model, (150, 260))
    blender = Blender(len(model.channels), (150, 260), size, CPU)
    padded = np.pad(image, ((0, 64), (0, 64), (0, 0)), constant_values=127)
    with torch.inference_mode():
        for window in lattice((150, 260), size, OVERLAP):
            part = padded[window.top : window.top + size[0], window.left : window.left + size[1]]
            tensor = torch.from_numpy(part.copy()).permute(2, 0, 1)[None] / 255
            blender.add(model.segment(tensor)[0], window.top, window.left)
    expected = blender.result().argmax(dim=0).numpy() + 1
    assert len(np.unique(expected)) > 1
    assert (found != expected).mean() < 1e-3


def test_damaged_weights_write_no_classes(tmp_path):
    class Damaged(ColourModel):
        def segment(self, overhead):
            return super().segment(overhead) * math.nan

    image = np.full((200, 150, 3), 90, np.uint8)
    with pytest.raises(CheckpointError, match="not numbers"):
        Localizer(Damaged(), device="cpu").segment(image, tmp_path / "out.tif", gsd=0.5)
    assert list(tmp_path.iterdir()) == []
