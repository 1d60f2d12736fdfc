"""Check of a manifest: every row on its own, every file once, and what the splits share."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from cvsegguide.data.checks.files import FileTask, Role, read_files, tell_size
from cvsegguide.data.checks.report import Report
from cvsegguide.data.linking import find_overlaps
from cvsegguide.data.manifest_rules import check_place, check_rows, check_view
from cvsegguide.data.manifest_table import Table, place_of, read_csv, read_table
from cvsegguide.errors import CVSegGuideError
from cvsegguide.geo import GeoReference
from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.location import locate
from cvsegguide.landcover import NYC, ClassScheme

FILES: dict[str, Role] = {"overhead": "raster", "street": "picture", "landcover": "ids"}


@dataclass
class _Faults:
    """Takes findings about rows, and remembers which cannot be used."""

    path: Path
    report: Report
    bad: set[int] = field(default_factory=set)

    def __call__(self, kind: str, row: int, column: str, detail: str) -> None:
        name = f", column '{column}'" if column else ""
        place = place_of(self.path, row)
        self.report.add(kind, self.path, f"{place}{name}: {detail}")
        self.bad.add(row)

    def add_new(self, kind: str, row: int, column: str, detail: str) -> None:
        """The same, but nothing that may follow from what was found before."""
        if kind != "malformed" or row not in self.bad:
            self(kind, row, column, detail)


def check_manifest(
    path: Path, workers: int, fix: bool, scheme: str | PathLike[str] | None = None
) -> Report:
    """Check a table of pairs (see :func:`cvsegguide.data.checks.check`).

    Raises:
        DatasetError: The file is no table, or has no columns ``overhead`` and ``street``.
    """
    report = Report(str(path), "manifest")
    faults = _Faults(path, report)
    table = read_table(path, faults)
    if not len(table):
        report.add("malformed", path, "has no rows")
    report.counts["rows"] = len(table)
    pairs: dict[tuple[str, str], int] = {}
    for row in range(len(table)):
        first = pairs.setdefault((table.word("overhead", row), table.word("street", row)), row)
        if first != row:
            faults("duplicate", row, "", f"the same pair as {table.place(first)}")
    check_rows(table, faults)
    known = NYC if scheme is None else ClassScheme.from_file(scheme)
    bounds = _check_files(table, faults, workers, frozenset(known.ids))
    _find_leaks(table, bounds, faults)
    if fix:
        good = sorted(set(range(len(table))) - faults.bad)
        report.written.append(str(_write_rows(path, good)))
    return report


def _check_files(
    table: Table, faults: _Faults, workers: int, known: frozenset[int]
) -> NDArray[np.float64]:
    """Read every file once; the bounds of each row's tile, NaN where unknown."""
    users: dict[tuple[str, str], list[int]] = {}
    for column in FILES:
        for row in range(len(table)):
            if cell := table.word(column, row):
                users.setdefault((column, cell), []).append(row)
    tasks = []
    for (column, cell), rows in users.items():
        others = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        place = f"{table.place(rows[0])}{others}: "
        path = table.path.parent / cell
        tasks.append(FileTask(path, column, FILES[column], cell, known, place))
    faults.report.counts |= dict.fromkeys(FILES, 0)
    states = read_files(tasks, faults.report, workers, table.path.name)
    for state in (state for group in states.values() for state in group.values()):
        if state.kind:
            faults.bad.update(users[state.task.count, state.task.name])
    bounds = np.full((len(table), 4), np.nan)
    for row in range(len(table)):
        tile, view, cover = (
            states.get(column, {}).get(table.word(column, row)) for column in FILES
        )
        if view is not None and view.size is not None:
            check_view(table, row, view.size, faults)
        if tile is None or tile.size is None:
            continue
        bounds[row] = _check_place(table, row, tile.size, tile.reference, faults)
        if cover is not None and cover.size not in (None, tile.size):
            detail = f"{tell_size(cover.size)} pixels, its tile has {tell_size(tile.size)}"
            faults("wrong size", row, "landcover", detail)
    return bounds


def _check_place(
    table: Table,
    row: int,
    shape: tuple[int, int],
    own: GeoReference | None,
    faults: _Faults,
) -> tuple[float, ...]:
    path, box = table.file("overhead", row), table.bounds(row)
    gsd = table.number("gsd", row)
    try:
        known = None if np.isnan(gsd) else gsd
        reference, size = locate(path.name, shape, box, known, own, path)
        check_place(table, row, shape, reference, size, faults.add_new)
    except CVSegGuideError as error:
        faults.add_new("malformed", row, "gsd" if box is None else "west", str(error))
        return (np.nan,) * 4
    return (np.nan,) * 4 if reference is None else reference.bounds


def _find_leaks(table: Table, bounds: NDArray[np.float64], faults: _Faults) -> None:
    """What two splits share; train keeps it, then val, then test, then the rest by name."""
    if not table.has_splits:
        faults.report.notes.append("the table has no column 'split': nothing can leak")
        return
    members = np.char.decode(table.columns["split"], "utf-8")
    order = {"train": 0, "val": 1, "test": 2}
    splits = sorted(set(members.tolist()) - {""}, key=lambda name: (order.get(name, 3), name))
    for number, second in enumerate(splits):
        rows = np.flatnonzero(members == second)
        faults.report.counts[f"rows of {second}"] = len(rows)
        for first in splits[:number]:
            others = np.flatnonzero(members == first)
            both = f"in {first} and {second}"
            shared = {}
            for column, what in (("street", "street view"), ("overhead", "overhead image")):
                cells = table.columns[column]
                shared[column] = np.isin(cells[rows], cells[others])
                for row in rows[shared[column]].tolist():
                    name = table.word(column, row)
                    faults("leak", row, "", f"the {what} '{name}' is {both}")
            overlap = np.zeros(len(rows), np.bool_)
            overlap[find_overlaps(bounds[others], bounds[rows])] = True
            for row in rows[overlap & ~shared["overhead"]].tolist():
                faults("leak", row, "", f"its ground is {both}")


def _write_rows(source: Path, rows: list[int]) -> Path:
    path = source.with_name(f"{source.stem}.cleaned{source.suffix}")
    with atomic_path(path) as temporary:
        if source.suffix.lower() == ".csv":
            read_csv(source).iloc[rows].to_csv(temporary, index=False)
        else:
            table = parquet.read_table(source)
            parquet.write_table(table.take(np.array(rows, np.int64)), temporary)
    return path
