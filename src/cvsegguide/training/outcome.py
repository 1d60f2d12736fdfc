"""What a command leaves when it has run: weights, figures, reports."""

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from cvsegguide import console
from cvsegguide.errors import ConfigurationError, CVSegGuideError
from cvsegguide.io.atomic import atomic_path, write_text
from cvsegguide.progress import track
from cvsegguide.training.callbacks import PredictionTable
from cvsegguide.training.callbacks.record import describe_machine
from cvsegguide.training.options import data_sets_needed
from cvsegguide.training.runs import BEST, data_name, listed, load_task_weights

if TYPE_CHECKING:
    from cvsegguide.training.calibration import Calibration
    from cvsegguide.training.command import Command


def export(command: "Command") -> None:
    """Write the best weights, or the last where nothing was validated, with their card."""
    from cvsegguide.models.hub import save_model

    best = command.out / BEST
    figures: dict[str, Any] = {}
    if best.exists():
        load_task_weights(command.model, best)
        score = command.trainer.checkpoint_callback.best_model_score  # type: ignore[union-attr]
        if score is not None:
            metrics = {"median error (m)": float(score)}
            name = f"{data_name(command.options, 'val')}, validation"
            figures["results"] = [{"dataset": name, "metrics": metrics}]
    figures.update(_calibrated(command))
    machine = describe_machine(command.argv)
    card = {
        "Training data": data_name(command.options, "train"),
        "Command": f"`{' '.join(machine['command'])}`",
        "Seed": int(command.options.seed_everything),
        "Revision": machine["git"],
        "Hardware": ", ".join(machine["gpus"]) or f"CPU, {machine['threads']} threads",
        "Training": f"{command.trainer.current_epoch} epochs, {command.trainer.global_step} steps",
        "Losses": str(command.options.model.losses),
        **figures,
    }
    save_model(command.model.network, command.out, card)
    kind = "best" if best.exists() else "last"
    path = command.out / "model.safetensors"
    console.note(f"{kind} weights: {path}")
    if console.settings.json:
        console.show(
            {"weights": str(path), "kind": kind, "steps": command.trainer.global_step, **figures}
        )


