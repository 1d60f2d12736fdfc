"""A whole small city: readable, the same on any number of workers, resumable."""

import csv
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

import cvsegguide
from cvsegguide.cli.main import main
from cvsegguide.data import BrooklynQueens, Manifest
from cvsegguide.errors import DatasetError, InputError
from cvsegguide.synth.settings import EDITION, SPLITS, split_seed

SMALL: dict[str, Any] = {"town": 1, "panoramas": 1, "size": (16, 64)}


def digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "city"
    return cvsegguide.synth.generate(root, 3, 11, workers=1, validation=1, **SMALL)


def test_the_ordinary_loader_reads_it(city: Path) -> None:
    data = BrooklynQueens(city, city="brooklyn", labels=("landcover", "height", "age"))
    assert len(data.tiles) == 3
    assert len(data) >= 1
    assert len(BrooklynQueens(city, city="queens").tiles) == 1
    truth = {}
    with (city / "brooklyn/streetview/truth.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            truth[row["name"]] = row
    assert len(truth) == len(data)
    for index in range(len(data)):
        sample = data[index]
        assert sample.gsd == pytest.approx(0.2262, abs=1e-4)
        # A mapping car drives on roads.
        assert sample.landcover is not None
        cover = sample.landcover[int(sample.row), int(sample.col)]
        assert cover in (1, 6)
        assert sample.street.shape == (3, 128, 512)
        name = _name(data, index)
        row = truth[name]
        assert float(row["heading"]) == 0.0
        assert 2.4 <= float(row["height"]) <= 2.6
        depth = np.asarray(Image.open(city / f"brooklyn/labels/street_depth/{name}.png"))
        seen = np.asarray(Image.open(city / f"brooklyn/labels/street_landcover/{name}.png"))
        assert depth.shape == seen.shape == (16, 64)
        assert depth.dtype == np.uint16
        assert ((depth > 0) == (seen > 0)).all()
        # 42 degrees down from 2.5 m the ground is 3.7 m away.
        assert 150 < np.median(depth[-1]) < 420


def _name(data: BrooklynQueens, index: int) -> str:
    """Of a sample's panorama, as ``truth.csv`` has it."""
    return str(data.paths(index)[1].relative_to(data.folder / "streetview/images"))[:-4]


def test_no_two_splits_of_any_seeds_are_the_same_city() -> None:
    pairs = [(seed, split) for seed in (*range(300), 2**40 - 2, 2**40 - 1) for split in SPLITS]
    assert len({split_seed(*pair) for pair in pairs}) == len(pairs)
    assert split_seed(7, "train") == 7


def test_the_record_names_seed_version_styles_and_licence(city: Path) -> None:
    record = json.loads((city / "synthcity.json").read_text())
    assert record["seed"] == 11
    assert record["version"] == cvsegguide.__version__
    assert record["edition"] == EDITION
    assert record["license"] == "CC0-1.0"
    assert len(record["towns"]["brooklyn"]) == 3
    assert {town["seed"] for town in record["towns"]["brooklyn"]}.isdisjoint(
        town["seed"] for town in record["towns"]["queens"]
    )
    assert not list(city.rglob(".*"))


def test_two_workers_write_the_same_bytes(city: Path, tmp_path: Path) -> None:
    cvsegguide.synth.generate(tmp_path / "two", 3, 11, workers=2, validation=1, **SMALL)
    assert digest(tmp_path / "two") == digest(city)


@pytest.mark.skipif(not Path("/proc").exists(), reason="lists processes by /proc")
def test_a_killed_run_leaves_nobody_and_goes_on(tmp_path: Path) -> None:
    """Kill -9 of the process alone: its workers end, and the next run makes the same bytes."""
    root = tmp_path / "killed"
    size = "--town 1 --panoramas 1 --size 16 64 --workers 2"
    line = f"synth {root} --tiles 12 --seed 11 {size}".split()
    command = [sys.executable, "-m", "cvsegguide", *line]
    run = subprocess.Popen(command, start_new_session=True)
    parts = root / ".synthcity"
    until = time.monotonic() + 120
    while len(list(parts.glob("*-brooklyn-*.json"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    run.kill()
    run.wait()
    assert not (root / "synthcity.json").exists()
    until = time.monotonic() + 60
    while group_of(run.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert group_of(run.pid) == []
    assert not (root / "brooklyn/overhead/images.txt").exists()
    part = json.loads(next(parts.glob("*-brooklyn-*.json")).read_text())
    tile = root / f"brooklyn/overhead/images/{part['tiles'][0]}.jpg"
    stray = tile.with_name(".4711.abc.jpg")  # what a killed process leaves behind
    stray.write_bytes(b"half")
    written = tile.stat().st_mtime_ns
    with pytest.raises(InputError, match="other settings"):
        cvsegguide.synth.generate(root, 13, 11, workers=1, **SMALL)
    assert main(line) == 0
    assert tile.stat().st_mtime_ns == written
    assert not stray.exists()
    whole = tmp_path / "whole"
    assert main(f"synth {whole} --tiles 12 --seed 11 {size}".split()) == 0
    assert digest(root) == digest(whole)


def group_of(session: int) -> list[int]:
    """Processes of a session that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = entry.read_text().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(entry.parent.name))
    return found


def test_anyone_carries_the_camera_as_the_truth_says(tmp_path: Path) -> None:
    cvsegguide.synth.generate(tmp_path / "any", 1, 4, workers=1, rig="anyone", **SMALL)
    with (tmp_path / "any/brooklyn/streetview/truth.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        assert 1.5 <= float(row["height"]) <= 3.0
        assert abs((float(row["heading"]) + 180) % 360 - 180) <= 5
        assert abs(float(row["pitch"])) <= 5
    # Neither loader takes the compass at its word.
    data = Manifest(tmp_path / "any/brooklyn/manifest.csv", split="train")
    linked = BrooklynQueens(tmp_path / "any", city="brooklyn")
    assert len(data) == len(rows) == len(linked)
    true = {row["name"]: float(row["heading"]) for row in rows}
    assert len(set(true.values())) == len(rows)
    for index in range(len(linked)):
        assert linked[index].heading == true[_name(linked, index)]
    for index, row in enumerate(rows):
        sample = data[index]
        assert sample.id == row["name"]
        assert sample.heading == pytest.approx(float(row["heading"]), abs=1e-6)
        assert sample.fov == 360.0


def test_randomised_photographs_show_the_same_city(city: Path, tmp_path: Path) -> None:
    options = "--tiles 3 --seed 11 --validation 1 --town 1 --panoramas 1 --size 16 64 --workers 1"
    wild = ["synth", str(tmp_path / "wild"), *options.split(), "--photographs", "randomised"]
    assert main(wild) == 0
    plain, other = digest(city), digest(tmp_path / "wild")
    assert plain.keys() == other.keys()
    differ = {path for path in plain if plain[path] != other[path]}
    photographs = {path for path in plain if path.endswith(".jpg") and "overhead" in path}
    assert differ == photographs | {"synthcity.json"}
    record = json.loads((tmp_path / "wild/synthcity.json").read_text())
    assert record["settings"]["photographs"] == "randomised"
    assert len({town["photo"]["materials"] for town in record["towns"]["brooklyn"]}) == 3


def test_a_panorama_without_a_heading_is_named(tmp_path: Path) -> None:
    root = cvsegguide.synth.generate(tmp_path / "any", 1, 4, workers=1, rig="anyone", **SMALL)
    truth = root / "brooklyn/streetview/truth.csv"
    lines = truth.read_text().splitlines(keepends=True)
    truth.write_text("".join(lines[:-1]))
    with pytest.raises(DatasetError, match="no heading and fov of"):
        BrooklynQueens(root)
    truth.write_text("".join([*lines[:-1], ",".join(lines[-1].split(",")[:4]) + "\n"]))
    with pytest.raises(DatasetError, match="no heading and fov of"):
        BrooklynQueens(root)


def test_the_manifest_agrees_with_the_ordinary_loader(city: Path) -> None:
    names: tuple[Literal["brooklyn", "queens"], ...] = ("brooklyn", "queens")
    for name, split in zip(names, ("train", "val"), strict=True):
        rows = Manifest(city / name / "manifest.csv", split=split)
        data = BrooklynQueens(city, city=name)
        views = {data.paths(index)[1]: data[index] for index in range(len(data))}
        assert len(rows) == len(views)
        for index in range(len(rows)):
            sample = rows[index]
            other = views[rows.paths(index)[1]]
            # 1 cm.
            assert sample.row == pytest.approx(other.row, abs=0.01 / 0.2262)
            assert sample.col == pytest.approx(other.col, abs=0.01 / 0.2262)
            assert sample.gsd == pytest.approx(other.gsd, rel=1e-4)
            assert sample.heading == other.heading == 0.0
            assert bool((sample.overhead == other.overhead).all())
            assert sample.landcover is not None
            assert other.landcover is not None
            assert bool((sample.landcover == other.landcover).all())


def test_a_limited_field_of_view_looks_where_the_manifest_says(tmp_path: Path) -> None:
    root = tmp_path / "narrow"
    cvsegguide.synth.generate(root, 2, 11, workers=1, town=1, size=(48, 64), fov=108.0, panoramas=3)
    with pytest.raises(DatasetError, match="shows 108 degrees, no whole panorama"):
        BrooklynQueens(root)
    data = Manifest(root / "brooklyn/manifest.csv", street_size=None)
    assert len(data) >= 2
    headings = [data[index].heading % 360 for index in range(len(data))]
    assert {data[index].fov for index in range(len(data))} == {108.0}
    assert np.ptp(headings) > 20
    # The depth agrees with the ground straight ahead: heading and name point to the same scene.
    for index in range(len(data)):
        name = data.sample_id(index)
        seen = np.asarray(Image.open(root / f"brooklyn/labels/street_landcover/{name}.png"))
        depth = np.asarray(Image.open(root / f"brooklyn/labels/street_depth/{name}.png")) / 100.0
        sample = data[index]
        heading = np.radians(sample.heading)
        row, col = 47, 32  # below the centre: near ground
        if seen[row, col] == 1 or depth[row, col] == 0:
            continue
        down = np.radians((24 - row - 0.5) * 81.0 / 48)
        away = depth[row, col] * np.cos(down) / sample.gsd
        r, c = sample.row - away * np.cos(heading), sample.col + away * np.sin(heading)
        if 1 <= r < 255 and 1 <= c < 255:
            assert sample.landcover is not None
            near = sample.landcover[int(r) - 1 : int(r) + 2, int(c) - 1 : int(c) + 2]
            assert (near == int(seen[row, col])).any() or (near == 1).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"tiles": 0},
        {"seed": -1},
        {"town": 0},
        {"photographs": "odd"},
        {"rig": "drone"},
        {"size": (2, 4)},
        {"workers": 0},
        {"size": (128, 64)},
        {"fov": 0.0},
        {"fov": 1080.0},
    ],
)
def test_arguments_out_of_range(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        cvsegguide.synth.generate(tmp_path / "x", **{"tiles": 1, "seed": 1, **wrong})
    assert not (tmp_path / "x").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        cvsegguide.synth.generate(tmp_path, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
