"""Check of a tree in the layout of Brooklyn & Queens; each city counts as a split of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cvsegguide.data.checks.files import FileTask, Role, find_odd_sizes, inspect_all
from cvsegguide.data.checks.report import Report
from cvsegguide.data.city_lists import City, read_city
from cvsegguide.data.layout import LIST
from cvsegguide.data.linking import find_overlaps
from cvsegguide.io.atomic import write_text
from cvsegguide.landcover import NYC

CLASS_LABELS = {
    "landcover": frozenset(NYC.ids),
    "landuse": frozenset(range(13)),
    "age": frozenset(range(15)),
    "function": frozenset(range(208)),
}
"""Label kinds with class ids, and the ids that they may hold."""

TILE_LABELS: dict[str, Role] = {**dict.fromkeys(CLASS_LABELS, "ids"), "height": "heights"}
"""Labels of tiles."""

VIEW_LABELS: dict[str, Role] = {"street_landcover": "ids", "street_depth": "unit"}
"""Labels of panoramas, which a SynthCity alone has: class ids, and depth of 16 bits."""

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

    def find_kinds(self, kinds: Iterable[str]) -> list[str]:
        """Label kinds that the city has a folder of."""
        return [kind for kind in kinds if (self.city.folder / "labels" / kind).is_dir()]


def find_cities(root: Path) -> dict[str, Path]:
    """Folders that look like a city, even a damaged one: they have an ``overhead`` folder."""
    if (root / LIST).is_file():
        return {root.resolve().name: root}
    return {
        child.name: child
        for child in sorted(root.iterdir())
        if (child / LIST).is_file() or ((child / "overhead" / "images").is_dir())
    }


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
    city, labels = check.city, check.city.folder / "labels"
    kinds, view_kinds = check.find_kinds(TILE_LABELS), check.find_kinds(VIEW_LABELS)
    for name in city.tiles:
        yield FileTask(city.folder / "overhead" / "images" / name, "overhead", "picture", name)
        for kind in kinds:
            role = TILE_LABELS[kind]
            path = (labels / kind / name).with_suffix(".npz" if role == "heights" else ".png")
            yield FileTask(path, kind, role, name, CLASS_LABELS.get(kind, frozenset()))
    for name in city.panoramas:
        yield FileTask(city.folder / "streetview" / "images" / name, "streetview", "picture", name)
        for kind in view_kinds:
            path = (labels / kind / name).with_suffix(".png")
            yield FileTask(path, kind, VIEW_LABELS[kind], name, CLASS_LABELS["landcover"])
        path = (labels / "depth" / name).with_suffix(".png")
        if path.exists():  # sightline maps need not be there
            yield FileTask(path, "depth", "unit", name)


def _check_files(check: _Check, workers: int) -> None:
    city, counts = check.city, check.report.counts
    of_tiles = ("overhead", *check.find_kinds(TILE_LABELS))
    of_views = ("streetview", *check.find_kinds(VIEW_LABELS))
    for group in (*of_tiles, *of_views):
        counts[f"{check.name} {group}"] = 0
    total = len(city.tiles) * len(of_tiles) + len(city.panoramas) * len(of_views)
    sizes: dict[str, dict[str, tuple[int, int]]] = {}
    paths: dict[tuple[str, str], Path] = {}
    for state in inspect_all(_list_tasks(check), total, workers, f"reading {check.name}"):
        task = state.task
        if state.kind != "missing":
            key = f"{check.name} {task.group}"
            counts[key] = counts.get(key, 0) + 1
        if state.kind:
            name = None if task.group == "depth" else task.name
            check.add(state.kind, task.path, state.detail, name)
        if state.size is not None:
            sizes.setdefault(task.group, {})[task.name] = state.size
            paths[task.group, task.name] = task.path
    usual, odd = find_odd_sizes(sizes.get("overhead", {}), (256, 256))
    for name, (height, width) in sizes.get("overhead", {}).items():
        if name in odd or height != width:
            detail = odd.get(name, f"{width} x {height} pixels are no square")
            check.add("wrong size", paths["overhead", name], detail, name)
    _, odd = find_odd_sizes(sizes.get("streetview", {}), (1664, 3328))
    for name, (height, width) in sizes.get("streetview", {}).items():
        if name in odd or width not in (2 * height, 4 * height):
            detail = odd.get(name, f"{width} x {height} pixels are not a panorama's 2:1 or 4:1")
            check.add("wrong size", paths["streetview", name], detail, name)
    for group in {*of_tiles[1:], "depth"} & sizes.keys():
        for name, (height, width) in sizes[group].items():
            if (height, width) != usual:
                detail = f"{width} x {height} pixels, the tiles have {usual[1]} x {usual[0]}"
                owner = None if group == "depth" else name
                check.add("wrong size", paths[group, name], detail, owner)


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
