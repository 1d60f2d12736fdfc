"""One picture of one localisation that a person can read at a glance."""

import math
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.io.atomic import atomic_folder
from cvsegguide.viz import parts
from cvsegguide.viz.magnifier import draw_magnifier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cvsegguide.inference.result import Localization

_SIDE = 1000
"""Pictures are drawn with at most so many pixels a side."""

_SIGHTLINE_SIGMA = 14.5
"""Metres: 64 pixels of the published tiles."""

_REGIONS = 9
"""The most probable ones, which are outlined and have a bar of their own."""

_BELOW: dict[str, Any] = {
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.01),
    "fontsize": 9,
    "frameon": True,
    "columnspacing": 1.2,
}
"""Legends lie under the maps, where they hide nothing."""


def draw_localization(result: "Localization", truth: tuple[float, float] | None = None) -> "Figure":
    """Draw a localisation.

    Left, the overhead image under its posterior (brighter and denser where more probable), the
    ranked regions outlined and numbered, and the estimate, in a corner magnified where it is too
    sure for its posterior to be seen under the marks; beside it the land cover, with the
    part of it in the estimate's line of sight left bright; then the DPD, the regions'
    probabilities; below, the street view with the azimuths that its columns look to, and where
    headings were searched their posterior.

    Args:
        result: What was found.
        truth: The true ``(row, col)`` in overhead pixels, when known.
    """
    from matplotlib.figure import Figure

    height, width = result.posterior.shape
    cell = result.pixel_size or (1.0, 1.0)
    aspect = (height * cell[0]) / (width * cell[1])
    panel = 5.4
    wide = panel / max(0.5, min(2.0, aspect))
    figure = Figure(figsize=(2 * wide + 1.9, panel + 3.0), layout="constrained", dpi=110)
    grid = figure.add_gridspec(2, 3, width_ratios=(wide, wide, 2.2), height_ratios=(panel, 2.0))
    place = figure.add_subplot(grid[0, 0])
    cover = figure.add_subplot(grid[0, 1])
    bars = figure.add_subplot(grid[0, 2])
    searched = result.heading_posterior is not None
    street = figure.add_subplot(grid[1, :2] if searched else grid[1, :])
    _draw_place(place, result, truth)
    _draw_cover(cover, result, truth)
    probabilities = [region.probability for region in result.regions]
    parts.draw_distribution(bars, probabilities, shown=_REGIONS, size=8)
    bars.set(title="regions (DPD)", xlabel="rank", ylabel="probability in %")
    _draw_street(street, result)
    if searched:
        _draw_headings(figure.add_subplot(grid[1, 2], projection="polar"), result)
    figure.suptitle(_headline(result, truth), fontsize=13, fontweight="bold")
    return figure


def save_with_figure(
    result: "Localization",
    directory: str | PathLike[str],
    truth: tuple[float, float] | None = None,
) -> Path:
    """Write a localisation's files into a folder, and ``figure.png`` beside them.

    Args:
        result: What was found.
        directory: Where they go; it is made where it does not exist. A failure leaves no file.
        truth: The true ``(row, col)`` in overhead pixels, when known.

    Returns:
        The folder.

    Raises:
        InputError: The folder cannot be made or written to.
    """
    with atomic_folder(directory) as folder:
        result.save(folder)
        save_figure(result, folder / "figure.png", truth)
    return Path(directory)


def save_figure(
    result: "Localization",
    path: str | PathLike[str],
    truth: tuple[float, float] | None = None,
) -> None:
    """Draw a localisation into a PNG file, atomically."""
    parts.save(draw_localization(result, truth), path)


def _headline(result: "Localization", truth: tuple[float, float] | None) -> str:
    words = [f"estimate at row {result.row:.1f}, column {result.col:.1f}"]
    if result.lon is not None and result.lat is not None:
        words = [f"estimate {result.lat:.6f}°, {result.lon:.6f}° (lat, lon)"]
    if truth is not None:
        (height, width), unit = result.pixel_size or (1.0, 1.0), "m" if result.pixel_size else "px"
        error = math.hypot((truth[0] - result.row) * height, (truth[1] - result.col) * width)
        words.append(f"error {error:.1f} {unit}")
    return "   ·   ".join(words)


def _show(axes: "Axes", picture: NDArray[Any], result: "Localization", **options: Any) -> None:
    """Draw a picture over the overhead image's pixel frame."""
    cell = result.pixel_size or (1.0, 1.0)
    parts.show_map(axes, picture, cell[0] / cell[1], (0, 0, *result.posterior.shape), **options)


