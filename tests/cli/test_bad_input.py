"""Every kind of unusable input ends in one clear line and status 2, and leaves no file behind."""

import pickle
import warnings

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.models import save_model
from helpers.commands import refusal
from helpers.files import BOMB, Hostile, write_raster
from helpers.models import ColourModel

RGB = np.random.default_rng(0).integers(1, 256, (64, 128, 3), np.uint8)
BANDS = RGB.transpose(2, 0, 1)
COLORS = {i: (i, i, 255 - i, 255) for i in range(256)}
TURNED = Affine(0.4, 0.3, 587000, 0.3, -0.4, 4511000)


def truncated_picture(path):
    Image.fromarray(RGB).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:2000])


def truncated_jpeg(path):
    Image.fromarray(RGB).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:1500])


def truncated_raster(path):
    write_raster(path, BANDS)
    path.write_bytes(path.read_bytes()[:9000])


def tif(bands, *place, **options):
    return lambda path: write_raster(path, bands, *place, **options)


# kind -> (how it is made, suffix, fault when it is the overhead image, fault as street view);
# None where it works.
KINDS = {
    "missing": (lambda p: None, "png", "no such file", "no such file"),
    "folder": (lambda p: p.mkdir(), "png", "is a folder", "is a folder"),
    "empty": (lambda p: p.write_bytes(b""), "png", "is empty", "is empty"),
    "text": (lambda p: p.write_text("hello world\n" * 9), "jpg", "not an image", "not an image"),
    "truncated": (truncated_picture, "png", "truncated", "truncated"),
    "truncated jpeg": (truncated_jpeg, "jpg", "truncated", "truncated"),
    "truncated raster": (truncated_raster, "tif", "damaged", "damaged"),
    "16-bit": (lambda p: Image.fromarray(RGB[..., 0] * np.uint16(257)).save(p), "png", None, None),
    "16-bit raster": (tif(BANDS * np.uint16(9)), "tif", "uint16", "not an image"),
    "palette": (lambda p: Image.fromarray(RGB).quantize(64).save(p), "png", None, None),
    "palette raster": (tif(BANDS[:1], colors=COLORS), "tif", None, None),
    "cmyk": (lambda p: Image.fromarray(RGB).convert("CMYK").save(p), "jpg", None, None),
    "rgba": (lambda p: Image.fromarray(RGB).convert("RGBA").save(p), "png", None, None),
    "grey": (lambda p: Image.fromarray(RGB).convert("L").save(p), "png", None, None),
    "one pixel": (lambda p: Image.fromarray(RGB[:1, :1]).save(p), "png", "1 x 1", "1 x 1"),
    "too large": (lambda p: p.write_bytes(BOMB), "png", "megapixels", "megapixels"),
    "nan": (tif(BANDS * np.float32(np.nan)), "tif", "no valid pixel", "not an image"),
    "all nodata": (tif(np.zeros_like(BANDS), nodata=0), "tif", "no valid pixel", None),
    "some nodata": (tif(BANDS * np.uint8(np.arange(128) < 64), nodata=0), "tif", None, None),
    "rotated": (tif(BANDS, TURNED), "tif", None, None),
    "two bands": (tif(BANDS[:2], photometric="MINISBLACK"), "tif", "2 bands", "not an image"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(ColourModel(), "colour")
    Image.fromarray(RGB).save(tmp_path / "overhead.png")
    Image.fromarray(RGB).save(tmp_path / "street.png")
    return tmp_path


def run(folder, capsys, *arguments, command="localize", fails=True):
    """What is said of a fault, which leaves nothing behind; else "" and there are results."""
    words = [command, *arguments, "--model", "colour"]
    if fails:
        out = {"localize": "out", "segment": "out.tif"}[command]
        return refusal([*words, "--out", folder / out], capsys, folder)
    if command == "segment":
        words += ["--out", folder / "out.tif"]
    assert main(list(map(str, [*words, "--json"]))) == 0
    assert capsys.readouterr().out.startswith("{")
    assert command == "localize" or (folder / "out.tif").is_file()
    return ""


@pytest.mark.parametrize("command", ["localize", "segment"])
@pytest.mark.parametrize("kind", KINDS)
def test_overhead(folder, capsys, kind, command):
    make, suffix, fault, _ = KINDS[kind]
    path = folder / f"bad.{suffix}"
    make(path)
    if command == "segment" and kind in ("one pixel", "all nodata"):
        fault = None  # nothing wrong with land cover of one pixel, or of nothing
    words = [path] if command == "segment" else [path, "street.png"]
    error = run(folder, capsys, *words, command=command, fails=fault is not None)
    if fault:
        assert command == "segment" or fault in error
        assert str(path) in error


@pytest.mark.parametrize("kind", KINDS)
def test_street(folder, capsys, kind):
    make, suffix, _, fault = KINDS[kind]
    path = folder / f"bad.{suffix}"
    make(path)
    error = run(folder, capsys, "overhead.png", path, fails=fault is not None)
    if fault:
        assert fault in error
        assert str(path) in error


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--bounds", "1", "0", "0", "1"], "--bounds"),
        (["--bounds", "0", "1", "1", "0"], "--bounds"),
        (["--bounds", "0", "0", "1", "95"], "--bounds"),
        (["--bounds", "nan", "0", "1", "1"], "--bounds"),
        (["--gsd", "0"], "--gsd"),
        (["--gsd", "nan"], "--gsd"),
        (["--gsd", "9999"], "too large"),
        (["--fov", "-5"], "--fov"),
        (["--heading", "inf"], "--heading"),
        (["--fov", "361"], "--fov"),
        (["--landcover", "nowhere.png"], "--landcover"),
        (["--gsd", "fine"], "--gsd"),
    ],
)
def test_options(folder, capsys, options, fault):
    assert fault in run(folder, capsys, "overhead.png", "street.png", *options)


def foreign_network(path):
    import torch

    torch.save({"epoch": 1, "state_dict": {"conv.weight": torch.zeros(3, 3)}}, path)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: None,
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(b"\x80\x04garbage"),
        lambda p: p.write_bytes(pickle.dumps(Hostile(p.parent / "hacked"))),
        foreign_network,
    ],
    ids=["missing", "empty", "garbage", "hostile", "another architecture"],
)
def test_checkpoints(tmp_path, capsys, make):
    # With the real loader of models.
    Image.fromarray(RGB).save(tmp_path / "picture.png")
    path = tmp_path / "model.pth.tar"
    make(path)
    picture, out = str(tmp_path / "picture.png"), tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # it would be a second line
        words = ["localize", picture, picture, "--model", path, "--out", out]
        assert str(path) in refusal(words, capsys, tmp_path)
