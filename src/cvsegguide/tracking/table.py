"""The table of a drive: a row a frame, CSV or Parquet.

========================================  =====================================================
``street``                                picture, beside the table; empty: no picture
``time``                                  seconds
``forward``, ``left``, ``turn``           odometry since the row before: metres ahead and to the
                                          left in the frame of the row before, degrees clockwise
``distance``, ``turn``                    the same along an arc
``forward_error``, ``left_error``,        standard deviations of it
``turn_error``
``fov``                                   degrees from left to right of the picture
``compass``, ``compass_error``            measured azimuth of the picture's centre, degrees
``lon``, ``lat``, ``heading``             the truth, when it is known: errors are told with it
========================================  =====================================================

Only ``street`` is needed. Empty cells are unknown; other columns are ignored, with a warning where
one looks misspelt.
"""

import math
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from cvsegguide.data.manifest_table import is_empty, place_of, read_frame
from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.tracking.motion import Motion, usual_deviations
from cvsegguide.tracking.tracker import Frame

LIMITS = {
    "fov": (1e-3, 360.0),
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
    "forward_error": (0.0, 1e6),
    "left_error": (0.0, 1e6),
    "turn_error": (0.0, 1e4),
    "compass_error": (0.0, 1e4),
}
"""Smallest and largest number in a column."""

NUMBERS = (
    "time", "forward", "left", "turn", "distance", "forward_error", "left_error", "turn_error",
    "fov", "compass", "compass_error", "lon", "lat", "heading",
)  # fmt: skip


def read_frames(path: Path, fov: float = 360.0) -> list[Frame]:
    """Read the table of a drive.

    Args:
        path: ``.csv`` or ``.parquet``.
        fov: Field of view of rows that do not say.

    Raises:
        InputError: It is no such table, a cell cannot be used or a picture is not there; the
            message names the row.

    Warns:
        InferenceWarning: A column that is ignored looks like one that would not be.
    """
    table = read_frame(path)
    columns = {str(name): list(table[name]) for name in table}
    if "street" not in columns:
        raise InputError(f"{path}: has no column 'street' (it has: {', '.join(columns)})")
    _warn_of_misspelt(path, list(columns))
    count = len(columns["street"])
    if count == 0:
        raise InputError(f"{path}: has no rows")
    return [_frame(path, columns, row, fov) for row in range(count)]


def _warn_of_misspelt(path: Path, names: list[str]) -> None:
    """Columns that are ignored, but look like some that would not be."""
    for name in names:
        if name in (*NUMBERS, "street"):
            continue
        plain = name.lower().replace(" ", "_").replace("-", "_")
        meant = [known for known in get_close_matches(plain, NUMBERS, 1, 0.8) if known not in names]
        if meant:
            message = f"{path}: column '{name}' is ignored; is '{meant[0]}' meant?"
            warnings.warn(message, InferenceWarning, stacklevel=3)


def _frame(path: Path, columns: dict[str, list[Any]], row: int, fov: float) -> Frame:
    numbers = {
        name: _number(path, columns[name][row], row, name) for name in NUMBERS if name in columns
    }

    def number(name: str) -> float | None:
        return numbers.get(name)

    cell = columns["street"][row]
    name = "" if is_empty(cell) else str(cell).strip()
    image = None
    if name:
        image = path.parent / name
        if not image.is_file():
            raise InputError(f"{path}: {place_of(path, row)}, column 'street': {image} is missing")
    truth = None
    lon, lat = number("lon"), number("lat")
    compass_error = number("compass_error")
    if (lon is None) != (lat is None):
        raise InputError(f"{path}: {place_of(path, row)}: lon and lat go together")
    if lon is not None and lat is not None:
        heading = number("heading")
        truth = (lon, lat, math.nan if heading is None else heading)
    return Frame(
        image=image,
        motion=_motion(path, numbers, row),
        fov=number("fov") or fov,
        compass=number("compass"),
        compass_error=5.0 if compass_error is None else compass_error,
        time=number("time"),
        name=name,
        truth=truth,
    )


def _motion(path: Path, numbers: dict[str, float | None], row: int) -> Motion | None:
    forward, distance = numbers.get("forward"), numbers.get("distance")
    left, turn = numbers.get("left") or 0.0, numbers.get("turn") or 0.0
    if forward is None and distance is None:
        if numbers.get("left") is not None or numbers.get("turn") is not None:
            raise InputError(
                f"{path}: {place_of(path, row)}: left and turn go with forward or distance"
            )
        return None
    if forward is not None and distance is not None:
        raise InputError(f"{path}: {place_of(path, row)}: has both forward and distance")
    motion = Motion(forward, left, turn) if forward is not None else Motion.arc(distance or 0, turn)
    usual = usual_deviations(motion.forward, motion.left, motion.turn)
    given = [numbers.get(f"{name}_error") for name in ("forward", "left", "turn")]
    deviations = [a if b is None else b for a, b in zip(usual, given, strict=True)]
    return Motion(motion.forward, motion.left, motion.turn, np.diag(np.square(deviations)))


def _number(path: Path, cell: Any, row: int, name: str) -> float | None:
    if is_empty(cell):
        return None
    where = f"{path}: {place_of(path, row)}, column '{name}'"
    try:
        value = float(cell)
    except (TypeError, ValueError):
        raise InputError(f"{where}: '{str(cell)[:40]}' is no number") from None
    if not math.isfinite(value):
        raise InputError(f"{where}: '{str(cell)[:40]}' is not finite")
    low, high = LIMITS.get(name, (-math.inf, math.inf))
    if not low <= value <= high:
        raise InputError(f"{where}: {value:g} lies outside {low:g}..{high:g}")
    return value