def _step(picture: NDArray[Any]) -> int:
    """Every so many pixels are drawn, such that at most :data:`_SIDE` remain a side."""
    largest: int = max(picture.shape[:2])
    return max(1, math.ceil(largest / _SIDE))


def _small(picture: NDArray[Any]) -> NDArray[Any]:
    step = _step(picture)
    return picture[::step, ::step]


def _draw_place(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    from skimage.measure import block_reduce

    if result.overhead is not None:
        _show(axes, _small(result.overhead), result)
    # the largest of each block: no peak is lost in a small picture
    pooled = block_reduce(result.posterior, _step(result.posterior), np.max)  # type: ignore[no-untyped-call]
    _show(axes, parts.posterior_overlay(pooled), result, interpolation="nearest")
    axes.set_title("where the picture was taken")
    for region in reversed(result.regions[:_REGIONS]):
        parts.outline_region(axes, region)
    _mark(axes, result, truth)
    axes.legend(**_BELOW, ncols=2, facecolor="#bbbbbb")
    parts.scale_bar(axes, None if result.pixel_size is None else result.pixel_size[1])
    _north_arrow(axes, result)
    draw_magnifier(axes, result, truth)


def _mark(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    if truth is not None:
        parts.mark_truth(axes, *truth, label="truth")
    parts.mark_estimate(axes, result.row, result.col)


def _draw_cover(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    ids = _small(result.landcover)
    picture = result.scheme.palette[ids].astype(np.float64) / 255.0
    visible = _visible(result)
    title = "land cover"
    if visible is not None:
        picture = np.where(_small(visible)[..., None], picture, 0.45 * picture)
        title = "land cover (bright: in sight of the estimate)"
    _show(axes, picture, result, interpolation="nearest")
    axes.set_title(title)
    handles = parts.landcover_handles(set(np.unique(ids).tolist()), result.scheme)
    _mark(axes, result, truth)
    axes.legend(handles=handles, **_BELOW, ncols=4)


def _visible(result: "Localization") -> NDArray[np.bool_] | None:
    """Pixels in the line of sight of the estimate, or None when that is not known."""
    if result.pixel_size is None or not np.isin(result.landcover, result.scheme.obstacles).any():
        return None
    from cvsegguide.geo.sightline import sightline

    sigma = _SIGHTLINE_SIGMA / math.sqrt(result.pixel_size[0] * result.pixel_size[1])
    view = sightline(
        result.landcover,
        result.row,
        result.col,
        sigma=max(sigma, 1.0),
        obstacles=result.scheme.obstacles,
    )
    # Beyond three sigma the published target is as good as zero.
    seen = np.asarray(view > 0.011)
    return seen if seen.any() else None


def _draw_street(axes: "Axes", result: "Localization") -> None:
    if result.street is None:
        axes.set_axis_off()
        return
    parts.draw_street(axes, result.street, result.heading, result.fov)
    known = "" if result.heading is not None else " (heading unknown: degrees from its middle)"
    axes.set_title(f"street view{known}")


def _draw_headings(axes: Any, result: "Localization") -> None:
    """The posterior over headings as a rose, and the heading that was found as a line."""
    masses = result.heading_posterior
    assert masses is not None
    sector = 2 * math.pi / len(masses)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    # the first sector's middle looks north
    axes.bar(np.arange(len(masses)) * sector, masses, width=sector, color=parts.BAR)
    if result.heading is not None:
        found = math.radians(result.heading)
        axes.plot([found, found], [0, float(masses.max())], color=parts.ESTIMATES[0], linewidth=2)
    axes.set_xticks(np.radians(range(0, 360, 90)), ["N", "E", "S", "W"])
    axes.set_yticks([])
    axes.tick_params(pad=-2)
    known = "" if result.heading is None else f" {result.heading:.0f}°"
    axes.set_title(f"heading{known}")


def _north_arrow(axes: "Axes", result: "Localization") -> None:
    up = 0.0 if result.reference is None else result.reference.up_azimuth
    # True north lies `up` degrees counter-clockwise of the image's up.
    x, y = -math.sin(math.radians(up)), math.cos(math.radians(up))
    column, row = 0.93, 0.885
    arrow = {"arrowstyle": "<|-", "color": "white", "lw": 2, "path_effects": parts.stroke(3)}
    axes.annotate(
        "N",
        xy=(column - 0.05 * x, row - 0.05 * y),
        xytext=(column + 0.07 * x, row + 0.07 * y),
        xycoords="axes fraction",
        ha="center",
        va="center",
        arrowprops=arrow,
        **parts.outlined(10, zorder=7),
    )
