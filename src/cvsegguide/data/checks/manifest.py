"""Check of a manifest: every row on its own, every file once, and what the splits share."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.checks.files import FileTask, Role, inspect_all
from cvsegguide.data.checks.overlap import overlapping
from cvsegguide.data.checks.report import Report
from cvsegguide.errors import CVSegGuideError
from cvsegguide.geo import Bounds, GeoReference
from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.rasters import _locate
from cvsegguide.landcover import NYC, ClassScheme

FILES: tuple[tuple[str, Role], ...] = (
    ("overhead", "raster"),
    ("street", "picture"),
    ("landcover", "ids"),
)
GROUPS = (("lon", "lat"), ("row", "col"), ("west", "south", "east", "north"))


@dataclass
class _Table:
    """The rows while they are checked.

    Attributes:
        path: The table.
        words: Column -> cells, stripped, for paths, split and id.
        numbers: Column -> numbers, NaN where empty or faulty.
        bad: Which rows cannot be used.
        lines: Line of the file of each row, of CSV files.
        sizes: Overhead image -> ``(height, width)`` of those that could be read.
        places: Overhead image -> where it lies by its own georeference, of those that have one.
    """

    path: Path
    words: dict[str, list[str]]
    numbers: dict[str, NDArray[np.float64]]
    bad: NDArray[np.bool_]
    lines: list[int] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    places: dict[str, GeoReference] = field(default_factory=dict)

    def number(self, column: str, row: int) -> float:
        values = self.numbers.get(column)
        return float("nan") if values is None else float(values[row])

    def file(self, cell: str) -> Path:
        return self.path.parent / cell

    def place(self, row: int) -> str:
        """Where a row stands, as messages say it."""
        from cvsegguide.data.manifest_table import place_of

        return place_of(self.path, row, self.lines)

    def fault(self, report: Report, kind: str, row: int, detail: str) -> None:
        """Record a finding about a row, which cannot be used then."""
        report.add(kind, self.path.name, f"{self.place(row)}: {detail}")
        self.bad[row] = True


def check_manifest(
    path: Path, workers: int, fix: bool, scheme: str | PathLike[str] | None = None
) -> Report:
    """Check a table of pairs (see :func:`cvsegguide.data.checks.check`).

    Raises:
        DatasetError: The file is no table, or has no columns ``overhead`` and ``street``.
    """
    report = Report(str(path), "manifest")
    table = _read(path, report)
    report.counts["rows"] = len(table.bad)
    _check_rows(table, report)
    known = NYC if scheme is None else ClassScheme.from_file(scheme)
    _read_files(table, report, workers, frozenset(known.ids))
    bounds = _check_positions(table, report)
    _find_leaks(table, bounds, report)
    if fix:
        report.written.append(str(_write_good_rows(table)))
    return report


def _read(path: Path, report: Report) -> _Table:
    from cvsegguide.data.manifest_table import NUMBERS, is_empty, line_numbers, read_words

    frame, words = read_words(path)
    count = len(words["overhead"])
    if not count:
        report.add("malformed", path.name, "has no rows")
    lines = line_numbers(path) if path.suffix.lower() == ".csv" else []
    table = _Table(path, words, {}, np.zeros(count, np.bool_), lines)
    for column in NUMBERS:
        if column not in frame:
            continue
        values = np.full(count, np.nan)
        for row, cell in enumerate(frame[column]):
            if is_empty(cell):
                continue
            try:
                value = float(cell)
            except (TypeError, ValueError):
                value = math.nan
            if math.isfinite(value):
                values[row] = value
            else:
                table.fault(report, "malformed", row, f"{column} '{cell}' is no number")
        table.numbers[column] = values
    return table


def _check_rows(table: _Table, report: Report) -> None:
    from cvsegguide.data.manifest_table import LIMITS, row_names

    ids = row_names(table.words)
    names: dict[str, int] = {}
    pairs: dict[tuple[str, str], int] = {}
    for row in range(len(table.bad)):
        overhead, street = table.words["overhead"][row], table.words["street"][row]
        for column in ("overhead", "street"):
            if not table.words[column][row]:
                table.fault(report, "malformed", row, f"{column} is empty")
        for group in GROUPS:
            given = [name for name in group if not np.isnan(table.number(name, row))]
            if given and len(given) < len(group):
                table.fault(report, "malformed", row, f"{' and '.join(group)} go together")
        if all(np.isnan(table.number(name, row)) for name in ("lon", "row")):
            table.fault(report, "malformed", row, "no position: neither lon, lat nor row, col")
        for name, (low, high) in LIMITS.items():
            value = table.number(name, row)
            if value < low or value > high:
                table.fault(report, "malformed", row, f"{name} is {value:g}")
                table.numbers[name][row] = np.nan
        try:
            _bounds_of_row(table, row)
        except CVSegGuideError as error:
            table.fault(report, "malformed", row, str(error))
        first = pairs.setdefault((overhead, street), row)
        if first != row:
            table.fault(report, "duplicate", row, f"the same pair as {table.place(first)}")
        elif street:
            first = names.setdefault(ids[row], row)
            if first != row:
                table.fault(report, "duplicate", row, f"the same id as {table.place(first)}")


def _read_files(table: _Table, report: Report, workers: int, known: frozenset[int]) -> None:
    users: dict[tuple[str, str], list[int]] = {}
    for column, _ in FILES:
        for row, cell in enumerate(table.words.get(column, ())):
            if cell:
                users.setdefault((column, cell), []).append(row)
    listed = list(users)
    covers: dict[str, tuple[int, int]] = {}
    roles = dict(FILES)

    def tasks() -> Iterator[FileTask]:
        for number, (column, cell) in enumerate(listed):
            yield FileTask(table.file(cell), column, roles[column], number, known)

    for column, _ in FILES:
        report.counts[column] = 0
    for state in inspect_all(tasks(), len(listed), workers, f"reading {table.path.name}"):
        column, cell = listed[state.task.number]
        if state.kind != "missing":
            report.counts[column] += 1
        if state.kind:
            rows = users[column, cell]
            others = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
            detail = f": {state.detail}" if state.detail else ""
            report.add(state.kind, cell, f"{table.place(rows[0])}{others}{detail}")
            table.bad[rows] = True
        if state.size is None:
            continue
        height, width = state.size
        if column == "street":
            for row in users[column, cell]:
                fov = table.number("fov", row)
                fov = 360.0 if np.isnan(fov) else fov
                if fov * height / width > 180.0 * (1 + 1e-3):
                    detail = f"'{cell}': {fov:g} degrees over {width} x {height} pixels reach "
                    table.fault(report, "wrong size", row, detail + "beyond the poles")
        elif column == "overhead":
            table.sizes[cell] = state.size
            if state.place is not None:
                table.places[cell] = state.place
        else:
            covers[cell] = state.size
    for row, cell in enumerate(table.words.get("landcover", ())):
        cover, tile = covers.get(cell), table.sizes.get(table.words["overhead"][row])
        if cover is not None and tile is not None and cover != tile:
            detail = f"'{cell}' has {cover[1]} x {cover[0]} pixels, its tile {tile[1]} x {tile[0]}"
            table.fault(report, "wrong size", row, detail)


def _check_positions(table: _Table, report: Report) -> NDArray[np.float64]:
    """Find cameras outside of their tile; the bounds of each row's tile, NaN where unknown."""
    from cvsegguide.data.manifest_table import is_square

    bounds = np.full((len(table.bad), 4), np.nan)
    for row, cell in enumerate(table.words["overhead"]):
        if cell not in table.sizes:
            continue
        height, width = table.sizes[cell]
        down, right = table.number("row", row), table.number("col", row)
        path, given = table.file(cell), table.number("gsd", row)
        try:
            reference, gsd = _locate(
                path.name,
                (height, width),
                _bounds_of_row(table, row),
                None if np.isnan(given) else given,
                table.places.get(cell),
                path,
            )
            if reference is not None:
                bounds[row] = reference.bounds
                if np.isnan(down):
                    point = table.number("lon", row), table.number("lat", row)
                    place = reference.lonlat_to_rowcol(*point)
                    down, right = float(place[0]), float(place[1])
        except CVSegGuideError as error:
            if not table.bad[row]:
                table.fault(report, "malformed", row, str(error).replace("--", ""))
            continue
        if reference is not None:
            pixel = reference.pixel_size
        elif gsd is not None:
            pixel = gsd, gsd
        else:
            if not table.bad[row]:
                detail = "gsd is empty, and the overhead image has no place on earth"
                table.fault(report, "malformed", row, detail)
            continue
        if not is_square(pixel, (height, width)):
            detail = (
                f"{width} x {height} pixels of {pixel[1]:.3g} x {pixel[0]:.3g} m do not make a "
                "square (load with overhead_size: null)"
            )
            table.fault(report, "wrong size", row, detail)
        if reference is None and np.isnan(down):
            if not table.bad[row]:
                table.fault(report, "malformed", row, "the overhead image has no place on earth")
            continue
        if np.isnan(down) or np.isnan(right):
            continue  # a finding already
        if not (-1e-6 <= down <= height + 1e-6 and -1e-6 <= right <= width + 1e-6):
            detail = f"camera at row {down:.1f}, column {right:.1f} of {height} x {width}"
            table.fault(report, "outside", row, detail)
    return bounds


