"""What the geometric network is taught, in a world of one wall."""

import math

import pytest
import torch

from cvsegguide.data.sample import Batch, collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo.panorama import street_canvas
from cvsegguide.landcover import NYC_CLASSES
from cvsegguide.models.geometric.network import GeometricModel
from cvsegguide.models.geometric.polar import PolarGrid
from cvsegguide.training.geometric_loss import DEPTH_OF_A_WALL, range_loss, surroundings
from cvsegguide.training.recipes import create_loss
from helpers.tiny import TinyNetwork, TinyPairs

GSD = 0.25
ROAD, BUILDING, GRASS = (
    list(NYC_CLASSES.channels).index(name) for name in ("road", "building", "grass/shrub")
)


def one_wall() -> torch.Tensor:
    """256 x 256 road; a wall 10 m east of the centre, 4 m deep; grass in the far north."""
    landcover = torch.full((1, 256, 256), ROAD, dtype=torch.uint8)
    landcover[:, :, 168:184] = BUILDING
    landcover[:, :28] = GRASS
    return landcover


def test_the_wall_hides_what_lies_behind_it_and_nothing_else() -> None:
    grid = PolarGrid()
    classes, visible, inside = surroundings(
        one_wall(), torch.tensor([[128.0, 128.0]]), torch.tensor([GSD]), grid
    )
    distances = grid.distances()
    east, north, west = 3 * grid.directions // 4, grid.directions // 2, grid.directions // 4
    wall = 10.0 / math.cos(math.pi / grid.directions)
    for distance, seen in zip(distances.tolist(), visible[0, :, east].tolist(), strict=True):
        if abs(distance - wall - DEPTH_OF_A_WALL) > 0.6:
            assert seen == (distance < wall + DEPTH_OF_A_WALL), distance
    assert visible[0, :, west].all()
    assert visible[0, :, north].all()
    near, far = int((distances < 20).sum()) - 1, int((distances < 30).sum()) - 1
    assert classes[0, near, north] == ROAD
    assert classes[0, far, north] == GRASS
    assert classes[0, int((distances < 12).sum()) - 1, east] == BUILDING
    # 128 px = 32 m to every side of the tile
    assert inside[0, :, west].tolist() == (distances < 32.0).tolist()


def test_a_few_steps_bring_the_losses_down_and_find_the_camera() -> None:
    torch.manual_seed(0)
    widths, depths = (8, 16, 24), (0, 1, 1)
    model = GeometricModel(
        features=12,
        **{f"{branch}_widths": widths for branch in ("overhead", "street")},
        **{f"{branch}_depths": depths for branch in ("overhead", "street")},
    )
    position = torch.tensor([[100.3, 140.8], [60.2, 200.1]])
    batch = Batch(
        id=["a", "b"],
        overhead=torch.rand(2, 3, 256, 256),
        street=torch.rand(2, 3, 128, 512),
        landcover=None,
        position=position,
        heading=torch.zeros(2),
        fov=torch.full((2,), 360.0),
        gsd=torch.full((2,), GSD),
        bounds=[None, None],
    )
    landcover = one_wall().expand(2, -1, -1)
    loss = create_loss("geometric", sigma_m=0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    first = last = 0.0
    for _ in range(40):
        prediction = model(batch.overhead, batch.street)
        terms = loss(model, prediction, batch, landcover)
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        first, last = (first or float(total.detach())), float(total.detach())
        assert set(terms) == set(loss.defaults) - {"range"}, "there is no depth"
    assert last < 0.6 * first
    with torch.no_grad():
        log_posterior = model.log_posterior(model(batch.overhead, batch.street))
    index = log_posterior.flatten(1).argmax(dim=1)
    # while training, the heatmap has half the size
    found = 2.0 * torch.stack((index // 128, index % 128), dim=1) + 1.0
    assert (GSD * (found - position).norm(dim=1)).max() < 1.5, found


def test_networks_without_evidence_are_refused() -> None:
    pairs = TinyPairs(1)
    batch, network = collate([pairs[0]]), TinyNetwork()
    with pytest.raises(ConfigurationError, match="TinyNetwork gives none"):
        create_loss("geometric")(network, network(batch.overhead, batch.street), batch, None)


def test_ranges_lie_in_the_canvas_where_the_picture_lies() -> None:
    """What the loss looks up and what the network is shown turn with the heading alike."""
    directions, height, width = 16, 16, 64
    grid = PolarGrid(directions=directions, ranges=8)
    for heading in (0.0, 90.0, 225.0):
        street = torch.zeros(1, 3, height, width)
        street[..., 20:24] = 1.0
        ranges = torch.zeros(1, height // 2, directions)
        ranges[:, 3, 5] = float(grid.distances()[4])
        turn = torch.tensor([heading])
        canvas = street_canvas(street, turn, torch.tensor([360.0]), (height, width), (90.0, 360.0))
        where = int(canvas[0, 0, 0].argmax()) // 4
        rows = torch.full((1, 8, height // 2, directions), -20.0)
        rows[0, 4, 3, where] = 0.0
        assert float(range_loss(rows, ranges, turn, grid)) == pytest.approx(0.0, abs=1e-4)
        wrong = rows.roll(1, dims=-1)
        assert float(range_loss(wrong, ranges, turn, grid)) > 10.0
