"""What pictures say of places: seamless, each block of the imagery encoded once, bounded memory."""

import numpy as np
import pytest
import torch

from cvsegguide.models.geometric.network import GeometricModel
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.likelihood import JointLikelihood
from cvsegguide.tracking.mosaic import open_mosaic
from helpers.colors import ColorNetwork, overhead_image, street_image, write_tiles

CPU = torch.device("cpu")


@pytest.fixture
def mosaic():
    with open_mosaic(overhead_image(), 0.5, own_gsd=0.5) as opened:
        yield opened


def test_blocks_join_without_a_seam(mosaic):
    tile, known = JointLikelihood(ColorNetwork(), mosaic, CPU, 64.0).tile(Box(5, 11, 90, 77))

    assert tile.colors.shape == (1, 2, 85, 66)
    assert known.all()
    rows, cols = torch.arange(5, 90.0)[:, None], torch.arange(11, 77.0)
    torch.testing.assert_close(tile.colors[0, 0], rows.expand(85, 66), atol=1e-3, rtol=0)
    torch.testing.assert_close(tile.colors[0, 1], cols.expand(85, 66), atol=1e-3, rtol=0)


def test_each_block_is_encoded_once_while_it_is_in_memory(mosaic):
    """Blocks of 16 x 16 cells of two float32 and one bool: 2304 bytes."""
    blocks = JointLikelihood(ColorNetwork(), mosaic, CPU, 64.0)
    for left in range(0, 60, 5):
        blocks.tile(Box(0, left, 16, left + 16))
    assert blocks.encoded == 5  # 75 cells of 16

    blocks = JointLikelihood(ColorNetwork(), mosaic, CPU, 2.5 * 2304e-6)
    places = [Box(0, 16 * i, 16, 16 * i + 16) for i in range(3)]
    for place in (*places, places[2], places[1]):
        blocks.tile(place)
    assert blocks.encoded == 3
    blocks.tile(places[0])  # the oldest went
    assert blocks.encoded == 4


def test_cells_beyond_the_imagery_are_not_known():
    with open_mosaic(overhead_image(cells=30), 0.5, own_gsd=0.5) as mosaic:
        blocks = JointLikelihood(ColorNetwork(), mosaic, CPU, 64.0)
        assert blocks.extent == Box(0, 0, 30, 30)
        _, known = blocks.tile(Box(0, 0, 40, 40))

    assert known[:30, :30].all()
    assert not known[30:].any()
    assert not known[:, 30:].any()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GeometricModel(
        overhead_size=(128, 128), street_size=(32, 128), features=8, template_radius=10.0,
        overhead_widths=(8, 16, 16), overhead_depths=(0, 0, 0), street_widths=(8, 16, 16),
        street_depths=(0, 0, 0),
    ).eval()  # fmt: skip


def test_the_geometric_network_scores_a_window_as_it_scores_a_tile(model):
    """One tile that is all there is: blocks are that tile, and the scores its own."""
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
        tile = model.encode_tile(torch.from_numpy(window).permute(2, 0, 1)[None] / 255.0)
        for name in ("features", "prior"):
            setattr(tile, name, getattr(tile, name)[..., 8:24, 8:24])
        tile.landcover = tile.landcover[..., 16:48, 16:48]
        street = torch.from_numpy(view).permute(2, 0, 1)[None] / 255.0
        expected = model.joint(tile, street, torch.tensor(headings))[0]

    assert found.shape == (3, 16, 16)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(part, expected[:, 3:9, 2:14], atol=2e-2, rtol=1e-2)


def test_turning_the_street_view_turns_the_scores(model):
    """A panorama rolled by a quarter is one taken at another heading."""
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


class Known(ColorNetwork):
    """Says which cells it was told to be without imagery, and nothing else."""

    def joint(self, tile, street, headings, known=None):
        return known.float().expand(1, len(headings), *known.shape)


def test_places_without_data_are_told_to_the_network_and_impossible(tmp_path):
    """Two map tiles that touch at a corner."""
    write_tiles(tmp_path, 2)
    for x, y in ((154_401, 197_000), (154_400, 197_001)):
        (tmp_path / "19" / str(x) / f"{y}.png").unlink()
    with open_mosaic(tmp_path, 0.2262) as mosaic, torch.inference_mode():
        likelihood = JointLikelihood(Known(), mosaic, CPU, 64.0)
        view = street_image(20, 20, 0)
        found = likelihood.scores(view, 90.0, likelihood.extent, np.zeros(1), None)[0]

    known = torch.zeros(128, 128, dtype=torch.bool)
    known[:64, :64] = known[64:, 64:] = True
    assert torch.isinf(found[~known]).all()
    assert (found[known] == 1).all()
