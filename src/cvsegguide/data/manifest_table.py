"""The table of a manifest: its columns, the rules that need no picture, the names of its rows.

:mod:`cvsegguide.data.manifest` says what the columns mean.
"""

import csv
import json
import math
import struct
from collections import Counter
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import DatasetError, InputError
from cvsegguide.geo import Bounds

REQUIRED = ("overhead", "street")
NUMBERS = ("lon", "lat", "row", "col", "heading", "fov", "gsd", "west", "south", "east", "north")
WORDS = ("landcover", "split", "id")

LIMITS = {
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
    "fov": (0.01, 360.0),
    "gsd": (1e-6, 1e6),
}
"""Smallest and largest number in a column."""

ASPECT = 0.02
"""Resizing may stretch one side of a pixel against the other by this much."""


def read_table(path: Path) -> tuple[dict[str, list[str]], dict[str, NDArray[np.float64]]]:
    """Columns of words, and columns of numbers with NaN in empty cells."""
    frame, words = read_words(path)
    numbers = {
        column: _numbers(path, column, list(frame[column])) for column in NUMBERS if column in frame
    }
    return words, numbers


def read_words(path: Path) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
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


def _read_frame(path: Path) -> dict[str, list[Any]]:
    import pandas

    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            table = pandas.read_csv(
                path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
            )
            return {str(name).strip(): list(table[name]) for name in table}
        if suffix in (".parquet", ".geoparquet", ".pq"):
            return _read_parquet(path)
    except DatasetError:
        raise
    except Exception as error:  # a parser may fail in any way on what is no table
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else repr(error)
        raise DatasetError(f"{path}: not a readable table ({reason})") from None
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
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _numbers(path: Path, column: str, cells: list[Any]) -> NDArray[np.float64]:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if is_empty(cell):
            continue
        try:
            values[row] = float(cell)
        except (TypeError, ValueError):
            raise _bad(path, row, column, f"'{str(cell)[:40]}' is no number") from None
        if not math.isfinite(values[row]):
            raise _bad(path, row, column, f"'{str(cell)[:40]}' is not finite")
    return values


def check_cells(
    path: Path,
    words: dict[str, list[str]],
    numbers: dict[str, NDArray[np.float64]],
    rows: NDArray[np.intp],
    positions: bool = True,
) -> None:
    """Every rule that needs no picture, so that a run does not fail after an hour."""

    def column(name: str) -> NDArray[np.float64]:
        return numbers.get(name, np.full(len(words["overhead"]), np.nan))

    for name in REQUIRED:
        for row in rows:
            if not words[name][row]:
                raise _bad(path, row, name, "is empty")
    for name, (low, high) in LIMITS.items():
        values = column(name)[rows]
        wrong = (values < low) | (values > high)
        if wrong.any():
            row = rows[int(np.flatnonzero(wrong)[0])]
            raise _bad(path, row, name, f"{column(name)[row]:g} lies outside {low:g}..{high:g}")
    groups = (("lon", "lat"), ("row", "col"), ("west", "south", "east", "north"))
    for group in groups:
        missing = np.isnan(np.stack([column(name)[rows] for name in group]))
        partly = missing.any(axis=0) & ~missing.all(axis=0)
        if partly.any():
            first = int(np.flatnonzero(partly)[0])
            name = group[int(np.flatnonzero(missing[:, first])[0])]
            raise _bad(path, rows[first], name, f"is empty, but {' and '.join(group)} go together")
    nowhere = np.isnan(column("lon")[rows]) & np.isnan(column("row")[rows])
    if positions and nowhere.any():
        row = rows[int(np.flatnonzero(nowhere)[0])]
        raise _bad(
            path,
            row,
            "lon",
            "the camera has no position: give lon, lat or row, col (or "
            "positions: optional, for predict)",
        )
    for row in rows:
        sides = [column(name)[row] for name in groups[2]]
        if not math.isnan(sides[0]):
            try:
                Bounds(*map(float, sides)).validated()
            except InputError as error:
                raise _bad(path, row, "west", str(error)) from None


def unique_names(path: Path, words: dict[str, list[str]], rows: NDArray[np.intp]) -> list[str]:
    """The id of every row of the table; those of ``rows`` are unique."""
    names = row_names(words)
    seen: dict[str, int] = {}
    for row in rows:
        name = names[row]
        if name in seen:
            other = place_of(path, seen[name])
            raise _bad(path, row, "id", f"'{name[:80]}' is the name of {other} too")
        seen[name] = int(row)
    return names


def row_names(words: dict[str, list[str]]) -> list[str]:
    """The id of each row of a table: as given, or made from the path of the street view."""
    views = Counter(words["street"])
    given = words.get("id", [""] * len(words["street"]))
    names = []
    for row, (name, view) in enumerate(zip(given, words["street"], strict=True), 1):
        repeated = f"#{row}" if views[view] > 1 else ""
        made = str(PurePath(view).with_suffix("")) if PurePath(view).name else view
        names.append(name or made + repeated)
    return names


def is_square(pixel: tuple[float, float], shape: tuple[int, int]) -> bool:
    """Whether an image is a square on the ground, and so can be resized to one.

    Args:
        pixel: ``(height, width)`` of a pixel in metres.
        shape: ``(H, W)``.
    """
    return abs((pixel[0] * shape[0]) / (pixel[1] * shape[1]) - 1) <= ASPECT


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


def _bad(path: Path, row: int, column: str, fault: str) -> DatasetError:
    return DatasetError(f"{path}: {place_of(path, int(row))}, column '{column}': {fault}")
