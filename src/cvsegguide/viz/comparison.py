"""The figure of the paper: overhead image, true land cover, the models' land cover and DPD.

One block per sample (after Xavier et al. 2025, figures of the results): above, the maps; below, the
street view and, under each model's map, the probabilities of its ranked regions.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvsegguide.inference.example import Example
from cvsegguide.inference.postprocess import reduce_to_channels
from cvsegguide.landcover import NYC, ClassScheme
from cvsegguide.viz import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

WIDTH = 7.16
"""Inches: two columns of a journal. With more than two models a figure grows wider."""

_NARROWEST = 1.62
_REGIONS = 5


def draw_comparison(samples: Sequence[Example]) -> "Figure":
    """Draw samples below one another.

    Args:
        samples: All with the same models in the same order, at least one each.

    Raises:
        ValueError: There is no sample or no model, or the models differ.
    """
    from matplotlib.figure import Figure

    names = [answer.model for answer in samples[0].answers] if samples else []
    if not names or any([a.model for a in entry.answers] != names for entry in samples):
        raise ValueError("samples of one figure need the same models, and at least one")
    columns = 2 + len(names)
    side = max(_NARROWEST, WIDTH / columns)
    handles = _legend_entries(samples)
    per_row = max(1, int(columns * side / 1.75))
    height = 0.12 + 0.17 * -(-len(handles) // per_row) + len(samples) * (1.5 * side + 0.85)
    figure = Figure(figsize=(columns * side, height), layout="constrained")
    blocks = figure.subfigures(len(samples), squeeze=False)[:, 0]
    for block, entry in zip(blocks, samples, strict=True):
        _draw_sample(block, entry, side)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(per_row, len(handles)),
        fontsize=7,
        frameon=False,
        handlelength=1.3,
        handletextpad=0.5,
        columnspacing=1.2,
    )
    return figure


def save_comparison(
    samples: Sequence[Example],
    path: str | PathLike[str],
    formats: Sequence[str] = ("png",),
    dpi: int = 300,
) -> list[Path]:
    """Draw samples into files ``path`` + ``.png`` and so on, each atomically.

    Args:
        samples: See :func:`draw_comparison`.
        path: Without suffix.
        formats: ``png``, ``pdf``, ``svg``, ``jpg``.
        dpi: Of the pixels; letters in PDF and SVG have none.

    Returns:
        The files.
    """
    figure = draw_comparison(samples)
    written = [Path(f"{path}.{kind}") for kind in formats]
    for target, kind in zip(written, formats, strict=True):
        parts.save(figure, target, kind, dpi)
    return written


def _draw_sample(figure: "SubFigure", entry: Example, side: float) -> None:
    sample, columns = entry.sample, 2 + len(entry.answers)
    name = _clip(sample.id, int(2 * side * 17))
    figure.suptitle(name, x=0.01, ha="left", fontsize=6.5, color="#444")
    grid = figure.add_gridspec(2, columns, height_ratios=(2, 1))
    overhead = figure.add_subplot(grid[0, 0])
    parts.show_map(overhead, entry.overhead)
    if len(entry.answers) == 1:
        overlay = parts.posterior_overlay(entry.answers[0].posterior)
        parts.show_map(overhead, overlay, interpolation="nearest")
    parts.scale_bar(overhead, sample.gsd, size=7)
    _mark(overhead, entry, range(len(entry.answers)))
    cover = figure.add_subplot(grid[0, 1])
    if sample.landcover is None:
        height, width = entry.overhead.shape[:2]
        parts.show_map(cover, np.full((height, width, 3), 235, np.uint8))
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        cover.text(width / 2, height / 2, "not known", fontsize=8, color="#555", **middle)
    else:
        picture = _scheme(entry).palette[_true_ids(entry)]
        parts.show_map(cover, picture, interpolation="nearest")
        _mark(cover, entry, ())
    street = figure.add_subplot(grid[1, :2])
    parts.draw_street(street, entry.street, entry.heading, sample.fov, size=6.5)
    street.tick_params(length=2, pad=1.5, width=0.6)
    titles = {overhead: "overhead image", cover: "land cover: truth"}
    for number, answer in enumerate(entry.answers):
        axes = figure.add_subplot(grid[0, 2 + number])
        titles[axes] = _clip(answer.model, int(side * 12))
        parts.show_map(axes, answer.scheme.palette[answer.landcover], interpolation="nearest")
        # A posterior as wide as the tile would cross the map with lines that say nothing.
        parts.density_contours(axes, answer.posterior)
        for region in reversed(answer.regions[:_REGIONS]):
            if region.probability >= 0.01:
                parts.number_region(axes, region, size=6.5)
        _mark(axes, entry, (number,))
        error = entry.error(number)
        axes.set_xlabel(f"error {error:.{2 if error < 10 else 1}f} m", fontsize=7)
        bars = figure.add_subplot(grid[1, 2 + number])
        probabilities = [region.probability for region in answer.regions]
        parts.draw_distribution(bars, probabilities, entry.true_rank(number), _REGIONS, size=6)
        bars.set_xlabel("ranked region", fontsize=6.5, labelpad=1)
        if number == 0:
            bars.set_ylabel("%", fontsize=6.5, labelpad=-3)
    for axes, title in titles.items():
        axes.set_title(title, fontsize=8.5, weight="bold")


def _mark(axes: "Axes", entry: Example, numbers: Sequence[int]) -> None:
    parts.mark_truth(axes, entry.sample.row, entry.sample.col, size=8)
    for number in numbers:
        found = entry.answers[number]
        parts.mark_estimate(axes, found.row, found.col, number, found.model, size=8)


def _scheme(entry: Example) -> ClassScheme:
    """Classes that the truth is shown in: those of the models where all have the same."""
    schemes = {answer.scheme.name: answer.scheme for answer in entry.answers}
    return next(iter(schemes.values())) if len(schemes) == 1 else NYC


def _true_ids(entry: Example) -> Any:
    """The true land cover; folded as the models fold it where all do it alike."""
    assert entry.sample.landcover is not None
    ids = entry.sample.landcover.numpy()
    if len({answer.scheme.name for answer in entry.answers}) == 1:
        return reduce_to_channels(ids, entry.answers[0].scheme)
    return ids


def _legend_entries(samples: Sequence[Example]) -> list[Any]:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present: set[int] = set()
    for entry in samples:
        if entry.sample.landcover is not None:
            present |= set(np.unique(_true_ids(entry)).tolist())
        for found in entry.answers:
            present |= set(np.unique(found.landcover).tolist())
    spare: Axes = Figure().add_subplot()
    marks = [parts.mark_truth(spare, 0, 0, size=6)]
    several = len(samples[0].answers) > 1
    for number, found in enumerate(samples[0].answers):
        label = f"estimate, {_clip(found.model, 24)}" if several else "estimate"
        marks.append(parts.mark_estimate(spare, 0, 0, number, label, size=6))
    camera = Patch(facecolor=parts.TRUE_BAR, label="region that holds the camera")
    contour = Line2D([], [], color="white", linewidth=1.1, path_effects=parts.stroke(2.2))
    contour.set_label("50 % and 90 % of the posterior")
    scheme = _scheme(samples[0])
    return [*marks, contour, camera, *parts.landcover_handles(present - {0}, scheme)]


def _clip(name: str, letters: int) -> str:
    """The end of a long name, which tells runs apart better than its beginning."""
    return name if len(name) <= letters else f"…{name[-letters + 1 :]}"
