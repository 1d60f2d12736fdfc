"""One picture of one localisation that a person can read at a glance."""

import math
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cvsegguide.inference.result import Localization

ESTIMATE, TRUTH, OUTLINE = "#00e5ff", "#39ff14", "#ffffff"
_SIDE = 1000
"""Pictures are drawn with at most so many pixels a side."""

_SIGHTLINE_SIGMA = 14.5
"""Metres: 64 pixels of the published tiles."""

_BELOW: dict[str, Any] = {
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.01),
    "fontsize": 9,
    "frameon": True,
    "columnspacing": 1.2,
}
"""Legends lie under the maps, where they hide nothing."""

_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


def draw_localization(result: "Localization", truth: tuple[float, float] | None = None) -> "Figure":
    """Draw a localisation.

    Left, the overhead image under its posterior (brighter and denser where more probable), the
    ranked regions outlined and numbered, and the estimate; beside it the land cover, with the
    part of it in the estimate's line of sight left bright; then the DPD, the regions'
    probabilities; below, the street view with the azimuths that its columns look to.

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
    street = figure.add_subplot(grid[1, :])
    _draw_place(place, result, truth)
    _draw_cover(cover, result, truth)
    _draw_bars(bars, result)
    _draw_street(street, result)
    figure.suptitle(_headline(result, truth), fontsize=13, fontweight="bold")
    return figure


def save_figure(
    result: "Localization",
    path: str | PathLike[str],
    truth: tuple[float, float] | None = None,
) -> None:
    """Draw a localisation into a PNG file, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw_localization(result, truth)
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _headline(result: "Localization", truth: tuple[float, float] | None) -> str:
    parts = [f"estimate at row {result.row:.1f}, column {result.col:.1f}"]
    if result.lon is not None and result.lat is not None:
        parts = [f"estimate {result.lat:.6f}°, {result.lon:.6f}° (lat, lon)"]
    if truth is not None:
        size = result.pixel_size
        row, col = truth[0] - result.row, truth[1] - result.col
        if size is None:
            parts.append(f"error {math.hypot(row, col):.1f} px")
        else:
            parts.append(f"error {math.hypot(row * size[0], col * size[1]):.1f} m")
    return "   ·   ".join(parts)


def _show(axes: "Axes", picture: NDArray[Any], result: "Localization", **options: Any) -> None:
    """Draw a picture over the overhead image's pixel frame."""
    height, width = result.posterior.shape
    cell = result.pixel_size or (1.0, 1.0)
    axes.imshow(picture, extent=(0, width, height, 0), aspect=cell[0] / cell[1], **options)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_xticks([])
    axes.set_yticks([])


def _small(picture: NDArray[Any]) -> NDArray[Any]:
    """Every n-th pixel, such that at most :data:`_SIDE` remain a side."""
    step = max(1, math.ceil(max(picture.shape[:2]) / _SIDE))
    return picture[::step, ::step]


