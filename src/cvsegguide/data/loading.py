"""Loading in an order that is a function of seed and epoch alone, and that can be resumed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from cvsegguide.data import workers
from cvsegguide.data.broken import BrokenFileError, BrokenFiles
from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.data.transforms import Draws, Transform, transform_sample
from cvsegguide.errors import CVSegGuideError, DatasetError

_ATTEMPTS = 100
"""How many samples in a row may be broken before reading gives up on finding a good one."""


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
        return ((self.epoch, index) for index in mine.tolist())


@dataclass
class _Read:
    """What a worker hands over: a sample or a batch of them, broken files met on the way, or why
    there is none."""

    content: Any
    broken: list[tuple[int, str, str]] = field(default_factory=list)
    error: CVSegGuideError | None = None

    def pin_memory(self) -> "_Read":
        content = None if self.content is None else self.content.pin_memory()
        return _Read(content, self.broken, self.error)


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
                return _Read(self._transform(self.dataset[chosen], epoch, index), broken)
            except BrokenFileError as error:
                if not self.skip:
                    return _Read(None, error=error)
                broken.append((chosen, error.path, error.reason))
            except CVSegGuideError as error:
                return _Read(None, broken, error)
        none = DatasetError(f"no readable sample among {len(broken)} from number {index} on")
        return _Read(None, broken, none)

    def _transform(self, sample: Sample, epoch: int, index: int) -> Sample:
        if not self.transforms:
            return sample
        return transform_sample(sample, self.transforms, Draws(self.seed, epoch, index))


def _put_together(reads: Sequence[_Read]) -> _Read:
    broken = [entry for read in reads for entry in read.broken]
    try:
        for read in reads:
            if read.error is not None:
                raise read.error
        return _Read(collate([read.content for read in reads]), broken)
    except CVSegGuideError as error:
        return _Read(None, broken, error)


class BatchLoader:
    """An iterable of batches that Lightning takes as a data loader.

    It reads ahead only once it is asked for the first batch, so that the epoch is known by then,
    and it can be saved and resumed in the middle of an epoch.

    Attributes:
        sampler: The order; Lightning tells it the epoch.
        batch_size: Pairs in a batch.
        drop_last: Whether a last, smaller batch is left out.
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
            collate_fn=_put_together,
            pin_memory=pin_memory,
            drop_last=drop_last,
            persistent_workers=num_workers > 0,
            worker_init_fn=workers.ignore_signals,
        )

    def __len__(self) -> int:
        """Batches in an epoch."""
        count = len(self.sampler)
        return count // self.batch_size if self.drop_last else math.ceil(count / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = self._begin()
        if self.broken is not None:
            self.broken.gather()
        for read in workers.iterate(self._loader):
            for index, path, reason in read.broken:
                assert self.broken is not None
                self.broken.record(index, path, reason)
            if read.error is not None:
                raise read.error
            done += 1
            if self.broken is not None and done == len(self):
                self.broken.gather()  # shards are equally long: every process comes here
            self._position = (epoch, done)
            yield read.content

    def _begin(self) -> tuple[int, int]:
        """Epoch, and how many of its batches were handed out before."""
        epoch, done = self.sampler.epoch, 0
        if self._resume is not None and self._resume[0] == epoch:
            done = self._resume[1] % max(len(self), 1)
        self._resume = None
        self._position = (epoch, done)
        self.sampler.start = done * self.batch_size
        return epoch, done

    def state_dict(self) -> dict[str, int]:
        """Epoch, and how many of its batches were handed out."""
        epoch, batches = self._position
        return {"epoch": epoch, "batches": batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the last batch of the saved state when that epoch is iterated next."""
        self._resume = (int(state["epoch"]), int(state["batches"]))
