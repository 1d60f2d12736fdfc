"""The results of an ablation table: JSON, one Markdown table with details, a plot."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.evaluation.ablation_report import (
    budget,
    conditions,
    difference,
    fit_seconds,
    machine,
    median_ratio,
    provenance,
    summary,
    write_report,
)
from cvsegguide.evaluation.ablation_runs import evaluations, is_tested, is_trained
from cvsegguide.evaluation.ablation_table import HEADINGS, SETTINGS, TablePlan, TableRun
from cvsegguide.evaluation.cells import number, signed, with_interval
from cvsegguide.evaluation.report import Table, markdown_table
from cvsegguide.io.atomic import atomic_path

RECALLS = (1.0, 5.0, 10.0)

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Tensors of normalisation that are no parameters."""

Errors = NDArray[np.float64]


def report(plan: TablePlan, out: Path) -> dict[str, Any]:
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
    runs = plan.rows()
    tested = [run for run in runs if any(is_tested(out / run.name / place) for *_, place in asked)]
    if not tested:
        raise InputError(f"{out}: no row of the ablation is finished")
    blocks = [
        block
        for test, heading, place in asked
        if (block := _block(plan, out, test, heading, place)) is not None
    ]
    first = _figures(next(out / r.name / p for r in tested for *_, p in asked
                          if is_tested(out / r.name / p)))  # fmt: skip
    content = {
        "table": plan.table.name,
        "reference": plan.table.reference,
        "budget": {"steps": plan.steps, "epochs": plan.epochs, "batch_size": plan.batch},
        "seeds": list(plan.seeds),
        "augmentation": plan.augmentation,
        "command": list(plan.command),
        "machine": machine(first),
        "missing": [run.name for run in runs if not is_trained(out / run.name)],
        "rows": [_row(out, run) for run in tested],
        "evaluations": blocks,
    }
    write_report(out, content, markdown(content), overview(content), plot)
    return content