def _pooled(posterior: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest of every n x n pixels: no peak is lost in a small picture."""
    step = max(1, math.ceil(max(posterior.shape) / _SIDE))
    if step == 1:
        return posterior
    height, width = (-(-side // step) * step for side in posterior.shape)
    padded = np.zeros((height, width), posterior.dtype)
    padded[: posterior.shape[0], : posterior.shape[1]] = posterior
    blocks = padded.reshape(height // step, step, width // step, step)
    return np.asarray(blocks.max(axis=(1, 3)))


def _draw_place(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    import matplotlib as mpl

    if result.overhead is not None:
        _show(axes, _small(result.overhead), result)
    density = _pooled(result.posterior)
    strength = np.sqrt(density / max(float(density.max()), 1e-30))
    overlay = mpl.colormaps["plasma"](strength)
    overlay[..., 3] = np.clip(strength * 1.2, 0.0, 0.85) * (strength > 0.02)
    _show(axes, overlay, result, interpolation="nearest")
    axes.set_title("where the picture was taken")
    for region in reversed(result.regions[:9]):
        _outline(axes, result, region)
    _mark(axes, result, truth)
    _scale_bar(axes, result)
    _north_arrow(axes, result)


def _outline(axes: "Axes", result: "Localization", region: Any) -> None:
    from matplotlib.patheffects import withStroke

    stroke = [withStroke(linewidth=2.6, foreground="black")]
    for rings in region.polygons():
        for ring in rings:
            rows, cols = np.array(ring).T
            axes.plot(cols, rows, color=OUTLINE, linewidth=1.1, path_effects=stroke, zorder=3)
    # The number stands beside the region, on the side that has room.
    height, width = result.posterior.shape
    right = region.left + region.cutout.shape[1]
    to_right = right < 0.93 * width
    axes.annotate(
        str(region.rank),
        (right if to_right else region.left, max(region.top, 0.03 * height)),
        xytext=(3 if to_right else -3, 0),
        textcoords="offset points",
        ha="left" if to_right else "right",
        va="center",
        color="white",
        fontsize=10,
        fontweight="bold",
        path_effects=stroke,
        zorder=6,
    )


def _mark(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    from matplotlib.patheffects import withStroke

    stroke = [withStroke(linewidth=4, foreground="black")]
    if truth is not None:
        axes.plot(
            truth[1], truth[0], "o", markersize=13, markerfacecolor="none", markeredgewidth=2,
            color=TRUTH, path_effects=stroke, zorder=4, label="truth", clip_on=False,
        )  # fmt: skip
    axes.plot(
        result.col, result.row, "+", markersize=15, markeredgewidth=2.4,
        color=ESTIMATE, path_effects=stroke, zorder=5, label="estimate", clip_on=False,
    )  # fmt: skip
    axes.legend(**_BELOW, ncols=2, facecolor="#bbbbbb")


def _draw_cover(axes: "Axes", result: "Localization", truth: tuple[float, float] | None) -> None:
    from matplotlib.patches import Patch

    ids = _small(result.landcover)
    picture = result.scheme.palette[ids].astype(np.float64) / 255.0
    visible = _visible(result)
    title = "land cover"
    if visible is not None:
        picture = np.where(_small(visible)[..., None], picture, 0.45 * picture)
        title = "land cover (bright: in sight of the estimate)"
    _show(axes, picture, result, interpolation="nearest")
    axes.set_title(title)
    present = set(np.unique(ids).tolist())
    handles = [
        Patch(color="#{:02x}{:02x}{:02x}".format(*entry.color), label=entry.name)
        for entry in result.scheme.classes
        if entry.id in present
    ]
    _mark(axes, result, truth)
    axes.legend(handles=handles, **_BELOW, ncols=3)


def _visible(result: "Localization") -> NDArray[np.bool_] | None:
    """Pixels in the line of sight of the estimate, or None when that is not known."""
    if result.pixel_size is None or not np.isin(result.landcover, result.scheme.obstacles).any():
        return None
    from cvsegguide.data.sightlines import sightline

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


def _draw_bars(axes: "Axes", result: "Localization") -> None:
    shown = result.regions[:9]
    rest = max(0.0, 1.0 - sum(region.probability for region in shown))
    names = [str(region.rank) for region in shown] + ["else"]
    values = [100 * region.probability for region in shown] + [100 * rest]
    colors = ["#7b3fa0"] * len(shown) + ["#bbbbbb"]
    axes.barh(names, values, color=colors)
    axes.invert_yaxis()
    for i, value in enumerate(values):
        axes.text(value + 1.5, i, f"{value:.0f} %" if value >= 1 else "< 1 %", va="center")
    axes.set_xlim(0, 118)
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("probability in %")
    axes.set_ylabel("region")
    axes.set_title("regions (DPD)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_street(axes: "Axes", result: "Localization") -> None:
    if result.street is None:
        axes.set_axis_off()
        return
    height, width = result.street.shape[:2]
    vertical = result.fov * height / width
    picture = result.street
    if vertical > 91:  # the sky and the car's roof tell nothing
        spare = int(height * (1 - 90 / vertical) / 2)
        picture = picture[spare : height - spare]
        height = picture.shape[0]
    step = max(1, width // 2000)
    axes.imshow(picture[::step, ::step], extent=(0, width, height, 0), aspect="equal")
    axes.set_yticks([])
    heading = 0.0 if result.heading is None else result.heading
    every = next(gap for gap in (45, 30, 15, 10, 5, 1) if gap == 1 or result.fov / gap >= 4)
    start = heading - result.fov / 2
    first = math.ceil(start / every - 1e-6) * every
    ticks = np.arange(first, start + result.fov + 1e-6, every)
    axes.set_xticks(
        (ticks - start) * width / result.fov,
        [
            _direction(tick)
            if result.heading is not None
            else f"{tick - heading:+.0f}°".replace("+0°", "0°")
            for tick in ticks
        ],
    )
    known = "" if result.heading is not None else " (heading unknown: degrees from its middle)"
    axes.set_title(f"street view{known}")


def _direction(azimuth: float) -> str:
    azimuth = azimuth % 360
    name = _COMPASS[round(azimuth / 45) % 8] if azimuth % 45 < 1e-6 else ""
    return f"{name}\n{azimuth:.0f}°" if name else f"{azimuth:.0f}°"


def _scale_bar(axes: "Axes", result: "Localization") -> None:
    from matplotlib.patheffects import withStroke

    height, width = result.posterior.shape
    metre = 1.0 if result.pixel_size is None else result.pixel_size[1]
    unit = "px" if result.pixel_size is None else "m"
    longest = 0.3 * width * metre
    power = 10.0 ** math.floor(math.log10(longest))
    length = next(power * factor for factor in (5, 2, 1) if power * factor <= longest)
    left, right = 0.04 * width, 0.04 * width + length / metre
    base = 0.95 * height
    stroke = [withStroke(linewidth=6, foreground="black")]
    axes.plot(
        [left, right], [base, base], color="white", linewidth=3, path_effects=stroke,
        solid_capstyle="butt", zorder=7,
    )  # fmt: skip
    axes.text(
        (left + right) / 2, base - 0.015 * height, f"{length:g} {unit}", color="white",
        ha="center", va="bottom", fontsize=10, fontweight="bold", zorder=7,
        path_effects=[withStroke(linewidth=3, foreground="black")],
    )  # fmt: skip


def _north_arrow(axes: "Axes", result: "Localization") -> None:
    from matplotlib.patheffects import withStroke

    up = 0.0 if result.reference is None else result.reference.up_azimuth
    # True north lies `up` degrees counter-clockwise of the image's up.
    x, y = -math.sin(math.radians(up)), math.cos(math.radians(up))
    stroke = [withStroke(linewidth=3, foreground="black")]
    middle = (0.93, 0.885)
    axes.annotate(
        "",
        xy=(middle[0] + 0.045 * x, middle[1] + 0.045 * y),
        xytext=(middle[0] - 0.045 * x, middle[1] - 0.045 * y),
        xycoords="axes fraction",
        arrowprops={"arrowstyle": "-|>", "color": "white", "linewidth": 2, "path_effects": stroke},
    )
    axes.text(
        middle[0] + 0.07 * x, middle[1] + 0.07 * y, "N", transform=axes.transAxes, color="white",
        ha="center", va="center", fontweight="bold", path_effects=stroke, zorder=7,
    )  # fmt: skip
