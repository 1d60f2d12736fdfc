"""Progress of a run that nobody watches: a line per epoch on stderr."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cvsegguide.console import note


class EpochLines(Callback):
    """Prints losses and validation figures once per epoch, without any control characters."""

    def __init__(self) -> None:
        self._start, self._loss, self._count = time.monotonic(), 0.0, 0
        self._validated = -1

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._start, self._loss, self._count = time.monotonic(), 0.0, 0

    on_train_start = on_train_epoch_start  # a resumed run begins in the middle of an epoch

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Sum the loss."""
        self._loss += float(outputs["loss"])
        self._count += 1

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the figures are fresh."""
        self._validated = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line."""
        if not trainer.is_global_zero:
            return
        # With accumulated gradients Lightning hands out the loss divided by their number.
        loss = self._loss * trainer.accumulate_grad_batches / max(self._count, 1)
        last = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        parts = [f"epoch {trainer.current_epoch + 1}{last}", f"step {trainer.global_step}"]
        parts.append(f"loss {loss:.4f}")
        for name, label, unit in (
            ("val/error_median_m", "validation median", " m"),
            ("val/position/mean", "mean", " m"),
            ("val/landcover/accuracy", "land cover", ""),
        ):
            value = trainer.callback_metrics.get(name)
            if value is not None and self._validated == trainer.current_epoch:
                parts.append(f"{label} {float(value):.3f}{unit}")
        parts.append(f"{time.monotonic() - self._start:.1f} s")
        note(", ".join(parts))