def _figures(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def _row(out: Path, run: TableRun) -> dict[str, Any]:
    import yaml

    folder = out / run.name
    settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    card = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {
        "name": run.variant.name,
        "folder": run.name,
        "seed": run.seed,
        "changes": dict(run.variant.changes),
        "network": card.get("model"),
        "parameters": _parameters(folder / "model.safetensors"),
        "learning_rate": _rate(settings["model"].get("learning_rate")),
        "batch_size": settings["data"]["batch_size"],
        "steps": settings["trainer"].get("max_steps"),
        "fit_seconds": fit_seconds(folder),
    }


def _parameters(path: Path) -> int | None:
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(str(path), framework="numpy") as tensors:
        names = [name for name in tensors.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118
        return int(sum(np.prod(tensors.get_slice(name).get_shape()) for name in names))


def _block(
    plan: TablePlan, out: Path, test: str, heading: str, place: str
) -> dict[str, Any] | None:
    """The rows under one test set and knowledge of the heading."""
    members: dict[str, list[tuple[TableRun, list[str], Errors, dict[str, Any]]]] = {}
    for run in plan.rows():
        folder = out / run.name / place
        if is_tested(folder):
            ids, errors = _errors(folder)
            members.setdefault(run.variant.name, []).append((run, ids, errors, _figures(folder)))
    if not members:
        return None
    entries = [entry for group in members.values() for entry in group]
    ids = entries[0][1]
    for run, other, _, _ in entries:
        if other != ids:
            raise InputError(
                f"row {run.name}: was tested on other samples of '{test}' than {entries[0][0].name}"
            )
    tables = {
        name: np.stack([errors for _, _, errors, _ in group]) for name, group in members.items()
    }
    seeds = {name: [run.seed for run, *_ in group] for name, group in members.items()}
    reference = tables.get(plan.table.reference)
    rows = []
    for name, group in members.items():
        figures = [found for *_, found in group]
        rows.append(
            {
                "name": name,
                "seeds": seeds[name],
                **summary(tables[name], recalls=RECALLS),
                "nll": _mean(figures, "posterior", "nll"),
                "hdr50_coverage": _mean(figures, "posterior", "hdr50_coverage"),
                "hdr90_coverage": _mean(figures, "posterior", "hdr90_coverage"),
                "miou": _mean(figures, "landcover", "miou"),
                "heading_median": _mean(figures, "heading", "median"),
            }
        )
        if reference is not None and name != plan.table.reference:
            rows[-1]["mean_minus_reference"] = difference(tables[name], reference)
            rows[-1]["median_minus_reference"] = difference(
                tables[name], reference, statistic="median"
            )
            rows[-1]["median_over_reference"] = median_ratio(tables[name], reference)
    first = entries[0][3]
    return {
        "test": test,
        "heading": heading,
        "samples": len(ids),
        "data": first.get("data"),
        "rows": rows,
        "baselines": first.get("baselines", {}),
    }


def _errors(folder: Path) -> tuple[list[str], Errors]:
    import pyarrow.parquet as parquet

    columns = parquet.read_table(
        folder / "predictions.parquet", columns=["id", "error_m"]
    ).to_pydict()
    order = np.argsort(columns["id"], kind="stable")
    errors = np.asarray(columns["error_m"], dtype=np.float64)[order]
    return [columns["id"][i] for i in order], errors


def _mean(figures: Sequence[Mapping[str, Any]], group: str, name: str) -> float | None:
    values = [entry[group].get(name) for entry in figures if entry.get(group)]
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shown_ratio(row: Mapping[str, Any]) -> str:
    entry = row.get("median_over_reference")
    if entry is None:
        return "-"
    return f"{entry['value']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


def overview(content: Mapping[str, Any]) -> Table:
    """Mean errors of every row under every condition, and differences to the reference."""
    head = ["row", "parameters, M"]
    names = list(dict.fromkeys(row["name"] for row in content["rows"]))
    sizes = {row["name"]: row["parameters"] for row in content["rows"]}
    lines = {name: [name, number(sizes[name], 2, 1e-6)] for name in names}
    baselines: dict[str, list[str]] = {}
    for count, block in enumerate(content["evaluations"]):
        label = _label(block)
        head += [f"{label}: mean m", f"minus {content['reference']}", "median m"]
        found = {row["name"]: row for row in block["rows"]}
        for name in names:
            row = found.get(name, {})
            lines[name] += [
                with_interval(row, "mean"),
                signed(row, "mean_minus_reference"),
                with_interval(row, "median"),
            ]
        for name, row in block["baselines"].items():
            line = baselines.setdefault(name, [name, "-", *["-"] * 3 * count])
            line += [with_interval(row, "mean"), "-", with_interval(row, "median")]
    return head, [*lines.values(), *baselines.values()]


def _label(block: Mapping[str, Any]) -> str:
    known = block["heading"]
    return f"{block['test']}, heading {known if known in HEADINGS else f'off by up to {known}°'}"


def details(block: Mapping[str, Any]) -> Table:
    """All figures of the rows under one condition."""
    head = ["row", "mean m", "minus reference", "median m", "minus reference"]
    head += ["times reference", "90 % m"]
    head += [f"within {value:g} m %" for value in RECALLS]
    head += ["NLL nats", "in the 50 % set %", "in the 90 % set %", "land cover mIoU %"]
    searched = any(row["heading_median"] is not None for row in block["rows"])
    head += ["heading, median °"] if searched else []
    lines = []
    for row in block["rows"]:
        line = [row["name"], with_interval(row, "mean")]
        line += [signed(row, "mean_minus_reference"), with_interval(row, "median")]
        line += [signed(row, "median_minus_reference"), _shown_ratio(row)]
        line += [f"{row['p90']:.2f}"]
        line += [with_interval(row, f"recall_{value:g}m", 1, 100) for value in RECALLS]
        line += [number(row["nll"], 2), number(row["hdr50_coverage"], 1, 100)]
        line += [number(row["hdr90_coverage"], 1, 100), number(row["miou"], 1, 100)]
        line += [number(row["heading_median"], 1)] if searched else []
        lines.append(line)
    for name, row in block["baselines"].items():
        line = [name, with_interval(row, "mean"), "-", with_interval(row, "median"), "-", "-"]
        line += [number(row.get("p90"), 2)]
        line += [with_interval(row, f"recall_{value:g}m", 1, 100) for value in RECALLS]
        line += [number(row.get("nll"), 2), *["-"] * (4 if searched else 3)]
        lines.append(line)
    return head, lines


def _rate(value: Any) -> float | None:
    """YAML reads ``1e-3`` as a word, which the trainer takes as a number."""
    return None if value is None else float(value)


def markdown(content: Mapping[str, Any]) -> str:
    """The whole report."""
    pairs = f" of {content['budget']['batch_size']} pairs" if content["budget"]["steps"] else ""
    parts = [
        f"# Ablation: {content['table']}",
        f"{budget(content)}{pairs} a row (rows with another batch size: no fewer pairs), "
        f"{conditions(content)}.",
        provenance(content),
        markdown_table(*overview(content)),
        "95 % bootstrap intervals over the test samples in brackets; differences are paired. With "
        "several seeds a figure is the mean of theirs. With an unknown heading, networks that "
        "search headings find it themselves; the others (`-`) cannot be asked.",
        "![Errors](ablation.png)",
    ]
    for block in content["evaluations"]:
        parts += [f"## {_label(block)} ({block['samples']} street views, {block['data']})"]
        parts += [markdown_table(*details(block))]
    lines = [
        [
            row["folder"],
            ", ".join(f"{key}: {value}" for key, value in row["changes"].items()) or "-",
            number(row["parameters"], 2, 1e-6),
            "-" if row["learning_rate"] is None else f"{row['learning_rate']:g}",
            str(row["batch_size"]),
            str(row["steps"] or "-"),
            number(row["fit_seconds"], 0),
        ]
        for row in content["rows"]
    ]
    head = ["row", "changes", "parameters, M", "learning rate", "batch", "steps", "training, s"]
    parts += ["## Rows", markdown_table(head, lines)]
    parts += ["Training: wall time; `-` where it was interrupted and resumed."]
    if content["missing"]:
        parts.append(f"Not finished: {', '.join(content['missing'])}.")
    return "\n\n".join(parts) + "\n"


_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0)


def _round_ticks(axis: Any) -> None:
    """Ticks at round numbers on an axis whose own scale has few of them."""
    low, high = axis.get_xlim()
    if axis.get_xscale() == "log":
        low, high = 0.9 * low, 1.1 * high
    else:
        low, high = min(low, -0.2), max(high, 0.2)
    both = sorted({0.0, *_TICKS, *(-tick for tick in _TICKS)})
    ticks = [tick for tick in both if low <= tick <= high]
    if axis.get_xscale() != "log" and max(-low, high) > 1.0:
        ticks = [tick for tick in ticks if tick == 0 or abs(tick) >= 0.5]
    if len(ticks) > 9:
        ticks = [tick for tick in ticks if f"{abs(tick):g}".strip("0.") in ("", "1", "5")]
    axis.set_xlim(low, high)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)


