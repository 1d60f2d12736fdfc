"""`cvsegguide track`: files, messages, measurement, where answers follow from colours."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.experiments import drives as evaluation
from cvsegguide.geo import GeoReference
from cvsegguide.inference.localizer import Localizer
from helpers.colors import (
    UTM,
    ColorNetwork,
    FlatNetwork,
    drive,
    overhead_image,
    street_image,
    write_overhead,
)

STEPS = [(8.0, 10.0)] * 5
POSES = drive(80.5, 40.5, 20.0, STEPS)
TILE = (154_400, 197_000)
CORNER = GeoReference.from_tile(19, *TILE, 256, 256)
WORLD = GeoReference(CORNER.crs, CORNER.transform, 768, 768)
"""Of the measurement: three map tiles a side, in cells of four of their pixels."""


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """The bundled weights are not what is tested here."""

    def load(cls, source, device="auto", precision="auto"):
        kind = FlatNetwork if source == "flat" else ColorNetwork
        return Localizer(kind(), device="cpu", name=str(source))

    monkeypatch.setattr(Localizer, "from_pretrained", classmethod(load))


def write_drive(folder, poses=POSES, missing=(), reference=UTM, pixels=4, step=8.0):
    folder.mkdir(exist_ok=True)
    with (folder / "drive.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["street", "time", "forward", "turn", "fov", "lon", "lat", "heading"])
        for index, (row, col, heading) in enumerate(poses):
            name = "" if index in missing else f"{index}.png"
            if name:
                Image.fromarray(street_image(row, col, heading)).save(folder / name)
            lon, lat = reference.rowcol_to_lonlat(pixels * row, pixels * col)
            odometry = [step, STEPS[0][1]] if index else ["", ""]
            true = heading + reference.up_azimuth
            table.writerow([name, index, *odometry, 70, float(lon), float(lat), true])
    return folder / "drive.csv"


@pytest.fixture
def world(tmp_path):
    write_overhead(tmp_path / "overhead.tif")
    return write_drive(tmp_path, missing=[3]), tmp_path / "overhead.tif"


def run(*arguments):
    return main(["track", *map(str, arguments)])


def test_a_drive_is_tracked_and_everything_is_written(world, tmp_path, capsys):
    table, overhead = world
    out = tmp_path / "out"
    assert run(table, "--overhead", overhead, "--out", out, "--headings", "32") == 0
    said = capsys.readouterr().out

    kinds = {"parquet", "geojson", "png", "gif"}
    assert {path.name for path in out.iterdir()} == {f"track.{kind}" for kind in kinds}
    assert "6 frames, 5 pictures" in said
    assert "error: mean" in said
    table = pandas.read_parquet(out / "track.parquet")
    assert table["error"].iloc[2:].max() < 2.0
    document = json.loads((out / "track.geojson").read_text())
    assert len(document["features"]) == 1 + 2 * 6
    with Image.open(out / "track.gif") as animation:
        assert animation.n_frames == 6
        animation.seek(5)
        colors = {color for _, color in animation.convert("RGB").getcolors(1 << 20)}
        assert {(57, 255, 20), (0, 229, 255)} <= colors  # truth and estimate stay apart
    with Image.open(out / "track.png") as strip:
        assert strip.width > 3 * strip.height / 2


def test_the_strip_shows_belief_and_truth_where_they_are(world, tmp_path):
    table, overhead = world
    run(table, "--overhead", overhead, "--out", tmp_path / "out", "--no-animation")
    assert not (tmp_path / "out" / "track.gif").exists()
    picture = np.asarray(Image.open(tmp_path / "out" / "track.png").convert("RGB")).astype(int)
    last = picture[:420, -420:]  # the map of the last moment

    green = (np.abs(last - [57, 255, 20]).sum(axis=2) < 30).nonzero()
    cyan = (np.abs(last - [0, 229, 255]).sum(axis=2) < 30).nonzero()
    assert len(green[0]) > 50
    assert len(cyan[0]) > 50
    # 40 m drawn on 420 pixels or less: truth and estimate lie within a metre or two
    assert np.hypot(*(np.median(green[i]) - np.median(cyan[i]) for i in (0, 1))) < 60


def test_json_says_the_same(world, tmp_path, capsys):
    table, overhead = world
    out = tmp_path / "out"
    assert run(table, "--overhead", overhead, "--json", "--headings", "32", "--out", out) == 0
    record = json.loads(capsys.readouterr().out)
    errors = pandas.read_parquet(out / "track.parquet")["error"]
    assert len(errors) == 6  # even: the median lies between two of them
    assert record["error"]["median"] == pytest.approx(errors.median())

    assert record["frames"] == 6
    assert record["pictures"] == 5
    assert record["error"]["last"] < 2.0
    assert record["last"]["lon"] == pytest.approx(-75, abs=3)


def test_start_and_heading_are_passed_on(world, capsys):
    table, overhead = world
    command = [table, "--overhead", overhead, "--json"]
    known = ["--start-pixel", 322, 162, "--start-error", 2]
    run(*command, *known, "--start-heading", 20, "--start-heading-error", 3)
    known = json.loads(capsys.readouterr().out)
    run(*command, "--start-pixel", 20, 460, "--start-error", 0.5)
    wrong = json.loads(capsys.readouterr().out)

    assert known["error"]["mean"] < 1.5
    assert wrong["error"]["mean"] > 10.0


def test_tiles_beside_the_table_are_found(tmp_path, capsys):
    x, y = 154_400, 197_000
    image = overhead_image(128)
    corner = GeoReference.from_tile(19, x, y, 256, 256)
    reference = GeoReference(corner.crs, corner.transform, 512, 512)
    for i in range(2):
        for j in range(2):
            path = tmp_path / "overhead" / "images" / "19" / str(x + j) / f"{y + i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[256 * i : 256 * i + 256, 256 * j : 256 * j + 256]).save(path)
    zoom = ColorNetwork()
    zoom.gsd = reference.gsd
    Localizer.from_pretrained = classmethod(lambda *_, **__: Localizer(zoom, device="cpu"))
    # cells of the tiles are as many metres wide as they are, so steps are shorter
    table = write_drive(tmp_path, reference=reference, step=8.0 * 4 * reference.gsd / 2.0)
    assert run(table, "--json") == 0

    assert json.loads(capsys.readouterr().out)["error"]["last"] < 1.0


def test_a_network_without_headings_warns(world, capsys):
    table, overhead = world
    assert run(table, "--overhead", overhead, "--model", "flat", "--headings", "16") == 0

    assert "warning: heading unknown: model flat does not tell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "TABLE"),
        (["none.csv"], "none.csv: no such file"),
        (["{table}"], "--overhead"),
        (["{table}", "--overhead", "none.tif"], "none.tif"),
        (["{table}", "--overhead", "{overhead}", "--fov", "0"], "--fov"),
        (["{table}", "--overhead", "{overhead}", "--headings", "2"], "--headings: must"),
        (["{table}", "--overhead", "{overhead}", "--walk-turn", "-1"], "error: --walk-turn: must"),
        (["{table}", "--overhead", "{overhead}", "--start", "0", "0"], "--start: lies outside"),
        (
            ["{table}", "--overhead", "{overhead}", "--start-pixel", "-9", "0"],
            "--start-pixel: lies",
        ),
        (["{table}", "--evaluate", "1"], "--evaluate"),
        (["--evaluate", "1", "--camera-height", "5"], "--camera-height"),
        (["--evaluate", "1", "--fov", "nan"], "--fov"),
        (["--evaluate", "1", "--start-pixel", "3", "3"], "--start-pixel: does not go with"),
        (["--evaluate", "1", "--overhead", "{overhead}"], "--overhead: does not go with"),
        (["{table}", "--overhead", "{overhead}", "--camera-height", "99"], "--camera-height"),
        (["{table}", "--overhead", "{overhead}", "--seed", "1"], "--seed"),
        (
            ["{table}", "--start", "0", "0", "--start-pixel", "0", "0"],
            "--start and --start-pixel",
        ),
    ],
)
def test_faults_take_a_line_and_leave_nothing_behind(world, tmp_path, capsys, arguments, fault):
    table, overhead = world
    filled = [text.format(table=table, overhead=overhead) for text in arguments]
    before = sorted(tmp_path.rglob("*"))
    assert run(*filled, "--out", tmp_path / "out") == 2
    captured = capsys.readouterr()

    assert captured.err.startswith("cvsegguide: error: ")
    assert captured.err.count("\n") == 1
    assert fault in captured.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_picture_is_named(world, tmp_path, capsys):
    table, overhead = world
    (tmp_path / "2.png").write_bytes(b"no picture")
    assert run(table, "--overhead", overhead) == 2

    assert "frame 2 (2.png): " in capsys.readouterr().err


def drive_of_colours(folder, seed, fov, rig):
    """What the measurement drives through here; the truth in cells of the world is `poses_of`."""
    image = overhead_image(192)
    for i in range(3):
        for j in range(3):
            path = folder / "overhead" / "images" / "19" / str(TILE[0] + j) / f"{TILE[1] + i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[256 * i : 256 * i + 256, 256 * j : 256 * j + 256]).save(path)
    return write_drive(folder, poses_of(seed), reference=WORLD, step=4.0)


def poses_of(seed):
    row, col, heading = 120.5, 40.5 + seed % 5, 10.0
    made = [(row, col, heading)]
    for _ in range(evaluation.FRAMES - 1):
        row -= math.cos(math.radians(heading)) / WORLD.gsd
        col += math.sin(math.radians(heading)) / WORLD.gsd
        heading += 10.0
        made.append((row, col, heading))
    return made


@pytest.fixture
def measured(monkeypatch):
    network = ColorNetwork()
    network.gsd = WORLD.gsd
    monkeypatch.setattr(evaluation, "_drive", drive_of_colours)
    monkeypatch.setattr(
        Localizer,
        "from_pretrained",
        classmethod(lambda *_, **__: Localizer(network, device="cpu", name="colours")),
    )


def test_the_measurement_compares_tracks_with_single_pictures(measured, tmp_path, capsys):
    """Drives of colours: single pictures know the place to a cell, and so do tracks."""
    out = tmp_path / "out"
    assert run("--evaluate", 2, "--headings", 32, "--out", out) == 0
    said = capsys.readouterr().out
    record = json.loads((out / "tracking.json").read_text(), parse_constant=pytest.fail)

    assert "track / single picture" in said
    assert len(record["single"]["errors"]) == 2 * evaluation.AFTER
    assert record["single"]["heading_median"] < 3.0
    for name in ("track", "wrong", "gap"):
        assert len(record[name]["errors"]) == 2
        assert record[name]["mean"] < 0.6
    assert record["single"]["mean"] < 1.0
    for name in ("mean", "median"):
        ratio = record["track"][name] / record["single"][name]
        assert record[f"ratio_{name}"] == pytest.approx(ratio, abs=0.01)
        low, high = record[f"ratio_{name}_interval"]
        assert 0 < low <= record[f"ratio_{name}"] <= high
    # Of two drives three samples can be drawn: either one twice, or both.
    halves = np.array(record["single"]["errors"]).reshape(2, -1).mean(axis=1)
    assert record["single"]["mean_interval"] == pytest.approx(sorted(halves), abs=0.002)
    assert record["seeds"] == [record["seed"], record["seed"] + 1]


def test_the_single_picture_is_what_localize_answers_for_its_map_tile(
    measured, monkeypatch, tmp_path
):
    """Here it answers with the tile's north-western corner, and east for a heading."""
    asked = []

    def corner(self, overhead, street, heading, fov):
        asked.append((heading, fov))
        x, y = int(overhead.parent.name), int(overhead.stem)
        lon, lat = GeoReference.from_tile(19, x, y, 256, 256).rowcol_to_lonlat(0.0, 0.0)
        return SimpleNamespace(lon=float(lon), lat=float(lat), heading=90.0)

    monkeypatch.setattr(Localizer, "localize", corner)
    out = tmp_path / "out"
    assert run("--evaluate", 1, "--headings", 32, "--out", out) == 0
    record = json.loads((out / "tracking.json").read_text())

    first = poses_of(record["seed"])[: evaluation.AFTER]
    expected = [4 * WORLD.gsd * math.hypot(row % 64, col % 64) for row, col, _ in first]
    assert record["single"]["errors"] == pytest.approx(expected, abs=0.01)
    assert record["single"]["heading_median"] == pytest.approx(35.0)  # of 80, 70, ..., -10
    assert asked == [(None, 70.0)] * evaluation.AFTER
    assert record["fov"] == 70.0
    assert run("--evaluate", 1, "--headings", 32, "--fov", 360, "--out", out) == 0
    assert json.loads((out / "tracking.json").read_text())["fov"] == 360.0
    assert record["ratio_median_interval"] is None  # of one drive there is none


def test_a_measurement_that_is_cut_off_keeps_what_it_has(measured, monkeypatch, tmp_path):
    def once(folder, seed, fov, rig):
        if seed > 910_001:
            raise KeyboardInterrupt
        return drive_of_colours(folder, seed, fov, rig)

    monkeypatch.setattr(evaluation, "_drive", once)
    out = tmp_path / "out"
    assert run("--evaluate", 3, "--headings", 32, "--out", out) == 130
    record = json.loads((out / "tracking.json").read_text())
    assert record["seeds"] == [910_001]
    assert len(record["single"]["errors"]) == evaluation.AFTER
    assert [len(line) for line in record["track"]["by_frame"]] == [evaluation.FRAMES]
