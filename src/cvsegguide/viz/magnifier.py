"""A closer look at an answer that is smaller on the map than the mark upon it."""

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


def _closer_view(
    posterior: NDArray[np.floating], level: float, truth: tuple[float, float] | None
) -> tuple[slice, slice] | None:
    """Rows and columns about the highest-density set, and the truth near it.

    Args:
        posterior: ``(H, W)``.
        level: Of the set's last pixel.
        truth: Row and column.

    Returns:
        A square; None where the set is large or nothing would be seen closer.
    """
    places = np.argwhere(posterior >= level)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    middle, extent, side = (low + high) / 2, (high - low).max(), min(posterior.shape)
    reach = max(_LEAST, 0.8 * extent)
    if truth is not None:
        away = np.abs(truth - middle).max()
        if away <= _HIDDEN * side:
            reach = max(reach, 1.3 * away)
    if extent > _HIDDEN * side or 6 * reach > side:
        return None
    length = round(2 * reach)
    first = np.clip(np.rint(middle - reach).astype(int), 0, np.array(posterior.shape) - length)
    top, left = first.tolist()
    return np.s_[top : top + length, left : left + length]


def draw_magnifier(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    """Draw the posterior closer into a corner of its map, where marks would hide it.

    The two lines about it are the sets of 50 % and 90 %.

    Args:
        axes: The map, in pixels of the overhead image.
        result: What was found.
        truth: Row and column, when known.
    """
    levels = parts.highest_density_levels(result.posterior, parts.CONTOURS)
    view = _closer_view(result.posterior, float(levels.min()), truth)
    if view is None:
        return
    rows, columns = view
    height, width = result.posterior.shape
    # of the corners that the scale bar and north have left the one farther away
    upper_left = (columns.start + columns.stop) / width + (rows.start + rows.stop) / height > 2
    corner = (0.02, 0.98 - _SIDE) if upper_left else (0.98 - _SIDE, 0.02)
    inset: Axes = axes.inset_axes((*corner, _SIDE, _SIDE), zorder=8)
    box = (rows.start, columns.start, rows.stop, columns.stop)
    near = result.posterior[view]
    pictures: list[tuple[NDArray[Any], str]] = [(parts.posterior_overlay(near), "nearest")]
    if result.overhead is not None:
        pictures.insert(0, (result.overhead[view], "bilinear"))
    for picture, method in pictures:
        parts.show_map(inset, picture, axes.get_aspect(), box, interpolation=method)  # type: ignore[arg-type]
    parts.density_contours(inset, near, levels, (rows.start, columns.start))
    if truth is not None:
        parts.mark_truth(inset, *truth, size=8)
    parts.mark_estimate(inset, result.row, result.col, size=8)
    inset.set(xlim=(columns.start, columns.stop), ylim=(rows.stop, rows.start))
    inset.spines[:].set_color("white")
    across = columns.stop - columns.start
    metres = None if result.pixel_size is None else across * result.pixel_size[1]
    text = f"{across} px across" if metres is None else f"{metres:.1f} m across"
    place: dict[str, Any] = {"transform": inset.transAxes, "ha": "center", "va": "bottom"}
    inset.text(0.5, 0.03, text, **parts.outlined(8, zorder=9, **place))
    frame = (columns.start, rows.start, across, rows.stop - rows.start)
    axes.indicate_inset(frame, inset, edgecolor="white", alpha=0.9, zorder=3)
