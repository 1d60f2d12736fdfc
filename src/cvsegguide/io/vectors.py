"""Regions and points as GeoJSON (RFC 7946).

Longitude before latitude on WGS84 and no member ``crs``; outer rings counter-clockwise; a ``bbox``;
seven decimals.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from os import PathLike
from typing import Any

from cvsegguide.geo import GeoReference
from cvsegguide.io.atomic import atomic_path, write_text

Ring = Sequence[tuple[float, float]]
"""A closed list of ``(row, col)``."""


def geojson_polygons(
    polygons: Sequence[Sequence[Ring]], reference: GeoReference
) -> dict[str, Any] | None:
    """Outlines in pixels as a GeoJSON geometry in degrees (RFC 7946).

    Outer rings run counter-clockwise and holes clockwise, as the standard wants.

    Args:
        polygons: One entry per part, its rings as ``(row, col)``, the outer first.
        reference: The frame of the pixels.

    Returns:
        A Polygon, a MultiPolygon for several parts, None for none.
    """
    parts = [
        [_ring(ring, reference, counter_clockwise=i == 0) for i, ring in enumerate(rings)]
        for rings in polygons
    ]
    if not parts:
        return None
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _ring(ring: Ring, reference: GeoReference, counter_clockwise: bool) -> list[list[float]]:
    lon, lat = reference.rowcol_to_lonlat([row for row, _ in ring], [col for _, col in ring])
    points = [[_degrees(x), _degrees(y)] for x, y in zip(lon, lat, strict=True)]
    doubled_area = sum(
        (first[0] - points[0][0]) * (second[1] - points[0][1])
        - (second[0] - points[0][0]) * (first[1] - points[0][1])
        for first, second in pairwise(points)
    )
    return points if (doubled_area > 0) == counter_clockwise else points[::-1]


def _degrees(value: float) -> float:
    """Seven decimals are a centimetre; more would claim what nobody knows (RFC 7946, 11.2)."""
    return round(float(value), 7) + 0.0  # no -0.0


def _extent(geometries: Iterable[Mapping[str, Any] | None]) -> list[float] | None:
    """``bbox`` of geometries: west, south, east, north; None for none."""

    def points(part: Any) -> Iterator[Any]:
        if part and isinstance(part[0], int | float):
            yield part
        else:
            for inner in part:
                yield from points(inner)

    found = [point for shape in geometries if shape for point in points(shape["coordinates"])]
    if not found:
        return None
    lon, lat = [point[0] for point in found], [point[1] for point in found]
    return [min(lon), min(lat), max(lon), max(lat)]


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
    collection: dict[str, Any] = {"type": "FeatureCollection"}
    if reference is None:
        collection["note"] = "the overhead image has no georeference: positions are in pixels"
    geometries = [
        None if reference is None else geojson_polygons(polygons, reference)
        for polygons, _ in features
    ]
    extent = _extent(geometries)
    if extent is not None:
        collection["bbox"] = extent
    collection["features"] = [
        {"type": "Feature", "geometry": geometry, "properties": dict(properties)}
        for geometry, (_, properties) in zip(geometries, features, strict=True)
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
        box = "" if extent is None else f'"bbox": {[_degrees(side) for side in extent]},\n'
        file.write('{"type": "FeatureCollection",\n' + box + '"features": [')
        for number, row in enumerate(rows):
            file.write(("," if number else "") + "\n" + json.dumps(_point(row), allow_nan=False))
        file.write("\n]}\n")


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    lon, lat = row.get("lon"), row.get("lat")
    geometry = None
    if lon is not None and lat is not None:
        geometry = {"type": "Point", "coordinates": [_degrees(lon), _degrees(lat)]}
    feature: dict[str, Any] = {"type": "Feature"}
    if row.get("id") is not None:
        feature["id"] = row["id"]
    properties = {name: _finite(value) for name, value in row.items()}
    return {**feature, "geometry": geometry, "properties": properties}


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
