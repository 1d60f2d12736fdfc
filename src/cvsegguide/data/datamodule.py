"""Loading for training and evaluation: one :class:`DataModule` for every data set.

Over several processes training samples are dealt out in equal shards (a few are repeated to fill
the last round); validation and test samples are dealt out once each, so shards may differ by one.
"""

from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import ConcatDataset, Dataset

from cvsegguide.console import usable_cores
from cvsegguide.data.broken import BrokenFiles
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.loading import BatchLoader, EpochSampler
from cvsegguide.data.sample import Batch, Sample
from cvsegguide.data.transforms import Transform
from cvsegguide.errors import ConfigurationError, DatasetError

Datasets: TypeAlias = CrossViewDataset | list[CrossViewDataset] | None

_MOST_WORKERS = 8


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
                raise ConfigurationError(f"must be at least {least}, got {value}", parameter=name)
        if not 0.0 <= broken_limit <= 1.0:
            raise ConfigurationError(
                f"must lie in 0..1, got {broken_limit}", parameter="broken_limit"
            )
        self.datasets = {"train": train, "val": val, "test": test, "predict": predict}
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.transforms = list(transforms or [])
        default = min(usable_cores() - 1, _MOST_WORKERS)
        self.num_workers = default if num_workers is None else num_workers
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
            raise ConfigurationError(
                f"data.{stage}: no data set is given; `config` names a configuration that has one"
            )
        if sum(len(member) for member in present) == 0:
            raise DatasetError(f"data.{stage}: the data set has no samples")
        return present[0] if len(present) == 1 else ConcatDataset(present)

    def train_dataloader(self) -> BatchLoader:
        """Shuffled, transformed batches; broken files are skipped and counted."""
        dataset = self.dataset("train")
        total = len(dataset)  # type: ignore[arg-type]
        overfit = self.trainer is not None and bool(getattr(self.trainer, "overfit_batches", 0))
        rank, world_size = self._process()
        sampler = EpochSampler(
            total,
            shuffle=self.shuffle and not overfit,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            even=True,
        )
        return BatchLoader(
            dataset,
            sampler,
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

    def whole(self, stage: str) -> BatchLoader:
        """All batches of a data set in its order, however many processes there are."""
        return self._evaluation(stage, shared=False)

    def _evaluation(self, stage: str, shared: bool = True) -> BatchLoader:
        dataset = self.dataset(stage)
        rank, world_size = self._process() if shared else (0, 1)
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
