"""Loading for training and evaluation: one :class:`DataModule` for every data set.

The order of training is a function of seed and epoch alone, whatever the number of workers, and a
run that is resumed in the middle of an epoch goes on with the sample that would have been next.
Over several processes training samples are dealt out in equal shards (a few are repeated to fill
the last round); validation and test samples are dealt out once each, so shards may differ by one.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from cvsegguide.data.base import CrossViewDataset
from cvsegguide.data.broken import BrokenFileError, BrokenFiles
from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.data.transforms import Transform
from cvsegguide.errors import ConfigurationError, CVSegGuideError, DatasetError

Datasets: TypeAlias = CrossViewDataset | list[CrossViewDataset] | None

_ATTEMPTS = 100
"""How many samples in a row may be broken before reading gives up on finding a good one."""

_MOST_WORKERS = 8


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields ``(epoch, index)`` for the samples of one process.

    Args:
        length: Number of samples.
        shuffle: Whether the order is drawn, from ``seed + epoch``.
        seed: See above.
        rank, world_size: This process and how many there are.
        even: Whether every process gets equally many, by repeating the first few.
    """

    def __init__(
        self,
        length: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        even: bool = False,
    ) -> None:
        self.length = length
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.even = even
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (called by Lightning)."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples of this process in an epoch."""
        if self.even:
            return math.ceil(self.length / self.world_size)
        return (self.length - self.rank + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(self.length, generator=generator)
        else:
            order = torch.arange(self.length)
        if self.even:
            missing = len(self) * self.world_size - self.length
            order = torch.cat([order, order[torch.arange(missing) % max(self.length, 1)]])
        mine = order[self.rank :: self.world_size][self.start :]
        return ((self.epoch, int(index)) for index in mine)


@dataclass
class _Read:
    """What a worker makes of one index: a sample, or the reason why there is none."""

    sample: Sample | None
    broken: list[tuple[int, str, str]] = field(default_factory=list)
    error: CVSegGuideError | None = None


@dataclass
class _Delivery:
    """What a worker hands over: a batch and the broken files met on the way, or an error."""

    batch: Batch | None
    broken: list[tuple[int, str, str]]
    error: CVSegGuideError | None = None

    def pin_memory(self) -> "_Delivery":
        batch = None if self.batch is None else self.batch.pin_memory()
        return _Delivery(batch, self.broken, self.error)


class _Reader(Dataset[_Read]):
    """Reads and transforms samples; errors of the data become values, so that they cross over
    from a worker process as they are."""

    def __init__(
        self, dataset: Dataset[Sample], transforms: Sequence[Transform], seed: int, skip: bool
    ) -> None:
        self.dataset = dataset
        self.transforms = tuple(transforms)
        self.seed = seed
        self.skip = skip

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, item: tuple[int, int]) -> _Read:
        epoch, index = item
        broken: list[tuple[int, str, str]] = []
        for step in range(min(len(self), _ATTEMPTS) if self.skip else 1):
            chosen = (index + step) % len(self)
            try:
                return _Read(self._transformed(self.dataset[chosen], epoch, index), broken)
            except BrokenFileError as error:
                if not self.skip:
                    return _Read(None, error=error)
                broken.append((chosen, error.path, error.reason))
            except CVSegGuideError as error:
                return _Read(None, broken, error)
        none = DatasetError(f"no readable sample among {len(broken)} from number {index} on")
        return _Read(None, broken, none)

    def _transformed(self, sample: Sample, epoch: int, index: int) -> Sample:
        if self.transforms:
            state = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
            generator = torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))
            for transform in self.transforms:
                sample = transform(sample, generator)
        return sample


def _deliver(reads: Sequence[_Read]) -> _Delivery:
    broken = [entry for read in reads for entry in read.broken]
    for read in reads:
        if read.error is not None:
            return _Delivery(None, broken, read.error)
    try:
        return _Delivery(collate([read.sample for read in reads if read.sample]), broken)
    except CVSegGuideError as error:
        return _Delivery(None, broken, error)