_LINES = {"tile centre": "--", "land-cover prior": ":", "uniform": "-."}


def plot(content: Mapping[str, Any], path: Path) -> None:
    """Mean and median errors and the paired differences, a line of panels per condition."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    blocks = content["evaluations"]
    names = list(dict.fromkeys(row["name"] for row in content["rows"]))
    height = 1.3 + 0.32 * len(names)
    figure = Figure(figsize=(12, 0.9 + height * len(blocks)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(blocks), 3, squeeze=False, sharey=True)
    for axes, block in zip(grid, blocks, strict=True):
        found = {row["name"]: row for row in block["rows"]}
        for axis, name in zip(axes[:2], ("mean", "median"), strict=True):
            for y, row_name in enumerate(names):
                row = found.get(row_name)
                if row is None:
                    continue
                color = "#c9622c" if row_name == content["reference"] else "#2a6f97"
                axis.plot([row[f"{name}_low"], row[f"{name}_high"]], [y, y], color=color, lw=2)
                axis.plot([row[name]], [y], "o", color=color, markersize=6)
            for baseline, row in block["baselines"].items():
                axis.axvline(
                    row[name], color="black", linewidth=0.9,
                    linestyle=_LINES.get(baseline, "-"), label=baseline,
                )  # fmt: skip
            axis.set_xscale("log")
            _round_ticks(axis)
            axis.set_xlabel(f"{name} error, m")
        axis = axes[2]
        for y, row_name in enumerate(names):
            entry = found.get(row_name, {}).get("mean_minus_reference")
            if entry is not None:
                axis.plot([entry["low"], entry["high"]], [y, y], color="#2a6f97", lw=2)
                axis.plot([entry["value"]], [y], "o", color="#2a6f97", markersize=6)
        axis.axvline(0.0, color="#c9622c", linewidth=1)
        axis.set_xscale("symlog", linthresh=1.0)
        _round_ticks(axis)
        axis.set_xlabel(f"mean error minus {content['reference']}, m")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.4, -0.6)
        axes[1].set_title(f"{_label(block)} ({block['samples']} street views)", fontsize=10)
        for axis in axes:
            axis.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"Ablation '{content['table']}', 95 % intervals", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
