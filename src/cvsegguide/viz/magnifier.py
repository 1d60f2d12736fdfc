"""A closer look at an answer that is smaller on the map than the mark upon it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.viz import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cvsegguide.inference.result import Localization

_HIDDEN = 0.1
"""Sides of the outermost set that is outlined, in sides of the map, up to which marks hide it."""

_LEAST = 6
"""Pixels of the map that are seen to each side of the set's middle, at least."""

_SIDE = 0.36
"""Of the magnifier, in sides of the map."""


@dataclass(frozen=True)
class View:
    """What the magnifier shows: rows and columns of the map."""

    rows: slice
    columns: slice


def closer_view(
    posterior: NDArray[np.floating], level: float, truth: tuple[float, float] | None = None
) -> View | None:
    """A square about the highest-density set, and the truth near it; None where that is large.

    Args:
        posterior: ``(H, W)``.
        level: Of the set's last pixel.
        truth: Row and column.
    """
    inside = posterior >= level
    lines = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    (low, high), (left, right) = ((line[0], line[-1] + 1.0) for line in lines)
    side = min(posterior.shape)
    if max(high - low, right - left) > _HIDDEN * side:
        return None
    middle = ((low + high) / 2, (left + right) / 2)
    reach = max(_LEAST, 0.8 * max(high - low, right - left))
    if truth is not None:
        away = max(abs(truth[0] - middle[0]), abs(truth[1] - middle[1]))
        if away <= _HIDDEN * side:
            reach = max(reach, 1.3 * away)
    if 6 * reach > side:
        return None  # nothing would be seen closer
    first = [
        int(min(max(round(place - reach), 0), length - round(2 * reach)))
        for place, length in zip(middle, posterior.shape, strict=True)
    ]
    rows, columns = (slice(begin, begin + round(2 * reach)) for begin in first)
    return View(rows, columns)


def draw_magnifier(
    axes: "Axes", result: "Localization", truth: tuple[float, float] | None
) -> "Axes | None":
    """Draw the posterior closer into a corner of its map, where marks would hide it.

    The two lines about it are the sets of 50 % and 90 %.

    Args:
        axes: The map, in pixels of the overhead image.
        result: What was found.
        truth: Row and column, when known.
    """
    levels = parts.highest_density_levels(result.posterior, parts.CONTOURS)
    view = closer_view(result.posterior, float(levels.min()), truth)
    if view is None:
        return None
    rows, columns = view.rows, view.columns
    height, width = result.posterior.shape
    # of the corners that the scale bar and north have left the one farther away
    upper_left = (columns.start + columns.stop) / width + (rows.start + rows.stop) / height > 2
    corner = (0.02, 0.98 - _SIDE) if upper_left else (0.98 - _SIDE, 0.02)
    inset: Axes = axes.inset_axes((*corner, _SIDE, _SIDE), zorder=8)
    extent = (columns.start, columns.stop, rows.stop, rows.start)
    aspect = axes.get_aspect()
    if result.overhead is not None:
        picture = result.overhead[rows, columns]
        inset.imshow(picture, extent=extent, aspect=aspect, interpolation="bilinear")
    near = result.posterior[rows, columns]
    overlay = parts.posterior_overlay(near)
    inset.imshow(overlay, extent=extent, aspect=aspect, interpolation="nearest")
    parts.density_contours(inset, result.posterior, levels, (rows, columns))
    if truth is not None:
        parts.mark_truth(inset, *truth, size=8)
    parts.mark_estimate(inset, result.row, result.col, size=8)
    inset.set_xlim(columns.start, columns.stop)
    inset.set_ylim(rows.stop, rows.start)
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set_color("white")
    across = columns.stop - columns.start
    metres = None if result.pixel_size is None else across * result.pixel_size[1]
    text = f"{across} px across" if metres is None else f"{metres:.1f} m across"
    place: dict[str, Any] = {"transform": inset.transAxes, "ha": "center", "va": "bottom"}
    inset.text(0.5, 0.03, text, **parts.outlined(8, zorder=9, **place))
    _connect(axes, inset, view)
    return inset


def _connect(axes: "Axes", inset: "Axes", view: View) -> None:
    """A frame about what is magnified, and lines to the magnifier, which lies on a diagonal."""
    from matplotlib.patches import ConnectionPatch, Rectangle

    (top, bottom), (left, right) = ((each.start, each.stop) for each in (view.rows, view.columns))
    line: dict[str, Any] = {"color": "white", "linewidth": 1.0, "alpha": 0.9}
    frame = Rectangle((left, top), right - left, bottom - top, fill=False, zorder=3, **line)
    axes.add_patch(frame)
    for here, there in (((left, bottom), (0.0, 0.0)), ((right, top), (1.0, 1.0))):
        axes.add_artist(
            ConnectionPatch(here, there, axes.transData, inset.transAxes, zorder=7, **line)
        )
