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
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from cvsegguide.data.manifest_table import is_empty, place_of, read_frame
from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.tracking.motion import Motion, usual_deviations
from cvsegguide.tracking.tracker import Frame

_ANY = (-math.inf, math.inf)

NUMBERS = {
    **dict.fromkeys(("time", "forward", "left", "turn", "distance", "compass", "heading"), _ANY),
    **dict.fromkeys(("forward_error", "left_error"), (0.0, 1e6)),
    **dict.fromkeys(("turn_error", "compass_error"), (0.0, 1e4)),
    "fov": (1e-3, 360.0),
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
}
"""Columns of numbers, and the smallest and the largest that may stand there."""

_FRAME = ("fov", "compass", "compass_error", "time")
"""Columns that are attributes of a frame."""


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
    columns = list(map(str, table))
    if "street" not in columns:
        raise InputError(f"{path}: has no column 'street' (it has: {', '.join(columns)})")
    _warn_of_misspelt(path, columns)
    frames = []
    for row, cells in enumerate(table.to_dict("records")):
        try:
            frames.append(_read_row(path.parent, cells, fov))
        except InputError as error:
            raise InputError(f"{path}: {place_of(path, row)}{error}") from None
    if not frames:
        raise InputError(f"{path}: has no rows")
    return frames


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


def _read_row(folder: Path, cells: Mapping[Any, Any], fov: float) -> Frame:
    """The frame of a row; faults begin with the column, or with a colon."""
    known = {name: _number(name, cells[name]) for name in NUMBERS if not is_empty(cells.get(name))}
    name = "" if is_empty(cells["street"]) else str(cells["street"]).strip()
    image = folder / name if name else None
    if image is not None and not image.is_file():
        raise InputError(f", column 'street': {image} is missing")
    if ("lon" in known) != ("lat" in known):
        raise InputError(": lon and lat go together")
    truth = None
    if "lon" in known:
        truth = (known["lon"], known["lat"], known.get("heading", math.nan))
    return Frame(
        image=image,
        motion=_motion(known),
        name=name,
        truth=truth,
        **{"fov": fov, **{key: known[key] for key in _FRAME if key in known}},
    )


def _motion(known: Mapping[str, float]) -> Motion | None:
    ways, left, turn = {"forward", "distance"} & known.keys(), known.get("left"), known.get("turn")
    if len(ways) == 2:
        raise InputError(": has both forward and distance")
    if not ways:
        if left is None and turn is None:
            return None
        raise InputError(": left and turn go with forward or distance")
    if "forward" in known:
        motion = Motion(known["forward"], left or 0.0, turn or 0.0)
    else:
        motion = Motion.arc(known["distance"], turn or 0.0)
    usual = usual_deviations(motion.forward, motion.left, motion.turn)
    names = ("forward_error", "left_error", "turn_error")
    deviations = [known.get(name, value) for name, value in zip(names, usual, strict=True)]
    return replace(motion, covariance=np.diag(np.square(deviations)))


def _number(name: str, cell: Any) -> float:
    low, high = NUMBERS[name]
    try:
        value = float(cell)
    except (TypeError, ValueError):
        raise InputError(f", column '{name}': '{str(cell)[:40]}' is no number") from None
    if not math.isfinite(value):
        raise InputError(f", column '{name}': '{str(cell)[:40]}' is not finite")
    if not low <= value <= high:
        raise InputError(f", column '{name}': {value:g} lies outside {low:g}..{high:g}")
    return value
