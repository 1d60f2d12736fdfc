"""The checkpoint that a run is resumed from, and the signals that end a run politely."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loops.loop import _Loop

from cvsegguide.errors import ConfigurationError, CVSegGuideError
from cvsegguide.training.options import LAST


class Interrupted(CVSegGuideError):
    """A run that was asked to stop, has saved, and has stopped."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class LastCheckpoint(Callback):
    """Keeps ``last.ckpt`` fresh, and answers Ctrl-C and SIGTERM by saving it and stopping.

    A checkpoint is taken only between two optimiser steps, and at the end of an epoch only after
    its validation, so that resuming from it repeats nothing and leaves nothing out. Asked to stop
    during validation or in the middle of an accumulation, the run stops at the next such point,
    or, at the second signal, at once (then it resumes from the previous checkpoint).

    Args:
        directory: Folder of the run.
        every_minutes: Save that often; 0 for never in between.
        every_steps: Save after that many optimiser steps; 0 for never in between.
    """

    def __init__(self, directory: str, every_minutes: float = 10.0, every_steps: int = 0) -> None:
        if every_minutes < 0 or every_steps < 0:
            raise ConfigurationError(
                "`save_every_minutes`, `save_every_steps`: must not be negative"
            )
        self.path = Path(directory) / LAST
        self.every_minutes = every_minutes
        self.every_steps = every_steps
        self._saved_step = -1
        self._saved_time = time.monotonic()
        self._signal = 0
        self._handlers: dict[int, Any] = {}
        self._loader: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add how far the loader of the training data has come.

        Lightning keeps that too, but loses it when the loader was opened before the checkpoint
        was read, as it is for the number of steps that the learning-rate schedule asks for.
        """
        loader: Any = trainer.train_dataloader
        if hasattr(loader, "state_dict"):
            checkpoint["train_loader"] = loader.state_dict()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember it until the loader is there."""
        self._loader = checkpoint.get("train_loader")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the loader to its place; take over SIGINT and SIGTERM (in the main thread only)."""
        loader: Any = trainer.train_dataloader
        if self._loader is not None and hasattr(loader, "load_state_dict"):
            loader.load_state_dict(self._loader)
            self._loader = None
            _leave_finished_epoch(trainer)
        self._saved_step = trainer.global_step
        self._saved_time = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._note)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back: Lightning tears nothing down here then."""
        self.teardown(trainer, pl_module, "fit")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            raise KeyboardInterrupt
        self._signal = number

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time; stop when asked to."""
        loop = trainer.fit_loop.epoch_loop
        if loop._should_accumulate() or loop._num_ready_batches_reached():
            return
        due = self.every_steps and trainer.global_step - self._saved_step >= self.every_steps
        if self.every_minutes:
            late = time.monotonic() - self._saved_time >= 60.0 * self.every_minutes
            due = self._any(trainer, late) or due
        if due or self._any(trainer, bool(self._signal)):
            self._save(trainer)
        self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after every epoch, its validation included."""
        self._save(trainer)
        self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self._any(trainer, bool(self._signal)):
            raise Interrupted(
                f"stopped on request at step {trainer.global_step}; {self.path} goes on from there "
                "(`resume`)",
                self._signal or signal.SIGTERM,
            )

    @staticmethod
    def _any(trainer: Trainer, decision: bool) -> bool:
        """Whether any process says so: all must save together."""
        if trainer.world_size == 1:
            return decision
        return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))

    def _save(self, trainer: Trainer) -> None:
        if trainer.global_step != self._saved_step or not self.path.exists():
            trainer.save_checkpoint(self.path)
            self._saved_step = trainer.global_step
        self._saved_time = time.monotonic()


def _leave_finished_epoch(trainer: Trainer) -> None:
    """Begin the next epoch when the checkpoint was taken at the end of one.

    A run that counts steps (``max_steps``) would enter the finished epoch again, train on nothing,
    and count it twice (Lightning 2.6).
    """
    loop = trainer.fit_loop
    if loop.restarting and loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
