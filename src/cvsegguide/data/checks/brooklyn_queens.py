"""Check of a tree in the layout of Brooklyn & Queens; each city counts as a split of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.checks.files import FileState, FileTask, Role, inspect_all, usual_size
from cvsegguide.data.checks.lists import numbers, read_names, read_rows
from cvsegguide.data.checks.overlap import overlapping
from cvsegguide.data.checks.report import Report
from cvsegguide.data.layout import LIST
from cvsegguide.data.linking import LinkTable, link_table
from cvsegguide.geo import parse_tile_name, tile_bounds
from cvsegguide.io.atomic import write_text
from cvsegguide.landcover import NYC

CLASS_LABELS = {
    "landcover": frozenset(NYC.ids),
    "landuse": frozenset(range(13)),
    "age": frozenset(range(15)),
    "function": frozenset(range(208)),
}
"""Label kinds with class ids, and the ids that they may hold."""

VIEW_LABELS = ("street_landcover", "street_depth")
"""Labels of panoramas, which a SynthCity alone has: class ids, and depth of 16 bits."""

INDEX = "index.cleaned.txt"

_BOX_TOLERANCE = 0.02
_NAME_TOLERANCE = 1e-5


@dataclass
class City:
    """One city while it is checked.

    Attributes:
        name, folder: Of the city.
        tiles, panoramas: Names.
        bounds: ``(N, 4)``, NaN where unknown; lonlat: ``(M, 2)``, NaN where unknown.
        sizes: ``(N, 2)`` height and width of the tiles, 0 where unknown.
        view_sizes: ``(M, 2)`` the same of the panoramas.
        bad_tiles, bad_views: Which cannot be used.
        table: Panoramas of each tile.
    """

    name: str
    folder: Path
    tiles: list[str] = field(default_factory=list)
    panoramas: list[str] = field(default_factory=list)
    bounds: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    lonlat: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    sizes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    view_sizes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    bad_tiles: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    bad_views: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    table: LinkTable = field(
        default_factory=lambda: LinkTable(np.zeros(1, np.int64), np.zeros(0, np.int64))
    )

    def label_kinds(self) -> list[str]:
        """Label kinds of tiles that the city has a folder of."""
        kinds = (*CLASS_LABELS, "height")
        return [kind for kind in kinds if (self.folder / "labels" / kind).is_dir()]

    def view_kinds(self) -> list[str]:
        """The same of panoramas."""
        return [kind for kind in VIEW_LABELS if (self.folder / "labels" / kind).is_dir()]


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
    cities = [City(name, folder) for name, folder in find_cities(root).items()]
    for city in cities:
        _read_lists(city, root, report)
        _read_files(city, root, report, workers)
        _link(city, root, report)
    for number, second in enumerate(cities):
        for first in cities[:number]:
            _find_leaks(first, second, root, report)
    if fix:
        for city in cities:
            path = city.folder / INDEX
            lines = [
                f"{city.tiles[tile]},{city.panoramas[view]}\n"
                for tile, views in enumerate(city.table)
                if not city.bad_tiles[tile]
                for view in views
                if not city.bad_views[view]
            ]
            write_text(path, "".join(lines))
            report.written.append(str(path))
    return report


def _read_lists(city: City, root: Path, report: Report) -> None:
    folder = city.folder / "overhead"
    city.tiles, _ = read_names(folder / "images.txt", root, report)
    count = len(city.tiles)
    city.sizes, city.bad_tiles = np.zeros((count, 2), np.int32), np.zeros(count, np.bool_)
    city.bounds = np.full((count, 4), np.nan)
    boxes: dict[str, tuple[int, tuple[float, ...]]] = {}
    faulty: set[str] = set()
    path = folder / "bboxes.txt"
    where = path.relative_to(root)
    if path.exists():
        for line, fields in read_rows(path, root, report):
            box = numbers(fields[1:], 4)
            if box is None or box[0] == box[2] or box[1] == box[3]:
                what = "expected name,lat,lon,lat,lon" if box is None else "the box has no area"
                report.add("malformed", where, f"line {line}: {what}")
                faulty.add(fields[0])
                continue
            lats, lons = sorted(box[0::2]), sorted(box[1::2])
            boxes[fields[0]] = line, (lons[0], lats[0], lons[1], lats[1])
        for name in boxes.keys() - set(city.tiles):
            report.add("contradiction", where, f"'{name}' is not in images.txt")
    for row, name in enumerate(city.tiles):
        tile = parse_tile_name(name)
        if path.exists() and name not in boxes:
            if name not in faulty:
                report.add("malformed", where, f"no line for '{name}'")
            faulty.add(name)
        if tile is not None:
            city.bounds[row] = tile_bounds(*tile)
            if name in boxes:
                line, given = boxes[name]
                west, south, east, north = city.bounds[row]
                allowed = _BOX_TOLERANCE * np.array([east - west, north - south] * 2)
                if (np.abs(np.array(given) - city.bounds[row]) > allowed).any():
                    report.add(
                        "contradiction", where, f"line {line}: not the box of the tile '{name}'"
                    )
                    faulty.add(name)
        elif name in boxes:
            city.bounds[row] = boxes[name][1]
        else:
            report.add("malformed", name, "no slippy tile name, and no box: its place is unknown")
            city.bad_tiles[row] = True
        city.bad_tiles[row] |= name in faulty
    _read_positions(city, root, report)


def _read_positions(city: City, root: Path, report: Report) -> None:
    folder = city.folder / "streetview"
    city.panoramas, lines = read_names(folder / "images.txt", root, report)
    count = len(city.panoramas)
    city.view_sizes, city.bad_views = np.zeros((count, 2), np.int32), np.zeros(count, np.bool_)
    city.lonlat = np.full((count, 2), np.nan)
    named = np.full((count, 2), np.nan)
    for row, name in enumerate(city.panoramas):
        place = numbers(Path(name).stem.split("_"), 2)
        if place is not None:
            named[row] = place[1], place[0]
    path = folder / "locations.txt"
    where = path.relative_to(root)
    if path.exists():
        places = list(read_rows(path, root, report))
        if len(places) != max(lines, default=-1) + 1:
            report.add("malformed", where, f"{len(places)} lines, not one for each panorama")
        for row, place_row in enumerate(lines):
            if place_row >= len(places):
                continue
            line, fields = places[place_row]
            place = numbers(fields[-2:], 2)
            if place is None or abs(place[0]) > 90 or abs(place[1]) > 180:
                report.add("malformed", where, f"line {line}: expected lat,lon")
                continue
            city.lonlat[row] = place[1], place[0]
            if (np.abs(city.lonlat[row] - named[row]) > _NAME_TOLERANCE).any():
                report.add(
                    "contradiction",
                    where,
                    f"line {line}: ({place[0]}, {place[1]}) is not the place in the name "
                    f"'{city.panoramas[row]}'",
                )
                city.bad_views[row] = True
    unknown = np.isnan(city.lonlat).any(axis=1)
    city.bad_views |= unknown & path.exists()  # the name gives a place, the lists do not
    city.lonlat[unknown] = named[unknown]
    for row in np.flatnonzero(np.isnan(city.lonlat).any(axis=1)).tolist():
        report.add("malformed", city.panoramas[row], "its place is unknown")
        city.bad_views[row] = True


def _tasks(city: City) -> Iterator[FileTask]:
    overhead, street = city.folder / "overhead" / "images", city.folder / "streetview" / "images"
    for number, name in enumerate(city.tiles):
        yield FileTask(overhead / name, f"{city.name} overhead", "picture", number)
        for kind in city.label_kinds():
            label = city.folder / "labels" / kind / name
            group = f"{city.name} {kind}"
            if kind == "height":
                yield FileTask(label.with_suffix(".npz"), group, "heights", number)
            else:
                known = CLASS_LABELS[kind]
                yield FileTask(label.with_suffix(".png"), group, "ids", number, known)
    depth = city.folder / "labels" / "depth"
    for number, name in enumerate(city.panoramas):
        yield FileTask(street / name, f"{city.name} streetview", "picture", number)
        for kind in city.view_kinds():
            path = (city.folder / "labels" / kind / name).with_suffix(".png")
            role: Role = "ids" if kind == "street_landcover" else "unit"
            known = CLASS_LABELS["landcover"]
            yield FileTask(path, f"{city.name} {kind}", role, number, known)
        path = (depth / name).with_suffix(".png")
        if path.exists():  # sightline maps need not be there
            yield FileTask(path, f"{city.name} depth", "unit", number)


def _read_files(city: City, root: Path, report: Report, workers: int) -> None:
    kinds = city.label_kinds()
    view_kinds = city.view_kinds()
    for group in ("overhead", *kinds, "streetview", *view_kinds):
        report.counts[f"{city.name} {group}"] = 0
    total = len(city.tiles) * (1 + len(kinds))
    total += len(city.panoramas) * (1 + len(view_kinds))
    labels: list[FileState] = []
    for state in inspect_all(_tasks(city), total, workers, f"reading {city.name}"):
        task = state.task
        group = task.group.removeprefix(f"{city.name} ")
        if state.kind != "missing":
            report.counts[task.group] = report.counts.get(task.group, 0) + 1
        if state.kind:
            report.add(state.kind, task.path.relative_to(root), state.detail)
            if group == "streetview" or group in view_kinds:
                city.bad_views[task.number] = True
            elif group != "depth":
                city.bad_tiles[task.number] = True
        if state.size is None:
            continue
        if group == "overhead":
            city.sizes[task.number] = state.size
        elif group == "streetview":
            city.view_sizes[task.number] = state.size
        elif group not in view_kinds and state.size != (256, 256):
            labels.append(state)  # a size to be compared with that of the tile
    _check_sizes(city, root, report, labels)


def _check_sizes(city: City, root: Path, report: Report, labels: list[FileState]) -> None:
    folder = (city.folder / "overhead" / "images").relative_to(root)
    sizes = [(int(h), int(w)) for h, w in city.sizes if h]
    if sizes:
        usual = usual_size(sizes, (256, 256))
        for row, (height, width) in enumerate(city.sizes.tolist()):
            if height == 0:
                continue
            if (height, width) != usual or height != width:
                detail = f"{width} x {height} pixels, the others {usual[1]} x {usual[0]}"
                report.add("wrong size", folder / city.tiles[row], detail)
                city.bad_tiles[row] = True
        common = usual
    else:
        common = (256, 256)
    folder = (city.folder / "streetview" / "images").relative_to(root)
    sizes = [(int(h), int(w)) for h, w in city.view_sizes if h]
    if sizes:
        usual = usual_size(sizes, (1664, 3328))
        for row, (height, width) in enumerate(city.view_sizes.tolist()):
            if height == 0:
                continue
            if (height, width) != usual or width not in (2 * height, 4 * height):
                detail = (
                    f"{width} x {height} pixels, expected {usual[1]} x {usual[0]} and a panorama's "
                    "2:1 or 4:1"
                )
                report.add("wrong size", folder / city.panoramas[row], detail)
                city.bad_views[row] = True
    for state in labels:
        if state.size != common and state.size is not None:
            height, width = state.size
            detail = f"{width} x {height} pixels, the tiles have {common[1]} x {common[0]}"
            report.add("wrong size", state.task.path.relative_to(root), detail)
            if not state.task.group.endswith(" depth"):
                city.bad_tiles[state.task.number] = True


def _link(city: City, root: Path, report: Report) -> None:
    placed = _known(city.bounds)
    here = _known(city.lonlat)
    # A tile or panorama without a place becomes one that nothing can meet.
    bounds = np.where(placed[:, None], city.bounds, -1e9)
    lonlat = np.where(here[:, None], city.lonlat, 1e9)
    city.table = link_table(bounds, lonlat)
    linked = np.zeros(len(lonlat), np.bool_)
    linked[city.table.indices] = True
    folder = (city.folder / "streetview" / "images").relative_to(root)
    for row in np.flatnonzero(here & ~linked).tolist():
        lon, lat = city.lonlat[row]
        detail = f"({lat:.6f}, {lon:.6f}) lies in no tile"
        report.add("outside", folder / city.panoramas[row], detail)
    report.counts[f"{city.name} pairs"] = len(city.table.indices)
    report.counts[f"{city.name} tiles without panorama"] = int((city.table.counts == 0).sum())


def _find_leaks(first: City, second: City, root: Path, report: Report) -> None:
    """Panoramas and ground that two cities share; the second one's are marked as bad."""
    names = set(first.panoramas)
    for row, name in enumerate(second.panoramas):
        if name in names:
            detail = f"panorama of both {first.name} and {second.name}"
            report.add("leak", name, detail)
            second.bad_views[row] = True
    for row in overlapping(first.bounds, second.bounds).tolist():
        detail = f"its ground belongs to tiles of both {first.name} and {second.name}"
        report.add("leak", second.tiles[row], detail)
        second.bad_tiles[row] = True


def _known(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(table).all(axis=1))
