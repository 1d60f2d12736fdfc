"""Batches: order, resuming, shards, broken files, and Lightning around them."""

import logging
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cvsegguide.data.broken import BrokenFileError
from cvsegguide.data.brooklyn_queens import BrooklynQueens
from cvsegguide.data.datamodule import DataModule
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.loading import BatchLoader
from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.data.transforms import Crop, HeadingJitter, LimitFieldOfView, Photometric, Rotate
from cvsegguide.errors import ConfigurationError, DatasetError, InputError, TrainingError
from cvsegguide.geo import Bounds
from helpers.brooklyn_queens import make_tree


class Numbers(CrossViewDataset):
    """Sample i is a picture full of i; chosen ones are broken."""

    def __init__(self, count: int, broken: tuple[int, ...] = ()) -> None:
        super().__init__(None, None, None)
        self.count = count
        self.broken = broken

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self.broken:
            raise BrokenFileError(f"/data/{index // 2}.jpg", "truncated")
        return Sample(
            id=str(index),
            overhead=torch.full((3, 8, 8), index / self.count),
            street=torch.full((3, 4, 16), index / self.count),
            landcover=None,
            row=4.0,
            col=4.0,
            heading=0.0,
            fov=360.0,
            gsd=0.5,
            bounds=Bounds(0, 0, 1, 1),
        )


def ids(loader: BatchLoader, epoch: int = 0) -> list[list[str]]:
    loader.sampler.set_epoch(epoch)
    return [batch.id for batch in loader]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def module(**options: int) -> DataModule:
        return DataModule(Numbers(20), batch_size=3, **{"num_workers": 0, **options})

    loader = module(seed=7).train_dataloader()
    first, second = ids(loader, 0), ids(loader, 1)
    assert sorted(name for batch in first for name in batch) == sorted(map(str, range(20)))
    assert first != second
    assert len(first) == len(loader) == 7
    assert ids(module(seed=7).train_dataloader(), 1) == second
    assert ids(module(seed=7, num_workers=2).train_dataloader(), 1) == second
    assert ids(module(seed=8).train_dataloader(), 0) != first
    for drop_last, rest in ((False, [["3"]]), (True, [])):
        in_order = DataModule(
            Numbers(4), batch_size=3, shuffle=False, drop_last=drop_last, num_workers=0
        )
        assert ids(in_order.train_dataloader()) == [["0", "1", "2"], *rest]


@pytest.mark.parametrize("workers", [0, 2])
def test_resumes_in_the_middle_of_an_epoch(workers: int) -> None:
    def loader() -> BatchLoader:
        return DataModule(Numbers(20), batch_size=3, num_workers=workers).train_dataloader()

    whole = ids(loader(), 2)
    interrupted = loader()
    interrupted.sampler.set_epoch(2)
    batches = iter(interrupted)
    for _ in range(3):
        next(batches)
    state = interrupted.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    assert len(resumed) == 7
    assert ids(resumed, 2) == whole[3:]
    assert ids(resumed, 3) == ids(loader(), 3)  # later epochs are whole
    finished = loader()
    ids(finished, 2)
    resumed.load_state_dict(finished.state_dict())
    assert ids(resumed, 3) == ids(loader(), 3)


def test_transforms_are_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    make_tree(tmp_path, cities=("queens",), tiles=2, panoramas=2)
    dataset = BrooklynQueens(tmp_path, "queens", overhead_size=64, street_size=(32, 128))
    transforms = [Rotate(), Crop(), Photometric(), HeadingJitter(), LimitFieldOfView((60, 120))]

    def epoch(workers: int, number: int) -> list[Batch]:
        module = DataModule(dataset, batch_size=2, num_workers=workers, transforms=transforms)
        loader = module.train_dataloader()
        loader.sampler.set_epoch(number)
        return list(loader)

    for alone, shared in zip(epoch(0, 1), epoch(2, 1), strict=True):
        assert alone.id == shared.id
        assert torch.equal(alone.street, shared.street)
        assert torch.equal(alone.overhead, shared.overhead)
        assert torch.equal(alone.position, shared.position)
    first, second = (
        {name: float(p[0]) for b in epoch(0, n) for name, p in zip(b.id, b.position, strict=True)}
        for n in (0, 1)
    )
    assert first != second


def test_transforms_are_for_training_only() -> None:
    module = DataModule(
        Numbers(4), Numbers(4), Numbers(4), batch_size=4, num_workers=0, transforms=[Photometric()]
    )
    plain = collate([Numbers(4)[index] for index in range(4)])
    (val,), (test,) = module.val_dataloader(), module.test_dataloader()
    (predict,) = module.predict_dataloader()
    for batch in (val, test, predict):
        assert torch.equal(batch.overhead, plain.overhead)
    (train,) = module.train_dataloader()
    assert not torch.equal(
        train.overhead[torch.argsort(torch.tensor([int(i) for i in train.id]))], plain.overhead
    )


