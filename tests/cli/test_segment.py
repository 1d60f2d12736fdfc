"""``cvsegguide segment`` from file to file."""

import json

import numpy as np
import pytest
import rasterio

from cvsegguide.cli.main import main
from cvsegguide.models import save_model
from helpers.commands import refusal
from helpers.files import UTM, write_raster
from helpers.models import PROTOTYPES, ColourModel


@pytest.fixture
def raster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(ColourModel(), "colour")
    image = np.zeros((150, 200, 3), np.uint8)
    image[:] = np.rint(PROTOTYPES[1].numpy() * 255)
    image[70:] = np.rint(PROTOTYPES[0].numpy() * 255)
    write_raster("in.tif", image.transpose(2, 0, 1))
    return tmp_path


def test_land_cover(raster, capsys):
    assert main(["segment", "in.tif", "--model", "colour", "--out", "new/out.tif"]) == 0
    assert "new/out.tif written" in capsys.readouterr().out
    with rasterio.open("new/out.tif") as cover:
        ids = cover.read(1)
        assert cover.crs.to_epsg() == 32618
        assert cover.transform == UTM
        assert cover.colormap(1)[5][:3] == (204, 78, 66)
    assert (ids[:70] == 5).all()
    assert (ids[70:] == 1).all()


def test_json_and_nothing_else(raster, capsys):
    arguments = ["segment", "in.tif", "--model", "colour", "--out", "out.tif"]
    assert main([*arguments, "--json"]) == 0
    out, error = capsys.readouterr()
    assert json.loads(out) == {"landcover": "out.tif", "model": "colour"}
    assert error == ""
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--out", "out.png"], "must end in .tif"),
        (["--out", "in.tif"], "overwrite its own input"),
        (["--out", "out.tif", "--batch-size", "0"], "--batch-size"),
        (["--out", "out.tif", "--gsd", "3"], "--gsd 3 contradicts"),
        (["--out", "out.tif", "--device", "quantum"], "--device"),
        (["--out", "in.tif/x/out.tif"], "in.tif is a file, not a folder"),
    ],
)
def test_mistakes(raster, capsys, arguments, fault):
    before = (raster / "in.tif").read_bytes()
    words = ["segment", "in.tif", "--model", "colour", *arguments]
    assert fault in refusal(words, capsys, raster)
    assert (raster / "in.tif").read_bytes() == before