def _bounds_of_row(table: _Table, row: int) -> Bounds | None:
    """Bounds in the table; raises :class:`InputError` when they are none."""
    box = [table.number(name, row) for name in GROUPS[2]]
    return None if np.isnan(box).any() else Bounds(*box).validated()


def _find_leaks(table: _Table, bounds: NDArray[np.float64], report: Report) -> None:
    """What two splits share; train keeps it, then val, then test, then the rest by name."""
    if "split" not in table.words:
        report.notes.append("the table has no column 'split': nothing can leak")
        return
    order = {"train": 0, "val": 1, "test": 2}
    splits = sorted(set(table.words["split"]) - {""}, key=lambda name: (order.get(name, 3), name))
    members = np.array(table.words["split"])
    for number, second in enumerate(splits):
        rows = np.flatnonzero(members == second)
        report.counts[f"rows of {second}"] = len(rows)
        for first in splits[:number]:
            others = np.flatnonzero(members == first)
            for column, what in (("street", "street view"), ("overhead", "overhead image")):
                cells = {table.words[column][row] for row in others.tolist()}
                for row in rows.tolist():
                    cell = table.words[column][row]
                    if cell in cells:
                        detail = f"the {what} '{cell}' is in {first} and {second}"
                        table.fault(report, "leak", row, detail)
            shared = {table.words["overhead"][row] for row in others.tolist()}
            for place in overlapping(bounds[others], bounds[rows]).tolist():
                row = int(rows[place])
                if table.words["overhead"][row] not in shared:
                    detail = f"its ground is in {first} and {second}"
                    table.fault(report, "leak", row, detail)


def _write_good_rows(table: _Table) -> Path:
    good = np.flatnonzero(~table.bad)
    path = table.path.with_name(f"{table.path.stem}.cleaned{table.path.suffix}")
    with atomic_path(path) as temporary:
        if table.path.suffix.lower() == ".csv":
            import pandas

            frame = pandas.read_csv(
                table.path,
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                encoding="utf-8-sig",
            )
            frame.iloc[good].to_csv(temporary, index=False)
        else:
            from pyarrow import parquet

            parquet.write_table(parquet.read_table(table.path).take(good), temporary)
    return path
