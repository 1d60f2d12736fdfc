"""``cvsegguide localize`` from files to files."""

import json

import numpy as np
import pytest
import rasterio
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.geo import tile_bounds
from helpers import hub

MAGENTA = (230, 20, 230)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """An overhead picture with a magenta spot at (40, 30); a panorama with magenta to the east."""
    hub.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    overhead = np.full((64, 64, 3), 178, np.uint8)
    overhead[:, :16] = (204, 51, 26)
    overhead[39:42, 29:32] = MAGENTA
    Image.fromarray(overhead).save("overhead.png")
    street = np.full((64, 256, 3), 20, np.uint8)
    street[:, 160:224] = MAGENTA
    Image.fromarray(street).save("street.png")
    return tmp_path


COMMAND = ["localize", "overhead.png", "street.png", "--model", "colour", "--heading", "-90"]


def test_results_in_a_folder(files, capsys):
    bounds = tile_bounds(19, 154514, 197033)
    assert main([*COMMAND, "--bounds", *map(str, bounds), "--out", "out"]) == 0
    captured = capsys.readouterr()
    assert "estimate   row 40." in captured.out
    assert "lat, lon   40.7588" in captured.out
    assert "written to out" in captured.err
    table = json.loads((files / "out" / "result.json").read_text())
    assert (table["row"], table["col"]) == pytest.approx((40.5, 30.5), abs=0.8)
    assert table["bounds"] == pytest.approx(bounds)
    assert table["lon"] == pytest.approx(bounds[0] + (bounds[2] - bounds[0]) * table["col"] / 64)
    assert table["model"] == "colour"
    with rasterio.open(files / "out" / "posterior.tif") as posterior:
        assert posterior.dtypes == ("float32",)
        assert posterior.crs.to_epsg() == 4326
        assert posterior.read(1).sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert Image.open(files / "out" / "figure.png").width > 800


def test_json(files, capsys):
    assert main([*COMMAND, "--gsd", "0.5", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["lon"] is None
    assert table["gsd"] == 0.5
    assert table["heading"] == 270.0
    assert sorted(file.name for file in files.iterdir()) == ["overhead.png", "street.png"]


def test_unknown_heading(files, capsys):
    command = [*COMMAND[:-1], "unknown"]
    assert main(command) == 0
    assert "heading    unknown" in capsys.readouterr().out


def test_true_land_cover(files, monkeypatch, capsys):
    hub.install(monkeypatch, guidance="truth")
    assert main(COMMAND) == 2
    assert "--landcover" in capsys.readouterr().err
    Image.fromarray(np.full((64, 64), 5, np.uint8)).save("cover.png")
    assert main([*COMMAND, "--landcover", "cover.png", "--json"]) == 0


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit):
        main(["localize", "--help"])
    text = capsys.readouterr().out
    for option in ("--model", "--bounds", "--gsd", "--heading", "--fov", "--landcover", "--out"):
        assert option in text
