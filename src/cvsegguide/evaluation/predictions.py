"""The table of predictions: written as it comes, by several processes, whole or not at all.

It is GeoParquet (https://geoparquet.org, version 1.1): a Parquet file with the estimates as points
in a column of well-known binary, and a word about them in its metadata. Both are a page of
specification and a few lines here; GeoPandas and GDAL would be heavier than all the rest of what
evaluation needs, and could not write row by row.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import atomic_path

_GROUP = 4096
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


def schema() -> Any:
    """The columns as a ``pyarrow.Schema``, each with its meaning; double where nothing else is."""
    import pyarrow as pa

    kinds = {
        "id": pa.string(),
        "region_rank_true": pa.int64(),
        "region_p": pa.list_(pa.float64()),
    }
    return pa.schema(
        [
            pa.field(name, kinds.get(name, pa.float64()), metadata={"description": meaning})
            for name, meaning in COLUMNS
        ]
    )


def _places(table: Any) -> tuple[Any, Any, Any]:
    """Longitudes and latitudes of a table's rows, and where there are any."""
    import numpy as np

    lon, lat = (
        np.asarray(table.column(name).to_numpy(zero_copy_only=False), np.float64)
        for name in ("lon", "lat")
    )
    return lon, lat, np.isfinite(lon) & np.isfinite(lat)


def _points(table: Any) -> Any:
    """The estimates of a table as well-known binary, null for rows without a place.

    A point: the byte order (1, little-endian), its type (1), longitude and latitude.
    """
    import numpy as np
    import pyarrow as pa

    lon, lat, there = _places(table)
    layout = [("order", "u1"), ("type", "<u4"), ("lon", "<f8"), ("lat", "<f8")]
    points = np.empty(len(lon), layout)
    points["order"], points["type"], points["lon"], points["lat"] = 1, 1, lon, lat
    raw, size = points.tobytes(), points.itemsize
    cells = [raw[i * size : (i + 1) * size] if there[i] else None for i in range(len(lon))]
    return pa.array(cells, pa.binary())


def _extent(parts: Sequence[Any]) -> list[float] | None:
    """West, south, east, north of all rows with a place; reads two columns, group by group."""
    sides: list[list[float]] = []
    for part in parts:
        for group in range(part.num_row_groups):
            lon, lat, there = _places(part.read_row_group(group, columns=["lon", "lat"]))
            if there.any():
                lon, lat = lon[there], lat[there]
                sides.append([lon.min(), lat.min(), lon.max(), lat.max()])
    if not sides:
        return None
    west, south, east, north = zip(*sides, strict=True)
    return [float(min(west)), float(min(south)), float(max(east)), float(max(north))]


def _with_points(columns: Any, extent: list[float] | None) -> Any:
    """A schema with the column of points and the metadata ``geo``.

    Without ``crs`` in them coordinates are WGS84, longitude first (OGC:CRS84).
    """
    import pyarrow as pa

    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": []}
    if extent is not None:
        column |= {"geometry_types": ["Point"], "bbox": extent}
    geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
    meaning = {"description": "the estimate: a point, well-known binary, WGS84"}
    field = pa.field(GEOMETRY, pa.binary(), metadata=meaning)
    return columns.append(field).with_metadata({"geo": json.dumps(geo)})


class PredictionWriter:
    """Writes one process's rows to a shard beside the final table.

    Args:
        path: The final table; the shard is ``.NAME.RANK.part`` beside it.
        rank: This process.
    """

    def __init__(self, path: str | PathLike[str], rank: int = 0) -> None:
        import pyarrow.parquet as pq

        self.path = Path(path)
        self.shard = shard_path(self.path, rank)
        self._rows: list[Mapping[str, Any]] = []
        self._schema = schema()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self.shard, self._schema)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from None

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows; columns that a row lacks are null."""
        self._rows.extend(rows)
        while len(self._rows) >= _GROUP:
            self._write(self._rows[:_GROUP])
            self._rows = self._rows[_GROUP:]

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        """Finish the shard."""
        if self._rows:
            self._write(self._rows)
            self._rows = []
        self._writer.close()

    def discard(self) -> None:
        """Remove the shard: the run has failed."""
        self._writer.close()
        self.shard.unlink(missing_ok=True)


def shard_path(path: Path, rank: int) -> Path:
    """Where process ``rank`` keeps its rows of the table ``path``."""
    return path.parent / f".{path.stem}.{os.fspath(str(rank))}.part"


def merge_shards(path: str | PathLike[str], world: int) -> int:
    """Merge the shards of ``world`` processes into one table in the data set's order.

    Process r holds samples r, r + world, r + 2 world, ... One row group of each shard is in
    memory at a time. The table gets its column of points. The shards are removed.

    Returns:
        The number of rows.

    Raises:
        InputError: A process has written more or fewer rows than its share.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    shards = [shard_path(path, rank) for rank in range(world)]
    parts = [pq.ParquetFile(shard) for shard in shards]
    counts = [part.metadata.num_rows for part in parts]
    for rank, count in enumerate(counts):
        share = len(range(rank, sum(counts), world))
        if count != share:
            raise InputError(
                f"{path}: process {rank} of {world} has written {count} rows, not {share}: there "
                "would be gaps or repetitions"
            )
    rows = 0
    full = _with_points(schema(), _extent(parts))
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, full) as writer:
        for group in range(max(part.num_row_groups for part in parts)):
            tables = [part.read_row_group(group) for part in parts if group < part.num_row_groups]
            place = np.concatenate([np.arange(len(table)) for table in tables])
            table = pa.concat_tables(tables).take(np.argsort(place, kind="stable"))
            columns = [*table.columns, _points(table)]
            writer.write_table(pa.Table.from_arrays(columns, schema=full))
            rows += table.num_rows
    for part, shard in zip(parts, shards, strict=True):
        part.close()
        shard.unlink(missing_ok=True)
    return rows


def write_predictions_geojson(table: str | PathLike[str], path: str | PathLike[str]) -> None:
    """Write the rows of a table that :func:`merge_shards` made as points in GeoJSON.

    One row group is in memory at a time. Rows without a place are *unlocated* features.
    """
    import pyarrow.parquet as pq

    from cvsegguide.io.vectors import write_points

    with pq.ParquetFile(table) as file:
        names = [name for name in file.schema_arrow.names if name != GEOMETRY]

        def rows() -> Iterator[Mapping[str, Any]]:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns=names).to_pylist()

        geo = json.loads(file.metadata.metadata[b"geo"])
        write_points(path, rows(), geo["columns"][GEOMETRY].get("bbox"))
