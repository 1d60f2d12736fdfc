"""``cvsegguide localize`` from files to files."""

import json
import shutil

import numpy as np
import pytest
import rasterio
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.geo import tile_bounds
from cvsegguide.models import save_model
from helpers.commands import refusal, run_python
from helpers.files import write_raster
from helpers.models import ColourModel

MAGENTA = (230, 20, 230)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """An overhead picture with a magenta spot at (40, 30); a panorama with magenta to the east."""
    monkeypatch.chdir(tmp_path)
    save_model(ColourModel(), "colour")
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
    assert captured.out.endswith("out written\n")
    assert "area  lat, lon" in captured.out
    assert captured.err == ""
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


def test_a_photograph_through_a_lens(files, capsys):
    """Its middle, magenta, looks north; the picture that results says how high it reaches."""
    photo = np.full((300, 400, 3), 20, np.uint8)
    photo[:, 120:280] = MAGENTA
    Image.fromarray(photo).save("photo.jpg", quality=95)
    words = ["localize", "overhead.png", "photo.jpg", "--model", "colour", "--gsd", "0.5"]
    assert main([*words, "--lens", "--fov", "70", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["row"], table["col"]) == pytest.approx((40.5, 30.5), abs=0.8)
    assert table["fov"] == 70
    error = refusal([*words, "--lens"], capsys)
    assert "--fov: of a photograph through a lens it lies in (0, 150] degrees, got 360" in error
    words[2] = "nothing.jpg"
    assert refusal([*words, "--lens", "--fov", 70], capsys) == "nothing.jpg: no such file\n"


def test_json(files, capsys):
    assert main([*COMMAND, "--gsd", "0.5", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["lon"] is None
    assert table["gsd"] == 0.5
    assert table["heading"] == 270.0
    assert sorted(file.name for file in files.iterdir()) == ["colour", "overhead.png", "street.png"]
    assert main([*COMMAND, "--json", "--out", "out"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["model"] == "colour"
    assert "written" not in captured.err
    assert (files / "out" / "result.json").is_file()


def test_unknown_heading_is_said(files, capsys):
    command = [*COMMAND[:-1], "unknown", "--gsd", "0.5"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "heading    unknown" in captured.out
    assert " m2" in captured.out, "areas need no place"
    assert "lat, lon" not in captured.out
    assert captured.err.startswith("cvsegguide: warning: heading unknown: model colour does not ")
    assert captured.err.count("\n") == 1
    assert "as if its centre looked north" in captured.err


def test_unknown_resolution_is_said(files, capsys):
    assert main(COMMAND) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "cvsegguide: warning: resolution unknown: overhead.png is taken as one tile of 32 m; "
        "pass --gsd or --bounds\n"
    )
    assert "area" not in captured.out
    assert "lat, lon" not in captured.out
    assert main(["segment", "overhead.png", "--model", "colour", "--out", "cover.tif"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "cover.tif written\n"
    assert "resolution unknown: overhead.png is taken as it is" in captured.err


@pytest.mark.parametrize("command", [COMMAND, ["segment", "overhead.png", "--out", "a.tif"]])
def test_latitude_before_longitude(files, capsys, command):
    swapped = ["40.759", "-73.9035", "40.7595", "-73.9030"]
    error = refusal([*command, "--model", "colour", "--bounds", *swapped], capsys, files)
    assert "overhead.png: --bounds make its pixels 3.6 : 1 on the ground" in error
    assert "longitude comes before latitude" in error
    # Square in degrees, 1.3 : 1 on the ground: a common way to cut a tile.
    right = ["-73.9035", "40.759", "-73.9030", "40.7595"]
    assert main([*command, "--model", "colour", "--bounds", *right]) == 0


def test_files_may_have_pixels_of_any_shape(files, capsys):
    place = rasterio.Affine(1e-5, 0, 20.0, 0, -1e-5, -74.0)
    write_raster("polar.tif", np.full((3, 64, 64), 178, np.uint8), place, "EPSG:4326")
    assert main(["segment", "polar.tif", "--model", "colour", "--out", "a.tif"]) == 0
    assert main(["localize", "polar.tif", "street.png", "--model", "colour"]) == 0


def test_device_that_is_not_there(files, capsys):
    error = refusal([*COMMAND, "--device", "cuda:77"], capsys)
    assert "http" not in error
    assert error.startswith("--device: cuda:77 is not available (")
    assert error.endswith(")\n")


def test_true_land_cover(files, capsys):
    shutil.rmtree("colour")
    save_model(ColourModel(guidance="truth"), "colour")
    assert "--landcover" in refusal(COMMAND, capsys)
    Image.fromarray(np.full((64, 64), 5, np.uint8)).save("cover.png")
    assert main([*COMMAND, "--landcover", "cover.png", "--json"]) == 0


def test_the_height_of_the_camera(files, capsys):
    assert main([*COMMAND, "--camera-height", "0.8", "--json"]) == 0
    capsys.readouterr()
    for height, fault in (
        ("unknown", "scores of model colour cannot be compared"),
        ("99", "must lie in 0.2..20 metres, got 99"),
        ("tall", "invalid camera height value: 'tall'"),
    ):
        text = refusal([*COMMAND, "--camera-height", height], capsys)
        assert "--camera-height" in text
        assert fault in text


def test_nothing_is_loaded_that_localising_does_not_need(files):
    code = (
        "import sys, cvsegguide\n"
        "localizer = cvsegguide.Localizer.from_pretrained('synthcity', device='cpu')\n"
        "localizer.localize(*sys.argv[1:], gsd=0.2262)\n"
        "heavy = {'numba', 'lightning', 'pandas', 'matplotlib', 'torchvision', 'timm', 'triton'}\n"
        "print(sorted(heavy.intersection(sys.modules)))\n"
    )
    done = run_python("-c", code, "overhead.png", "street.png")
    assert done.stdout == "[]\n"
