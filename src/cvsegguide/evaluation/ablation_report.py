"""The finished rows of an ablation as JSON, as a Markdown table and as a plot."""

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.evaluation.ablation import (
    GUIDANCE,
    NETWORKS,
    RECIPES,
    SETTINGS,
    Plan,
    Row,
    is_finished,
)
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.evaluation.cells import signed, with_interval
from cvsegguide.evaluation.report import Table, markdown_table, print_one
from cvsegguide.io.atomic import atomic_path, write_text

RESAMPLES = 2000
_RECALLS = (5.0, 10.0)

Errors = NDArray[np.float64]


def report(plan: Plan, out: Path) -> dict[str, Any]:
    """Write ``ablation.json``, ``ablation.md`` and ``ablation.png`` of the rows that are finished.

    Args:
        plan: What was to be trained.
        out: Folder of the ablation.

    Returns:
        The content of ``ablation.json``.

    Raises:
        InputError: No row is finished, or rows were tested on different samples.
    """
    rows = [row for row in plan.rows() if is_finished(out / row.name)]
    if not rows:
        raise InputError(f"{out}: no row of the ablation is finished")
    results = {row: _result(out / row.name) for row in rows}
    groups = _groups(rows, results)
    first = results[rows[0]]
    backbones = {
        str(results[row]["network_arguments"]["backbone"])
        for row in rows
        if row.network == "featup"
    }
    content = {
        "backbone": ", ".join(sorted(backbones)) or None,
        "budget": {"steps": plan.steps, "epochs": plan.epochs, "batch_size": plan.batch_size},
        "size": plan.size,
        "pixels": plan.side,
        "seeds": list(plan.seeds),
        "augmentation": plan.augmentation,
        "data": first["data"],
        "command": list(plan.command),
        "samples": first["count"],
        "missing": [row.name for row in plan.rows() if row not in results],
        "machine": machine(first["figures"]),
        "baselines": first["figures"]["baselines"],
        "groups": groups,
        "rows": [
            {**asdict(row), **{k: v for k, v in results[row].items() if k not in ("ids", "errors")}}
            for row in rows
        ],
    }
    write_report(out, content, markdown(content), table(content), plot)
    return content


def write_report(
    out: Path,
    content: dict[str, Any],
    text: str,
    shown: Table,
    plot: Callable[[Mapping[str, Any], Path], None],
) -> None:
    """Write the three files of an ablation and print its table.

    Args:
        out: Folder of the ablation.
        content: What becomes ``ablation.json``.
        text: What becomes ``ablation.md``.
        shown: What is printed.
        plot: Draws the content into the file ``ablation.png``.
    """
    names = [out / f"ablation.{suffix}" for suffix in ("md", "json", "png")]
    write_text(names[0], text)
    write_text(names[1], json.dumps(content, indent=2) + "\n")
    plot(content, names[2])
    print_one("Ablation (95 % bootstrap intervals in brackets)", shown)
    print(f"written to {names[0]}, {names[1]} and {names[2]}")


