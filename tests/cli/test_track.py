"""`cvsegguide track`: files, messages, measurement, where answers follow from colours."""

import json

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.geo import GeoReference
from cvsegguide.models import create_model
from cvsegguide.models.hub import save_model
from helpers.colors import (
    UTM,
    ColorNetwork,
    FlatNetwork,
    drive,
    street_image,
    write_overhead,
    write_tiles,
)
from helpers.commands import refusal
from helpers.files import write_table

TILE = (154_400, 197_000)
CORNER = GeoReference.from_tile(19, *TILE, 256, 256)
STEPS = [(8.0, 10.0)] * 5
POSES = drive(80.5, 40.5, 20.0, STEPS)


@pytest.fixture(autouse=True)
def networks(tmp_path, monkeypatch):
    """The bundled weights are not what is tested here."""
    monkeypatch.chdir(tmp_path)
    save_model(ColorNetwork(), "colors")
    save_model(FlatNetwork(), "flat")


def write_drive(folder, poses=POSES, missing=(), reference=UTM, pixels=4, step=8.0):
    folder.mkdir(exist_ok=True)
    rows = []
    for index, (row, col, heading) in enumerate(poses):
        name = "" if index in missing else f"{index}.png"
        if name:
            Image.fromarray(street_image(row, col, heading)).save(folder / name)
        lon, lat = reference.rowcol_to_lonlat(pixels * row, pixels * col)
        place = {"lon": float(lon), "lat": float(lat), "heading": heading + reference.up_azimuth}
        odometry = {"forward": step, "turn": STEPS[0][1]} if index else {}
        rows.append({"street": name, "time": index, "fov": 70, **odometry, **place})
    return write_table(folder / "drive.csv", rows)


@pytest.fixture
def world(tmp_path):
    write_overhead(tmp_path / "overhead.tif")
    return write_drive(tmp_path, missing=[3]), tmp_path / "overhead.tif"


def run(*arguments):
    model = [] if "--model" in arguments else ["--model", "colors"]
    return main(["track", *map(str, arguments), *model])


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
    picture = np.asarray(Image.open(out / "track.png").convert("RGB")).astype(int)
    last = picture[:420, -420:]  # the map of the last moment: 40 m on 420 pixels or less
    green, cyan = (
        (np.abs(last - color).sum(axis=2) < 30).nonzero()
        for color in ([57, 255, 20], [0, 229, 255])
    )
    assert min(len(green[0]), len(cyan[0])) > 50
    assert np.hypot(*(np.median(green[i]) - np.median(cyan[i]) for i in (0, 1))) < 60


def test_json_says_the_same(world, tmp_path, capsys):
    table, overhead = world
    out = tmp_path / "out"
    command = [table, "--overhead", overhead, "--json", "--no-animation"]
    assert run(*command, "--headings", "32", "--out", out) == 0
    assert not (out / "track.gif").exists()
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
    reference = GeoReference(CORNER.crs, CORNER.transform, 512, 512)
    write_tiles(tmp_path / "overhead" / "images", 2, TILE)
    save_model(ColorNetwork(gsd=reference.gsd), "fine")
    # cells of the tiles are as many metres wide as they are, so steps are shorter
    table = write_drive(tmp_path, reference=reference, step=8.0 * 4 * reference.gsd / 2.0)
    assert run(table, "--json", "--model", "fine") == 0

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
        (["{table}", "--overhead", "{overhead}", "--walk-turn", "-1"], "--walk-turn: must"),
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
    words = ["track", *filled, "--out", tmp_path / "out", "--model", "colors"]
    assert fault in refusal(words, capsys, tmp_path)


def test_a_damaged_picture_is_named(world, tmp_path, capsys):
    table, overhead = world
    (tmp_path / "2.png").write_bytes(b"no picture")
    words = ["track", table, "--overhead", overhead, "--model", "colors"]
    assert "frame 2 (2.png): " in refusal(words, capsys)


@pytest.mark.slow
def test_the_measurement_compares_tracks_with_single_pictures(tmp_path, capsys):
    """An untrained network on drives through a synthetic town: figures follow from the errors."""
    torch.manual_seed(0)
    sizes = {"overhead_size": [256, 256], "street_size": [128, 512]}
    save_model(create_model("geometric-tiny", **sizes), tmp_path / "model")
    out, command = tmp_path / "out", ["--model", tmp_path / "model", "--headings", 16]
    assert run("--evaluate", 1, *command, "--out", out) == 0
    said = capsys.readouterr().out
    record = json.loads((out / "tracking.json").read_text(), parse_constant=pytest.fail)

    assert "track / single picture" in said
    assert record["fov"] == 70.0
    assert record["seeds"] == [record["seed"]] == [910_001]
    singles = record["single"]["errors"]
    assert len(singles) == record["after"]
    assert record["single"]["mean"] == pytest.approx(np.mean(singles), abs=0.01)
    for name in ("track", "wrong", "gap"):
        assert record[name]["mean"] == pytest.approx(record[name]["errors"][0], abs=0.01)
    assert [len(line) for line in record["track"]["by_frame"]] == [record["frames"]]
    for name in ("mean", "median"):
        ratio = record["track"][name] / record["single"][name]
        assert record[f"ratio_{name}"] == pytest.approx(ratio, abs=0.01)
        assert record[f"ratio_{name}_interval"] is None  # of one drive there is none
