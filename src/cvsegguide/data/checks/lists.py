"""Lists of names and numbers, read with patience: a bad line becomes a finding."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from cvsegguide.data.checks.report import Report


def relative(path: Path, root: Path) -> Path:
    """``path`` as seen from the root, or as it is when it lies elsewhere."""
    return path.relative_to(root) if path.is_relative_to(root) else path


def read_rows(
    path: Path, root: Path, report: Report, separator: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """Yield line number (from 1) and fields of each line that is not blank."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, [part.strip() for part in line.strip().split(separator)]
    except OSError as error:
        report.add("malformed", relative(path, root), f"cannot be read ({error.strerror})")


def read_names(path: Path, root: Path, report: Report) -> tuple[list[str], list[int]]:
    """File names of a list, each once, and for each its place among the lines (from 0).

    Blank lines do not count. Names that lead out of the tree, and repeated ones, are findings.
    """
    places: dict[str, int] = {}
    where = relative(path, root)
    for place, (number, fields) in enumerate(read_rows(path, root, report, separator="\n")):
        name = fields[0]
        if not is_inside(name):
            report.add("malformed", where, f"line {number}: '{name[:80]}' is no file name")
        elif name in places:
            report.add("duplicate", where, f"line {number}: '{name}' is listed before")
        else:
            places[name] = place
    return list(places), list(places.values())


def is_inside(name: str) -> bool:
    """Whether a name stays below the folder that it is joined to."""
    parts = Path(name.replace("\\", "/")).parts
    return bool(parts) and name.isprintable() and ".." not in parts and not Path(name).is_absolute()


def numbers(fields: Sequence[str], count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None."""
    try:
        values = tuple(float(field) for field in fields)
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None