def machine(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What a row's ``metrics.json`` says about revision and machine."""
    return {key: figures.get(key) for key in ("git", "system", "threads", "gpus", "versions")}


def fit_seconds(folder: Path) -> float | None:
    """Wall time of a row's training; None where it was interrupted, or is not known."""
    path = folder / "row.json"
    if not path.exists():
        return None
    seconds: float | None = json.loads(path.read_text(encoding="utf-8"))["fit_seconds"]
    return seconds


def budget(content: Mapping[str, Any]) -> str:
    """``N steps`` or ``N epochs``."""
    given = content["budget"]
    return f"{given['steps']} steps" if given["steps"] else f"{given['epochs']} epochs"


def conditions(content: Mapping[str, Any]) -> str:
    """``seeds 0, 1, augmentation on``."""
    seeds = ", ".join(map(str, content["seeds"]))
    return f"seeds {seeds}, augmentation {'on' if content['augmentation'] else 'off'}"


def provenance(content: Mapping[str, Any]) -> str:
    """A line of command, revision and machine."""
    facts = content["machine"]
    hardware = ", ".join(facts["gpus"] or []) or f"CPU, {facts['threads']} threads"
    command = shlex.join(content["command"])
    return f"Command: `{command}`; revision {facts['git']}; {hardware}; {facts['system']}."


def _result(folder: Path) -> dict[str, Any]:
    """What one row left: figures, errors by sample, size, steps, time."""
    import pyarrow.parquet as parquet
    import yaml

    figures = json.loads((folder / "test" / "metrics.json").read_text(encoding="utf-8"))
    columns = parquet.read_table(
        folder / "test" / "predictions.parquet", columns=["id", "error_m"]
    ).to_pydict()
    order = np.argsort(columns["id"], kind="stable")
    settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    return {
        "data": figures.get("data"),
        "count": len(order),
        "parameters": figures.get("parameters"),
        "fit_seconds": fit_seconds(folder),
        "learning_rate": settings["model"].get("learning_rate"),
        "batch_size": settings["data"].get("batch_size"),
        "network_arguments": settings["model"]["network_arguments"],
        "figures": figures,
        "ids": [columns["id"][i] for i in order],
        "errors": np.asarray(columns["error_m"], dtype=np.float64)[order],
    }


def _groups(rows: Sequence[Row], results: Mapping[Row, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that differ in their seed alone, with intervals and differences to their references."""
    ids = results[rows[0]]["ids"]
    errors: dict[tuple[str, str, str], Errors] = {}
    groups: list[dict[str, Any]] = []
    for recipe in RECIPES:
        for network in NETWORKS:
            for guidance in GUIDANCE:
                members = [
                    row
                    for row in rows
                    if (row.network, row.guidance, row.recipe) == (network, guidance, recipe)
                ]
                if not members:
                    continue
                for row in members:
                    if results[row]["ids"] != ids:
                        raise InputError(
                            f"row {row.name}: was tested on other samples than {rows[0].name}"
                        )
                table_ = np.stack([results[row]["errors"] for row in members])
                errors[network, guidance, recipe] = table_
                figures = [results[row]["figures"] for row in members]
                covers = [f["landcover"]["miou"] for f in figures if f.get("landcover")]
                groups.append(
                    {
                        "network": network,
                        "guidance": guidance,
                        "recipe": recipe,
                        "seeds": [row.seed for row in members],
                        **summary(table_),
                        "nll": float(np.mean([f["posterior"]["nll"] for f in figures])),
                        "miou": float(np.mean(covers)) if covers else None,
                    }
                )
    for group in groups:
        mine = errors[group["network"], group["guidance"], group["recipe"]]
        plain = errors.get((group["network"], "none", group["recipe"]))
        if plain is not None and group["guidance"] != "none":
            group["mean_minus_none"] = difference(mine, plain)
        published = errors.get((group["network"], group["guidance"], "published"))
        if published is not None and group["recipe"] != "published":
            group["mean_minus_published"] = difference(mine, published)
    return groups


def summary(errors: Errors, seed: int = 0, recalls: Sequence[float] = _RECALLS) -> dict[str, Any]:
    """Mean, median, 90 % quantile and recalls, and their 95 % intervals.

    A figure is the mean of the seeds' figures. Its interval comes from resampling the samples,
    the same for all seeds: what one sample shows under several seeds is not independent.

    Args:
        errors: ``(S, N)`` errors in metres of S seeds on N samples.
        seed: Seed of the resampling.
        recalls: Distances in metres.
    """

    def figures(values: Errors) -> list[float]:
        quantiles = np.quantile(values, [0.5, 0.9], axis=1).mean(axis=1)
        within = [float((values <= threshold).mean()) for threshold in recalls]
        return [float(values.mean()), *quantiles.tolist(), *within]

    names = ["mean", "median", "p90", *(f"recall_{threshold:g}m" for threshold in recalls)]
    low, high = percentile_interval(
        lambda draw: figures(errors[:, draw]), errors.shape[1], RESAMPLES, seed=seed
    )
    result: dict[str, Any] = dict(zip(names, figures(errors), strict=True))
    result.update({f"{name}_low": float(value) for name, value in zip(names, low, strict=True)})
    result.update({f"{name}_high": float(value) for name, value in zip(names, high, strict=True)})
    if len(errors) > 1:
        result["mean_of_seeds"] = errors.mean(axis=1).tolist()
        result["median_of_seeds"] = np.median(errors, axis=1).tolist()
    return result


def difference(
    errors: Errors,
    reference: Errors,
    seed: int = 0,
    statistic: Literal["mean", "median"] = "mean",
) -> dict[str, float]:
    """Difference of the means, ``errors - reference``, with a paired 95 % bootstrap interval.

    Args:
        errors, reference: ``(S, N)`` errors in metres on the same N samples.
        seed: Seed of the resampling.
        statistic: ``median``: of the medians instead, the mean over seeds.
    """

    def value(draw: Any) -> float:
        if statistic == "mean":
            return float(errors[:, draw].mean() - reference[:, draw].mean())
        medians = np.median(errors[:, draw], axis=1), np.median(reference[:, draw], axis=1)
        return float(medians[0].mean() - medians[1].mean())

    return _paired(value, errors.shape[1], seed)


def median_ratio(errors: Errors, reference: Errors, seed: int = 0) -> dict[str, float]:
    """How many times the reference's median error a median error is, with a paired 95 % interval.

    Args:
        errors, reference: ``(S, N)`` errors in metres on the same N samples; the mean over seeds
            of either's medians.
        seed: Seed of the resampling.
    """

    def value(draw: Any) -> float:
        medians = [float(np.median(e[:, draw], axis=1).mean()) for e in (errors, reference)]
        return medians[0] / max(medians[1], 1e-9)

    return _paired(value, errors.shape[1], seed)


def _paired(value: Callable[[Any], float], count: int, seed: int) -> dict[str, float]:
    """``value`` of all ``count`` samples, which all errors share, and its interval."""
    low, high = percentile_interval(value, count, RESAMPLES, seed=seed)
    return {"value": value(np.arange(count)), "low": float(low), "high": float(high)}


def table(content: Mapping[str, Any]) -> Table:
    """A row per network, guidance and recipe, then the baselines."""
    groups = content["groups"]
    recipes = len({group["recipe"] for group in groups}) > 1
    compared = any("mean_minus_published" in group for group in groups)
    guided = any("mean_minus_none" in group for group in groups)
    head = ["network", "guidance", *(["recipe"] if recipes else [])]
    head += ["mean m", "median m", "90 % m", "within 5 m %", "within 10 m %", "NLL nats"]
    head += ["land cover mIoU %"]
    head += ["mean minus no guidance, m"] if guided else []
    head += ["mean minus published, m"] if compared else []
    rows = []
    for group in groups:
        row = [group["network"], group["guidance"], *([group["recipe"]] if recipes else [])]
        row += [
            with_interval(group, "mean"),
            with_interval(group, "median"),
            f"{group['p90']:.2f}",
        ]
        row += [with_interval(group, f"recall_{value:g}m", 1, 100) for value in _RECALLS]
        row += [f"{group['nll']:.2f}"]
        row += ["-" if group["miou"] is None else f"{100 * group['miou']:.1f}"]
        row += [signed(group, "mean_minus_none")] if guided else []
        row += [signed(group, "mean_minus_published")] if compared else []
        rows.append(row)
    for name, figures in content["baselines"].items():
        row = [name, "-", *(["-"] if recipes else [])]
        row += [
            with_interval(figures, "mean"),
            with_interval(figures, "median"),
            f"{figures['p90']:.2f}",
        ]
        row += [with_interval(figures, f"recall_{value:g}m", 1, 100) for value in _RECALLS]
        row += [f"{figures['nll']:.2f}" if "nll" in figures else "-", "-"]
        row += ["-"] * (guided + compared)
        rows.append(row)
    return head, rows


def markdown(content: Mapping[str, Any]) -> str:
    """The whole report."""
    first = content["rows"][0]
    parts = [
        "# Ablation of guidance",
        f"{content['samples']} test samples of {content['data']}; {budget(content)} of "
        f"{first['batch_size']} pairs a row, learning rate {first['learning_rate']:g}, size "
        f"{content['size']}, overhead {content['pixels']} x {content['pixels']} pixels, "
        f"{conditions(content)}.",
        provenance(content),
        markdown_table(*table(content)),
        "95 % bootstrap intervals over the test samples in brackets; differences are paired. With "
        "several seeds a figure is the mean of theirs. The baselines never see the street view.",
    ]
    if content["backbone"]:
        frozen = f"Frozen backbone of the FeatUp rows: `{content['backbone']}`"
        parts.insert(2, f"{frozen}; its upsampler is trained.")
    if content["missing"]:
        parts.append(f"Not finished: {', '.join(content['missing'])}.")
    times = [
        [Row(row["network"], row["guidance"], row["recipe"], row["seed"]).name,
         "-" if row["fit_seconds"] is None else f"{row['fit_seconds']:.0f}"]
        for row in content["rows"]
    ]  # fmt: skip
    parts += ["Wall time of training (`-`: interrupted and resumed):"]
    parts += [markdown_table(["row", "s"], times), "![Errors](ablation.png)"]
    return "\n\n".join(parts) + "\n"


_COLORS = {"none": "#8c8c8c", "predicted": "#2a6f97", "truth": "#c9622c"}
_MARKERS = {"corrected": "o", "published-losses": "s", "published": "^"}
_LINES: dict[str, Literal["--", ":", "-."]] = {
    "tile centre": "--",
    "land-cover prior": ":",
    "uniform": "-.",
}
_LABELS = {"featup": "FeatUp", "mst": "MST"}


def plot(content: Mapping[str, Any], path: Path) -> None:
    """Mean and median errors with their intervals, the baselines as lines, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    groups = content["groups"]
    recipes = list(dict.fromkeys(group["recipe"] for group in groups))
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    clusters = [network for network in NETWORKS if any(g["network"] == network for g in groups)]
    for axis, name in zip(axes, ("mean", "median"), strict=True):
        highest = 0.0
        for center, network in enumerate(clusters):
            members = [group for group in groups if group["network"] == network]
            for index, group in enumerate(members):
                x = center + 0.7 * ((index + 0.5) / len(members) - 0.5)
                value, low, high = (group[name], group[f"{name}_low"], group[f"{name}_high"])
                color, marker = _COLORS[group["guidance"]], _MARKERS[group["recipe"]]
                axis.plot([x, x], [low, high], color=color, linewidth=2)
                axis.plot([x], [value], marker=marker, color=color, markersize=8)
                highest = max(highest, high)
        for baseline, figures in content["baselines"].items():
            axis.axhline(figures[name], color="black", linewidth=0.9, linestyle=_LINES[baseline])
            highest = max(highest, figures[name])
        axis.set_xticks(range(len(clusters)), [_LABELS[network] for network in clusters])
        axis.set_xlim(-0.6, len(clusters) - 0.4)
        axis.set_ylim(0, 1.06 * highest if math.isfinite(highest) else None)
        axis.set_ylabel(f"{name} error, m")
        axis.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], color=_COLORS[guidance], linewidth=2, label=f"guidance: {guidance}")
        for guidance in GUIDANCE
        if any(group["guidance"] == guidance for group in groups)
    ]
    if len(recipes) > 1:
        handles += [
            Line2D([], [], color="black", marker=_MARKERS[r], linestyle="", label=r)
            for r in recipes
        ]
    handles += [
        Line2D([], [], color="black", linewidth=0.9, linestyle=_LINES[name], label=name)
        for name in content["baselines"]
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    frozen = f"; FeatUp on frozen {content['backbone']}" if content["backbone"] else ""
    figure.suptitle(f"{content['samples']} test samples, 95 % intervals{frozen}", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
