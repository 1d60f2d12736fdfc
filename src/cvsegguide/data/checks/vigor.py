"""Check of a tree in the layout of VIGOR.

``splits*/CITY/satellite_list.txt`` and the lists of pairs beside it; pictures in
``CITY/{satellite,panorama}/``. Train and test lists of the same-area protocol share their
satellite pictures by design: that is noted; a panorama in both is a finding.
"""

from dataclasses import dataclass
from pathlib import Path

from cvsegguide.data.checks.files import FileTask, find_odd_sizes, read_files
from cvsegguide.data.checks.report import Report
from cvsegguide.data.lists import read_names, read_rows
from cvsegguide.data.vigor_lists import SIZE, Line, read_lines
from cvsegguide.io.atomic import write_text


@dataclass
class _List:
    """One list of pairs: its file, and those of its lines that can be used."""

    path: Path
    lines: list[Line]

    @property
    def city(self) -> str:
        return self.path.parent.name


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
    lists = [_List(path, read_lines(path, report.add)) for path in find_split_lists(root)]
    bad: set[tuple[str, str]] = set()
    for city in sorted({entry.city for entry in lists}):
        listed: dict[str, int] = {}
        for path in sorted(root.glob(f"splits*/{city}/satellite_list.txt")):
            listed |= read_names(path, report.add)[0]
        names: dict[str, dict[str, None]] = {"satellite": dict.fromkeys(listed), "panorama": {}}
        for entry in lists:
            if entry.city == city:
                _check_lines(entry, listed, report)
                tiles = (tile for line in entry.lines for tile in line.tiles)
                names["panorama"] |= dict.fromkeys(line.panorama for line in entry.lines)
                names["satellite"] |= dict.fromkeys(tiles)
        bad |= {(city, name) for name in _check_files(root, city, names, report, workers)}
    _find_leaks(lists, report)
    for entry in lists if fix else ():
        path = entry.path.with_name(f"{entry.path.stem}.cleaned.txt")
        numbers = {
            line.number
            for line in entry.lines
            if not any((entry.city, name) in bad for name in (line.panorama, *line.tiles))
        }
        texts = [text for number, text in read_rows(entry.path, report.add) if number in numbers]
        write_text(path, "".join(f"{text}\n" for text in texts))
        report.written.append(str(path))
    return report


def _check_lines(entry: _List, satellites: dict[str, int], report: Report) -> None:
    seen: set[str] = set()
    usable = []
    for line in entry.lines:
        place = f"line {line.number}"
        repeated = line.panorama in seen
        if repeated:
            report.add("duplicate", entry.path, f"{place}: '{line.panorama}' is listed before")
        seen.add(line.panorama)
        for name in line.tiles:
            if satellites and name not in satellites:
                report.add("contradiction", entry.path, f"{place}: '{name}' is in no list")
        if max(map(abs, line.offsets[0])) > SIZE / 2:
            detail = f"{place}: the camera is not in its positive tile"
            report.add("outside", entry.path, detail)
        elif not repeated:
            usable.append(line)
    entry.lines = usable
    where = entry.path.relative_to(report.root).as_posix()
    report.counts[f"{where} pairs"] = len(seen)


def _check_files(
    root: Path, city: str, names: dict[str, dict[str, None]], report: Report, workers: int
) -> set[str]:
    """Names of pictures that cannot be used."""
    tasks = [
        FileTask(root / city / group / name, f"{city} {group}", "picture", name)
        for group, members in names.items()
        for name in members
    ]
    report.counts |= {f"{city} {group}": 0 for group in names}
    states = read_files(tasks, report, workers, city)
    bad = {name for group in states.values() for name, state in group.items() if state.kind}
    for group, preferred in (("satellite", (SIZE, SIZE)), ("panorama", (1024, 2048))):
        odd = find_odd_sizes(states.get(f"{city} {group}", {}), preferred)[1]
        for name, (state, detail) in odd.items():
            report.add("wrong size", state.task.path, detail)
            bad.add(name)
    return bad


def _find_leaks(lists: list[_List], report: Report) -> None:
    by_path = {entry.path: entry for entry in lists}
    for test in lists:
        train = by_path.get(test.path.with_name(test.path.name.replace("test", "train")))
        if train is None or train is test:
            continue
        views = {line.panorama for line in train.lines}
        tiles = {line.tiles[0] for line in train.lines}
        shared = sum(line.tiles[0] in tiles for line in test.lines)
        for line in test.lines:
            if line.panorama in views:
                detail = f"line {line.number}: the panorama is in {train.path.name} too"
                report.add("leak", test.path, detail)
        test.lines = [line for line in test.lines if line.panorama not in views]
        if shared:
            where = test.path.relative_to(report.root).as_posix()
            report.notes.append(
                f"{where}: {shared} pairs lie in tiles of the training list, as the same-area "
                "protocol has it; cross-area results are free of that"
            )
