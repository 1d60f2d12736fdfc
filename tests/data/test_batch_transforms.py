"""Transforms of whole batches: what is limited, what is left alone."""

from dataclasses import replace

import pytest
import torch

from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.data.transforms import Appearance, Draws, LimitFieldOfView, transform_batch
from cvsegguide.geo.panorama import street_canvas

SIZE, HEIGHT, WIDTH = 32, 16, 64


def make_batch(count: int) -> Batch:
    """Full panoramas with a bright column each, over tiles with a bright pixel."""
    samples = []
    for index in range(count):
        overhead = torch.full((3, SIZE, SIZE), 0.2)
        overhead[:, index % SIZE, 5] = 1.0
        street = torch.full((3, HEIGHT, WIDTH), 0.2)
        street[..., 3 * index % WIDTH] = 1.0
        ranges = torch.full((HEIGHT // 2, WIDTH // 4), 10.0)
        samples.append(
            Sample(
                id=str(index),
                overhead=overhead,
                street=street,
                landcover=None,
                row=12.0,
                col=9.0,
                heading=9.0 * index,
                fov=360.0,
                gsd=0.5,
                bounds=None,
                street_range=ranges,
            )
        )
    return collate(samples)


def test_a_limited_view_is_black_elsewhere_and_has_no_ranges_there() -> None:
    batch = make_batch(40)
    changed = transform_batch(batch, [LimitFieldOfView((90.0, 90.0), 0.5, blacken=True)], Draws(1))
    lit = (changed.street.amax(dim=(1, 2)) > 0).sum(1)
    assert set(lit.tolist()) <= {WIDTH, WIDTH // 4, WIDTH // 4 - 1, WIDTH // 4 + 1}
    limited = lit < WIDTH
    assert 8 <= int(limited.sum()) <= 32
    assert changed.street_range is not None
    columns = (changed.street_range[:, 0] > 0).sum(1)
    assert (columns[~limited] == WIDTH // 4).all()
    assert (columns[limited] <= WIDTH // 16 + 1).all()


def test_other_looks_leave_the_geometry_and_black_columns_alone() -> None:
    batch = make_batch(8)
    street = batch.street.clone()
    street[..., :16] = 0.0
    batch = replace(batch, street=street)
    changed = transform_batch(batch, [Appearance(1.0, 0.5)], Draws(2))
    assert torch.equal(changed.position, batch.position)
    assert torch.equal(changed.heading, batch.heading)
    assert float(changed.street[..., :16].max()) == 0.0
    assert float(changed.street[..., 16:].amin(dim=1).max()) > 0.0
    assert 0.0 <= float(changed.overhead.min()) <= float(changed.overhead.max()) <= 1.0
    assert (changed.overhead - batch.overhead).abs().flatten(1).amax(1).min() > 0.01
    still = transform_batch(batch, [Appearance(0.0, 1.0)], Draws(2))
    assert (still.overhead - batch.overhead).abs().mean() < 0.25


def test_ranges_lie_in_the_canvas_where_the_picture_lies() -> None:
    """What the loss looks up and what the network is shown turn with the heading alike."""
    from cvsegguide.models.geometric.polar import PolarGrid
    from cvsegguide.training.geometric_loss import range_loss

    directions = WIDTH // 4
    grid = PolarGrid(directions=directions, ranges=8)
    for heading in (0.0, 90.0, 225.0):
        street = torch.zeros(1, 3, HEIGHT, WIDTH)
        street[..., 20:24] = 1.0
        ranges = torch.zeros(1, HEIGHT // 2, directions)
        ranges[:, 3, 5] = float(grid.distances()[4])
        turn = torch.tensor([heading])
        canvas = street_canvas(street, turn, torch.tensor([360.0]), (HEIGHT, WIDTH), (90.0, 360.0))
        where = int(canvas[0, 0, 0].argmax()) // 4
        rows = torch.full((1, 8, HEIGHT // 2, directions), -20.0)
        rows[0, 4, 3, where] = 0.0
        assert float(range_loss(rows, ranges, turn, grid)) == pytest.approx(0.0, abs=1e-4)
        wrong = rows.roll(1, dims=-1)
        assert float(range_loss(wrong, ranges, turn, grid)) > 10.0
