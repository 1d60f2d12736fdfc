"""``cvsegguide data``: through the command line, on made trees."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data import sightline
from helpers.brooklyn_queens import Pair, make_tree
from helpers.commands import refusal


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    return make_tree(tmp_path, tiles=2, panoramas=2, street_size=(26, 52))


def landcover(root: Path, pair: Pair) -> np.ndarray:
    with Image.open((root / pair.city / "labels/landcover" / pair.tile).with_suffix(".png")) as png:
        return np.asarray(png)


def depth(root: Path, pair: Pair) -> Path:
    return (root / pair.city / "labels/depth" / pair.panorama).with_suffix(".png")


def test_link_writes_names_by_tile(
    tmp_path: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "link", str(tmp_path)]) == 0
    for city in ("brooklyn", "queens"):
        links = json.loads((tmp_path / city / "links.json").read_text())
        expected: dict[str, list[str]] = {}
        for pair in pairs:
            if pair.city == city:
                expected.setdefault(pair.tile, []).append(pair.panorama)
        assert links == {tile: sorted(views) for tile, views in expected.items()}
    assert (
        "queens: 4 links of 5 panoramas in 2 tiles (0 tiles have none)" in capsys.readouterr().out
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_sightlines_are_written_and_kept(
    tmp_path: Path, pairs: list[Pair], bits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "sightlines", str(tmp_path), "--bits", str(bits), "--workers", "2"]
    assert main(command) == 0
    scale = 255 if bits == 8 else 65535
    for pair in pairs:
        with Image.open(depth(tmp_path, pair)) as png:
            values = np.asarray(png, np.float64) / scale
        expected = sightline(landcover(tmp_path, pair), pair.row, pair.col)
        # Positions are written with nine decimals: a thousandth of a pixel.
        assert np.abs(values - expected).max() <= 0.5 / scale + 1e-4
        assert ((values > 0.01) == (expected > 0.01)).mean() > 0.999
    assert "queens: 4 maps written, 0 kept" in capsys.readouterr().out
    assert not list(tmp_path.rglob(".*.png")), "temporary files are left"

    # A second run repairs what is damaged and leaves the rest alone.
    broken, whole = depth(tmp_path, pairs[-1]), depth(tmp_path, pairs[-2])
    before, content = whole.stat().st_mtime_ns, broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    assert main(command) == 0
    assert broken.read_bytes() == content
    assert whole.stat().st_mtime_ns == before
    assert "queens: 1 maps written, 3 kept" in capsys.readouterr().out
    assert main([*command, "--sigma", "32", "--city", "queens"]) == 0
    assert "queens: 4 maps written, 0 kept" in capsys.readouterr().out


def test_sightlines_name_tiles_without_land_cover(
    tmp_path: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    path = (tmp_path / "queens/labels/landcover" / pairs[-1].tile).with_suffix(".png")
    path.unlink()
    assert main(["data", "sightlines", str(tmp_path), "--city", "queens"]) == 1
    output = capsys.readouterr()
    assert "2 maps written" in output.out
    assert f"{path}: no such file" in output.err


def test_obstacles_and_blind_cameras(
    tmp_path: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    # All cameras stand on road (6).
    command = ["data", "sightlines", str(tmp_path), "--city", "queens", "--obstacles", "5", "6"]
    assert main(command) == 0
    assert "4 maps are empty: the camera stands inside an obstacle" in capsys.readouterr().out


def test_check_reports_and_fixes(
    tmp_path: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    # One panorama of each city lies outside of every tile.
    assert main(["data", "check", str(tmp_path), "--json", "--fix"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"]["outside"]["count"] == 2
    assert list(told["findings"]) == ["outside"]
    index = tmp_path / "queens/index.cleaned.txt"
    assert str(index) in told["written"]
    expected = {f"{pair.tile},{pair.panorama}" for pair in pairs if pair.city == "queens"}
    assert set(index.read_text().splitlines()) == expected

    assert main(["data", "check", str(tmp_path)]) == 1
    table = capsys.readouterr().out
    assert "queens overhead" in table
    assert "outside" in table
    assert "2 findings" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "ROOT/absent"], "absent: no such file or folder"),
        (["link", "ROOT/absent"], "absent: no such folder"),
        (["link", "ROOT"], "no folder in it has overhead/images.txt"),
        (["sightlines", "ROOT", "--city", "bronx"], "is 'bronx' a city of it?"),
        (["sightlines", "ROOT", "--bits", "9"], "argument --bits"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [part.replace("ROOT", str(tmp_path)) for part in arguments]
    assert message in refusal(["data", *command], capsys, tmp_path)


def test_json_and_nothing_else(
    tmp_path: Path, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "link", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["queens"]["links"] == 4
    assert report["queens"]["written"] == str(tmp_path / "queens" / "links.json")
    assert main(["data", "sightlines", str(tmp_path), "--json", "--quiet"]) == 0
    out, error = capsys.readouterr()
    assert json.loads(out)["brooklyn"]["written"] == 4
    assert error == ""
    assert main(["data", "-q", "link", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
