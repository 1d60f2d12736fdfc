"""The table of a manifest: its columns and the names of its rows.

:mod:`cvsegguide.data.manifest` says what the columns mean.
"""

import csv
import json
import math
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.lists import pack_names
from cvsegguide.errors import DatasetError
from cvsegguide.geo import Bounds
from cvsegguide.io.images import reason

if TYPE_CHECKING:
    import pandas

REQUIRED = ("overhead", "street")
NUMBERS = ("lon", "lat", "row", "col", "heading", "fov", "gsd", "west", "south", "east", "north")
WORDS = ("landcover", "split", "id")

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
        words: Cells by column, stripped: paths, split and id.
        numbers: Numbers by column, NaN where a cell is empty or faulty.
        ids: The name of each row.
        rows: Its number in the file, from 0.
    """

    path: Path
    words: dict[str, NDArray[Any]]
    numbers: dict[str, NDArray[np.float64]]
    ids: NDArray[Any]
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: NDArray[np.intp]) -> "Table":
        """Some of the rows."""
        return Table(
            self.path,
            {column: cells[rows] for column, cells in self.words.items()},
            {column: cells[rows] for column, cells in self.numbers.items()},
            self.ids[rows],
            self.rows[rows],
        )

    def word(self, column: str, row: int) -> str:
        """A cell; empty where there is no such column."""
        return str(self.words[column][row].decode()) if column in self.words else ""

    def number(self, column: str, row: int, default: float = math.nan) -> float:
        """A number, ``default`` where the cell is empty."""
        value = float(self.numbers[column][row]) if column in self.numbers else math.nan
        return default if math.isnan(value) else value

    def column(self, name: str) -> NDArray[np.float64]:
        """All numbers of a column, NaN where there is none."""
        return self.numbers.get(name, np.full(len(self), np.nan))

    def file(self, column: str, row: int) -> Path:
        """The file that a cell names."""
        return self.path.parent / self.word(column, row)

    def bounds(self, row: int) -> Bounds | None:
        """Bounds of the overhead image, where the table gives them."""
        box = Bounds(*(self.number(side, row) for side in GROUPS[2]))
        return None if any(map(math.isnan, box)) else box

    def place(self, row: int) -> str:
        """Where a row stands, as messages say it."""
        return place_of(self.path, int(self.rows[row]), self._lines)

    @cached_property
    def _lines(self) -> list[int]:
        return line_numbers(self.path)


def read_table(path: Path, add: AddFault) -> Table:
    """Read a table and the numbers in it.

    Raises:
        DatasetError: The file is no table, or has no columns ``overhead`` and ``street``.
    """
    frame, words = _read_words(path)
    ids = pack_names(_name_rows(words))
    packed = {column: pack_names(cells) for column, cells in words.items()}
    table = Table(path, packed, {}, ids, np.arange(len(ids)))
    for column in NUMBERS:
        if column not in frame:
            continue
        values = table.numbers[column] = np.full(len(ids), np.nan)
        for row, cell in enumerate(frame[column]):
            if is_empty(cell):
                continue
            try:
                value = float(cell)
            except (TypeError, ValueError):
                add("malformed", row, column, f"'{str(cell)[:40]}' is no number")
                continue
            if math.isfinite(value):
                values[row] = value
            else:
                add("malformed", row, column, f"'{str(cell)[:40]}' is not finite")
    return table


def _read_words(path: Path) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """All columns of a table as they are, and those of words, stripped.

    Raises:
        DatasetError: The file is no table, or has no columns ``overhead`` and ``street``.
    """
    frame = _read_frame(path)
    for column in REQUIRED:
        if column not in frame:
            raise DatasetError(
                f"{path}: has no column '{column}' (it has: {', '.join(map(str, frame))})"
            )
    words = {
        column: ["" if is_empty(cell) else str(cell).strip() for cell in frame[column]]
        for column in (*REQUIRED, *WORDS)
        if column in frame
    }
    return frame, words


def read_csv(path: Path) -> "pandas.DataFrame":
    """A CSV file, every cell as it stands."""
    import pandas

    return pandas.read_csv(
        path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
    )


def _read_frame(path: Path) -> dict[str, list[Any]]:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            table = read_csv(path)
            return {str(name).strip(): list(table[name]) for name in table}
        if suffix in (".parquet", ".geoparquet", ".pq"):
            return _read_parquet(path)
    except DatasetError:
        raise
    except Exception as error:  # a parser may fail in any way on what is no table
        raise DatasetError(f"{path}: not a readable table ({reason(error)})") from None
    raise DatasetError(f"{path}: a manifest is a .csv or .parquet file, not '{path.suffix}'")


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    described = (table.schema.metadata or {}).get(b"geo")
    if described is not None and "lon" not in columns:
        geo = json.loads(described)
        name = geo["primary_column"]
        points = [_point(path, row, cell) for row, cell in enumerate(columns[name], 1)]
        lon, lat = _to_wgs84(geo["columns"][name].get("crs"), points)
        columns["lon"], columns["lat"] = lon, lat
    return columns


def _point(path: Path, row: int, cell: bytes | None) -> tuple[float, float]:
    """``(x, y)`` of a point in well-known binary (OGC 06-103r4, with or without z, m, SRID)."""
    if cell is None:
        return math.nan, math.nan
    try:
        order = "<" if cell[0] == 1 else ">"
        (kind,) = struct.unpack_from(order + "I", cell, 1)
        start = 9 if kind & 0x20000000 else 5
        if (kind & 0xFFFF) % 1000 != 1:
            raise DatasetError(f"{path}: row {row}, column 'geometry': is no point")
        x, y = struct.unpack_from(order + "2d", cell, start)
        return float(x), float(y)
    except (struct.error, IndexError, TypeError):
        raise DatasetError(
            f"{path}: row {row}, column 'geometry': is no well-known binary"
        ) from None


def _to_wgs84(
    crs: dict[str, Any] | None, points: list[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    identity = (crs or {}).get("id", {})
    if crs is None or str(identity.get("code")) in ("4326", "CRS84"):
        return xs, ys
    from rasterio.crs import CRS
    from rasterio.warp import transform

    name = f"{identity['authority']}:{identity['code']}" if identity else json.dumps(crs)
    lon, lat = transform(CRS.from_user_input(name), CRS.from_epsg(4326), xs, ys)
    return list(lon), list(lat)


def is_empty(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _name_rows(words: dict[str, list[str]]) -> list[str]:
    """The id of each row of a table: as given, or made from the path of the street view."""
    views = Counter(words["street"])
    given = words.get("id", [""] * len(words["street"]))
    names = []
    for row, (name, view) in enumerate(zip(given, words["street"], strict=True), 1):
        repeated = f"#{row}" if views[view] > 1 else ""
        made = str(PurePath(view).with_suffix("")) if PurePath(view).name else view
        names.append(name or made + repeated)
    return names


def place_of(path: Path, row: int, lines: list[int] | None = None) -> str:
    """Where a row stands, for messages: ``line 13`` of a CSV file, ``row 12`` of other tables.

    Args:
        path: The table.
        row: Counted from 0.
        lines: Of :func:`line_numbers`, by those who ask for many rows.
    """
    if path.suffix.lower() != ".csv":
        return f"row {row + 1}"
    if lines is None:
        lines = line_numbers(path)
    return f"line {lines[row] if row < len(lines) else row + 2}"


def line_numbers(path: Path) -> list[int]:
    """The line of the file, from 1, on which each row of a CSV table begins.

    Blank lines are no rows, and a quoted cell may span several lines.
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
