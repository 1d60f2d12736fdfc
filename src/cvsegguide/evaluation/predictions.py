"""The table of predictions: written as it comes, by several processes, whole or not at all."""

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import atomic_path

_GROUP = 4096


def schema() -> Any:
    """Columns of ``predictions.parquet`` (a ``pyarrow.Schema``), each with its meaning."""
    import pyarrow as pa

    def column(name: str, kind: Any, meaning: str) -> Any:
        return pa.field(name, kind, metadata={"description": meaning})

    return pa.schema(
        [
            column("id", pa.string(), "name of the sample in its data set"),
            column("row", pa.float64(), "estimated row, overhead pixels, centres at +0.5"),
            column("col", pa.float64(), "estimated column"),
            column("row_true", pa.float64(), "true row"),
            column("col_true", pa.float64(), "true column"),
            column("error_m", pa.float64(), "distance between the two in metres on the ground"),
            column("p_true", pa.float64(), "probability mass of the pixel that the camera is in"),
            column("nll", pa.float64(), "-log p_true, nats"),
            column("mass_above", pa.float64(), "mass of all pixels likelier than the true one"),
            column("hdr50_area_m2", pa.float64(), "area of the 50 % highest-density set"),
            column("hdr90_area_m2", pa.float64(), "area of the 90 % highest-density set"),
            column("gsd", pa.float64(), "metres per overhead pixel"),
            column("lateral_m", pa.float64(), "part of the error across the view's heading"),
            column("longitudinal_m", pa.float64(), "part of the error along the view's heading"),
            column("lon", pa.float64(), "estimated longitude, degrees, null without bounds"),
            column("lat", pa.float64(), "estimated latitude"),
            column("heading", pa.float64(), "estimated heading, degrees, null when not estimated"),
            column(
                "heading_true",
                pa.float64(),
                "true heading, degrees, to compare with the estimate: null, like it, when the "
                "model is given the heading instead of estimating it",
            ),
            column("region_rank_true", pa.int64(), "rank of the camera's region, 0 when in none"),
            column("region_p_true", pa.float64(), "probability of that region"),
            column("region_p", pa.list_(pa.float64()), "probabilities of the ranked regions"),
        ]
    )


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
    memory at a time. The shards are removed.

    Returns:
        The number of rows.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    shards = [shard_path(path, rank) for rank in range(world)]
    parts = [pq.ParquetFile(shard) for shard in shards]
    rows = 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema()) as writer:
        for group in range(max(part.num_row_groups for part in parts)):
            tables = [part.read_row_group(group) for part in parts if group < part.num_row_groups]
            place = np.concatenate([np.arange(len(table)) for table in tables])
            table = pa.concat_tables(tables).take(np.argsort(place, kind="stable"))
            writer.write_table(table)
            rows += table.num_rows
    for part, shard in zip(parts, shards, strict=True):
        part.close()
        shard.unlink(missing_ok=True)
    return rows
