"""Text files of names and numbers, read by one set of rules.

What is wrong with a list is handed to a function, a finding at a time. A data set hands in
:func:`refuse`, which raises the first one as an error; a check collects them all.
"""

import math
from collections.abc import Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import DatasetError


class AddFinding(Protocol):
    """Takes one thing that is wrong."""

    def __call__(self, kind: str, path: Path, detail: str, name: str | None = None) -> None:
        """Take it.

        Args:
            kind: A key of :data:`cvsegguide.data.checks.KINDS`.
            path: The file at fault.
            detail: What is wrong with it.
            name: The entry of the list that cannot be used for it; None: the whole list; empty:
                nobody knows which.
        """


def refuse(needed: Collection[str] | None = None) -> AddFinding:
    """A taker of findings that raises :class:`DatasetError`, but for names that are listed twice.

    Args:
        needed: Names that will be used; faults that concern others are passed over. None: all.
    """

    def add(kind: str, path: Path, detail: str, name: str | None = None) -> None:
        if kind != "duplicate" and (needed is None or name is None or name in needed):
            raise DatasetError(f"{path}: {detail}")

    return add


def read_rows(path: Path, add: AddFinding) -> list[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        add("malformed", path, "no such file")
    except OSError as error:
        add("malformed", path, f"cannot be read ({error.strerror})")
    else:
        lines = enumerate(text.splitlines(), 1)
        return [(number, line.strip()) for number, line in lines if line.strip()]
    return []


def read_names(path: Path, add: AddFinding) -> tuple[dict[str, int], int]:
    """File names of a list, each with its place among the lines (from 0), and how many there are.

    Blank lines do not count. Of a name that is listed again the first place holds.
    """
    rows = read_rows(path, add)
    places: dict[str, int] = {}
    for place, (number, name) in enumerate(rows):
        if not is_inside(name):
            add("malformed", path, f"line {number}: '{name[:80]}' is no file name", name)
        elif name in places:
            add("duplicate", path, f"line {number}: '{name}' is listed before")
        else:
            places[name] = place
    return places, len(rows)


def is_inside(name: str) -> bool:
    """Whether a name stays below the folder that it is joined to."""
    parts = Path(name.replace("\\", "/")).parts
    return bool(parts) and name.isprintable() and ".." not in parts and not Path(name).is_absolute()


def parse_numbers(fields: Sequence[str], count: int) -> tuple[float, ...]:
    """``count`` finite numbers.

    Raises:
        ValueError: There are not so many, or one is no finite number.
    """
    try:
        values = tuple(map(float, fields))
    except ValueError:
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(f"expected {count} numbers, got '{','.join(fields)[:80]}'")
    return values


def pack_names(names: Sequence[str]) -> NDArray[Any]:
    """Names as one array of fixed width: small, and shared by worker processes without copies."""
    return np.array([name.encode() for name in names], dtype=np.bytes_)


def require_folder(path: str | PathLike[str], what: str) -> Path:
    """``path`` as a Path; raises :class:`DatasetError` when it is no folder."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder ({what})")
    return folder
