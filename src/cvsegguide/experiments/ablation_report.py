"""The results of an ablation: JSON, one Markdown table with details, a plot."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import yaml
from numpy.typing import NDArray
from safetensors import safe_open

from cvsegguide.errors import InputError
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.evaluation.report import (
    Table,
    format_difference,
    format_interval,
    format_number,
    markdown_table,
)
from cvsegguide.evaluation.streaming import error_figures
from cvsegguide.experiments.ablation import HEADINGS, Plan, Run
from cvsegguide.experiments.ablation_runs import SETTINGS, evaluations, is_tested, is_trained
from cvsegguide.io.atomic import write_text
from cvsegguide.viz.parts import save
from cvsegguide.viz.plots import draw_ablation

RESAMPLES = 2000
RECALLS = (1.0, 5.0, 10.0)

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Tensors of normalisation that are no parameters."""

_MACHINE = ("git", "system", "threads", "gpus", "versions")

_FIGURES = {
    "nll": ("posterior", "nll"),
    "hdr50_coverage": ("posterior", "hdr50_coverage"),
    "hdr90_coverage": ("posterior", "hdr90_coverage"),
    "miou": ("landcover", "miou"),
    "heading_median": ("heading", "median"),
}
"""Figures of a row, and where ``metrics.json`` of its tests has them."""

Errors = NDArray[np.float64]
"""``(S, N)`` errors in metres of S seeds on N samples."""


def write_report(plan: Plan, out: Path) -> dict[str, Any]:
    """Write ``ablation.json``, ``ablation.md`` and ``ablation.png`` of what has been tested.

    Args:
        plan: What was to be trained.
        out: Folder of the ablation.

    Returns:
        The content of ``ablation.json``.

    Raises:
        InputError: Nothing has been tested, or rows were tested on different samples.
    """
    asked = evaluations(plan, searching=True)
    found = [
        (test, heading, members)
        for test, heading, place in asked
        if (members := _members(plan, out, place))
    ]
    if not found:
        raise InputError(f"{out}: no row of the ablation is finished")
    first = next(iter(found[0][2].values()))[0].figures
    tested = [
        run for run in plan.runs() if any(is_tested(out / run.name / place) for *_, place in asked)
    ]
    content: dict[str, Any] = {
        "table": plan.table.name,
        "reference": plan.table.reference,
        "budget": {"steps": plan.steps, "epochs": plan.epochs, "batch_size": plan.batch},
        "seeds": list(plan.seeds),
        "augmentation": plan.augmentation,
        "command": list(plan.command),
        "machine": {key: first.get(key) for key in _MACHINE},
        "missing": [run.name for run in plan.runs() if not is_trained(out / run.name)],
        "rows": [_row(out, run) for run in tested],
        "evaluations": [_evaluation(plan, *entry) for entry in found],
    }
    write_text(out / "ablation.md", _format(content))
    write_text(out / "ablation.json", json.dumps(content, indent=2) + "\n")
    save(draw_ablation(content["evaluations"], plan.table.name), out / "ablation.png", dpi=150)
    return content


