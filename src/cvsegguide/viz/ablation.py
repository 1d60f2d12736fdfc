"""The plot of an ablation: errors of its rows with intervals, and their paired differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvsegguide.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MODEL, _REFERENCE = "#2a6f97", "#c9622c"
_LINES = {"tile centre": "--", "land-cover prior": ":", "uniform": "-."}


def save_ablation(evaluations: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw mean errors, median errors and differences of means: a line of panels per condition.

    Args:
        evaluations: As in ``ablation.json``.
        title: Name of the table of rows.
        path: A PNG, written atomically.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["name"] for block in evaluations for row in block["rows"]))
    size = (12, 0.9 + (1.3 + 0.32 * len(names)) * len(evaluations))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(evaluations), 3, squeeze=False, sharey=True)
    for axes, block in zip(grid, evaluations, strict=True):
        for row in block["rows"]:
            y = names.index(row["name"])
            for axis, name in zip(axes[:2], ("mean", "median"), strict=True):
                color = _MODEL if "against" in row else _REFERENCE
                _bar(axis, y, row[name], row[f"{name}_low"], row[f"{name}_high"], color)
            if "against" in row:
                _bar(axes[2], y, **row["mean_difference"], color=_MODEL)
        for axis, name in zip(axes[:2], ("mean", "median"), strict=True):
            for baseline, row in block["baselines"].items():
                style = _LINES.get(baseline, "-")
                axis.axvline(row[name], color="black", lw=0.9, linestyle=style, label=baseline)
            axis.set_xscale("log")
            axis.set_xlabel(f"{name} error, m")
        axes[2].axvline(0.0, color=_REFERENCE, linewidth=1)
        axes[2].set_xscale("symlog", linthresh=1.0)
        axes[2].set_xlabel("mean error minus that of the row compared with, m")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.4, -0.6)
        heading = f"{block['test']}, heading {block['heading']}"
        axes[1].set_title(f"{heading} ({block['samples']} street views)", fontsize=10)
        for axis in axes:
            _set_round_ticks(axis)
            axis.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"Ablation '{title}', 95 % intervals", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _bar(axis: "Axes", y: int, value: float, low: float, high: float, color: str) -> None:
    axis.plot([low, high], [y, y], color=color, linewidth=2)
    axis.plot([value], [y], "o", color=color, markersize=6)


def _set_round_ticks(axis: "Axes") -> None:
    """Ticks 1, 2, 5 of each decade, of both signs; fewer where the axis spans many."""
    low, high = axis.get_xlim()
    if axis.get_xscale() == "log":
        low, high, least = 0.9 * low, 1.1 * high, 0.1
    else:
        low, high = min(low, -0.2), max(high, 0.2)
        least = 0.5 if max(-low, high) > 1.0 else 0.1
    steps = [factor * 10.0**power for power in range(-1, 3) for factor in (1, 2, 5)]
    steps = [step for step in steps if step >= 0.99 * least]
    signed = sorted({0.0, *steps, *(-step for step in steps)})
    ticks = [tick for tick in signed if low <= tick <= high]
    if len(ticks) > 9:
        ticks = [tick for tick in ticks if f"{abs(tick):g}".strip("0.") in ("", "1")]
    axis.set_xlim(low, high)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
