"""The plots of reports: how errors are distributed, whether the posterior is calibrated, and how
errors differ between the rows of an ablation."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvsegguide.viz.parts import BAR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE, REFERENCE = "#8a8a8a", "#c9622c"
_SIZE = 8.5


def draw_errors(errors: ArrayLike, baselines: Mapping[str, ArrayLike]) -> "Figure":
    """Share of samples whose error is at most x metres: the model, and baselines beside it.

    Args:
        errors: ``(N,)`` metres; those that are not finite count as never found.
        baselines: Errors of other predictors on the same samples, by name.
    """
    figure, (axes,) = _create_plots(1)
    least, most = 0.05, 20.0
    for number, (name, given) in enumerate({"model": errors, **baselines}.items()):
        values = np.asarray(given, np.float64)
        known = values[np.isfinite(values)]
        never = np.full(len(values) - len(known), np.inf)
        most = max(most, *known)
        line: dict[str, Any] = {"color": BASELINE if number else BAR, "label": name}
        line |= {
            "linewidth": 1.3 if number else 2.0,
            "linestyle": ("-", "--", ":", "-.")[number % 4],
        }
        axes.ecdf(np.append(known.clip(least), never), **line)
    median = float(np.nanmedian(np.asarray(errors, np.float64)))
    if math.isfinite(median):
        place = max(median, least)
        axes.axvline(place, color=BAR, linewidth=0.8, alpha=0.6)
        axes.annotate(f" median {median:.2f} m", (place, 0.04), color=BAR, fontsize=_SIZE - 1)
    axes.set(xlim=(least, most), ylim=(0, 1.01), ylabel="share of the samples")
    _scale(axes, "log", "error at most (m)")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.legend(fontsize=_SIZE - 1, frameon=False, loc="upper left")
    return figure


def coverage(mass_above: ArrayLike, levels: ArrayLike) -> NDArray[np.float64]:
    """Share of cameras that lie in the highest-density set of each level.

    Args:
        mass_above: ``(N,)`` probability of all pixels that are likelier than the true one.
        levels: Masses of the sets.
    """
    ordered = np.sort(np.asarray(mass_above, np.float64))
    return np.searchsorted(ordered, np.asarray(levels), side="left") / max(1, len(ordered))


def draw_calibration(mass_above: ArrayLike) -> "Figure":
    """Mass of a highest-density set against the share of cameras that lie in it.

    The band about the diagonal holds 95 % of what a calibrated posterior would show with as many
    samples (normal approximation of the binomial).
    """
    figure, (axes,) = _create_plots(1)
    levels = np.linspace(0, 1, 101)
    spread = 1.96 * np.sqrt(levels * (1 - levels) / max(1, len(np.asarray(mass_above))))
    low, high = (100 * np.clip(levels + sign * spread, 0, 1) for sign in (-1, 1))
    band: dict[str, Any] = {"color": BASELINE, "alpha": 0.25, "linewidth": 0}
    axes.fill_between(100 * levels, low, high, label="95 % of calibrated ones", **band)
    axes.plot([0, 100], [0, 100], color=BASELINE, linewidth=1)
    # At 100 % every camera is inside, by definition.
    found = np.append(coverage(mass_above, levels[:-1]), 1.0)
    axes.plot(100 * levels, 100 * found, "o-", color=BAR, label="model", markevery=[50, 90])
    axes.set(xlim=(0, 100), ylim=(0, 101), aspect="equal")
    axes.set(xlabel="mass of the highest-density set (%)", ylabel="cameras inside (%)")
    axes.legend(fontsize=_SIZE - 1, frameon=False, loc="upper left")
    axes.text(97, 6, "below: overconfident", ha="right", fontsize=_SIZE - 2, color="#666")
    return figure


def draw_ablation(evaluations: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """Mean errors, median errors and differences of means: a line of panels per condition.

    Args:
        evaluations: As in ``ablation.json``.
        title: Name of the table of rows.
    """
    names = list(dict.fromkeys(row["name"] for block in evaluations for row in block["rows"]))
    size = (12, 0.9 + (1.3 + 0.32 * len(names)) * len(evaluations))
    figure, panels = _create_plots(3, size, nrows=len(evaluations))
    for first, block in enumerate(evaluations):
        axes = panels[3 * first : 3 * first + 3]
        for row in block["rows"]:
            place, color = names.index(row["name"]), BAR if "against" in row else REFERENCE
            for axis, key in zip(axes[:2], ("mean", "median"), strict=True):
                _draw_interval(axis, place, *interval_of(row, key), color)
            if "against" in row:
                _draw_interval(axes[2], place, **row["mean_difference"], color=color)
        for axis, key in zip(axes[:2], ("mean", "median"), strict=True):
            for (name, row), style in zip(
                block["baselines"].items(), ("--", "-.", ":"), strict=False
            ):
                axis.axvline(row[key], color="black", lw=0.9, linestyle=style, label=name)
            _scale(axis, "log", f"{key} error, m")
        axes[2].axvline(0.0, color=REFERENCE, linewidth=1)
        _scale(axes[2], "symlog", "mean error minus that of the row compared with, m")
        _name_lines(axes[0], names)
        heading = f"{block['test']}, heading {block['heading']}"
        axes[1].set_title(f"{heading} ({block['samples']} street views)", fontsize=10)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    figure.suptitle(f"Ablation '{title}', 95 % intervals", fontsize=11)
    return figure


def interval_of(figures: Mapping[str, float], key: str) -> tuple[float, float, float]:
    """A figure and the ends of its interval; NaN where they are not known."""
    value, low, high = (figures.get(name, math.nan) for name in (key, f"{key}_low", f"{key}_high"))
    return value, low, high


def _create_plots(
    ncols: int, figsize: tuple[float, float] = (4.1, 3.1), **options: Any
) -> "tuple[Figure, list[Axes]]":
    """A figure with plots side by side, whose lines are those of the first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    plots = figure.subplots(ncols=ncols, squeeze=False, sharey=ncols > 1, **options).ravel()
    for axes in plots:
        axes.tick_params(labelsize=_SIZE - 0.5, length=2)
        axes.xaxis.label.set_size(_SIZE)
        axes.yaxis.label.set_size(_SIZE)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, list(plots)


def _draw_interval(
    axes: "Axes",
    place: float,
    value: float,
    low: float,
    high: float,
    color: str,
) -> None:
    """A figure in the line at ``place``, and its interval."""
    axes.plot([low, high], [place, place], color=color, linewidth=2)
    axes.plot([value], [place], "o", color=color, markersize=5)


def _name_lines(axes: "Axes", names: Sequence[str]) -> None:
    """The first name above."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _scale(axes: "Axes", scale: str, label: str) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5, ``"symlog"`` with both signs."""
    from matplotlib.ticker import LogLocator, SymmetricalLogLocator

    locator: Any = LogLocator(subs=(1, 2, 5))
    if scale == "symlog":
        axes.set_xscale(scale, linthresh=1.0)
        locator = SymmetricalLogLocator(base=10, linthresh=1.0, subs=[1, 2, 5])
    else:
        axes.set_xscale(scale)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel(label)