class _Result:
    """What one test of one row left."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.figures: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
        table = pandas.read_parquet(folder / "predictions.parquet", columns=["id", "error_m"])
        table = table.sort_values("id")
        self.ids: list[str] = table["id"].tolist()
        self.errors = table["error_m"].to_numpy(np.float64)


def _members(plan: Plan, out: Path, place: str) -> dict[str, list[_Result]]:
    """The results under one test set and knowledge of the heading, by row."""
    results = [
        _Result(run, out / run.name / place)
        for run in plan.runs()
        if is_tested(out / run.name / place)
    ]
    members: dict[str, list[_Result]] = {}
    for result in results:
        if result.ids != results[0].ids:
            raise InputError(
                f"{out / result.run.name / place}: other samples than those of "
                f"{results[0].run.name}"
            )
        members.setdefault(result.run.row.name, []).append(result)
    return members


def _row(out: Path, run: Run) -> dict[str, Any]:
    folder = out / run.name
    settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    card = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    record = folder / "row.json"
    rate = settings["model"].get("learning_rate")
    return {
        "name": run.row.name,
        "folder": run.name,
        "seed": run.seed,
        "changes": dict(run.row.changes),
        "network": card.get("model"),
        "parameters": _parameters(folder / "model.safetensors"),
        "learning_rate": None if rate is None else float(rate),  # YAML reads 1e-3 as a word
        "batch_size": settings["data"]["batch_size"],
        "steps": settings["trainer"].get("max_steps"),
        "fit_seconds": json.loads(record.read_text())["fit_seconds"] if record.exists() else None,
    }


def _parameters(path: Path) -> int | None:
    if not path.is_file():
        return None
    with safe_open(str(path), framework="numpy") as tensors:
        names = [name for name in tensors.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118
        return int(sum(np.prod(tensors.get_slice(name).get_shape()) for name in names))


def _evaluation(
    plan: Plan, test: str, heading: str, members: Mapping[str, Sequence[_Result]]
) -> dict[str, Any]:
    """The figures of the rows under one test set and knowledge of the heading."""
    errors = {name: np.stack([r.errors for r in group]) for name, group in members.items()}
    against = {row.name: row.against or plan.table.reference for row in plan.table.rows}
    rows = []
    for name, group in members.items():
        row: dict[str, Any] = {"name": name, "seeds": [result.run.seed for result in group]}
        row |= error_figures(errors[name], RECALLS, RESAMPLES)
        if len(group) > 1:
            row["mean_of_seeds"] = errors[name].mean(axis=1).tolist()
            row["median_of_seeds"] = np.median(errors[name], axis=1).tolist()
        for label, (part, figure) in _FIGURES.items():
            values = [(result.figures.get(part) or {}).get(figure) for result in group]
            known = [value for value in values if value is not None]
            row[label] = float(np.mean(known)) if known else None
        other = against[name]
        if other != name and other in errors:
            row.update(against=other, **compare(errors[name], errors[other]))
        rows.append(row)
    first = next(iter(members.values()))[0]
    return {
        "test": test,
        "heading": heading,
        "samples": len(first.ids),
        "data": first.figures.get("data"),
        "rows": rows,
        "baselines": first.figures.get("baselines", {}),
    }


def compare(errors: Errors, reference: Errors) -> dict[str, dict[str, float]]:
    """How errors differ from others on the same samples, with paired 95 % bootstrap intervals.

    Returns:
        ``mean_difference`` and ``median_difference`` in metres, ``median_ratio``; of each
        ``value``, ``low`` and ``high``. Medians are the means of the seeds' medians.
    """

    def figures(draw: Any) -> list[float]:
        mean = float(errors[:, draw].mean() - reference[:, draw].mean())
        mine, other = (float(np.median(e[:, draw], axis=1).mean()) for e in (errors, reference))
        return [mean, mine - other, mine / max(other, 1e-9)]

    count = errors.shape[1]
    ends = percentile_interval(figures, count, RESAMPLES)
    return {
        name: {"value": value, "low": float(low), "high": float(high)}
        for name, value, low, high in zip(
            ("mean_difference", "median_difference", "median_ratio"),
            figures(np.arange(count)),
            *ends,
            strict=True,
        )
    }


def tables(content: Mapping[str, Any]) -> dict[str, Table]:
    """All figures of the rows and the baselines, by test set and knowledge of the heading."""
    return {_label(block): _table(block) for block in content["evaluations"]}


def _label(block: Mapping[str, Any]) -> str:
    known = block["heading"]
    known = known if known in HEADINGS else f"off by up to {known}°"
    return f"{block['test']}, heading {known} ({block['samples']} street views, {block['data']})"


def _table(block: Mapping[str, Any]) -> Table:
    head = ["row", "mean m", "difference", "median m", "difference", "ratio", "90 % m"]
    head += [f"within {value:g} m %" for value in RECALLS]
    head += ["NLL nats", "in the 50 % set %", "in the 90 % set %", "land cover mIoU %"]
    head += ["heading, median °"]
    named = [(row["name"], row) for row in block["rows"]]
    lines = []
    for name, row in [*named, *block["baselines"].items()]:
        line = [name, format_interval(row, "mean"), format_difference(row.get("mean_difference"))]
        line += [format_interval(row, "median"), format_difference(row.get("median_difference"))]
        line += [format_difference(row.get("median_ratio"), ""), format_number(row.get("p90"))]
        line += [format_interval(row, f"recall_{value:g}m", 1, 100) for value in RECALLS]
        line += [format_number(row.get("nll"))]
        shares = ("hdr50_coverage", "hdr90_coverage", "miou")
        line += [format_number(row.get(key), 1, 100) for key in shares]
        lines.append([*line, format_number(row.get("heading_median"), 1)])
    return head, lines


def _format(content: Mapping[str, Any]) -> str:
    """The whole report."""
    budget, machine = content["budget"], content["machine"]
    amount = f"{budget['epochs']} epochs a row"
    if budget["steps"]:
        amount = (
            f"{budget['steps']} steps of {budget['batch_size']} pairs a row (rows with another "
            "batch size: no fewer pairs)"
        )
    seeds = ", ".join(map(str, content["seeds"]))
    hardware = ", ".join(machine["gpus"] or []) or f"CPU, {machine['threads']} threads"
    command = shlex.join(content["command"])
    parts = [
        f"# Ablation: {content['table']}",
        f"{amount}, seeds {seeds}, augmentation {'on' if content['augmentation'] else 'off'}.",
        f"Command: `{command}`; revision {machine['git']}; {hardware}; {machine['system']}.",
        f"95 % bootstrap intervals over the test samples in brackets; differences from the row "
        f"compared with ('{content['reference']}' where a row names no other) are paired. With "
        "several seeds a figure is the mean of theirs. With an unknown heading, networks that "
        "search headings find it themselves; the others cannot be asked. The baselines never see "
        "the street view.",
        "![Errors](ablation.png)",
    ]
    for title, table in tables(content).items():
        parts += [f"## {title}", markdown_table(*table)]
    lines = [
        [
            row["folder"],
            ", ".join(f"{key}: {value}" for key, value in row["changes"].items()) or "-",
            format_number(row["parameters"], 2, 1e-6),
            "-" if row["learning_rate"] is None else f"{row['learning_rate']:g}",
            str(row["batch_size"]),
            str(row["steps"] or "-"),
            format_number(row["fit_seconds"], 0),
        ]
        for row in content["rows"]
    ]
    head = ["row", "changes", "parameters, M", "learning rate", "batch", "steps", "training, s"]
    parts += ["## Rows", markdown_table(head, lines)]
    parts += ["Training: wall time; `-` where it was interrupted and resumed."]
    if content["missing"]:
        parts.append(f"Not finished: {', '.join(content['missing'])}.")
    return "\n\n".join(parts) + "\n"
