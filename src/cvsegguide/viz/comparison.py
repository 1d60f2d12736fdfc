"""The figure of the paper: overhead image, true land cover, the models' land cover and DPD.

One block per sample (after Xavier et al. 2025, figures of the results): above, the maps; below, the
street view and, under each model's map, the probabilities of its ranked regions. Everything is
placed in inches, so that letters keep their size whatever the number of samples and models.
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
    from matplotlib.figure import Figure

WIDTH = 7.16
"""Inches: two columns of a journal. With more than two models a figure grows wider."""

_NARROWEST = 1.62
_MARGIN, _GAP = 0.08, 0.09
_TITLE, _NAME, _TICKS, _BETWEEN = 0.22, 0.2, 0.34, 0.12
_REGIONS = 5


class _Page:
    """A figure whose axes are placed in inches from the upper left."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        box = (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )
        return self.figure.add_axes(box)

    def text(self, left: float, top: float, text: str, **options: Any) -> None:
        self.figure.text(left / self.width, 1 - top / self.height, text, **options)


def draw_comparison(samples: Sequence[Example], width: float = WIDTH) -> "Figure":
    """Draw samples below one another.

    Args:
        samples: All with the same models in the same order, at least one each.
        width: Inches; grows where maps would be too small.

    Raises:
        ValueError: There is no sample or no model, or the models differ.
    """
    names = [answer.model for answer in samples[0].answers] if samples else []
    if not names or any([a.model for a in entry.answers] != names for entry in samples):
        raise ValueError("samples of one figure need the same models, and at least one")
    columns = 2 + len(names)
    side = (width - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    if side < _NARROWEST:
        side = _NARROWEST
        width = columns * side + (columns - 1) * _GAP + 2 * _MARGIN
    block = _NAME + side + _GAP + _lower(side) + _TICKS + _BETWEEN
    handles = _legend_entries(samples)
    per_row = max(1, int((width - 0.2) / 1.75))
    rows = -(-len(handles) // per_row)
    legend = 0.12 + 0.17 * rows
    page = _Page(width, _TITLE + len(samples) * block + legend)
    titles = ["overhead image", "land cover: truth", *(_shortened(name, side) for name in names)]
    for column, title in enumerate(titles):
        middle = _MARGIN + column * (side + _GAP) + side / 2
        page.text(middle, 0.16, title, ha="center", va="baseline", fontsize=8.5, weight="bold")
    for number, entry in enumerate(samples):
        _draw_block(page, entry, _TITLE + number * block, side)
    spacing = {
        "handlelength": 1.3,
        "handletextpad": 0.5,
        "columnspacing": 1.2,
        "labelspacing": 0.45,
    }
    page.figure.legend(
        handles=handles,
        loc="lower center",
        ncols=min(per_row, len(handles)),
        fontsize=7,
        frameon=False,
        borderaxespad=0.2,
        **spacing,
    )
    return page.figure


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


def _draw_block(page: _Page, entry: Example, top: float, side: float) -> None:
    sample = entry.sample
    name = _clipped(sample.id, int(2 * side * 17))
    page.text(_MARGIN, top + 0.14, name, ha="left", va="baseline", fontsize=6.5, color="#444")
    top += _NAME
    lefts = [_MARGIN + column * (side + _GAP) for column in range(2 + len(entry.answers))]
    shape = (int(sample.overhead.shape[1]), int(sample.overhead.shape[2]))

    overhead = page.axes(lefts[0], top, side, side)
    parts.show_map(overhead, entry.overhead)
    if len(entry.answers) == 1:
        overlay = parts.posterior_overlay(entry.answers[0].posterior)
        parts.show_map(overhead, overlay, interpolation="nearest")
    parts.scale_bar(overhead, sample.gsd, size=7)
    _mark(overhead, entry, range(len(entry.answers)))

    scheme = _scheme(entry)
    cover = page.axes(lefts[1], top, side, side)
    if sample.landcover is None:
        parts.show_map(cover, np.full((*shape, 3), 235, np.uint8))
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        cover.text(shape[1] / 2, shape[0] / 2, "not known", fontsize=8, color="#555", **middle)
    else:
        ids = _true_ids(entry)
        picture = scheme.palette[ids]
        parts.show_map(cover, picture, interpolation="nearest")
        _mark(cover, entry, ())

    below = top + side + _GAP
    street = page.axes(lefts[0], below, 2 * side + _GAP, _lower(side))
    parts.draw_street(street, entry.street, entry.heading, sample.fov, size=6.5)
    street.tick_params(length=2, pad=1.5, width=0.6)
    street.set_anchor("N")
    for number, answer in enumerate(entry.answers):
        left = lefts[2 + number]
        axes = page.axes(left, top, side, side)
        picture = answer.scheme.palette[answer.landcover]
        parts.show_map(axes, picture, interpolation="nearest")
        # A posterior as wide as the tile would cross the map with lines that say nothing.
        parts.density_contours(axes, answer.posterior)
        for region in reversed(answer.regions[:_REGIONS]):
            if region.probability >= 0.01:
                parts.number_region(axes, region, size=6.5)
        _mark(axes, entry, (number,))
        text = f"error {_metres(entry.error(number))}"
        page.text(left + side / 2, top - _NAME + 0.14, text, ha="center", va="baseline", fontsize=7)
        bars = page.axes(left + 0.27, below + 0.06, side - 0.27, _lower(side) - 0.06)
        probabilities = [region.probability for region in answer.regions]
        parts.draw_distribution(bars, probabilities, entry.true_rank(number), _REGIONS, size=6)
        bars.set_xlabel("ranked region", fontsize=6.5, labelpad=1)
        if number == 0:
            bars.set_ylabel("%", fontsize=6.5, labelpad=-3)


def _lower(side: float) -> float:
    """Height of the lower row in inches: that of a 4:1 panorama as wide as two maps."""
    return (2 * side + _GAP) / 4


def _mark(axes: "Axes", entry: Example, numbers: Sequence[int]) -> None:
    parts.mark_truth(axes, entry.sample.row, entry.sample.col, size=8)
    for number in numbers:
        found = entry.answers[number]
        parts.mark_estimate(axes, found.row, found.col, number, found.model, size=8)


def _metres(value: float) -> str:
    return f"{value:.2f} m" if value < 10 else f"{value:.1f} m"


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
        label = f"estimate, {_clipped(found.model, 24)}" if several else "estimate"
        marks.append(parts.mark_estimate(spare, 0, 0, number, label, size=6))
    camera = Patch(facecolor=parts.TRUE_BAR, label="region that holds the camera")
    contour = Line2D([], [], color="white", linewidth=1.1, path_effects=parts.stroke(2.2))
    contour.set_label("50 % and 90 % of the posterior")
    scheme = _scheme(samples[0])
    return [*marks, contour, camera, *parts.landcover_handles(present - {0}, scheme)]


def _shortened(name: str, side: float) -> str:
    return _clipped(name, int(side * 13))


def _clipped(name: str, letters: int) -> str:
    """The end of a long name, which tells runs apart better than its beginning."""
    return name if len(name) <= letters else f"…{name[-letters + 1 :]}"
