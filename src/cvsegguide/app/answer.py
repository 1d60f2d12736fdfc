"""An answer as a picture whose layers the page shows and hides, as numbers, and as files."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.measure import block_reduce

from cvsegguide.inference.posterior import highest_density_mask
from cvsegguide.inference.regions import Region
from cvsegguide.inference.result import Localization
from cvsegguide.io.rasters import Overhead
from cvsegguide.viz import parts

SIDE = 1600  # pixels of what is shown, at most


def draw_picture(overhead: Overhead, upload: str, layers: str = "") -> str:
    """The overhead image as SVG; it lies in a JPEG beside its upload, fetched and written once."""
    height, width = overhead.shape
    down, across = overhead.pixel_size or (1.0, 1.0)
    image = _image(overhead.image, Path(upload).parent / f"{width}x{height}.jpg", (height, width))
    return (
        f'<div class="frame" tabindex="0"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="overhead image, with the answer over it" preserveAspectRatio="none" '
        f'style="aspect-ratio: {width * across} / {height * down}">{image}{layers}</svg></div>'
    )


def draw_layers(result: Localization, folder: Path, truth: tuple[float, float] | None) -> str:
    """Land cover, posterior, areas, regions, the estimate, and the truth where it is known."""
    step = math.ceil(max(result.posterior.shape) / SIDE)
    density = block_reduce(result.posterior, step, np.max)  # type: ignore[no-untyped-call]
    overlay = np.rint(255 * parts.posterior_overlay(density)).astype(np.uint8)
    cover = result.scheme.palette[result.landcover[::step, ::step]]
    extent = (density.shape[0] * step, density.shape[1] * step)
    drawn = _image(cover, folder / "landcover.png", extent)
    drawn += _image(overlay, folder / "posterior.png", extent)
    for area in (find_area(result, 0.5), find_area(result, 0.9), *result.regions):
        rings = [ring for part in area.polygons() for ring in part]
        path = ("M" + "L".join(f"{col:g} {row:g}" for row, col in ring) + "z" for ring in rings)
        drawn += f'<path class="{"regions" if area.rank else "areas"}" d="{"".join(path)}"/>'
    row, col, arm = result.row, result.col, 0.02 * max(result.posterior.shape)
    drawn += f'<path d="M{col - arm} {row}h{2 * arm}M{col} {row - arm}v{2 * arm}"/>'
    if truth is not None:
        drawn += f'<circle cx="{truth[1]}" cy="{truth[0]}" r="{arm}" style="stroke: lime"/>'
    return drawn


def find_area(result: Localization, mass: float) -> Region:
    """The smallest area that holds ``mass`` of the probability, described as a region is."""
    inside = highest_density_mask(result.posterior, mass)
    size = None if result.pixel_size is None else inside.sum() * math.prod(result.pixel_size)
    return Region(0, mass, result.row, result.col, area_m2=size, cutout=inside)


def describe(result: Localization, figure: Path, truth: tuple[float, float] | None) -> str:
    """Legend, estimate, areas, the error where the truth is known, and the figure, as HTML."""
    size = result.pixel_size
    facts = {"row, column": f"{result.row:.1f}, {result.col:.1f}"}
    if result.lat is not None:
        facts["latitude, longitude"] = f"{result.lat:.6f}, {result.lon:.6f}"
    facts["heading"] = "taken as north" if result.heading is None else f"{result.heading:.1f}°"
    for mass in (0.5, 0.9):
        area = find_area(result, mass)
        pixels = f"{area.cutout.sum()} pixels"
        facts[f"{mass:.0%} area"] = pixels if size is None else f"{area.area_m2:.1f} m²"
    if truth is not None:
        down, across = size or (1.0, 1.0)
        error = math.hypot((truth[0] - result.row) * down, (truth[1] - result.col) * across)
        facts["error (truth: green ring)"] = f"{error:.2f} {'pixels' if size is None else 'm'}"
    unknown = "unknown: taken as one tile"
    facts["resolution"] = unknown if size is None else f"{result.gsd:.4g} m per pixel"
    rows = [f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in facts.items()]
    shares = np.bincount(result.landcover.ravel(), minlength=256) / result.landcover.size
    legend = [
        f'<span style="border-color: rgb{entry.color}">{entry.name} {shares[entry.id]:.1%}</span>'
        for entry in sorted(result.scheme.classes, key=lambda entry: -shares[entry.id])
        if shares[entry.id]
    ]
    image = f'<details><summary>Figure</summary><img src="gradio_api/file={figure}"></details>'
    return f'<p class="legend">{" ".join(legend)}</p><table>{"".join(rows)}</table>{image}'


def _image(picture: Any, path: Path, extent: tuple[int, int]) -> str:
    """A picture, written unless it is there, over ``extent`` (height, width) of the overhead's."""
    if not path.exists():
        shown = Image.fromarray(picture)
        shown.thumbnail((SIDE, SIDE))
        shown.save(path, quality=88)
    return (
        f'<image class="{path.stem}" href="gradio_api/file={path}" '
        f'width="{extent[1]}" height="{extent[0]}" preserveAspectRatio="none"/>'
    )
