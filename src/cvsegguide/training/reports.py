"""The figures and reports that `validate`, `test` and `predict` leave."""

import json
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from pyarrow.parquet import read_metadata

from cvsegguide import console
from cvsegguide.data.configurations import as_list
from cvsegguide.errors import CVSegGuideError
from cvsegguide.evaluation.published import published_results
from cvsegguide.evaluation.report import markdown_table, print_report, print_table, write_report
from cvsegguide.evaluation.report_pictures import draw_pictures
from cvsegguide.evaluation.sweeps import Degraded, conditions, sweep_table
from cvsegguide.io.atomic import write_text
from cvsegguide.training.callbacks import PredictionTable
from cvsegguide.training.callbacks.record import describe_machine
from cvsegguide.training.options import data_sets_needed
from cvsegguide.training.runs import Run


def report_rows(run: Run) -> None:
    """Say what ``predict`` wrote."""
    path = run.out / "predictions.parquet"
    (split,) = data_sets_needed(run.subcommand, run.options)
    name = run.data_name(split)
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


def report(run: Run) -> None:
    """Write ``metrics.json`` and the report of ``test`` or ``validate``; print the tables."""
    split = "val" if run.subcommand == "validate" else "test"
    content = {
        "weights": str(run.options.weights or run.options.model.weights),
        "data": run.data_name(split),
        "split": split,
        **describe_machine(run.argv),
        **run.task.figures,
    }
    published = published_results(run.options.data.get(split), run.task.heading_error)
    if published is not None:
        content["published"] = published
    write_text(run.out / "metrics.json", json.dumps(content, indent=2) + "\n")
    pictures, note = _pictures(run)
    page, _ = write_report(run.out, content, pictures, note)
    if console.settings.json:
        console.show(content)
    else:
        print_report(content)
    console.note(f"written to {run.out} (the report: {page})")


def _pictures(run: Run) -> tuple[list[Any], str]:
    """Pictures of the report, or why there are none."""
    if run.subcommand != "test" or run.options.no_pictures:
        return [], ""
    try:
        return draw_pictures(
            run.out / "predictions.parquet",
            run.datamodule.dataset("test"),
            run.task.network.eval(),
            run.task.scheme,
            heading_error=run.task.heading_error,
        ), ""
    except CVSegGuideError as error:
        # What was measured is worth more than its pictures.
        return [], f"No pictures: {error}"


def write_sweep(run: Run, create_trainer: Callable[[], Trainer]) -> None:
    """Measure narrower views and worse headings; write ``sweep.json`` and ``sweep.md``.

    Args:
        run: The test, whose trainer has done its work.
        create_trainer: Makes another like it.
    """
    whole = as_list(run.datamodule.datasets["test"])
    results: dict[str, Any] = {}
    trainer: Any = create_trainer()
    trainer.callbacks = [
        callback for callback in trainer.callbacks if not isinstance(callback, PredictionTable)
    ]
    for name, condition in conditions().items():
        run.datamodule.datasets["test"] = [Degraded(part, condition.transforms) for part in whole]
        run.task.heading_error = condition.heading_error
        trainer.test(run.task, datamodule=run.datamodule, verbose=False)
        results[name] = run.task.figures
    if trainer.is_global_zero:
        table = sweep_table(results)
        write_text(run.out / "sweep.json", json.dumps(results, indent=2) + "\n")
        write_text(run.out / "sweep.md", markdown_table(*table) + "\n")
        if not console.settings.json:
            print_table("Field of view and heading", table)
