"""Regions and points as GeoJSON (RFC 7946).

Longitude before latitude on WGS84 and no member ``crs``; outer rings counter-clockwise; a ``bbox``;
seven decimals.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from cvsegguide.geo import GeoReference
from cvsegguide.io.atomic import atomic_path, write_text

Ring = Sequence[tuple[float, float]]
"""A closed list of ``(row, col)``."""

DECIMALS = 7
"""Of degrees: a centimetre. More would claim what nobody knows (RFC 7946, 11.2)."""


def _outline(polygons: Sequence[Sequence[Ring]], reference: GeoReference) -> Any:
    """Outlines in pixels as a shape in degrees; None for no polygon.

    Outer rings run counter-clockwise and holes clockwise, as the standard wants.

    Args:
        polygons: One entry per part, its rings as ``(row, col)``, the outer first.
        reference: The frame of the pixels.
    """
    from shapely import MultiPolygon, Polygon
    from shapely.geometry.polygon import orient

    parts = []
    for rings in polygons:
        lonlat = [np.stack(reference.rowcol_to_lonlat(*np.transpose(ring)), -1) for ring in rings]
        outer, *holes = (np.round(ring, DECIMALS) + 0.0 for ring in lonlat)  # no -0.0
        parts.append(orient(Polygon(outer, holes)))
    return parts[0] if len(parts) == 1 else MultiPolygon(parts) if parts else None


def write_geojson(
    path: str | PathLike[str],
    features: Sequence[tuple[Sequence[Sequence[Ring]], Mapping[str, Any]]],
    reference: GeoReference | None,
) -> None:
    """Write a FeatureCollection of regions, atomically: RFC 7946, with ``bbox``.

    Without a reference the features are *unlocated* (RFC 7946, section 3.2): their geometry is
    null and their properties carry row and column, since pixels are no longitudes. A member
    ``note`` says so.

    Args:
        path: Where it goes.
        features: Outlines (rows and columns) and properties of each.
        reference: The frame, or None.
    """
    import shapely

    collection: dict[str, Any] = {"type": "FeatureCollection"}
    shapes: list[Any] = [None] * len(features)
    if reference is None:
        collection["note"] = "the overhead image has no georeference: positions are in pixels"
    else:
        shapes = [_outline(polygons, reference) for polygons, _ in features]
    if any(shapes):
        collection["bbox"] = shapely.total_bounds(shapes).tolist()
    collection["features"] = [
        {
            "type": "Feature",
            "geometry": shape and shapely.geometry.mapping(shape),
            "properties": dict(properties),
        }
        for shape, (_, properties) in zip(shapes, features, strict=True)
    ]
    write_text(path, json.dumps(collection, indent=1) + "\n")


def write_points(
    path: str | PathLike[str], rows: Iterable[Mapping[str, Any]], extent: Sequence[float] | None
) -> None:
    """Write a FeatureCollection of points, a line each, row by row, atomically.

    Rows whose ``lon`` is None become *unlocated* features, as in :func:`write_geojson`. Numbers
    that are not finite become null, for JSON knows none.

    Args:
        path: Where it goes.
        rows: Properties with ``lon`` and ``lat`` among them; ``id`` becomes the feature's.
        extent: West, south, east, north of all of them, or None without any.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        box = "" if extent is None else f'"bbox": {[round(side, DECIMALS) for side in extent]},\n'
        file.write('{"type": "FeatureCollection",\n' + box + '"features": [')
        for number, row in enumerate(rows):
            file.write(("," if number else "") + "\n" + json.dumps(_point(row), allow_nan=False))
        file.write("\n]}\n")


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    lon, lat = row.get("lon"), row.get("lat")
    geometry = None
    if lon is not None and lat is not None:
        geometry = {"type": "Point", "coordinates": [round(lon, DECIMALS), round(lat, DECIMALS)]}
    feature: dict[str, Any] = {"type": "Feature"}
    if row.get("id") is not None:
        feature["id"] = row["id"]
    properties = {name: _finite(value) for name, value in row.items()}
    return {**feature, "geometry": geometry, "properties": properties}


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
