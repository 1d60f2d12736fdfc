"""The pictures of docs/concepts.md, made with the package itself and the pairs that come with it.

python docs/_build/pictures.py        # writes docs/images/concept-*.jpg
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import cvsegguide
from cvsegguide.app.uploads import EXAMPLES
from cvsegguide.data import sightline
from cvsegguide.viz import parts

IMAGES = Path(__file__).resolve().parents[1] / "images"
YELLOW, RIM = "#ffe45e", parts.stroke(3.0)


def save(figure: Figure, name: str) -> None:
    FigureCanvasAgg(figure)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        figure.savefig(picture, dpi=110)
        Image.open(picture).convert("RGB").save(IMAGES / f"{name}.jpg", quality=84, optimize=True)


def arrow(axes: Axes, row: float, col: float, azimuth: float, length: float, color: str) -> None:
    """An arrow from a place towards an azimuth, north up."""
    angle = np.radians(azimuth)
    axes.annotate(
        "",
        xy=(col + length * np.sin(angle), row - length * np.cos(angle)),
        xytext=(col, row),
        arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2.4, "path_effects": RIM},
        zorder=6,
    )


def label(axes: Axes, row: float, col: float, text: str, color: str, **options: object) -> None:
    axes.text(
        col, row, text, color=color, fontweight="bold", fontsize=11, path_effects=RIM, zorder=7,
        **options,
    )  # fmt: skip


def frames(localizer: cvsegguide.Localizer, example: dict[str, Any]) -> None:
    """Rows, columns and headings: a view of 120 degrees towards the north-west."""
    result = localizer.localize(
        example["overhead"], example["street"],
        heading=example["true_heading"], fov=example["fov"],
    )  # fmt: skip
    height, width = result.posterior.shape
    row, col = example["row"], example["col"]
    figure = Figure(figsize=(11.5, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    parts.show_map(left, result.overhead)
    left.set_xticks([0, 64, 128, 192, 256])
    left.set_yticks([0, 64, 128, 192, 256])
    left.set_xlabel("column (pixel centres at +0.5)")
    left.set_ylabel("row")
    left.set_title("overhead image, north up")
    parts.scale_bar(left, (height, width), result.gsd)
    reach = 0.62 * width
    for side in (-0.5, 0.5):
        angle = np.radians(example["true_heading"] + side * example["fov"])
        left.plot(
            [col, col + reach * np.sin(angle)], [row, row - reach * np.cos(angle)],
            color=YELLOW, linewidth=1.6, linestyle="--", path_effects=RIM,
        )  # fmt: skip
    arrow(left, row, col, 0.0, 70, "white")
    label(left, row - 76, col, "north", "white", ha="center")
    arrow(left, row, col, example["true_heading"], 72, YELLOW)
    label(left, row - 54, 3, "heading\n315°", YELLOW)
    parts.mark_truth(left, row, col)
    label(left, row + 18, col + 10, f"row {row:.0f}, column {col:.0f}", parts.TRUTH)
    parts.draw_street(right, result.street, example["true_heading"], example["fov"])
    view = result.street.shape
    right.axvline(view[1] / 2, color=YELLOW, linewidth=2, path_effects=RIM)
    right.set_title(f"street view, {example['fov']:.0f}° wide: its centre column has the heading")
    save(figure, "concept-frames")


def sightlines(localizer: cvsegguide.Localizer, example: dict[str, Any]) -> None:
    """Land cover, what stands in the way, and the map that follows."""
    ids = localizer.segment(example["overhead"])
    assert ids is not None
    row, col = example["row"], example["col"]
    view = sightline(ids, row, col)
    figure = Figure(figsize=(11.5, 4.7), layout="constrained")
    axes = figure.subplots(1, 3)
    parts.show_map(axes[0], np.asarray(Image.open(example["overhead"])))
    axes[0].set_title("overhead image")
    parts.show_map(axes[1], parts.landcover_picture(ids, cvsegguide.landcover.NYC))
    axes[1].set_title("land cover (as the network sees it)")
    parts.show_map(axes[2], view, cmap="inferno", vmin=0, vmax=1)
    axes[2].set_title("sightline: a Gaussian, 0 behind buildings")
    for one in axes:
        parts.mark_truth(one, row, col, size=9)
    figure.legend(
        handles=parts.landcover_handles(set(np.unique(ids).tolist()), cvsegguide.landcover.NYC),
        loc="outside lower center", ncols=8, fontsize=9,
    )  # fmt: skip
    save(figure, "concept-sightline")


def posterior(localizer: cvsegguide.Localizer, example: dict[str, Any]) -> None:
    """Posterior, highest-density sets, regions and their probabilities, of a view of 70 degrees."""
    street = np.asarray(Image.open(example["street"]))
    width = street.shape[1]
    kept = round(width * 70 / 360)
    street = street[:, (width - kept) // 2 : (width - kept) // 2 + kept]
    result = localizer.localize(
        example["overhead"], street, heading=example["true_heading"], fov=360 * kept / width
    )
    shape = result.posterior.shape
    figure = Figure(figsize=(11.5, 4.4), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.8))
    for one in axes[:2]:
        parts.show_map(one, result.overhead)
    parts.show_map(axes[0], parts.posterior_overlay(result.posterior))
    parts.density_contours(axes[0], result.posterior)
    axes[0].set_title("posterior, with its 50 % and 90 % sets")
    for region in reversed(result.regions[:6]):
        parts.outline_region(axes[1], region, shape)
    axes[1].set_title("regions, ranked")
    for one in axes[:2]:
        parts.mark_truth(one, example["row"], example["col"], size=9)
        parts.mark_estimate(one, result.row, result.col, size=11)
    parts.scale_bar(axes[0], shape, result.gsd)
    true_rank = 0
    for region in result.regions:
        if region.mask(shape)[int(example["row"]), int(example["col"])]:
            true_rank = region.rank
    probabilities = [region.probability for region in result.regions]
    parts.draw_distribution(axes[2], probabilities, true_rank, size=10)
    axes[2].set_title("DPD: probability of each region in %")
    save(figure, "concept-posterior")
    print("posterior", result.row, result.col, example, probabilities, true_rank)


def headings(localizer: cvsegguide.Localizer, example: dict[str, Any]) -> None:
    """An unknown heading, searched."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = localizer.localize(
            example["overhead"], example["street"], heading=None, fov=example["fov"]
        )
    print("heading", result.heading, example["true_heading"])
    figure = Figure(figsize=(11.5, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3.4, 2))
    place = figure.add_subplot(grid[0, 0])
    rose = figure.add_subplot(grid[0, 1], projection="polar")
    street = figure.add_subplot(grid[1, :])
    parts.show_map(place, result.overhead)
    parts.show_map(place, parts.posterior_overlay(result.posterior))
    parts.mark_truth(place, example["row"], example["col"])
    if result.heading is not None:
        arrow(place, result.row, result.col, result.heading, 60, parts.ESTIMATES[0])
    parts.mark_estimate(place, result.row, result.col)
    place.set_title("posterior over positions, all headings together")
    rose.set_theta_zero_location("N")
    rose.set_theta_direction(-1)
    if result.heading_posterior is not None:
        mass = np.asarray(result.heading_posterior)
        centres = np.arange(len(mass)) * 2 * np.pi / len(mass)
        rose.bar(centres, np.sqrt(mass), width=2 * np.pi / len(mass), color=parts.BAR)
    rose.plot(
        np.radians([example["true_heading"]] * 2), [0, rose.get_rmax()], color=parts.TRUE_BAR,
        linewidth=2, label="true heading",
    )  # fmt: skip
    rose.set_yticks([])
    rose.set_title("posterior over headings (bars: square root of the mass)")
    rose.legend(loc="lower left", bbox_to_anchor=(-0.25, -0.08), fontsize=9)
    parts.draw_street(street, result.street, None, example["fov"])
    street.set_title("street view; nobody says which way it looks")
    save(figure, "concept-heading")


if __name__ == "__main__":
    mpl.rcParams["font.size"] = 10
    localizer = cvsegguide.Localizer.from_pretrained("synthcity", device="cpu")
    frames(localizer, EXAMPLES["corner"])
    sightlines(localizer, EXAMPLES["corner"])
    posterior(localizer, EXAMPLES["avenue"])
    headings(localizer, EXAMPLES["compass"])
