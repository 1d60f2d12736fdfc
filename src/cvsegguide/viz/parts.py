"""What the figures are made of: maps in pixels, marks, scale bars, street views, bars."""

import io
import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from cvsegguide.inference.regions import Region
    from cvsegguide.landcover import ClassScheme

TRUTH = "#39ff14"
ESTIMATES = ("#00e5ff", "#ff9f1c", "#ff4fd8", "#ffe45e", "#9d8cff", "#ff5d5d")
"""Colours of the estimates of several models, in this order, then again."""

BAR, TRUE_BAR, REST_BAR = "#7b3fa0", "#1f9d55", "#b9b9b9"
"""Colours of regions, of the region that the camera stands in, and of what lies in none."""

CONTOURS = (0.5, 0.9)
"""Masses of the highest-density sets that are outlined."""

_MARKERS = ("+", "x", "1", "2", "3", "4")
_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


def stroke(width: float) -> list[Any]:
    """A black rim of ``width`` points about lines and letters, legible on any ground."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black")]


def outlined(size: float, rim: float = 0.3, **options: Any) -> dict[str, Any]:
    """Options of white, bold text of ``size`` points with a black rim of that many sizes."""
    style: dict[str, Any] = {"color": "white", "fontsize": size, "fontweight": "bold"}
    return {**style, "path_effects": stroke(rim * size), **options}


def render(figure: "Figure", kind: str = "png", dpi: int = 110) -> bytes:
    """A figure as the content of a file; letters of PDF and SVG stay letters."""
    import matplotlib as mpl

    options: dict[str, Any] = {"pil_kwargs": {"quality": 85}} if kind == "jpg" else {}
    content = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(content, format=kind, dpi=dpi, **options)
    return content.getvalue()


def save(figure: "Figure", path: str | PathLike[str], kind: str = "png", dpi: int = 110) -> None:
    """Write a figure into a file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(render(figure, kind, dpi))


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that is not above ``longest``."""
    power = 10.0 ** math.floor(math.log10(longest))
    return next(power * factor for factor in (5, 2, 1) if power * factor <= longest)


def show_map(
    axes: "Axes",
    picture: NDArray[Any],
    aspect: float = 1.0,
    box: tuple[float, float, float, float] | None = None,
    **options: Any,
) -> None:
    """Draw a raster whose pixel (i, j) covers rows i to i + 1 and columns j to j + 1.

    Args:
        axes: Where to.
        picture: ``(H, W)`` or ``(H, W, C)``.
        aspect: Height of a pixel in widths of one.
        box: Top, left, bottom and right of what it covers, where those are not its own pixels.
        options: Of ``imshow``.
    """
    top, left, bottom, right = box or (0, 0, *picture.shape[:2])
    axes.imshow(picture, extent=(left, right, bottom, top), aspect=aspect, **options)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])


def scale_bar(axes: "Axes", metres: float | None, size: float = 10.0) -> None:
    """A bar of a round length at the lower left.

    Args:
        axes: A map.
        metres: Metres per pixel from left to right; None says the length in pixels.
        size: Of the letters, in points.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    scale = 1.0 if metres is None else metres
    length = round_length(0.3 * (right - left) * scale)
    begin, base = left + 0.04 * (right - left), bottom - 0.05 * (bottom - top)
    end = begin + length / scale
    line: dict[str, Any] = {"linewidth": 0.3 * size, "path_effects": stroke(0.6 * size)}
    axes.plot([begin, end], [base, base], "white", solid_capstyle="butt", zorder=7, **line)
    text = f"{length:g} {'px' if metres is None else 'm'}"
    place: dict[str, Any] = {"ha": "center", "va": "bottom", "zorder": 7}
    height = base - 0.02 * (bottom - top)
    axes.text((begin + end) / 2, height, text, **outlined(size, **place))


def mark_truth(
    axes: "Axes", row: float, col: float, size: float = 13.0, label: str = "true position"
) -> Any:
    """A ring at the true position; returns it for a legend."""
    line = _mark(axes, row, col, "o", size, TRUTH, label)
    line.set(markerfacecolor="none", path_effects=stroke(0.3 * size), zorder=4)
    return line


