"""The plots of a report: how errors are distributed, whether the posterior is calibrated, what is
taken for what, and how errors grow under worse conditions."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL, BASELINE, ACCENT = "#7b3fa0", "#8a8a8a", "#1f9d55"
_SIZE = 8.5


def render(figure: "Figure", kind: str = "png", dpi: int = 110) -> bytes:
    """A figure as the content of a file; JPEGs at a quality that keeps them small."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    options: dict[str, Any] = {"pil_kwargs": {"quality": 82}} if kind == "jpg" else {}
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=dpi, **options)
    return content.getvalue()


def draw_errors(errors: ArrayLike, baselines: Mapping[str, ArrayLike]) -> "Figure":
    """Share of samples whose error is at most x metres: the model, and baselines beside it.

    Args:
        errors: ``(N,)`` metres; those that are not finite count as never found.
        baselines: Errors of other predictors on the same samples, by name.
    """
    figure, axes = _plot()
    values = np.asarray(errors, np.float64)
    least = 0.05
    most = max(20.0, *(float(np.nanmax(v)) for v in (values, *map(np.asarray, baselines.values()))))
    curves = [("model", values, MODEL, 2.0)]
    curves += [(name, np.asarray(v, np.float64), BASELINE, 1.3) for name, v in baselines.items()]
    for number, (name, given, color, width) in enumerate(curves):
        ordered = np.sort(given[np.isfinite(given)])
        x = np.concatenate([[least], np.clip(ordered, least, None), [most]])
        y = np.concatenate([[0], np.arange(1, len(ordered) + 1), [len(ordered)]]) / len(given)
        style = "-" if number == 0 else ("--", ":", "-.")[(number - 1) % 3]
        line: dict[str, Any] = {
            "color": color,
            "linewidth": width,
            "linestyle": style,
            "label": name,
        }
        axes.step(x, 100 * y, where="post", **line)
    median = float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else None
    if median is not None:
        axes.axvline(max(median, least), color=MODEL, linewidth=0.8, alpha=0.6)
        axes.annotate(
            f" median {median:.2f} m", (max(median, least), 4), color=MODEL, fontsize=_SIZE - 1
        )
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    ticks = [tick for tick in (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000) if tick <= most]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.set_ylim(0, 101)
    axes.set_xlabel("error at most (m)", fontsize=_SIZE)
    axes.set_ylabel("samples (%)", fontsize=_SIZE)
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
    figure, axes = _plot()
    levels = np.linspace(0, 1, 101)
    count = len(np.asarray(mass_above))
    spread = 1.96 * np.sqrt(levels * (1 - levels) / max(1, count))
    low, high = (100 * np.clip(levels + sign * spread, 0, 1) for sign in (-1, 1))
    band: dict[str, Any] = {"color": BASELINE, "alpha": 0.25, "linewidth": 0}
    axes.fill_between(100 * levels, low, high, label="95 % of calibrated ones", **band)
    axes.plot([0, 100], [0, 100], color=BASELINE, linewidth=1)
    # At 100 % every camera is inside, by definition.
    found = np.append(coverage(mass_above, levels[:-1]), 1.0)
    axes.plot(100 * levels, 100 * found, color=MODEL, linewidth=2, label="model")
    axes.plot([50, 90], 100 * coverage(mass_above, [0.5, 0.9]), "o", color=MODEL, markersize=5)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 101)
    axes.set_aspect("equal")
    axes.set_xlabel("mass of the highest-density set (%)", fontsize=_SIZE)
    axes.set_ylabel("cameras inside (%)", fontsize=_SIZE)
    axes.legend(fontsize=_SIZE - 1, frameon=False, loc="upper left")
    axes.text(97, 6, "below: overconfident", ha="right", fontsize=_SIZE - 2, color="#666")
    return figure


def draw_confusion(matrix: Sequence[Sequence[float]], names: Sequence[str]) -> "Figure":
    """Per cent of each true class (rows) that is taken for each class; classes that occur."""
    from matplotlib.figure import Figure

    counts = np.asarray(matrix, np.float64)
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1) > 0)
    counts = counts[np.ix_(present, present)]
    names = [names[index] for index in present.tolist()]
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    side = 1.3 + 0.34 * len(names)
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(np.nan_to_num(share), cmap="Purples", vmin=0, vmax=100)
    for row, col in np.ndindex(*share.shape):
        value = share[row, col]
        text = "-" if math.isnan(value) else f"{value:.0f}"
        color = "white" if value > 60 else "black"
        axes.text(col, row, text, ha="center", va="center", fontsize=_SIZE - 1, color=color)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=_SIZE - 1)
    axes.set_yticks(range(len(names)), names, fontsize=_SIZE - 1)
    axes.set_xlabel("predicted", fontsize=_SIZE)
    axes.set_ylabel("true (100 % a row)", fontsize=_SIZE)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def draw_sweep(results: Mapping[str, Mapping[str, Any]]) -> "Figure":
    """Median and mean error by condition, with 95 % intervals, and the share within 5 m.

    Args:
        results: Figures of ``test`` by condition, in order.
    """
    from matplotlib.figure import Figure

    names = list(results)
    positions = [results[name].get("position", {}) for name in names]
    places = np.arange(len(names))[::-1]
    figure = Figure(figsize=(7.2, 0.9 + 0.34 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    for offset, key, color in ((0.14, "median", MODEL), (-0.14, "mean", BASELINE)):
        value = np.array([entry.get(key, np.nan) for entry in positions])
        low = np.array([entry.get(f"{key}_low", np.nan) for entry in positions])
        high = np.array([entry.get(f"{key}_high", np.nan) for entry in positions])
        sides = np.clip([value - low, high - value], 0, None)
        style = {"fmt": "o", "color": color, "markersize": 5, "capsize": 2.5, "linewidth": 1.2}
        left.errorbar(value, places + offset, xerr=sides, label=key, **style)
    left.set_xscale("log")
    shown = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    low_limit, high_limit = left.get_xlim()
    ticks = [tick for tick in shown if low_limit <= tick <= high_limit]
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    left.set_yticks(places, names, fontsize=_SIZE)
    left.set_xlabel("error (m)", fontsize=_SIZE)
    left.legend(fontsize=_SIZE - 1, frameon=False)
    within = np.array([entry.get("recall_5m", np.nan) for entry in positions])
    right.barh(places, 100 * within, color=MODEL, height=0.55)
    for place, value in zip(places, within, strict=True):
        if math.isfinite(value):
            text = f"{100 * value:.0f}"
            right.text(100 * value + 1.5, place, text, va="center", fontsize=_SIZE - 1)
    right.set_xlim(0, 112)
    right.set_xticks([0, 50, 100])
    right.set_xlabel("within 5 m (%)", fontsize=_SIZE)
    for axes in (left, right):
        _tidy(axes)
    left.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    left.set_axisbelow(True)
    return figure


def _plot() -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.1, 3.1), layout="constrained")
    axes = figure.add_subplot()
    _tidy(axes)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _tidy(axes: "Axes") -> None:
    axes.tick_params(labelsize=_SIZE - 0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
