"""The table of predictions of `test` and `predict`."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cvsegguide.errors import InputError
from cvsegguide.evaluation.predictions import (
    SCHEMA,
    interleave,
    to_table,
    write_predictions,
    write_predictions_geojson,
)


class PredictionTable(Callback):
    """Collects rows and writes ``predictions.parquet``, those of all processes, at the end.

    `predict` also writes ``predictions.geojson``.

    Args:
        directory: Folder that the table goes to.
    """

    def __init__(self, directory: str) -> None:
        self.path = Path(directory) / "predictions.parquet"
        self._parts: list[pa.Table] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin afresh; raises InputError where nothing could be written at the end."""
        self._parts = [SCHEMA.empty_table()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the rows of a batch."""
        self._parts.append(to_table(outputs["rows"]))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them."""
        own = pa.concat_tables(self._parts).combine_chunks()
        parts = [own] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(parts, own)
        self._parts = []
        if trainer.is_global_zero:
            table = interleave(parts)
            write_predictions(self.path, table)
            if trainer.predicting:
                write_predictions_geojson(self.path.with_suffix(".geojson"), table)
        trainer.strategy.barrier("prediction table")

    on_predict_start = on_test_start
    on_predict_batch_end = on_test_batch_end
    on_predict_end = on_test_end
