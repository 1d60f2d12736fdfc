"""An answer as the page shows it: pictures that lie over the overhead image, outlines, numbers."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.app.uploads import PREVIEW_SIDE
from cvsegguide.inference.posterior import highest_density_mask
from cvsegguide.inference.result import Localization
from cvsegguide.io.vectors import write_geojson

MASSES = (0.5, 0.9)
"""Probabilities of the areas that are drawn."""

_DECADES = 4.0
"""Orders of magnitude below its maximum at which the logarithmic posterior fades out."""

_SIGHT_SIGMA = 14.5
"""Metres: 64 pixels of the published tiles, as in the figure."""

_OUTLINE_SIDE = 1024

Ring = list[tuple[float, float]]


def write_layers(result: Localization, folder: Path) -> list[str]:
    """Write the pictures that lie over the overhead image.

    ``posterior.png`` (square root of the density), ``evidence.png`` (its logarithm, four orders of
    magnitude), ``landcover.png``, and, where the resolution is known and something stands in the
    way, ``sight.png``, which darkens what the estimate does not see.

    Returns:
        Names of the files.
    """
    density = pooled(result.posterior)
    relative = density / max(float(density.max()), 1e-30)
    layers = {
        "posterior": posterior_picture(np.sqrt(relative)),
        "evidence": posterior_picture(1.0 + np.log10(np.maximum(relative, 1e-12)) / _DECADES),
        "landcover": _landcover_picture(result),
    }
    hidden = _out_of_sight(result)
    if hidden is not None:
        shade = np.zeros((*hidden.shape, 4), np.uint8)
        shade[..., 3] = np.where(hidden, 150, 0)
        layers["sight"] = shade
    for name, picture in layers.items():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
        (folder / f"{name}.png").write_bytes(buffer.getvalue())
    return list(layers)


def describe(result: Localization, truth: tuple[float, float] | None = None) -> dict[str, Any]:
    """The numbers of an answer for the page, in JSON types.

    Outlines are rings of ``(col, row)`` in overhead pixels: smooth for the areas, pixel edges for
    the regions.

    Args:
        result: The answer.
        truth: Where the camera stood, ``(row, col)``, where it is known.
    """
    height, width = result.posterior.shape
    size = result.pixel_size
    reference = result.reference
    return {
        "height": height,
        "width": width,
        "pixel_size": None if size is None else list(size),
        "gsd": result.gsd,
        "up_azimuth": 0.0 if reference is None else reference.up_azimuth,
        "corners": corners(result),
        "row": result.row,
        "col": result.col,
        "lon": result.lon,
        "lat": result.lat,
        "heading": result.heading,
        "heading_posterior": (
            None if result.heading_posterior is None else result.heading_posterior.tolist()
        ),
        "fov": result.fov,
        "model": result.model,
        "version": result.version,
        "areas": [_area(result, mass) for mass in MASSES],
        "regions": [
            {
                **region.to_dict(),
                "outline": [
                    [(col, row) for row, col in ring] for part in region.polygons() for ring in part
                ],
            }
            for region in result.regions
        ],
        "legend": legend(result),
        "truth": None if truth is None else _truth(result, truth),
    }


def pooled(values: NDArray[np.float32], side: int = PREVIEW_SIDE) -> NDArray[np.float32]:
    """The largest of every n x n pixels, such that ``side`` remain at most: no peak is lost."""
    step = max(1, math.ceil(max(values.shape) / side))
    if step == 1:
        return values
    height, width = (-(-length // step) * step for length in values.shape)
    padded = np.zeros((height, width), values.dtype)
    padded[: values.shape[0], : values.shape[1]] = values
    return np.asarray(padded.reshape(height // step, step, width // step, step).max(axis=(1, 3)))


def posterior_picture(strength: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Strengths up to 1 as ``(H, W, 4)`` uint8: the stronger, the brighter and the denser."""
    import matplotlib as mpl

    strength = np.clip(strength, 0.0, 1.0)
    picture = np.asarray(mpl.colormaps["plasma"](strength, bytes=True)).copy()
    picture[..., 3] = np.rint(255 * np.clip(strength * 1.3, 0.0, 0.9) * (strength > 0.02))
    return picture


def legend(result: Localization) -> list[dict[str, Any]]:
    """Classes of the land cover that are there, the largest first, with their shares."""
    counts = np.bincount(result.landcover.ravel(), minlength=256)
    known = max(1, int(counts[1:].sum()))
    entries = [
        {
            "id": entry.id,
            "name": entry.name,
            "color": "#{:02x}{:02x}{:02x}".format(*entry.color),
            "share": int(counts[entry.id]) / known,
        }
        for entry in result.scheme.classes
        if entry.id != 0 and counts[entry.id] > 0
    ]
    return sorted(entries, key=lambda entry: -float(entry["share"]))