class BatchLoader:
    """An iterable of batches that Lightning takes as a data loader.

    It reads ahead only once it is asked for the first batch, so that the epoch is known by then,
    and it can be saved and resumed in the middle of an epoch.

    Attributes:
        sampler: The order; Lightning tells it the epoch.
        broken: Broken files met so far, or None where they are errors.
    """

    def __init__(
        self,
        dataset: Dataset[Sample],
        sampler: EpochSampler,
        batch_size: int,
        transforms: Sequence[Transform] = (),
        num_workers: int = 0,
        pin_memory: bool = False,
        drop_last: bool = False,
        broken: BrokenFiles | None = None,
    ) -> None:
        self.sampler = sampler
        self.batch_sampler: None = None  # Lightning looks whether a loader has one
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.broken = broken
        self._position = (0, 0)
        self._resume: tuple[int, int] | None = None
        self._loader: DataLoader[_Read] = DataLoader(
            _Reader(dataset, transforms, sampler.seed, skip=broken is not None),
            batch_size=batch_size,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=_deliver,
            pin_memory=pin_memory,
            drop_last=drop_last,
            persistent_workers=num_workers > 0,
        )

    def __len__(self) -> int:
        """Batches in an epoch."""
        count = len(self.sampler)
        return count // self.batch_size if self.drop_last else math.ceil(count / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = self.sampler.epoch, 0
        if self._resume is not None and self._resume[0] == epoch:
            done = self._resume[1] % max(len(self), 1)
        self._resume = None
        self._position = (epoch, done)
        self.sampler.start = done * self.batch_size
        if self.broken is not None:
            self.broken.gather()
        for delivery in self._loader:
            for index, path, reason in delivery.broken:
                assert self.broken is not None
                self.broken.record(index, path, reason)
            if delivery.error is not None:
                raise delivery.error
            done += 1
            if self.broken is not None and done == len(self):
                self.broken.gather()  # shards are equally long: every process comes here
            self._position = (epoch, done)
            yield delivery.batch

    def state_dict(self) -> dict[str, int]:
        """Epoch, and how many of its batches were handed out."""
        epoch, batches = self._position
        return {"epoch": epoch, "batches": batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the last batch of the saved state when that epoch is iterated next."""
        self._resume = (int(state["epoch"]), int(state["batches"]))


class DataModule(LightningDataModule):
    """Data sets, batches and their order for ``fit``, ``validate``, ``test`` and ``predict``.

    Each data set is given as an object, or in a configuration file by ``class_path`` and
    ``init_args``; several in a list are joined.

    Args:
        train, val, test, predict: Data sets; ``predict`` falls back to ``test``.
        batch_size: Pairs in a batch, per process.
        eval_batch_size: The same for val, test and predict; ``batch_size`` by default.
        transforms: Changes to training samples, applied in this order.
        num_workers: Worker processes per loader; None takes one less than there are cores, at
            most 8. 0 reads in the main process.
        pin_memory: Page-locked batches for faster copies; None pins where CUDA is there.
        shuffle: Whether training samples are shuffled.
        drop_last: Whether a last, smaller training batch is left out.
        seed: Of order and transforms.
        broken_limit: Share of training samples that may be broken; more stop the run.

    Raises:
        ConfigurationError: A number is out of range.
    """

    def __init__(
        self,
        train: Datasets = None,
        val: Datasets = None,
        test: Datasets = None,
        predict: Datasets = None,
        batch_size: int = 5,
        eval_batch_size: int | None = None,
        transforms: list[Transform] | None = None,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
        broken_limit: float = 0.01,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size or 1, 1),
            ("num_workers", num_workers or 0, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                raise ConfigurationError(f"{name}: must be at least {least}, got {value}")
        if not 0.0 <= broken_limit <= 1.0:
            raise ConfigurationError(f"broken_limit: must lie in 0..1, got {broken_limit}")
        self.datasets = {"train": train, "val": val, "test": test, "predict": predict}
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.transforms = list(transforms or [])
        self.num_workers = _default_workers() if num_workers is None else num_workers
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.broken_limit = broken_limit

    def dataset(self, stage: str) -> Dataset[Sample]:
        """The data set of ``train``, ``val``, ``test`` or ``predict``; a list is joined.

        Raises:
            ConfigurationError: There is none, or it is empty.
        """
        given = self.datasets[stage]
        if given is None and stage == "predict":
            return self.dataset("test")
        members = given if isinstance(given, list) else [given]
        present = [member for member in members if member is not None]
        if not present:
            raise ConfigurationError(f"data.{stage}: no data set is given")
        if sum(len(member) for member in present) == 0:
            raise DatasetError(f"data.{stage}: the data set has no samples")
        return present[0] if len(present) == 1 else ConcatDataset(present)

    def train_dataloader(self) -> BatchLoader:
        """Shuffled, transformed batches; broken files are skipped and counted."""
        dataset = self.dataset("train")
        total = len(dataset)  # type: ignore[arg-type]
        overfit = self.trainer is not None and bool(getattr(self.trainer, "overfit_batches", 0))
        rank, world_size = self._process()
        return BatchLoader(
            dataset,
            EpochSampler(
                total,
                shuffle=self.shuffle and not overfit,
                seed=self.seed,
                rank=rank,
                world_size=world_size,
                even=True,
            ),
            self.batch_size,
            transforms=self.transforms,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            drop_last=self.drop_last,
            broken=BrokenFiles(total, self.broken_limit),
        )

    def val_dataloader(self) -> BatchLoader | list[Any]:
        """Batches in the data set's order; none when no ``val`` is given."""
        return [] if self.datasets["val"] is None else self._evaluation("val")

    def test_dataloader(self) -> BatchLoader:
        """Batches in the data set's order."""
        return self._evaluation("test")

    def predict_dataloader(self) -> BatchLoader:
        """Batches in the data set's order."""
        return self._evaluation("predict")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch (called by Lightning)."""
        return batch.to(device, non_blocking=True)

    def _evaluation(self, stage: str) -> BatchLoader:
        dataset = self.dataset(stage)
        rank, world_size = self._process()
        return BatchLoader(
            dataset,
            EpochSampler(
                len(dataset),  # type: ignore[arg-type]
                shuffle=False,
                seed=self.seed,
                rank=rank,
                world_size=world_size,
            ),
            self.eval_batch_size,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
        )

    def _process(self) -> tuple[int, int]:
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1


def _default_workers() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(max((cores or 1) - 1, 0), _MOST_WORKERS)
