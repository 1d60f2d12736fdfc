"""An answer as a picture whose layers the page shows and hides, as numbers, and as files."""

import math
from html import escape
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

SIDE = 1600
"""Pictures are shown with at most so many pixels a side."""


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
    """Land cover, posterior (density and its logarithm over 4 decades), areas, regions, marks."""
    step = math.ceil(max(result.posterior.shape) / SIDE)
    density = block_reduce(result.posterior, step, np.max)  # no peak is lost
    logarithm = np.maximum(1 + np.log10(np.maximum(density / density.max(), 1e-9)) / 4, 0)
    pictures = {
        "landcover": result.scheme.palette[result.landcover[::step, ::step]],
        "density": np.rint(255 * parts.posterior_overlay(density)).astype(np.uint8),
        # the overlay takes a root
        "logarithm": np.rint(255 * parts.posterior_overlay(logarithm**2)).astype(np.uint8),
    }
    extent = (density.shape[0] * step, density.shape[1] * step)
    drawn = [_image(each, folder / f"{name}.png", extent) for name, each in pictures.items()]
    drawn += [_path("areas", find_area(result, mass)) for mass in (0.5, 0.9)]
    drawn += [_path("regions", region) for region in result.regions]
    row, col, arm = result.row, result.col, 0.02 * max(result.posterior.shape)
    cross = f"M{col - arm} {row}h{2 * arm}M{col} {row - arm}v{2 * arm}"
    drawn.append(f'<path class="marks" d="{cross}"/>')
    if truth is not None:
        drawn.append(f'<circle class="marks truth" cx="{truth[1]}" cy="{truth[0]}" r="{arm}"/>')
    return "".join(drawn)


def find_area(result: Localization, mass: float) -> Region:
    """The smallest area that holds ``mass`` of the probability, described as a region is."""
    inside = highest_density_mask(result.posterior, mass)
    size = None if result.pixel_size is None else inside.sum() * math.prod(result.pixel_size)
    return Region(0, mass, result.row, result.col, area_m2=size, cutout=inside)


def describe(result: Localization, truth: tuple[float, float] | None) -> str:
    """The estimate, areas, the error where the truth is known, and the legend, as HTML."""
    size = result.pixel_size
    facts = {"row, column": f"{result.row:.1f}, {result.col:.1f}"}
    if result.lat is not None:
        facts["latitude, longitude"] = f"{result.lat:.6f}, {result.lon:.6f}"
    unknown = "unknown: taken as north"
    facts["heading"] = unknown if result.heading is None else f"{result.heading:.1f}°"
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
    facts["model"] = escape(Path(result.model).name)
    rows = [f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in facts.items()]
    shares = np.bincount(result.landcover.ravel(), minlength=256) / result.landcover.size
    legend = [
        f'<span style="border-color: rgb{entry.color}">{entry.name} {shares[entry.id]:.1%}</span>'
        for entry in sorted(result.scheme.classes, key=lambda entry: -shares[entry.id])
        if shares[entry.id]
    ]
    return f'<table>{"".join(rows)}</table><p class="legend">{"".join(legend)}</p>'


def _path(name: str, region: Region) -> str:
    rings = [ring for part in region.polygons() for ring in part]
    drawn = ("M" + "L".join(f"{col:g} {row:g}" for row, col in ring) + "z" for ring in rings)
    return f'<path class="{name}" d="{"".join(drawn)}"/>'


def _image(picture: Any, path: Path, extent: tuple[int, int]) -> str:
    """A picture, written unless it is there, over ``extent`` (height, width) of the overhead's."""
    if not path.exists():
        shown = Image.fromarray(picture)
        shown.thumbnail((SIDE, SIDE))
        shown.save(path, quality=88)
    return (
        f'<image class="{path.stem}" href="gradio_api/file={escape(str(path))}" '
        f'width="{extent[1]}" height="{extent[0]}" preserveAspectRatio="none"/>'
    )
