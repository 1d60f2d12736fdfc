"""A training set on the device: the same pairs in the same order, changed as a batch."""

from dataclasses import replace

import pytest
import torch

from cvsegguide.data.datamodule import DataModule
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.data.transforms import (
    Appearance,
    Draws,
    LimitFieldOfView,
    Mirror,
    Rotate,
    Transform,
    transform_batch,
)
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo.panorama import street_canvas

SIZE, HEIGHT, WIDTH = 32, 16, 64


class Landmarks(CrossViewDataset):
    """One bright pixel above, and one bright column around."""

    def __init__(self, count: int, fov: float = 360.0) -> None:
        super().__init__(SIZE, (HEIGHT, WIDTH), 90.0)
        self.count, self.fov = count, fov

    def __len__(self) -> int:
        return self.count

    def sample_id(self, index: int) -> str:
        return str(index)

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        overhead = torch.full((3, SIZE, SIZE), 0.2)
        row, col = (4 + 24 * torch.rand(2, generator=generator)).tolist()
        mark = torch.randint(0, SIZE, (2,), generator=generator).tolist()
        overhead[:, mark[0], mark[1]] = 1.0
        column = int(torch.randint(0, WIDTH, (), generator=generator))
        street = torch.full((3, HEIGHT, WIDTH), 0.2)
        street[..., column] = 1.0
        ranges = torch.full((HEIGHT // 2, WIDTH // 4), 10.0)
        landcover = (overhead[0] > 0.5).to(torch.uint8) + 1
        heading = float(torch.randint(0, 360, (), generator=generator))
        return Sample(
            str(index), overhead, street, landcover, row, col, heading, self.fov, 0.5, None,
            street_range=ranges,
        )  # fmt: skip


class Mixed(Landmarks):
    """From the 33rd pair on tiles of another size, and no age; from the 37th on no first row."""

    def __init__(self, count: int, size: int = 48, valid: bool = False) -> None:
        super().__init__(count)
        self.size, self.valid = size, valid

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if index < 32:
            return replace(sample, labels={"age": torch.ones(SIZE, SIZE, dtype=torch.uint8)})
        valid = None
        if self.valid and index >= 36:
            valid = (torch.arange(self.size) > 0)[:, None].expand(self.size, self.size)
        return replace(sample, overhead=torch.rand(3, self.size, self.size), valid=valid)


class Huge(Landmarks):
    """Three megabytes a tile."""

    def __getitem__(self, index: int) -> Sample:
        return replace(super().__getitem__(index), overhead=torch.zeros(3, 1024, 1024))


def batches(
    transforms: list[Transform] | None = None, epoch: int = 0, **options: int
) -> list[Batch]:
    module = DataModule(
        Landmarks(10), batch_size=4, num_workers=0, resident=True, transforms=transforms or [],
        **options,
    )  # fmt: skip
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_the_pairs_are_those_of_the_usual_loader_in_the_same_order() -> None:
    usual = DataModule(Landmarks(10), batch_size=4, num_workers=0).train_dataloader()
    usual.sampler.set_epoch(3)
    for ours, theirs in zip(batches(epoch=3), usual, strict=True):
        assert ours.id == theirs.id
        for name in ("position", "heading", "fov", "gsd", "landcover", "street_range"):
            torch.testing.assert_close(ours[name], theirs[name])
        # a picture of a file has 8 bits
        torch.testing.assert_close(ours.overhead, theirs.overhead, atol=1 / 500, rtol=0)
        torch.testing.assert_close(ours.street, theirs.street, atol=1 / 500, rtol=0)


def test_a_limited_view_is_black_elsewhere_and_has_no_ranges_there() -> None:
    batch = collate([Landmarks(40)[index] for index in range(40)])
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
    batch = collate([Landmarks(8)[index] for index in range(8)])
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


def test_changes_follow_from_seed_epoch_and_number_of_the_batch() -> None:
    changes: list[Transform] = [Rotate(), Mirror(), Appearance()]
    first, again, later = (batches(changes, epoch=epoch) for epoch in (0, 0, 1))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.overhead, other.overhead)
    assert not torch.equal(first[0].overhead, later[0].overhead)
    other_seed = batches(changes, seed=1)
    assert not torch.equal(first[0].overhead, other_seed[0].overhead)

    module = DataModule(
        Landmarks(10), batch_size=4, num_workers=0, resident=True, transforms=changes
    )
    resumed = module.train_dataloader()
    resumed.load_state_dict({"epoch": 0, "batches": 2})
    rest = list(resumed)
    assert [batch.id for batch in rest] == [first[2].id]
    assert torch.equal(rest[0].overhead, first[2].overhead)


def test_what_cannot_be_done_is_said_in_a_line() -> None:
    narrow = DataModule(Landmarks(4, fov=90.0), batch_size=2, num_workers=0, resident=True)
    with pytest.raises(ConfigurationError, match="no full panoramas"):
        list(narrow.train_dataloader())
    loader = DataModule(Mixed(40), batch_size=2, num_workers=0, resident=True).train_dataloader()
    with pytest.raises(ConfigurationError, match="the overhead of '32' is of another size"):
        list(loader)
    huge = DataModule(Huge(10**6), batch_size=2, num_workers=0, resident=True)
    with pytest.raises(ConfigurationError, match="1000000 pairs do not fit"):
        next(iter(huge.train_dataloader()))


def test_pixels_without_data_stay_so() -> None:
    """Pairs that have data everywhere say nothing of it, also those read before the others."""
    loader = DataModule(
        Mixed(40, size=SIZE, valid=True), batch_size=8, num_workers=0, resident=True, shuffle=False
    ).train_dataloader()
    for batch in loader:
        for number, valid in zip(map(int, batch.id), batch["valid"], strict=True):
            assert bool(valid[0].any()) == (number < 36)
            assert bool(valid[1:].all())


def test_a_label_that_some_pairs_lack_is_left_out() -> None:
    loader = DataModule(Mixed(40, size=SIZE), batch_size=2, num_workers=0, resident=True)
    assert all(not batch.labels for batch in loader.train_dataloader())


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
