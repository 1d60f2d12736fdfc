"""The table of predictions: the rows of several processes in one file, whole or not at all.

It is GeoParquet (https://geoparquet.org, version 1.1): a Parquet file with the estimates as points
in a column of well-known binary, and a word about them in its metadata. Both are a page of
specification and a few lines here; GeoPandas and GDAL would be heavier than all the rest of what
evaluation needs.
"""

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.vectors import write_features

GEOMETRY = "geometry"
NEEDS_TRUTH = (
    *("row_true", "col_true", "error_m", "lateral_m", "longitudinal_m", "heading_true"),
    *("p_true", "nll", "mass_above", "region_rank_true", "region_p_true"),
)
"""Columns that are null for a sample whose place nobody knows."""

COLUMNS = (
    ("id", "name of the sample in its data set"),
    ("row", "estimated row, overhead pixels, centres at +0.5"),
    ("col", "estimated column"),
    ("row_true", "true row"),
    ("col_true", "true column"),
    ("error_m", "distance between the two in metres on the ground"),
    ("p_true", "probability mass of the pixel that the camera is in"),
    ("nll", "-log p_true, nats"),
    ("mass_above", "mass of all pixels likelier than the true one"),
    ("hdr50_area_m2", "area of the 50 % highest-density set"),
    ("hdr90_area_m2", "area of the 90 % highest-density set"),
    ("gsd", "metres per overhead pixel"),
    ("lateral_m", "part of the error across the view's heading"),
    ("longitudinal_m", "part of the error along the view's heading"),
    ("lon", "estimated longitude, degrees, null without bounds"),
    ("lat", "estimated latitude"),
    ("heading", "estimated heading, degrees, null when not estimated"),
    (
        "heading_true",
        "true heading, degrees, to compare with the estimate: null, like it, when the model is "
        "given the heading instead of estimating it",
    ),
    ("region_rank_true", "rank of the camera's region, 0 when in none"),
    ("region_p_true", "probability of that region"),
    ("region_p", "probabilities of the ranked regions"),
)
"""Columns of ``predictions.parquet`` and their meanings."""


_KINDS = {"id": pa.string(), "region_rank_true": pa.int64(), "region_p": pa.list_(pa.float64())}

SCHEMA = pa.schema(
    [
        pa.field(name, _KINDS.get(name, pa.float64()), metadata={"description": meaning})
        for name, meaning in COLUMNS
    ]
)
"""The columns, each with its meaning; numbers of double precision where nothing else is said."""


def to_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows by column as a table; columns that a row lacks are null."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def interleave(parts: Sequence[pa.Table]) -> pa.Table:
    """The tables of W processes as one in the data set's order.

    Process r holds samples r, r + W, r + 2 W, ...

    Raises:
        InputError: A process has more or fewer rows than its share.
    """
    world, total = len(parts), sum(map(len, parts))
    for rank, part in enumerate(parts):
        share = len(range(rank, total, world))
        if len(part) != share:
            raise InputError(
                f"predictions: process {rank} of {world} has {len(part)} rows, not {share}: there "
                "would be gaps or repetitions"
            )
    place = np.concatenate([np.arange(len(part)) for part in parts])
    return pa.concat_tables(parts).take(np.argsort(place, kind="stable"))


def write_predictions(path: str | PathLike[str], table: pa.Table) -> None:
    """Write a table of predictions as GeoParquet, atomically, with its column of points.

    Points are well-known binary, null for rows without a place. The metadata names no ``crs``:
    coordinates are WGS84, longitude first (OGC:CRS84).
    """
    points = _points(table)
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": []}
    if points.any():
        column |= {"geometry_types": ["Point"], "bbox": shapely.total_bounds(points).tolist()}
    geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
    meaning = {"description": "the estimate: a point, well-known binary, WGS84"}
    field = pa.field(GEOMETRY, pa.binary(), metadata=meaning)
    located = table.append_column(field, pa.array(shapely.to_wkb(points), pa.binary()))
    with atomic_path(path) as temporary:
        pq.write_table(located.replace_schema_metadata({"geo": json.dumps(geo)}), temporary)


def write_predictions_geojson(path: str | PathLike[str], table: pa.Table) -> None:
    """Write a table of predictions as points in GeoJSON.

    Rows without a place are *unlocated* features.
    """
    write_features(path, _points(table), table.to_pylist())


def _points(table: pa.Table) -> Any:
    """The estimates of a table's rows as points, None where there is no place."""
    columns = (table.column(name).to_numpy(zero_copy_only=False) for name in ("lon", "lat"))
    lon, lat = (np.asarray(column, np.float64) for column in columns)
    return np.where(np.isfinite(lon + lat), shapely.points(lon, lat), None)
