"""What a row of a manifest has to be.

What is wrong is handed to a function, a finding at a time: the data set raises the first, a check
collects them all.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.manifest_table import GROUPS, REQUIRED, AddFault, Table
from cvsegguide.geo import GeoReference

LIMITS = {
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
    "fov": (0.01, 360.0),
    "gsd": (1e-6, 1e6),
    "west": (-180.0, 180.0),
    "south": (-90.0, 90.0),
    "east": (-180.0, 180.0),
    "north": (-90.0, 90.0),
}
"""Smallest and largest number in a column."""

ASPECT = 0.02
"""Resizing may stretch one side of a pixel against the other by this much."""


def check_rows(table: Table, add: AddFault, positions: bool = True) -> None:
    """Every rule that needs no picture, so that a run does not fail after an hour.

    Args:
        table: Numbers that are out of range become NaN.
        add: Takes what is wrong.
        positions: Whether every row must say where the camera stood.
    """
    for name in REQUIRED:
        for row in _rows_of(table.columns[name] == b""):
            add("malformed", row, name, "is empty")
    for group in GROUPS:
        missing = np.isnan(np.stack([table.columns[name] for name in group]))
        for row in _rows_of(missing.any(axis=0) & ~missing.all(axis=0)):
            name = group[int(missing[:, row].argmax())]
            add("malformed", row, name, f"is empty, but {' and '.join(group)} go together")
    nowhere = np.isnan(table.columns["lon"]) & np.isnan(table.columns["row"])
    for row in _rows_of(nowhere) if positions else []:
        detail = (
            "the camera has no position: give lon, lat or row, col (or positions: optional, for "
            "predict)"
        )
        add("malformed", row, "lon", detail)
    for name, (low, high) in LIMITS.items():
        values = table.columns[name]
        for row in _rows_of((values < low) | (values > high)):
            add("malformed", row, name, f"{values[row]:g} lies outside {low:g}..{high:g}")
            values[row] = np.nan
    west, south, east, north = (table.columns[side] for side in GROUPS[2])
    for row in _rows_of((west >= east) | (south >= north)):
        detail = "bounds are west, south, east, north with west < east and south < north"
        add("malformed", row, "west", detail)
        west[row] = np.nan
    seen: dict[bytes, int] = {}
    for row, given in enumerate(table.columns["id"].tolist()):
        first = seen.setdefault(given, row)
        if first != row:
            detail = f"'{given.decode()[:80]}' is the name of {table.place(first)} too"
            add("duplicate", row, "id", detail)


def _rows_of(mask: NDArray[np.bool_] | np.bool_) -> list[int]:
    rows: list[int] = np.flatnonzero(mask).tolist()
    return rows


def check_view(table: Table, row: int, shape: tuple[int, int], add: AddFault) -> None:
    """What the size ``(h, w)`` of a row's street view has to be."""
    fov = table.number("fov", row, 360.0)
    if fov * shape[0] / shape[1] > 180.0 * (1 + 1e-3):
        detail = (
            f"{fov:g} degrees over {shape[1]} x {shape[0]} pixels reach beyond the poles: the "
            "street view is not equirectangular, or its fov is smaller"
        )
        add("wrong size", row, "fov", detail)


def check_place(
    table: Table,
    row: int,
    shape: tuple[int, int],
    reference: GeoReference | None,
    gsd: float | None,
    add: AddFault,
    square: bool = True,
) -> tuple[float, float]:
    """The rules for a row that need its overhead image.

    Args:
        table, row: Which.
        shape: ``(H, W)`` of the image.
        reference, gsd: Where it lies, and metres per pixel.
        add: Takes what is wrong.
        square: Whether the image must be a square on the ground, so that it can be resized to one.

    Returns:
        ``(row, col)`` of the camera in pixels of the file, NaN where that is not known.
    """
    height, width = shape
    if reference is None and gsd is None:
        detail = "is empty, and the overhead image has no georeference"
        add("malformed", row, "gsd", detail)
        return math.nan, math.nan
    pixel = reference.pixel_size if reference is not None else (gsd or 1.0, gsd or 1.0)
    if square and abs((pixel[0] * height) / (pixel[1] * width) - 1) > ASPECT:
        detail = (
            f"{width} x {height} pixels of {pixel[1]:.3g} x {pixel[0]:.3g} m do not make a square; "
            "cut the image to a square or set overhead_size to null"
        )
        add("wrong size", row, "overhead", detail)
    down, right, column = table.number("row", row), table.number("col", row), "row"
    if math.isnan(down + right):
        column = "lon"
        lon, lat = table.number("lon", row), table.number("lat", row)
        if math.isnan(lon + lat):
            return math.nan, math.nan
        if reference is None:
            detail = (
                "cannot be placed: the overhead image has no georeference, no bounds in the table "
                "and no z/x/y name; give row and col instead"
            )
            add("malformed", row, "lon", detail)
            return math.nan, math.nan
        rows, cols = reference.lonlat_to_rowcol(lon, lat)
        down, right = float(rows), float(cols)
    if not (-1e-6 <= down <= height + 1e-6 and -1e-6 <= right <= width + 1e-6):
        detail = (
            f"the camera lies outside the overhead image, at row {down:.1f}, column {right:.1f} "
            f"of {height} x {width}"
        )
        add("outside", row, column, detail)
    return down, right
