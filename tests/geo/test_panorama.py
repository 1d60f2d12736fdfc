"""The canvas: every expected value follows from arithmetic on azimuths and elevations."""

import numpy as np
import pytest
import torch

from cvsegguide.geo.panorama import canvas_of_picture, street_canvas


def compass(width: int = 720, height: int = 360, heading: float = 0.0, fov: float = 360.0):
    """A view whose channels are the cosine and sine of azimuth, and the elevation / 90."""
    column = torch.arange(width) + 0.5
    azimuth = torch.deg2rad(heading + (column - width / 2) * fov / width)
    row = torch.arange(height) + 0.5
    elevation = (height / 2 - row) * fov / width / 90.0
    return torch.stack(
        (
            azimuth.cos()[None, :].expand(height, width),
            azimuth.sin()[None, :].expand(height, width),
            elevation[:, None].expand(height, width),
        )
    )


def expected(size: tuple[int, int], extent: tuple[float, float]):
    height, width = size
    azimuth = torch.deg2rad((torch.arange(width) + 0.5 - width / 2) * extent[1] / width)
    elevation = (height / 2 - torch.arange(height) - 0.5) * extent[0] / height / 90.0
    return azimuth.cos(), azimuth.sin(), elevation


@pytest.mark.parametrize("heading", [0.0, 33.3, 90.0, 180.0, 359.75, -720.5])
@pytest.mark.parametrize("width", [128, 720, 1000, 3001])
def test_every_heading_and_size_gives_the_same_canvas(heading, width):
    size, extent = (64, 256), (90.0, 360.0)
    view = compass(width, width // 2, heading)
    canvas = street_canvas(view[None], torch.tensor([heading]), torch.tensor([360.0]), size, extent)
    cosine, sine, elevation = expected(size, extent)
    assert canvas.shape == (1, 3, *size)
    # A linear interpolation between samples 360 / 128 degrees apart errs by 3e-4 at most; the
    # triangle filter flattens a cosine by a few 1e-4.
    assert (canvas[0, 0] - cosine).abs().max() < 1e-3
    assert (canvas[0, 1] - sine).abs().max() < 1e-3
    inner = slice(2, -2)  # at the poles and edges the filter is one-sided
    assert (canvas[0, 2, inner] - elevation[inner, None]).abs().max() < 0.02


def test_identity_is_exact():
    view = torch.rand(1, 3, 128, 512)
    canvas = street_canvas(view, torch.zeros(1), torch.full((1,), 360.0), (128, 512), (90.0, 360.0))
    assert torch.equal(canvas, view)


def test_a_crop_and_the_full_panorama_give_the_same_canvas():
    full = torch.rand(1, 3, 512, 1024)
    crop = full[:, :, 128:384]
    arguments = (torch.tensor([77.0]), torch.tensor([360.0]), (128, 512), (90.0, 360.0))
    first = street_canvas(full, *arguments)
    second = street_canvas(crop, *arguments)
    assert torch.equal(first, second)


def test_a_turn_by_whole_columns_is_a_roll():
    view = torch.rand(1, 3, 64, 256)
    canvas = street_canvas(
        view, torch.tensor([360.0 * 10 / 256]), torch.tensor([360.0]), (64, 256), (90.0, 360.0)
    )
    # The centre column looks 10 columns clockwise of north: it belongs 10 columns to the right.
    torch.testing.assert_close(canvas, view.roll(10, dims=-1), atol=1e-4, rtol=0)


def test_shrinking_wraps_without_a_seam():
    # One bright column at the very edge (azimuth 180): on the canvas its light is shared by the
    # first and last columns exactly as it is by inner neighbours when it stands elsewhere.
    view = torch.zeros(1, 3, 256, 1024)
    view[..., 0] = 1.0
    arguments = (torch.tensor([360.0]), (64, 256), (90.0, 360.0))
    edge = street_canvas(view, torch.zeros(1), *arguments)
    inner = street_canvas(view.roll(512, dims=-1), torch.zeros(1), *arguments)
    torch.testing.assert_close(edge, inner.roll(-128, dims=-1), atol=1e-6, rtol=0)
    assert edge[0, 0, 32].sum() == pytest.approx(0.25, abs=1e-5)  # area: a quarter of a column


def test_limited_views_are_placed():
    view = torch.ones(1, 3, 200, 200)  # 90 x 90 degrees
    canvas = street_canvas(view, [120.0], [90.0], (90, 360), (90.0, 360.0))
    seen = canvas[0] > 0.999
    assert seen.all(dim=(0, 1)).nonzero().flatten().tolist() == list(range(255, 345))  # 75..165
    assert int(seen.sum()) == 3 * 90 * 90
    assert canvas[0, :, :, ~seen.all(dim=(0, 1))].max() == 0


def test_a_batch_of_different_views_equals_each_alone():
    view = torch.rand(3, 3, 120, 480)
    heading, fov = torch.tensor([10.0, 200.0, 300.0]), torch.tensor([360.0, 70.0, 360.0])
    together = street_canvas(view, heading, fov, (32, 128), (90.0, 360.0))
    for i in range(3):
        alone = street_canvas(
            view[i : i + 1], heading[i : i + 1], fov[i : i + 1], (32, 128), (90.0, 360.0)
        )
        torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize("fov", [0.0, -10.0, 400.0, float("nan")])
def test_impossible_fov(fov):
    with pytest.raises(ValueError, match="fov"):
        street_canvas(
            torch.zeros(1, 3, 8, 16), torch.zeros(1), torch.tensor([fov]), (8, 16), (90.0, 360.0)
        )


@pytest.mark.parametrize("fov", [360.0, 100.0])
def test_bytes_are_as_good_as_floats(fov):
    view = torch.randint(0, 256, (2, 3, 300, 900), dtype=torch.uint8)
    heading, fovs = torch.tensor([5.0, 200.0]), torch.tensor([fov, 360.0])
    ours = street_canvas(view, heading, fovs, (32, 128), (90.0, 360.0))
    theirs = street_canvas(view / 255.0, heading, fovs, (32, 128), (90.0, 360.0))
    assert ours.dtype == torch.float32
    assert (ours - theirs).abs().max() < 1.1 / 255


@pytest.mark.parametrize(
    ("shape", "heading", "fov"),
    [
        ((416, 832), 0.0, 360.0),  # shrunk to the canvas itself
        ((211, 503), -77.7, 360.0),  # sizes without a common divisor
        ((16, 64), 123.4, 360.0),  # enlarged
        ((300, 400), 200.1, 90.0),  # a part of the circle, across its seam
        ((99, 800), -50.3, 123.4),  # less than the canvas's height
    ],
)
def test_pictures_without_pytorch_are_those_with_it(shape, heading, fov):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    wanted = street_canvas(tensor, [heading], [fov], (64, 256), (90.0, 360.0))
    found = canvas_of_picture(picture, heading, fov, (64, 256), (90.0, 360.0))
    assert found.dtype == np.float32
    # both round to 8 bits after each of two passes
    assert np.abs(found - wanted.numpy()).max() < 1.1 / 255
