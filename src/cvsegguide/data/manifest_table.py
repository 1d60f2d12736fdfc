"""The table of a manifest: its columns and the names of its rows.

``docs/data.md`` says what the columns mean.
"""

import csv
import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.lists import pack_names
from cvsegguide.errors import DatasetError
from cvsegguide.geo import Bounds, GeoReference
from cvsegguide.io.images import reason

if TYPE_CHECKING:
    import pandas

REQUIRED = ("overhead", "street")
NUMBERS = ("lon", "lat", "row", "col", "heading", "fov", "gsd", "west", "south", "east", "north")
WORDS = (*REQUIRED, "landcover", "split", "id")

GROUPS = (("lon", "lat"), ("row", "col"), ("west", "south", "east", "north"))
"""Columns whose cells are given together or not at all."""


class AddFault(Protocol):
    """Takes one thing that is wrong with a row."""

    def __call__(self, kind: str, row: int, column: str, detail: str) -> None:
        """Take it; ``kind`` is a key of :data:`cvsegguide.data.checks.KINDS`."""


@dataclass
class Table:
    """The rows of a manifest.

    Attributes:
        path: The file.
        columns: Words (:data:`WORDS`) as bytes, stripped, empty where there are none; numbers
            (:data:`NUMBERS`) as float64, NaN where a cell is empty or faulty. Every row has an id.
        rows: The number of each row in the file, from 0.
        has_splits: Whether the file has a column ``split``.
    """

    path: Path
    columns: dict[str, NDArray[Any]]
    rows: NDArray[np.intp]
    has_splits: bool

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: NDArray[np.intp]) -> "Table":
        """Some of the rows."""
        columns = {name: cells[rows] for name, cells in self.columns.items()}
        return replace(self, columns=columns, rows=self.rows[rows])

    def word(self, column: str, row: int) -> str:
        """A cell of words."""
        return str(self.columns[column][row].decode())

    def number(self, column: str, row: int, default: float = math.nan) -> float:
        """A number, ``default`` where the cell is empty."""
        value = float(self.columns[column][row])
        return default if math.isnan(value) else value

    def file(self, column: str, row: int) -> Path:
        """The file that a cell names."""
        return self.path.parent / self.word(column, row)

    def bounds(self, row: int) -> Bounds | None:
        """Bounds of the overhead image, where the table gives them."""
        box = Bounds(*(self.number(side, row) for side in GROUPS[2]))
        return None if any(map(math.isnan, box)) else box

    def place(self, row: int) -> str:
        """Where a row stands, as messages say it."""
        return place_of(self.path, int(self.rows[row]))


def read_table(path: Path, add: AddFault) -> Table:
    """Read a table and the numbers in it.

    Raises:
        DatasetError: The file is no table, or has no columns ``overhead`` and ``street``.
    """
    import pandas

    frame = read_frame(path)
    for column in REQUIRED:
        if column not in frame:
            there = ", ".join(map(str, frame))
            raise DatasetError(f"{path}: has no column '{column}' (it has: {there})")
    empty = frame.map(is_empty).astype(bool)
    words = {column: [""] * len(frame) for column in WORDS}
    for column in words.keys() & set(frame):
        cells = frame[column].astype(str).str.strip()
        words[column] = cells.where(~empty[column], "").tolist()
    words["id"] = _name_rows(words["id"], words["street"])
    columns = {column: pack_names(cells) for column, cells in words.items()}
    for column in NUMBERS:
        values = columns[column] = np.full(len(frame), np.nan)
        if column in frame:
            values[:] = pandas.to_numeric(frame[column], errors="coerce")
            for row in np.flatnonzero(~np.isfinite(values) & ~empty[column]).tolist():
                fault = "is no number" if math.isnan(values[row]) else "is not finite"
                add("malformed", row, column, f"'{str(frame[column].iloc[row])[:40]}' {fault}")
                values[row] = np.nan
    return Table(path, columns, np.arange(len(frame)), "split" in frame)


def read_csv(path: Path) -> "pandas.DataFrame":
    """A CSV file, every cell as it stands."""
    import pandas

    return pandas.read_csv(
        path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
    )


def read_frame(path: Path) -> "pandas.DataFrame":
    """A table as it stands, its cells text (CSV) or objects (Parquet), the columns' names stripped.

    Points of GeoParquet become columns ``lon`` and ``lat`` unless there are such.

    Raises:
        DatasetError: The file is not there, or no table.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet", ".geoparquet", ".pq"):
        raise DatasetError(f"{path}: a table is a .csv or .parquet file, not '{path.suffix}'")
    try:
        frame = read_csv(path) if suffix == ".csv" else _read_parquet(path)
    except DatasetError:
        raise
    except Exception as error:  # a parser may fail in any way on what is no table
        raise DatasetError(f"{path}: not a readable table ({reason(error)})") from None
    return frame.rename(columns=lambda name: str(name).strip())


def _read_parquet(path: Path) -> "pandas.DataFrame":
    import pandas
    import shapely
    from pyarrow import parquet

    table = parquet.read_table(path)
    frame = pandas.DataFrame(table.to_pydict(), dtype=object)
    described = (table.schema.metadata or {}).get(b"geo")
    if described is not None and "lon" not in frame:
        geo = json.loads(described)
        name = geo["primary_column"]
        points = shapely.from_wkb(frame[name].to_numpy())
        for row in np.flatnonzero(shapely.get_type_id(points) > 0):
            raise DatasetError(f"{path}: row {row + 1}, column '{name}': is no point")
        system = _name_system(geo["columns"][name].get("crs"))
        plane = GeoReference(system, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 1, 1)
        y, x = shapely.get_y(points), shapely.get_x(points)
        frame["lon"], frame["lat"] = plane.rowcol_to_lonlat(y, x)
    return frame


def _name_system(crs: dict[str, Any] | None) -> str:
    """A coordinate system of GeoParquet (PROJJSON; by default longitude and latitude)."""
    identity = (crs or {}).get("id", {})
    if crs is None or str(identity.get("code")) in ("4326", "CRS84"):
        return "EPSG:4326"
    return f"{identity['authority']}:{identity['code']}" if identity else json.dumps(crs)


def is_empty(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _name_rows(given: list[str], views: list[str]) -> list[str]:
    """The id of each row of a table: as given, or made from the path of the street view."""
    counts = Counter(views)
    names = []
    for row, (name, view) in enumerate(zip(given, views, strict=True), 1):
        repeated = f"#{row}" if counts[view] > 1 else ""
        made = str(PurePath(view).with_suffix("")) if PurePath(view).name else view
        names.append(name or made + repeated)
    return names


def place_of(path: Path, row: int) -> str:
    """Where a row stands, for messages: ``line 13`` of a CSV file, ``row 12`` of other tables.

    Args:
        path: The table.
        row: Counted from 0.
    """
    if path.suffix.lower() != ".csv":
        return f"row {row + 1}"
    lines = _line_numbers(path, path.stat().st_mtime_ns if path.exists() else 0)
    return f"line {lines[row] if row < len(lines) else row + 2}"


@lru_cache(4)
def _line_numbers(path: Path, changed: int) -> list[int]:
    """The line of the file, from 1, on which each row of a CSV table begins.

    Blank lines are no rows, and a quoted cell may span several lines.

    Args:
        path: The table.
        changed: When it was written last: the answer is kept for that file.
    """
    numbers = []
    before = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            for cells in reader:
                if len(cells) > 1 or "".join(cells).strip():
                    numbers.append(before + 1)
                before = reader.line_num
    except (OSError, ValueError, csv.Error):
        pass  # of no table, or none any more: the caller counts rows
    return numbers[1:]
