"""A training set that stays in the memory of the device, as bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cvsegguide.data.broken import BrokenFiles
from cvsegguide.data.loading import BatchLoader, EpochSampler, OrderedLoader
from cvsegguide.data.sample import Batch, Sample
from cvsegguide.data.transforms import Draws, Transform, transform_batch
from cvsegguide.data.transforms.base import FULL
from cvsegguide.errors import ConfigurationError
from cvsegguide.progress import track

_AT_ONCE = 32
"""Samples that a reader hands over at a time."""

_TENSORS = (
    *("overhead", "street", "landcover", "sightline", "street_range", "valid"),
    *("position", "heading", "fov", "gsd"),
)


class _AsBytes(Transform):
    """Pictures as uint8, which is what they were in their files, targets in half precision."""

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        return replace(
            batch,
            overhead=batch.overhead.mul(255.0).add_(0.5).to(torch.uint8),
            street=batch.street.mul(255.0).add_(0.5).to(torch.uint8),
            sightline=None if batch.sightline is None else batch.sightline.half(),
            street_range=None if batch.street_range is None else batch.street_range.half(),
        )


class ResidentLoader(OrderedLoader):
    """Batches out of a set that lies on a device; Lightning takes it as a data loader.

    For GPUs that eat pairs faster than the cores beside them can decode and change them. The set is
    decoded once (about 0.5 MB a pair), and batches are put together and transformed on the device.

    The set is read when the first batch is asked for. Order and resuming are those of
    :class:`~cvsegguide.data.loading.BatchLoader`; what the transforms draw is a function of seed,
    epoch and number of the batch.

    Args:
        dataset: Samples of one size, with full panoramas.
        sampler: The order.
        batch_size: Pairs in a batch.
        transforms: Changes to batches, on the device.
        device: Where the set and the batches lie.
        num_workers: Processes that read the set.
        drop_last: Whether a last, smaller batch is left out.
        broken: Where broken files are counted; their samples are replaced by the next.

    Raises:
        ConfigurationError: At the first batch: street views are no full panoramas, sizes differ,
            or the set does not fit.
    """

    def __init__(
        self,
        dataset: Dataset[Sample],
        sampler: EpochSampler,
        batch_size: int,
        transforms: Sequence[Transform],
        device: torch.device,
        num_workers: int = 0,
        drop_last: bool = False,
        broken: BrokenFiles | None = None,
    ) -> None:
        self.transforms = list(transforms)
        self.dataset = dataset
        super().__init__(sampler, batch_size, drop_last, broken)
        self.device = device
        self._workers = num_workers
        self._ids: list[str] = []
        self._store: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[Batch]:
        if not self._ids:
            self._read()
        epoch, done = self._begin()
        order = [index for _, index in self.sampler]
        for number in range(done, len(self)):
            first = (number - done) * self.batch_size
            batch = self._batch(order[first : first + self.batch_size])
            seeds = self.sampler.seed, epoch, number, self.sampler.rank
            batch = transform_batch(batch, self.transforms, Draws(*seeds, device=self.device))
            self._position = (epoch, number + 1)
            yield batch

    def _read(self) -> None:
        """Decode the whole set, in its order."""
        total = len(self.dataset)  # type: ignore[arg-type]
        reader = BatchLoader(
            self.dataset,
            EpochSampler(total, shuffle=False, seed=self.sampler.seed),
            _AT_ONCE,
            transforms=(_AsBytes(),),
            num_workers=self._workers,
            broken=self.broken,
        )
        for batch in track(reader, "reading the training set", total=len(reader)):
            if bool((batch.fov < FULL).any()):
                raise ConfigurationError(
                    f"data.resident: '{batch.id[0]}' and others are no full panoramas"
                )
            self._keep(batch, total)
            self._ids.extend(batch.id)

    def _keep(self, batch: Batch, total: int) -> None:
        """Put a batch behind those before; what not all have (but ``valid``) is left out."""
        rows = slice(len(self._ids), len(self._ids) + len(batch))
        values: dict[str, Tensor] = {
            name: value
            for name, value in ({name: batch[name] for name in _TENSORS} | batch.labels).items()
            if value is not None
        }
        for name in values if not self._ids else values.keys() & {"valid"} - self._store.keys():
            self._store[name] = self._allocate(values[name], total)
        for name in self._store.keys() - values.keys() - {"valid"}:
            del self._store[name]
        for name in self._store.keys() & values.keys():
            if self._store[name].shape[1:] != values[name].shape[1:]:
                raise ConfigurationError(
                    f"data.resident: the {name} of '{batch.id[0]}' is of another size than "
                    "those before: overhead_size and street_size make all alike"
                )
            self._store[name][rows] = values[name].to(self.device)

    def _allocate(self, like: Tensor, total: int) -> Tensor:
        """Room for ``total`` pairs, of ones: where nothing is said, a picture has data."""
        try:
            return like.new_ones((total, *like.shape[1:]), device=self.device)
        except RuntimeError:  # a CPU without memory says no more than that
            raise ConfigurationError(
                f"data.resident: {total} pairs do not fit into the memory of {self.device}"
            ) from None

    def _batch(self, members: list[int]) -> Batch:
        index = torch.tensor(members).to(self.device, non_blocking=True)
        taken: dict[str, Any] = {name: values[index] for name, values in self._store.items()}
        for name in {"overhead", "street", "sightline", "street_range"} & taken.keys():
            taken[name] = taken[name].float()
        for name in ("overhead", "street"):
            taken[name].div_(255.0)
        return Batch(
            id=[self._ids[member] for member in members],
            bounds=[None] * len(members),
            labels={name: taken.pop(name) for name in taken.keys() - set(_TENSORS)},
            references=[None] * len(members),
            landcover=taken.pop("landcover", None),
            **taken,
        )
