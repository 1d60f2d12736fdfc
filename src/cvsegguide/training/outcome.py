"""The weights that `fit` leaves, calibrated and with their card."""

from itertools import islice
from typing import Any

from cvsegguide import console
from cvsegguide.errors import ConfigurationError
from cvsegguide.models.hub import save_model
from cvsegguide.progress import track
from cvsegguide.training.calibration import (
    MINIMUM,
    SEARCHED,
    SEARCHES,
    Calibration,
    calibrate,
    log_posteriors,
)
from cvsegguide.training.callbacks.record import describe_machine
from cvsegguide.training.runs import BEST, Run, load_task_weights


def export(run: Run) -> None:
    """Write the best weights, or the last where nothing was validated, with their card."""
    best = run.out / BEST
    figures: dict[str, Any] = {}
    if best.exists():
        load_task_weights(run.task, best)
        score = run.trainer.checkpoint_callback.best_model_score  # type: ignore[union-attr]
        if score is not None:
            metrics = {"median error (m)": float(score)}
            name = f"{run.data_name('val')}, validation"
            figures["results"] = [{"dataset": name, "metrics": metrics}]
    figures.update(_calibrate(run))
    machine = describe_machine(run.argv)
    card = {
        "Training data": run.data_name("train"),
        "Command": f"`{' '.join(machine['command'])}`",
        "Seed": int(run.options.seed_everything),
        "Revision": machine["git"],
        "Hardware": ", ".join(machine["gpus"]) or f"CPU, {machine['threads']} threads",
        "Training": f"{run.trainer.current_epoch} epochs, {run.trainer.global_step} steps",
        "Losses": run.task.loss_name,
        **figures,
    }
    save_model(run.task.network, run.out, card)
    kind = "best" if best.exists() else "last"
    path = run.out / "model.safetensors"
    console.note(f"{kind} weights: {path}")
    if console.settings.json:
        console.show(
            {"weights": str(path), "kind": kind, "steps": run.trainer.global_step, **figures}
        )


def _calibrate(run: Run) -> dict[str, str]:
    """Set the network's temperatures by the validation data; what the card says of it."""
    if not run.datamodule.datasets["val"]:
        return {}
    loader = run.datamodule.whole("val")  # this process alone writes
    limit = run.trainer.limit_val_batches  # batches of every process, or a share of them
    if isinstance(limit, int):
        count = min(limit * run.trainer.world_size, len(loader))
    else:
        count = int(limit * len(loader))
    few = min(count, -(-SEARCHES // run.datamodule.eval_batch_size))
    network = run.task.network
    searched = None
    run.task.to(run.trainer.strategy.root_device)  # Lightning has left it on the CPU
    try:
        batches = track(islice(loader, count), "calibrating", count)
        found = calibrate(network, log_posteriors(run.task, batches))
        if found is not None and found.samples >= MINIMUM and network.searches_headings:
            batches = track(islice(loader, few), "calibrating headings", few)
            readings = log_posteriors(run.task, batches, SEARCHED)
            searched = calibrate(network, readings, search=True)
    except ConfigurationError:  # a network without temperature
        return {}
    finally:
        run.task.cpu()
    return {} if found is None else _say(found, searched)


def _say(found: Calibration, searched: Calibration | None) -> dict[str, str]:
    """Entries of the card, and a warning where there were too few samples."""
    if found.samples < MINIMUM:
        console.complain(
            "warning",
            f"{found.samples} validation samples are too few to calibrate the posterior (at least "
            f"{MINIMUM}); the temperature stays as trained",
        )
        return {"Calibration": f"none: {found.samples} validation samples are too few"}
    entries = {"Calibration": str(found)}
    if searched is not None:
        entries["Calibration of searched headings"] = str(searched)
    return entries