def _calibrated(command: "Command") -> dict[str, str]:
    """Set the network's temperatures by the validation data; what the card says of it."""
    from cvsegguide.training.adaptive_temperature import (
        choose_adaptive_temperature,
        made_unfamiliar,
    )
    from cvsegguide.training.calibration import (
        MINIMUM,
        SEARCHED,
        SEARCHES,
        calibrate,
        log_posteriors,
    )

    if not command.datamodule.datasets["val"]:
        return {}
    loader = command.datamodule.whole("val")  # this process alone writes
    limit = command.trainer.limit_val_batches  # batches of every process, or a share of them
    if isinstance(limit, int):
        count = min(limit * command.trainer.world_size, len(loader))
    else:
        count = int(limit * len(loader))
    command.model.to(command.trainer.strategy.root_device)  # Lightning has left it on the CPU
    adaptive = None
    try:
        few = min(count, -(-SEARCHES // command.datamodule.eval_batch_size))
        if command.model.network.adapts_temperature:
            batches = made_unfamiliar(track(islice(loader, few), "adapting temperature", few))
            adaptive = choose_adaptive_temperature(
                command.model.network, log_posteriors(command.model, batches)
            )
        batches = track(islice(loader, count), "calibrating", count)
        found = calibrate(command.model.network, log_posteriors(command.model, batches))
        searched = None
        if found is not None and found.samples >= MINIMUM and _searches(command):
            batches = track(islice(loader, few), "calibrating headings", few)
            searched = calibrate(
                command.model.network, log_posteriors(command.model, batches, SEARCHED), search=True
            )
    except ConfigurationError:  # a network without temperature
        return {}
    finally:
        command.model.cpu()
    if found is None:
        return {}
    if found.samples < MINIMUM:
        console.complain(
            "warning",
            f"{found.samples} validation samples are too few to calibrate the posterior (at least "
            f"{MINIMUM}); the temperature stays as trained",
        )
        return {"Calibration": f"none: {found.samples} validation samples are too few"}
    said = {"Calibration": _said(found)}
    if adaptive is not None and adaptive.power > 0:
        said["Adaptive temperature"] = (
            f"log-probabilities times (g / {adaptive.peak:.3g})^{adaptive.power:g} where the best "
            f"place exceeds the mean by g nats, from {adaptive.samples} validation samples, as "
            "they are and made unfamiliar twice: mean difference between coverage and mass "
            f"{adaptive.before:.3f} before, {adaptive.after:.3f} after"
        )
    if searched is not None:
        said["Calibration of searched headings"] = _said(searched)
    return said


def _searches(command: "Command") -> bool:
    return bool(command.model.network.searches_headings)


def _said(found: "Calibration") -> str:
    return (
        f"log-probabilities times {found.factor:.3g}, from {found.samples} validation samples: "
        f"mean difference between coverage and mass {found.before:.3f} before, "
        f"{found.after:.3f} after"
    )


def report_rows(command: "Command") -> None:
    """Say what ``predict`` wrote."""
    from pyarrow.parquet import read_metadata

    path = command.out / "predictions.parquet"
    (split,) = data_sets_needed(str(command.subcommand), command.options)
    name = data_name(command.options, split)
    rows = read_metadata(path).num_rows
    console.done(
        f"{path}: {rows} rows, of data.{split} ({name})",
        {
            "table": str(path),
            "geojson": str(path.with_suffix(".geojson")),
            "rows": rows,
            "split": split,
            "data": name,
        },
    )


def report(command: "Command") -> None:
    """Write ``metrics.json`` and the report of ``test`` or ``validate``; print the tables."""
    from cvsegguide.evaluation.published import published_results
    from cvsegguide.evaluation.report import print_report, write_report

    source = command.options.weights or command.options.model.weights
    split = "val" if command.subcommand == "validate" else "test"
    content = {
        "weights": str(source),
        "data": data_name(command.options, split),
        "split": split,
        **describe_machine(command.argv),
        **command.model.figures,
    }
    published = published_results(command.options.data.get(split), command.model.heading_error)
    if published is not None:
        content["published"] = published
    write_text(command.out / "metrics.json", json.dumps(content, indent=2) + "\n")
    pictures, note = _pictures(command, content)
    page, _ = write_report(command.out, content, pictures, note)
    if console.settings.json:
        console.show(content)
    else:
        print_report(content)
    console.note(f"written to {command.out} (the report: {page})")


def _pictures(command: "Command", content: dict[str, Any]) -> tuple[list[Any], str]:
    """Pictures of the report, or why there are none."""
    if command.options.no_pictures:
        return [], ""
    from cvsegguide.evaluation.report_pictures import draw_pictures

    try:
        if command.subcommand != "test":
            return draw_pictures(content), ""
        return draw_pictures(
            content,
            command.out / "predictions.parquet",
            command.datamodule.dataset("test"),
            command.model.network.eval(),
            command.model.scheme,
            heading_error=command.model.heading_error,
        ), ""
    except CVSegGuideError as error:
        # What was measured is worth more than its pictures.
        return [], f"No pictures: {error}"


def write_sweep(command: "Command") -> None:
    """Measure narrower views and worse headings; write ``sweep.json``, ``.md`` and ``.png``."""
    from cvsegguide.evaluation.report import markdown_table, print_table
    from cvsegguide.evaluation.sweeps import Degraded, conditions, sweep_table
    from cvsegguide.viz.report import draw_sweep, render

    whole = listed(command.datamodule.datasets["test"])
    results: dict[str, Any] = {}
    trainer: Any = command.instantiate_trainer()
    trainer.callbacks = [
        callback for callback in trainer.callbacks if not isinstance(callback, PredictionTable)
    ]
    for name, condition in conditions().items():
        command.datamodule.datasets["test"] = [
            Degraded(part, condition.transforms) for part in whole
        ]
        command.model.heading_error = condition.heading_error
        trainer.test(command.model, datamodule=command.datamodule, verbose=False)
        results[name] = command.model.figures
    if trainer.is_global_zero:
        table = sweep_table(results)
        write_text(command.out / "sweep.json", json.dumps(results, indent=2) + "\n")
        write_text(command.out / "sweep.md", markdown_table(*table) + "\n")
        with atomic_path(command.out / "sweep.png") as temporary:
            temporary.write_bytes(render(draw_sweep(results), dpi=150))
        if not console.settings.json:
            print_table("Field of view and heading", table)
