"""What the trainer gets that a configuration does not say: callbacks, logger, precision."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint

from cvsegguide.progress import enabled
from cvsegguide.training.callbacks import EMA, EpochLines, LastCheckpoint, PredictionTable
from cvsegguide.training.module import MONITOR
from cvsegguide.training.runs import BEST


def default_callbacks(
    subcommand: str, options: Any, config: Mapping[str, Any], out: Path
) -> list[Callback]:
    """This project's callbacks but for the record of the run.

    Args:
        subcommand: Which.
        options: Its options.
        config: Arguments of the trainer so far.
        out: Folder of the run or of the results.
    """
    callbacks: list[Callback] = []
    if enabled() and config.get("enable_progress_bar") is not False:
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar(leave=True, console_kwargs={"stderr": True}))
    if subcommand in ("test", "predict"):
        return [*callbacks, PredictionTable(str(out))]
    if subcommand != "fit":
        return callbacks
    if not enabled():
        callbacks.append(EpochLines())
    if config["logger"]:
        callbacks.append(LearningRateMonitor("step"))
    if options.ema:
        callbacks.append(EMA(options.ema))
    callbacks.append(
        ModelCheckpoint(
            dirpath=str(out),
            filename=Path(BEST).stem,
            monitor=MONITOR,
            mode="min",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )
    )
    callbacks.append(LastCheckpoint(str(out), options.save_every_minutes, options.save_every_steps))
    return callbacks


def default_logger(out: Path) -> Any:
    """TensorBoard where it is installed, CSV elsewhere; the files lie in the folder of the run.

    Each part of a run that was resumed has a table of its own.
    """
    if importlib.util.find_spec("tensorboard") is not None:
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(str(out), name="", version="", default_hp_metric=False)
    from lightning.pytorch.loggers import CSVLogger

    return CSVLogger(str(out), name="curves")


def automatic_precision(accelerator: str = "auto") -> str:
    """bf16 on GPUs that have it, fp16 on older ones, 32 bits elsewhere."""
    if accelerator not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
