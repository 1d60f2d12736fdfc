"""Check of a tree in the layout of VIGOR.

``splits*/CITY/satellite_list.txt`` and the lists of pairs beside it; pictures in
``CITY/{satellite,panorama}/``. Train and test lists of the same-area protocol share their
satellite pictures by design: that is noted; a panorama in both is a finding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cvsegguide.data.checks.files import FileTask, inspect_all, usual_size
from cvsegguide.data.checks.lists import is_inside, numbers, read_names, read_rows
from cvsegguide.data.checks.report import Report
from cvsegguide.data.vigor import panorama_lonlat, satellite_lonlat
from cvsegguide.io.atomic import write_text

HALF = 320.0
"""Half the width of a satellite picture in pixels, in which the offsets are counted."""


@dataclass
class _List:
    """One list of pairs: each line's panorama and its four satellite pictures, None when bad."""

    path: Path
    lines: list[tuple[str, str, tuple[str, ...]] | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def find_split_lists(root: Path) -> list[Path]:
    """Lists of pairs: every text file of ``splits*/CITY/`` but the lists of satellite pictures."""
    return sorted(
        path
        for path in root.glob("splits*/*/*.txt")
        if path.name != "satellite_list.txt" and not path.stem.endswith(".cleaned")
    )


def check_vigor(root: Path, workers: int, fix: bool) -> Report:
    """Check a tree of VIGOR (see :func:`cvsegguide.data.checks.check`)."""
    report = Report(str(root), "vigor")
    lists = [_List(path) for path in find_split_lists(root)]
    cities = sorted({entry.path.parent.name for entry in lists})
    bad: set[str] = set()
    for city in cities:
        satellites: dict[str, None] = {}
        for path in sorted(root.glob(f"splits*/{city}/satellite_list.txt")):
            satellites.update(dict.fromkeys(read_names(path, root, report)[0]))
        views: dict[str, None] = {}
        for entry in lists:
            if entry.path.parent.name == city:
                _read_list(entry, root, report, satellites)
                views.update(dict.fromkeys(line[1] for line in entry.lines if line))
        for entry in lists:  # those that no list of satellite pictures has are used all the same
            if entry.path.parent.name == city:
                for line in filter(None, entry.lines):
                    satellites.update(dict.fromkeys(line[2]))
        bad |= _read_files(root, city, list(satellites), list(views), report, workers)
    _find_leaks(lists, root, report)
    if fix:
        for entry in lists:
            city = entry.path.parent.name
            path = entry.path.with_name(f"{entry.path.stem}.cleaned.txt")
            good = [
                text
                for text, line in zip(entry.texts, entry.lines, strict=True)
                if line
                and f"{city}/panorama/{line[1]}" not in bad
                and not any(f"{city}/satellite/{name}" in bad for name in line[2])
            ]
            write_text(path, "".join(f"{text}\n" for text in good))
            report.written.append(str(path))
    return report


def _read_list(entry: _List, root: Path, report: Report, satellites: dict[str, None]) -> None:
    where = entry.path.relative_to(root)
    seen: set[str] = set()
    outside = 0
    for number, fields in read_rows(entry.path, root, report, separator="\n"):
        entry.texts.append(fields[0])
        parts = fields[0].split()
        offsets = numbers(parts[2::3] + parts[3::3], 8) if len(parts) == 13 else None
        names = tuple(parts[1::3])
        if offsets is None or not all(is_inside(name) for name in (parts[0], *names)):
            report.add("malformed", where, f"line {number}: not a panorama and four times a tile")
            entry.lines.append(None)
            continue
        try:
            panorama_lonlat(parts[0])
            for name in names:
                satellite_lonlat(name)
        except ValueError:
            report.add("malformed", where, f"line {number}: a name without latitude and longitude")
            entry.lines.append(None)
            continue
        entry.lines.append((str(number), parts[0], names))
        if parts[0] in seen:
            report.add("duplicate", where, f"line {number}: '{parts[0]}' is listed before")
            entry.lines[-1] = None
        seen.add(parts[0])
        for name in names:
            if satellites and name not in satellites:
                report.add("contradiction", where, f"line {number}: '{name}' is in no list")
        if max(abs(float(parts[2])), abs(float(parts[3]))) > HALF:
            outside += 1
            report.add("outside", where, f"line {number}: the camera is not in its positive tile")
            entry.lines[-1] = None
    report.counts[f"{where.as_posix()} pairs"] = len(seen)


def _read_files(
    root: Path, city: str, satellites: list[str], views: list[str], report: Report, workers: int
) -> set[str]:
    def tasks() -> Iterator[FileTask]:
        for number, name in enumerate(satellites):
            yield FileTask(root / city / "satellite" / name, "satellite", "picture", number)
        for number, name in enumerate(views):
            yield FileTask(root / city / "panorama" / name, "panorama", "picture", number)

    bad: set[str] = set()
    sizes: dict[str, dict[int, tuple[int, int]]] = {"satellite": {}, "panorama": {}}
    for group in sizes:
        report.counts[f"{city} {group}"] = 0
    total = len(satellites) + len(views)
    for state in inspect_all(tasks(), total, workers, f"reading {city}"):
        path = state.task.path.relative_to(root)
        if state.kind != "missing":
            report.counts[f"{city} {state.task.group}"] += 1
        if state.kind:
            report.add(state.kind, path, state.detail)
            bad.add(path.as_posix())
        elif state.size is not None:
            sizes[state.task.group][state.task.number] = state.size
    preferred = {"satellite": (640, 640), "panorama": (1024, 2048)}
    for group, names in (("satellite", satellites), ("panorama", views)):
        if not sizes[group]:
            continue
        usual = usual_size(sizes[group].values(), preferred[group])
        for number, size in sizes[group].items():
            if size != usual:
                path = Path(city) / group / names[number]
                detail = f"{size[1]} x {size[0]} pixels, the others {usual[1]} x {usual[0]}"
                report.add("wrong size", path, detail)
                bad.add(path.as_posix())
    return bad


def _find_leaks(lists: list[_List], root: Path, report: Report) -> None:
    for test in lists:
        if "test" not in test.path.stem:
            continue
        for train in lists:
            if train.path.parent != test.path.parent or train.path.stem != test.path.stem.replace(
                "test", "train"
            ):
                continue
            where = test.path.relative_to(root)
            views = {line[1] for line in train.lines if line}
            tiles = {name for line in train.lines if line for name in line[2][:1]}
            shared = 0
            for row, line in enumerate(test.lines):
                if line is None:
                    continue
                shared += line[2][0] in tiles
                if line[1] in views:
                    detail = f"line {line[0]}: the panorama is in {train.path.name} too"
                    report.add("leak", where, detail)
                    test.lines[row] = None
            if shared:
                report.notes.append(
                    f"{where.as_posix()}: {shared} pairs lie in tiles of the training list, as "
                    "the same-area protocol has it; cross-area results are free of that"
                )
