"""The results of an ablation: JSON, one Markdown table with details, a plot."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
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
    write_text(out / "ablation.md", markdown(content))
    write_text(out / "ablation.json", json.dumps(content, indent=2) + "\n")
    save(draw_ablation(content["evaluations"], plan.table.name), out / "ablation.png", dpi=150)
    return content


class _Result:
    """What one test of one row left."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.figures: dict[str, Any] = json.loads((folder / "metrics.json").read_text("utf-8"))
        table = parquet.read_table(folder / "predictions.parquet", columns=["id", "error_m"])
        table = table.sort_by("id")
        self.ids: list[str] = table["id"].to_pylist()
        self.errors = np.asarray(table["error_m"].to_numpy(), dtype=np.float64)

    def figure(self, group: str, name: str) -> float | None:
        value = (self.figures.get(group) or {}).get(name)
        return None if value is None else float(value)


def _members(plan: Plan, out: Path, place: str) -> dict[str, list[_Result]]:
    """The results under one test set and knowledge of the heading, by row."""
    members: dict[str, list[_Result]] = {}
    for run in plan.runs():
        if is_tested(out / run.name / place):
            result = _Result(run, out / run.name / place)
            members.setdefault(run.row.name, []).append(result)
    results = [result for group in members.values() for result in group]
    for result in results:
        if result.ids != results[0].ids:
            raise InputError(
                f"{out / result.run.name / place}: other samples than those of "
                f"{results[0].run.name}"
            )
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
        row: dict[str, Any] = {
            "name": name,
            "seeds": [result.run.seed for result in group],
            **summarise(errors[name]),
        }
        for label, source, figure in (
            ("nll", "posterior", "nll"),
            ("hdr50_coverage", "posterior", "hdr50_coverage"),
            ("hdr90_coverage", "posterior", "hdr90_coverage"),
            ("miou", "landcover", "miou"),
            ("heading_median", "heading", "median"),
        ):
            values = [result.figure(source, figure) for result in group]
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


def summarise(errors: Errors) -> dict[str, Any]:
    """Mean, median, 90 % quantile and recalls, and their 95 % intervals.

    A figure is the mean of the seeds' figures. Its interval comes from resampling the samples,
    the same for all seeds: what one sample shows under several seeds is not independent.
    """

    def figures(draw: Any) -> list[float]:
        values = errors[:, draw]
        quantiles = np.quantile(values, [0.5, 0.9], axis=1).mean(axis=1)
        within = [float((values <= threshold).mean()) for threshold in RECALLS]
        return [float(values.mean()), *quantiles.tolist(), *within]

    names = ["mean", "median", "p90", *(f"recall_{threshold:g}m" for threshold in RECALLS)]
    count = errors.shape[1]
    low, high = percentile_interval(figures, count, RESAMPLES)
    result: dict[str, Any] = {}
    for place, name in enumerate(names):
        result[f"{name}_low"], result[f"{name}_high"] = float(low[place]), float(high[place])
    result.update(zip(names, figures(np.arange(count)), strict=True))
    if len(errors) > 1:
        result["mean_of_seeds"] = errors.mean(axis=1).tolist()
        result["median_of_seeds"] = np.median(errors, axis=1).tolist()
    return result


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
    low, high = percentile_interval(figures, count, RESAMPLES)
    names = ("mean_difference", "median_difference", "median_ratio")
    return {
        name: {"value": value, "low": float(low[place]), "high": float(high[place])}
        for place, (name, value) in enumerate(zip(names, figures(np.arange(count)), strict=True))
    }


def overview(content: Mapping[str, Any]) -> Table:
    """Mean and median errors of every row under every condition, and mean differences."""
    head = ["row", "compared with", "parameters, M"]
    sizes = {row["name"]: row["parameters"] for row in content["rows"]}
    lines = {name: [name, "-", format_number(size, 2, 1e-6)] for name, size in sizes.items()}
    baselines: dict[str, list[str]] = {}
    for count, block in enumerate(content["evaluations"]):
        head += [f"{label(block)}: mean m", "difference", "median m"]
        found = {row["name"]: row for row in block["rows"]}
        for name, line in lines.items():
            row = found.get(name, {})
            line[1] = row.get("against", line[1])
            line += _errors(row)
        for name, row in block["baselines"].items():
            line = baselines.setdefault(name, [name, "-", "-", *["-"] * 3 * count])
            line += _errors(row)
    return head, [*lines.values(), *baselines.values()]


def _errors(row: Mapping[str, Any]) -> list[str]:
    return [
        format_interval(row, "mean"),
        format_difference(row.get("mean_difference")),
        format_interval(row, "median"),
    ]


def label(block: Mapping[str, Any]) -> str:
    """Test set and knowledge of the heading of an entry of ``evaluations``."""
    known = block["heading"]
    return f"{block['test']}, heading {known if known in HEADINGS else f'off by up to {known}°'}"


def _details(block: Mapping[str, Any]) -> Table:
    """All figures of the rows under one condition."""
    head = ["row", "mean m", "difference", "median m", "difference", "ratio", "90 % m"]
    head += [f"within {value:g} m %" for value in RECALLS]
    head += ["NLL nats", "in the 50 % set %", "in the 90 % set %", "land cover mIoU %"]
    head += ["heading, median °"]
    named = [(row["name"], row) for row in block["rows"]]
    lines = []
    for name, row in [*named, *block["baselines"].items()]:
        line = [name, *_errors(row), format_difference(row.get("median_difference"))]
        line += [format_difference(row.get("median_ratio"), ""), format_number(row.get("p90"))]
        line += [format_interval(row, f"recall_{value:g}m", 1, 100) for value in RECALLS]
        line += [format_number(row.get("nll"))]
        shares = ("hdr50_coverage", "hdr90_coverage", "miou")
        line += [format_number(row.get(key), 1, 100) for key in shares]
        lines.append([*line, format_number(row.get("heading_median"), 1)])
    return head, lines


def markdown(content: Mapping[str, Any]) -> str:
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
        markdown_table(*overview(content)),
        "95 % bootstrap intervals over the test samples in brackets; differences are paired. With "
        "several seeds a figure is the mean of theirs. With an unknown heading, networks that "
        "search headings find it themselves; the others (`-`) cannot be asked. The baselines "
        "never see the street view.",
        "![Errors](ablation.png)",
    ]
    for block in content["evaluations"]:
        parts += [f"## {label(block)} ({block['samples']} street views, {block['data']})"]
        parts += [markdown_table(*_details(block))]
    lines = [
        [
            row["folder"],
            ", ".join(f"{key}: {value}" for key, value in row["changes"].items()) or "-",
            "-" if row["learning_rate"] is None else f"{row['learning_rate']:g}",
            str(row["batch_size"]),
            str(row["steps"] or "-"),
            format_number(row["fit_seconds"], 0),
        ]
        for row in content["rows"]
    ]
    head = ["row", "changes", "learning rate", "batch", "steps", "training, s"]
    parts += ["## Rows", markdown_table(head, lines)]
    parts += ["Training: wall time; `-` where it was interrupted and resumed."]
    if content["missing"]:
        parts.append(f"Not finished: {', '.join(content['missing'])}.")
    return "\n\n".join(parts) + "\n"
