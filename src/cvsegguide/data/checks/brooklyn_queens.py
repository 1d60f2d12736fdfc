"""Check of a tree in the layout of Brooklyn & Queens; each city counts as a split of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cvsegguide.data.brooklyn_queens import CLASS_COUNTS
from cvsegguide.data.checks.files import (
    FileTask,
    Role,
    find_odd_sizes,
    read_files,
    tell_size,
)
from cvsegguide.data.checks.report import Report
from cvsegguide.data.city_lists import City, read_city
from cvsegguide.data.layout import find_cities
from cvsegguide.data.linking import find_overlaps
from cvsegguide.io.atomic import write_text

CLASS_LABELS = {kind: frozenset(range(count)) for kind, count in CLASS_COUNTS.items()}
"""Label kinds with class ids, and the ids that they may hold."""

TILE_FILES: dict[str, tuple[str, Role, str]] = {
    "overhead": ("overhead/images", "picture", ""),
    **{kind: (f"labels/{kind}", "ids", ".png") for kind in CLASS_LABELS},
    "height": ("labels/height", "heights", ".npz"),
}
VIEW_FILES: dict[str, tuple[str, Role, str]] = {
    "streetview": ("streetview/images", "picture", ""),
    "street_landcover": ("labels/street_landcover", "ids", ".png"),
    "street_depth": ("labels/street_depth", "unit", ".png"),
    "depth": ("labels/depth", "unit", ".png"),
}
"""Folder, role and suffix of the files of tiles and of panoramas. Labels are read where there is a
folder of them, sightline maps (depth) where there is a file."""

INDEX = "index.cleaned.txt"


@dataclass
class _Check:
    """One city while it is checked.

    Attributes:
        name: Of the city.
        report: Where findings go.
        city: Its lists.
        bad: Tiles and panoramas that cannot be used.
    """

    name: str
    report: Report
    bad: set[str] = field(default_factory=set)
    city: City = field(init=False)

    def add(self, kind: str, path: Path, detail: str, name: str | None = None) -> None:
        """Record a finding about a file and the tile or panorama that cannot be used for it."""
        self.report.add(kind, path, detail)
        if name is not None:
            self.bad.add(name)


def check_brooklyn_queens(root: Path, workers: int, fix: bool) -> Report:
    """Check every city of a tree (see :func:`cvsegguide.data.checks.check`)."""
    report = Report(str(root), "brooklyn-queens")
    checks: list[_Check] = []
    for name, folder in find_cities(root).items():
        check = _Check(name, report)
        check.city = read_city(folder, check.add)
        tiles = set(check.city.tiles)
        for tile, (line, box) in check.city.boxes.items():
            if box is not None and tile not in tiles:
                path = folder / "overhead" / "bboxes.txt"
                check.add("contradiction", path, f"line {line}: '{tile}' is not in images.txt")
        _check_files(check, workers)
        _check_links(check)
        for first in checks:
            _find_leaks(first, check)
        checks.append(check)
    for check in checks if fix else ():
        path = check.city.folder / INDEX
        names = (
            (check.city.tiles[tile], check.city.panoramas[view]) for tile, view in check.city.pairs
        )
        write_text(path, "".join(f"{t},{v}\n" for t, v in names if not {t, v} & check.bad))
        report.written.append(str(path))
    return report


def _list_tasks(check: _Check) -> Iterator[FileTask]:
    city = check.city
    for names, files in ((city.tiles, TILE_FILES), (city.panoramas, VIEW_FILES)):
        for group, (place, role, suffix) in files.items():
            folder = city.folder / place
            if role != "picture" and not folder.is_dir():
                continue
            known = CLASS_LABELS.get(group.removeprefix("street_"), frozenset())
            for name in names:
                path = (folder / name).with_suffix(suffix) if suffix else folder / name
                if group != "depth" or path.exists():
                    yield FileTask(path, f"{check.name} {group}", role, name, known)


def _check_files(check: _Check, workers: int) -> None:
    states = read_files(list(_list_tasks(check)), check.report, workers, check.name)
    depth = f"{check.name} depth"
    for state in (state for group in states.values() for state in group.values()):
        if state.kind and state.task.count != depth:
            check.bad.add(state.task.name)
    tiles = states.get(f"{check.name} overhead", {})
    views = states.get(f"{check.name} streetview", {})
    usual, odd = find_odd_sizes(tiles, (256, 256))
    odd |= find_odd_sizes(views, (1664, 3328))[1]
    for name, state in (tiles | views).items():
        if name in odd or state.size is None:
            continue
        height, width = state.size
        if name in tiles and height != width:
            odd[name] = state, f"{tell_size(state.size)} pixels are no square"
        if name in views and width not in (2 * height, 4 * height):
            odd[name] = state, f"{tell_size(state.size)} pixels are not a panorama's 2:1 or 4:1"
    for name, (state, detail) in odd.items():
        check.add("wrong size", state.task.path, detail, name)
    for group in (*CLASS_LABELS, "height", "depth"):
        for name, state in states.get(f"{check.name} {group}", {}).items():
            if state.size not in (None, usual):
                detail = f"{tell_size(state.size)} pixels, the tiles have {tell_size(usual)}"
                owner = None if group == "depth" else name
                check.add("wrong size", state.task.path, detail, owner)


def _check_links(check: _Check) -> None:
    city = check.city
    linked = np.zeros(len(city.panoramas), np.bool_)
    linked[city.pairs[:, 1]] = True
    for row in np.flatnonzero(~linked & ~np.isnan(city.lonlat).any(axis=1)).tolist():
        lon, lat = city.lonlat[row]
        path = city.folder / "streetview" / "images" / city.panoramas[row]
        check.add("outside", path, f"({lat:.6f}, {lon:.6f}) lies in no tile")
    check.report.counts[f"{check.name} pairs"] = len(city.pairs)
    empty = len(city.tiles) - len(np.unique(city.pairs[:, 0]))
    check.report.counts[f"{check.name} tiles without panorama"] = empty


def _find_leaks(first: _Check, second: _Check) -> None:
    """Panoramas and ground that two cities share; the second one's are marked as bad."""
    both = f"both {first.name} and {second.name}"
    names = set(first.city.panoramas)
    for name in second.city.panoramas:
        if name in names:
            second.add("leak", Path(name), f"panorama of {both}", name)
    for row in find_overlaps(first.city.bounds, second.city.bounds).tolist():
        name = second.city.tiles[row]
        second.add("leak", Path(name), f"its ground belongs to tiles of {both}", name)