def mark_estimate(
    axes: "Axes", row: float, col: float, number: int = 0, label: str = "estimate", size: float = 15
) -> Any:
    """A cross at the estimate of model ``number``; returns it for a legend."""
    marker, color = _MARKERS[number % len(_MARKERS)], ESTIMATES[number % len(ESTIMATES)]
    line = _mark(axes, row, col, marker, size, color, label)
    line.set(path_effects=stroke(0.28 * size), zorder=5)
    return line


def _mark(
    axes: "Axes", row: float, col: float, marker: str, size: float, color: str, label: str
) -> Any:
    (line,) = axes.plot(col, row, marker, markersize=size, color=color, label=label)
    line.set(markeredgewidth=0.16 * size, clip_on=False, linestyle="none")
    return line


def posterior_overlay(posterior: NDArray[np.floating]) -> NDArray[np.float64]:
    """``(H, W, 4)``: brighter and denser where more probable, nothing where improbable."""
    import matplotlib as mpl

    strength = np.sqrt(posterior / max(float(posterior.max()), 1e-30))
    overlay = np.array(mpl.colormaps["plasma"](strength))
    overlay[..., 3] = np.clip(strength * 1.2, 0.0, 0.85) * (strength > 0.02)
    return overlay


def density_contours(
    axes: "Axes",
    posterior: NDArray[np.floating],
    levels: NDArray[np.float64] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> None:
    """Outlines of highest-density sets; the innermost the brightest.

    Args:
        axes: A map in pixels.
        posterior: ``(H, W)``, or a part of one.
        levels: :func:`highest_density_levels` of the sets; of :data:`CONTOURS` by default.
        corner: First row and column of the part.
    """
    if levels is None:
        levels = highest_density_levels(posterior, CONTOURS)
    rows, cols = (
        first + np.arange(side) + 0.5 for first, side in zip(corner, posterior.shape, strict=True)
    )
    for place, level in enumerate(sorted(levels.tolist(), reverse=True)):
        if not 0 < level < float(posterior.max()):
            continue  # a set of one pixel, which the estimate's mark covers
        width = 1.1 - 0.35 * place
        drawn = axes.contour(
            cols, rows, posterior, levels=[level], colors=["white"], linewidths=width, zorder=3
        )
        drawn.set_path_effects(stroke(2.2 - 0.35 * place))


def highest_density_levels(
    posterior: NDArray[np.floating], masses: Sequence[float]
) -> NDArray[np.float64]:
    """The probability of the last pixel that the highest-density set of each mass takes in."""
    ordered = np.sort(np.asarray(posterior, np.float64).ravel())[::-1]
    places = np.searchsorted(np.cumsum(ordered), np.asarray(masses) * (1 - 1e-9))
    return np.asarray(ordered[np.minimum(places, len(ordered) - 1)])


def outline_region(axes: "Axes", region: "Region", size: float = 10.0) -> None:
    """A region's edge, and its rank beside it."""
    for rings in region.polygons():
        for ring in rings:
            rows, cols = np.array(ring).T
            rim = stroke(0.26 * size)
            axes.plot(cols, rows, color="white", lw=0.11 * size, path_effects=rim, zorder=3)
    number_region(axes, region, size)


def number_region(axes: "Axes", region: "Region", size: float = 10.0) -> None:
    """A region's rank where the region is widest, or beside one that is smaller than the number."""
    from scipy.ndimage import distance_transform_edt

    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    depth = np.asarray(distance_transform_edt(np.pad(region.cutout, 1)))[1:-1, 1:-1]
    down, across = np.unravel_index(int(depth.argmax()), depth.shape)
    place = (region.left + float(across) + 0.5, region.top + float(down) + 0.5)
    aside: dict[str, Any] = {"ha": "center", "xytext": (0, 0)}
    if depth.max() < 0.03 * width:
        right = region.left + region.cutout.shape[1]
        to_right = right < 0.93 * width
        place = (right if to_right else region.left, max(region.top, 0.03 * height))
        aside = {"ha": "left", "xytext": (3, 0)} if to_right else {"ha": "right", "xytext": (-3, 0)}
    axes.annotate(
        str(region.rank),
        place,
        textcoords="offset points",
        va="center",
        zorder=6,
        **aside,
        **outlined(size, 0.26),
    )


def landcover_handles(present: set[int], scheme: "ClassScheme") -> "list[Patch]":
    """Entries of a legend for the class ids that occur."""
    from matplotlib.patches import Patch

    return [
        Patch(
            facecolor="#{:02x}{:02x}{:02x}".format(*entry.color),
            edgecolor="black",
            linewidth=0.3,
            label=entry.name,
        )
        for entry in scheme.classes
        if entry.id in present
    ]


def draw_street(
    axes: "Axes",
    street: NDArray[np.uint8],
    heading: float | None,
    fov: float,
    most: int = 2000,
    size: float | None = None,
) -> None:
    """A street view with the azimuths that its columns look to, as many as have room.

    Args:
        axes: Where to.
        street: ``(h, w, 3)`` uint8, equirectangular.
        heading: Azimuth of its centre in degrees, or None: degrees from its middle are written.
        fov: Horizontal extent in degrees.
        most: Columns that are drawn at most.
        size: Of the letters, in points.
    """
    height, width = street.shape[:2]
    vertical = fov * height / width
    if vertical > 91:  # the sky and the car's roof tell nothing
        spare = int(height * (1 - 90 / vertical) / 2)
        street = street[spare : height - spare]
        height = street.shape[0]
    start = -fov / 2 if heading is None else heading - fov / 2
    step = max(1, width // most)
    box = (start, start + fov, 0, fov * height / width)
    axes.imshow(street[::step, ::step], extent=box, aspect="equal")
    axes.set_yticks([])
    if size is not None:
        axes.tick_params("x", labelsize=size)
    shown = min(1.0, axes.bbox.height / axes.bbox.width * width / height)
    room = min(8.0, shown * axes.xaxis.get_tick_space())
    every = next((gap for gap in (1, 5, 10, 30, 45, 90) if fov / gap <= room), 180)
    first, last = math.ceil(start / every - 1e-6), math.floor((start + fov) / every + 1e-6)
    azimuths = [every * number for number in range(first, last + 1)] or [round(start + fov / 2)]
    names = [direction(azimuth) for azimuth in azimuths]
    if heading is None:
        names = [f"{angle:+.0f}°" if angle else "0°" for angle in azimuths]
    axes.set_xticks(azimuths, names)


def direction(azimuth: float) -> str:
    """An azimuth in degrees, below its name where it has one."""
    azimuth = azimuth % 360
    name = _COMPASS[round(azimuth / 45) % 8] if azimuth % 45 < 1e-6 else ""
    return f"{name}\n{azimuth:.0f}°" if name else f"{azimuth:.0f}°"


def draw_distribution(
    axes: "Axes",
    probabilities: Sequence[float],
    true_rank: int = 0,
    shown: int = 5,
    size: float = 7.0,
) -> None:
    """The DPD: upright bars of the ranked regions' probabilities, and what lies elsewhere.

    Args:
        axes: Where to.
        probabilities: Of the regions, the most probable first.
        true_rank: Rank of the region that holds the camera, 0 for none of them.
        shown: Regions that get a bar of their own.
        size: Of the letters, in points.
    """
    head = list(probabilities[:shown])
    values = 100 * np.array([*head, *[0.0] * (shown - len(head)), max(0.0, 1.0 - sum(head))])
    colors = [BAR] * shown + [REST_BAR]
    if true_rank:
        colors[min(true_rank, shown + 1) - 1] = TRUE_BAR
    names = [*(str(rank + 1) for rank in range(shown)), "else"]
    bars = axes.bar(names, values, color=colors, width=0.78)
    texts = [f"{value:.0f}" if value >= 0.5 else "<1" for value in values]
    texts[len(head) : shown] = [""] * (shown - len(head))
    axes.bar_label(bars, texts, padding=1, fontsize=size)
    axes.set(xlim=(-0.6, shown + 0.6), ylim=(0, 122), yticks=[0, 50, 100])
    axes.tick_params(length=2, pad=1.5, width=0.6, labelsize=size)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_linewidth(0.6)
