"""Read one file of a data set as a stranger's: whatever it holds, say what is wrong with it."""

import stat
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.data.checks.report import Report
from cvsegguide.data.decode import decode_ids, decode_unit, read_sparse, upright_size
from cvsegguide.geo import GeoReference, parse_tile_name
from cvsegguide.io import rasters
from cvsegguide.io.images import reason
from cvsegguide.progress import track

Size = tuple[int, int]
Role = Literal["picture", "raster", "ids", "heights", "unit"]

MAX_PIXELS = 1 << 26
"""Pixels that are decoded at most, so that memory stays bounded (JPEG panoramas may have 64 times
as many: an eighth of their size is enough)."""

_ROWS = 1024
_READERS: dict[Role, Callable[[Path], NDArray[Any]]] = {
    "ids": decode_ids,
    "unit": decode_unit,
    "heights": read_sparse,
}
_TRUNCATION = ("truncat", "not enough image data", "unexpected end", "eof", "premature")


@dataclass(frozen=True)
class FileTask:
    """A file to read.

    Attributes:
        path: The file.
        count: What it counts as in the report, e.g. ``"queens landcover"``.
        role: ``picture``; ``raster``, an overhead image that GDAL reads; ``ids``, a raster of
            class ids; ``heights``, a sparse array; ``unit``, a grey picture for values from 0 to 1.
        name: The caller's name for it (a tile, a panorama).
        known: Ids that a raster may hold.
        place: Where it is named, to be told with a fault.
    """

    path: Path
    count: str
    role: Role
    name: str
    known: frozenset[int] = frozenset()
    place: str = ""


@dataclass(frozen=True)
class FileState:
    """What a file turned out to be.

    Attributes:
        task: The task.
        size: ``(height, width)``, or None when it could not be read.
        kind, detail: The fault as in :mod:`report`; both empty when there is none.
        reference: Where a ``raster`` lies by its own georeference (not by its name), or None.
    """

    task: FileTask
    size: Size | None
    kind: str = ""
    detail: str = ""
    reference: GeoReference | None = None


def read_files(
    tasks: Sequence[FileTask], report: Report, workers: int, what: str
) -> dict[str, dict[str, FileState]]:
    """Read every file once over threads, with a progress bar; count them, report their faults.

    Returns:
        States by count and name.
    """
    states: dict[str, dict[str, FileState]] = {task.count: {} for task in tasks}
    report.counts |= dict.fromkeys(states, 0)
    with warnings.catch_warnings(), ThreadPool(workers) as pool:
        warnings.simplefilter("ignore")
        found = pool.imap_unordered(inspect, tasks)
        for state in track(found, f"reading {what}", len(tasks)):
            task = state.task
            states[task.count][task.name] = state
            report.counts[task.count] += state.kind != "missing"
            if state.kind:
                report.add(state.kind, task.path, task.place + state.detail)
    return states


def inspect(task: FileTask) -> FileState:
    """Read one file to its end."""
    try:
        information = task.path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return FileState(task, None, "missing", "no such file")
        return FileState(task, None, "unreadable", reason(error))
    if not stat.S_ISREG(information.st_mode):
        return FileState(task, None, "unreadable", "is not a regular file")
    if information.st_size == 0:
        return FileState(task, None, "truncated", "the file is empty")
    try:
        if task.role == "raster":
            return _raster(task)
        if task.role == "picture":
            return _picture(task)
        values = _READERS[task.role](task.path)
    except Exception as error:  # a decoder may fail in any way on a damaged file
        text = reason(error)
        truncated = any(word in text.lower() for word in _TRUNCATION)
        return FileState(task, None, "truncated" if truncated else "unreadable", text)
    size = values.shape[0], values.shape[1]
    if not np.isfinite(values).all():
        return FileState(task, size, "unreadable", "holds values that are not finite")
    unknown = sorted({*np.unique(values).tolist()} - task.known) if task.role == "ids" else []
    if unknown:
        shown = ", ".join(map(str, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        return FileState(task, size, "unknown id", shown)
    return FileState(task, size)


def _picture(task: FileTask) -> FileState:
    with Image.open(task.path) as image:
        size = upright_size(image)
        # An eighth of the size needs the whole file all the same, but a fraction of the time.
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        if image.width * image.height > MAX_PIXELS:
            return FileState(task, size, "unreadable", f"{size[1]} x {size[0]} pixels is too large")
        image.load()
    return FileState(task, size)


def _raster(task: FileTask) -> FileState:
    with rasters.open_raster(task.path) as raster:  # as the data set reads it
        size = height, width = raster.shape
        if height * width > rasters.MAX_PIXELS:
            return FileState(task, size, "unreadable", f"{width} x {height} pixels are too many")
        valid = False
        for top in range(0, height, _ROWS):
            valid |= bool(raster.read(top, 0, min(top + _ROWS, height), width)[1].any())
        reference = raster.reference
    if not valid:
        return FileState(task, size, "unreadable", "holds no valid pixel (all nodata)")
    tile = parse_tile_name(task.path.absolute())
    if tile is not None and reference == GeoReference.from_tile(*tile, height, width):
        reference = None
    return FileState(task, size, reference=reference)


def find_odd_sizes(
    states: Mapping[str, FileState], preferred: Size
) -> tuple[Size, dict[str, tuple[FileState, str]]]:
    """The usual size of many files, and what to say of those that have another.

    Args:
        states: By name.
        preferred: What is usual where several are equally frequent, or there are none.
    """
    counts = Counter(state.size for state in states.values() if state.size is not None)
    usual = max(counts, key=lambda size: (counts[size], size == preferred, size), default=preferred)
    return usual, {
        name: (state, f"{tell_size(state.size)} pixels, the others {tell_size(usual)}")
        for name, state in states.items()
        if state.size is not None and state.size != usual
    }


def tell_size(size: Size) -> str:
    """``(height, width)`` in words."""
    return f"{size[1]} x {size[0]}"
