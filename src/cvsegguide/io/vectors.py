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
from cvsegguide.io.atomic import atomic_path

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
        outer, *holes = lonlat
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
    shapes = [reference and _outline(polygons, reference) for polygons, _ in features]
    note = "" if reference else "the overhead image has no georeference: positions are in pixels"
    write_features(path, shapes, (properties for _, properties in features), note)


def write_features(
    path: str | PathLike[str],
    shapes: Sequence[Any],
    properties: Iterable[Mapping[str, Any]],
    note: str = "",
) -> None:
    """Write a FeatureCollection, a line a feature, atomically.

    Numbers that are not finite become null, for JSON knows none.

    Args:
        path: Where it goes.
        shapes: Shapely's, in degrees; None for *unlocated* features.
        properties: Of each; ``id`` becomes the feature's.
        note: A member for people, where there is anything to say.
    """
    import shapely

    rounded = shapely.transform(np.array([*shapes, None], object)[:-1], _round)
    members: dict[str, Any] = {"type": "FeatureCollection"} | ({"note": note} if note else {})
    box = shapely.total_bounds(rounded)
    members |= {} if np.isnan(box).any() else {"bbox": box.tolist()}
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(members)[:-1] + ',\n"features": [')
        for number, (shape, entries) in enumerate(zip(rounded, properties, strict=True)):
            feature = {
                "type": "Feature",
                **({"id": entries["id"]} if entries.get("id") is not None else {}),
                "geometry": shape and shapely.geometry.mapping(shape),
                "properties": {name: _finite(value) for name, value in entries.items()},
            }
            file.write(("," if number else "") + "\n" + json.dumps(feature, allow_nan=False))
        file.write("\n]}\n")


def _round(coordinates: Any) -> Any:
    return np.round(coordinates, DECIMALS) + 0.0  # no -0.0


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
