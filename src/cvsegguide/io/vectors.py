"""Regions as GeoJSON."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from os import PathLike
from typing import Any

from cvsegguide.geo import GeoReference
from cvsegguide.io.atomic import write_text

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
    # Nine decimals are a tenth of a millimetre.
    points = [[round(float(x), 9), round(float(y), 9)] for x, y in zip(lon, lat, strict=True)]
    doubled_area = sum(
        (first[0] - points[0][0]) * (second[1] - points[0][1])
        - (second[0] - points[0][0]) * (first[1] - points[0][1])
        for first, second in pairwise(points)
    )
    return points if (doubled_area > 0) == counter_clockwise else points[::-1]


def write_geojson(
    path: str | PathLike[str],
    features: Sequence[tuple[Sequence[Sequence[Ring]], Mapping[str, Any]]],
    reference: GeoReference | None,
) -> None:
    """Write a FeatureCollection of regions, atomically.

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
    collection["features"] = [
        {
            "type": "Feature",
            "geometry": None if reference is None else geojson_polygons(polygons, reference),
            "properties": dict(properties),
        }
        for polygons, properties in features
    ]
    write_text(path, json.dumps(collection, indent=1) + "\n")
