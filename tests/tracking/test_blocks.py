"""Overhead features of a mosaic: seamless, each block once, bounded memory."""

import numpy as np
import pytest
import torch
from PIL import Image

from cvsegguide.models.geometric.network import GeometricModel
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.blocks import Blocks
from cvsegguide.tracking.likelihood import JointLikelihood, Remembering
from cvsegguide.tracking.mosaic import open_mosaic
from helpers.colors import ColorNetwork, overhead_image, street_image

CPU = torch.device("cpu")


@pytest.fixture
def mosaic():
    with open_mosaic(overhead_image(), 0.5, own_gsd=0.5) as opened:
        yield opened


def test_blocks_join_without_a_seam(mosaic):
    blocks = Blocks(ColorNetwork(), mosaic, CPU, 64.0)
    above, known = blocks.features(Box(5, 11, 90, 77))

    assert above.cells.shape == (1, 3, 85, 66)
    assert above.finer.shape == (1, 1, 170, 132)
    assert known.all()
    rows, cols = torch.arange(5, 90.0)[:, None], torch.arange(11, 77.0)
    torch.testing.assert_close(above.cells[0, 0], rows.expand(85, 66), atol=1e-3, rtol=0)
    torch.testing.assert_close(above.cells[0, 1], cols.expand(85, 66), atol=1e-3, rtol=0)


def test_each_block_is_encoded_once_while_it_is_in_memory(mosaic):
    blocks = Blocks(ColorNetwork(), mosaic, CPU, 64.0)
    for left in range(0, 60, 5):
        blocks.features(Box(0, left, 16, left + 16))

    assert blocks.encoded == 5  # 75 cells of 16


def test_memory_is_bounded_and_the_oldest_goes_first(mosaic):
    one = Blocks(ColorNetwork(), mosaic, CPU, 64.0)
    one.features(Box(0, 0, 16, 16))
    size = one._bytes / 1e6
    blocks = Blocks(ColorNetwork(), mosaic, CPU, 2.5 * size)
    places = [Box(0, 16 * i, 16, 16 * i + 16) for i in range(3)]
    for place in places:
        blocks.features(place)
    assert len(blocks._blocks) == 2
    blocks.features(places[2])
    blocks.features(places[1])
    assert blocks.encoded == 3
    blocks.features(places[0])
    assert blocks.encoded == 4
    assert blocks._bytes <= 2.5 * size * 1e6


def test_cells_beyond_the_imagery_are_not_known():
    image = overhead_image(cells=30)
    with open_mosaic(image, 0.5, own_gsd=0.5) as mosaic:
        blocks = Blocks(ColorNetwork(), mosaic, CPU, 64.0)
        assert blocks.extent == Box(0, 0, 30, 30)
        _, known = blocks.features(Box(0, 0, 40, 40))

    assert known[:30, :30].all()
    assert not known[30:].any()


def test_the_geometric_network_scores_a_window_as_it_scores_a_tile():
    """One tile that is all there is: blocks are that tile, and the scores its own."""
    torch.manual_seed(0)
    model = GeometricModel(
        overhead_size=(128, 128), street_size=(32, 128), features=8, template_radius=10.0,
        overhead_widths=(8, 16, 16), overhead_depths=(0, 0, 0), street_widths=(8, 16, 16),
        street_depths=(0, 0, 0),
    ).eval()  # fmt: skip
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (64, 64, 3), np.uint8)
    view = random.integers(1, 256, (32, 128, 3), np.uint8)
    headings = np.array([0.0, 90.0, 200.0])
    with open_mosaic(image, model.gsd, own_gsd=model.gsd) as mosaic, torch.inference_mode():
        likelihood = JointLikelihood(model, mosaic, CPU, 64.0)
        found = likelihood.scores(view, 360.0, likelihood.extent, headings, None)
        part = likelihood.scores(view, 360.0, Box(3, 2, 9, 14), headings, None)
        window, _ = mosaic.read(-32, -32, 128, 128)
        mean = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
        window[:32] = window[96:] = mean
        window[:, :32] = window[:, 96:] = mean
        above = model.encode_tile(torch.from_numpy(window).permute(2, 0, 1)[None] / 255.0)
        for name in ("features", "prior"):
            setattr(above, name, getattr(above, name)[..., 8:24, 8:24])
        above.landcover = above.landcover[..., 16:48, 16:48]
        street = torch.from_numpy(view).permute(2, 0, 1)[None] / 255.0
        expected = model.joint(above, street, torch.tensor(headings))[0]

    assert found.shape == (3, 16, 16)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(part, expected[:, 3:9, 2:14], atol=2e-2, rtol=1e-2)