def test_processes_get_their_shards() -> None:
    module = DataModule(Numbers(11), Numbers(11), Numbers(11), batch_size=2, num_workers=0)
    dealt: dict[str, list[list[str]]] = {"train": [], "val": [], "test": []}
    for rank in range(4):
        module.trainer = SimpleNamespace(global_rank=rank, world_size=4)  # type: ignore[assignment]
        for stage, shards in dealt.items():
            loader = getattr(module, f"{stage}_dataloader")()
            shards.append([name for batch in loader for name in batch.id])
    assert [len(shard) for shard in dealt["train"]] == [3, 3, 3, 3]
    assert {name for shard in dealt["train"] for name in shard} == set(map(str, range(11)))
    for stage in ("val", "test"):
        assert [len(shard) for shard in dealt[stage]] == [3, 3, 3, 2]
        assert sorted(int(name) for shard in dealt[stage] for name in shard) == list(range(11))


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_samples_are_replaced_counted_and_logged_once(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    # 2 of 300 samples, which share a file; the next good one takes their place.
    module = DataModule(Numbers(300, broken=(40, 41)), batch_size=7, num_workers=workers)
    loader = module.train_dataloader()
    with caplog.at_level(logging.WARNING):
        for epoch in range(2):
            seen = sorted(int(name) for batch in ids(loader, epoch) for name in batch)
            assert seen == sorted([*(i for i in range(300) if i not in (40, 41)), 42, 42])
    assert loader.broken is not None
    assert loader.broken.samples == {40, 41}
    warnings = [record for record in caplog.records if "broken" in record.message]
    assert len(warnings) == 1
    assert "/data/20.jpg: truncated" in warnings[0].message


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_broken_samples_stop_the_run(workers: int) -> None:
    module = DataModule(Numbers(300, broken=(10, 20, 30, 40)), batch_size=7, num_workers=workers)
    with pytest.raises(TrainingError) as caught:
        list(module.train_dataloader())
    message = str(caught.value)
    assert message.startswith("4 of 300 training samples are broken, more than 1%")
    for number in (5, 10, 15, 20):
        assert f"/data/{number}.jpg (truncated)" in message
    assert "\n" not in message


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_sample_in_evaluation_is_an_error(workers: int) -> None:
    module = DataModule(val=Numbers(300, broken=(200,)), batch_size=7, num_workers=workers)
    with pytest.raises(DatasetError, match=r"^/data/100\.jpg: truncated$"):
        list(module.val_dataloader())


def test_several_data_sets_are_joined() -> None:
    module = DataModule(test=[Numbers(2), Numbers(3)], batch_size=8, num_workers=0)
    assert [batch.id for batch in module.test_dataloader()] == [["0", "1", "0", "1", "2"]]


def test_what_is_missing_is_named() -> None:
    module = DataModule(train=Numbers(0), num_workers=0)
    assert module.val_dataloader() == []
    with pytest.raises(ConfigurationError, match=r"data\.test"):
        module.predict_dataloader()
    with pytest.raises(DatasetError, match=r"data\.train: the data set has no samples"):
        module.train_dataloader()
    with pytest.raises(ConfigurationError, match="batch_size"):
        DataModule(batch_size=0)


def test_street_views_of_unequal_extent_share_a_batch() -> None:
    wide, narrow, odd = Numbers(2)[1], Numbers(2)[1], Numbers(2)[1]
    narrow.street, narrow.fov, narrow.heading = torch.ones(3, 4, 8), 180.0, 90.0
    odd.street, odd.fov, odd.heading = torch.ones(3, 2, 3), 67.5, 10.0
    batch = collate([wide, narrow, odd])
    assert batch.street.shape == (3, 3, 4, 16)
    assert batch.fov.tolist() == [360.0, 360.0, 360.0]
    # Columns of the narrow views look where they did: column c at heading + (c + 0.5 - w/2) step.
    step = 360 / 16
    for index, sample in ((1, narrow), (2, odd)):
        columns = torch.nonzero(batch.street[index, 0, 1] > 0).squeeze(1)
        now = float(batch.heading[index]) + (columns + 0.5 - 8) * step
        width = sample.street.shape[-1]
        before = sample.heading + (torch.arange(width) + 0.5 - width / 2) * step
        assert now.tolist() == pytest.approx(before.tolist())
    narrow.street = torch.ones(3, 4, 12)
    with pytest.raises(InputError, match="different pixels per degree"):
        collate([wide, narrow])


def test_reader_crosses_to_spawned_workers(tmp_path: Path) -> None:
    """What workers are sent where processes are not forked (macOS, Windows): all of it pickles."""
    make_tree(tmp_path, cities=("queens",), tiles=1)
    module = DataModule(
        BrooklynQueens(tmp_path, "queens"), transforms=[Rotate(), Crop()], num_workers=0
    )
    loader = module.train_dataloader()
    sent = pickle.loads(pickle.dumps(loader))
    assert torch.equal(next(iter(sent)).overhead, next(iter(loader)).overhead)
    failure = DatasetError("x")
    broken = BrokenFileError("/a/b.jpg", "truncated")
    for error in (failure, broken):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