def corners(result: Localization) -> list[list[float]] | None:
    """``[lon, lat]`` of the image's corners: north-west, north-east, south-east, south-west."""
    if result.reference is None:
        return None
    height, width = result.posterior.shape
    lon, lat = result.reference.rowcol_to_lonlat([0, 0, height, height], [0, width, width, 0])
    return [[float(x), float(y)] for x, y in zip(lon, lat, strict=True)]


def contours(posterior: NDArray[np.floating], mass: float) -> list[Ring]:
    """Smooth outlines, rings of ``(col, row)``, of the densest part that holds ``mass``.

    Between pixels the logarithm of the density is taken as linear.
    """
    from skimage.measure import find_contours

    inside = highest_density_mask(posterior, mass)
    step = max(1, math.ceil(max(posterior.shape) / _OUTLINE_SIDE))
    least = float(posterior[inside].min())
    rest = posterior[~inside]
    beyond = float(rest.max()) if rest.size else 0.0
    floor = least * 1e-3
    density = np.log(np.maximum(pooled(np.asarray(posterior, np.float32), _OUTLINE_SIDE), floor))
    # Halfway between the last pixel that is in and the first that is not.
    level = (math.log(least) + math.log(max(beyond, floor))) / 2
    padded = np.pad(density, 1, constant_values=math.log(floor))
    rings: list[Ring] = []
    find: Any = find_contours
    for line in find(padded, level):
        rows, cols = (line.T - 0.5) * step
        height, width = posterior.shape
        rings.append(
            [
                (round(float(col), 2), round(float(row), 2))
                for row, col in zip(np.clip(rows, 0, height), np.clip(cols, 0, width), strict=True)
            ]
        )
    return rings


def write_areas(result: Localization, path: Path) -> None:
    """The areas as GeoJSON, along pixel edges; as for regions, unlocated without georeference."""
    from rasterio.features import shapes

    features = []
    for mass in MASSES:
        inside = highest_density_mask(result.posterior, mass)
        polygons = [
            [[(float(y), float(x)) for x, y in ring] for ring in shape["coordinates"]]
            for shape, _ in shapes(inside.astype(np.uint8), mask=inside, connectivity=4)
        ]
        features.append((polygons, {"mass": mass, **_measures(result, inside)}))
    write_geojson(path, features, result.reference)


def _area(result: Localization, mass: float) -> dict[str, Any]:
    inside = highest_density_mask(result.posterior, mass)
    return {
        "mass": mass,
        **_measures(result, inside),
        "outline": contours(result.posterior, mass),
    }


def _measures(result: Localization, inside: NDArray[np.bool_]) -> dict[str, Any]:
    count = int(inside.sum())
    size = result.pixel_size
    return {
        "probability": float(result.posterior[inside].sum(dtype=np.float64)),
        "pixels": count,
        "share": count / inside.size,
        "area_m2": None if size is None else count * size[0] * size[1],
    }


def _truth(result: Localization, truth: tuple[float, float]) -> dict[str, Any]:
    rows, cols = truth[0] - result.row, truth[1] - result.col
    size = result.pixel_size
    height, width = result.posterior.shape
    row, col = min(height - 1, int(truth[0])), min(width - 1, int(truth[1]))
    return {
        "row": truth[0],
        "col": truth[1],
        "error_px": math.hypot(rows, cols),
        "error_m": None if size is None else math.hypot(rows * size[0], cols * size[1]),
        "inside": [bool(highest_density_mask(result.posterior, mass)[row, col]) for mass in MASSES],
    }


def _landcover_picture(result: Localization) -> NDArray[np.uint8]:
    ids = result.landcover
    step = max(1, math.ceil(max(ids.shape) / PREVIEW_SIDE))
    ids = ids[::step, ::step]
    picture = np.zeros((*ids.shape, 4), np.uint8)
    picture[..., :3] = result.scheme.palette[ids]
    picture[..., 3] = np.where(ids == 0, 0, 255)
    return picture


def _out_of_sight(result: Localization) -> NDArray[np.bool_] | None:
    """What the estimate does not see within the reach of the method, or None if unknown."""
    ids, obstacles = result.landcover, result.scheme.obstacles
    if result.pixel_size is None or not np.isin(ids, obstacles).any():
        return None
    from cvsegguide.geo.sightline import sightline

    step = max(1, math.ceil(max(ids.shape) / PREVIEW_SIDE))
    ids = np.ascontiguousarray(ids[::step, ::step])
    metres = math.sqrt(result.pixel_size[0] * result.pixel_size[1]) * step
    view = sightline(
        ids,
        result.row / step,
        result.col / step,
        sigma=max(1.0, _SIGHT_SIGMA / metres),
        obstacles=obstacles,
    )
    # Beyond three sigma the target is as good as zero.
    seen = np.asarray(view > 0.011)
    return ~seen if seen.any() else None