def test_turning_the_street_view_turns_the_scores():
    """A panorama rolled by a quarter is one taken at another heading."""
    torch.manual_seed(0)
    model = GeometricModel(
        overhead_size=(128, 128), street_size=(32, 128), features=8, template_radius=10.0,
        overhead_widths=(8, 16, 16), overhead_depths=(0, 0, 0), street_widths=(8, 16, 16),
        street_depths=(0, 0, 0),
    ).eval()  # fmt: skip
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (96, 96, 3), np.uint8)
    view = random.integers(1, 256, (32, 128, 3), np.uint8)  # centre looks to the heading
    turned = np.roll(view, -32, axis=1)  # the same place, camera turned clockwise by 90 degrees
    with open_mosaic(image, model.gsd, own_gsd=model.gsd) as mosaic, torch.inference_mode():
        likelihood = JointLikelihood(model, mosaic, CPU, 64.0)
        box = likelihood.extent
        one = likelihood.scores(view, 360.0, box, np.array([30.0]), None)
        other = likelihood.scores(turned, 360.0, box, np.array([120.0]), None)
        wrong = likelihood.scores(turned, 360.0, box, np.array([300.0]), None)

    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert float((one - wrong).abs().max()) > 1e-3


class Levels(ColorNetwork):
    """Scores that are the features themselves, relative to their mean over the known cells."""

    def joint(self, tile, street, headings, known=None):
        level = tile.cells[:, :1] - tile.cells[:, :1][..., known].mean()
        return level.expand(1, len(headings), *level.shape[2:])


def test_places_without_data_do_not_shift_the_mean_of_a_centred_network(tmp_path):
    """Two map tiles that touch at a corner: red is the row of the cell, 0 to 127."""
    image = overhead_image(128)
    for i, j in ((0, 0), (1, 1)):
        path = tmp_path / "19" / str(154_400 + j) / f"{197_000 + i}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(image[256 * i : 256 * i + 256, 256 * j : 256 * j + 256]).save(path)
    network = Levels()
    with open_mosaic(tmp_path, 0.2262) as mosaic, torch.inference_mode():
        likelihood = JointLikelihood(network, mosaic, CPU, 64.0)
        view = street_image(20, 20, 0)
        found = likelihood.scores(view, 90.0, likelihood.extent, np.zeros(1), None)[0]

    assert torch.isinf(found[:64, 64:]).all()
    assert torch.isinf(found[64:, :64]).all()
    rows = torch.arange(128.0) - 63.5  # the mean over the cells that have data
    expected = rows[:64, None].expand(64, 64)
    torch.testing.assert_close(found[:64, :64], expected, atol=1e-3, rtol=0)


def test_what_was_answered_is_cut_out_of_the_answer(mosaic):
    likelihood = Remembering(JointLikelihood(ColorNetwork(), mosaic, CPU, 64.0))
    view, other = street_image(20, 30, 90), street_image(50, 30, 90)
    headings = np.arange(0.0, 360.0, 45.0)
    whole = likelihood.scores(view, 90.0, Box(10, 12, 60, 70), headings, None)
    part = likelihood.scores(view, 90.0, Box(15, 20, 40, 33), np.array([90.0, 315.0]), None)
    assert likelihood.asked == 1
    torch.testing.assert_close(part, whole[[2, 7], 5:30, 8:21], atol=0, rtol=0)

    for asked, arguments in enumerate(
        (
            (other, 90.0, Box(15, 20, 40, 33), headings),
            (view, 70.0, Box(15, 20, 40, 33), headings),
            (view, 90.0, Box(9, 20, 40, 33), headings),
            (view, 90.0, Box(15, 20, 40, 33), headings + 1.0),
        ),
        start=2,
    ):
        found = likelihood.scores(*arguments, None)
        assert likelihood.asked == asked
        torch.testing.assert_close(found, likelihood.likelihood.scores(*arguments, None))
