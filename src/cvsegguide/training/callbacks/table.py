"""The table of predictions of `test` and `predict`."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cvsegguide.evaluation.predictions import (
    PredictionWriter,
    merge_shards,
    write_predictions_geojson,
)


class PredictionTable(Callback):
    """Streams rows to ``predictions.parquet``, one shard per process, merged at the end.

    `predict` also writes ``predictions.geojson``.

    Args:
        directory: Folder that the table goes to.
    """

    def __init__(self, directory: str) -> None:
        self.path = Path(directory) / "predictions.parquet"
        self._writer: PredictionWriter | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the shard."""
        self._writer = PredictionWriter(self.path, trainer.global_rank)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the rows of a batch."""
        assert self._writer is not None
        self._writer.add(outputs["rows"])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merge the shards."""
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        trainer.strategy.barrier("prediction shards")
        if trainer.is_global_zero:
            merge_shards(self.path, trainer.world_size)
            if trainer.predicting:
                write_predictions_geojson(self.path, self.path.with_suffix(".geojson"))
        trainer.strategy.barrier("prediction table")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave nothing half-written."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    on_predict_start = on_test_start
    on_predict_batch_end = on_test_batch_end
    on_predict_end = on_test_end
