"""Every kind of unusable input ends in one clear line and status 2, and leaves no file behind."""

import pickle
import struct
import warnings
import zlib

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.models import save_model
from helpers.models import ColourModel

RGB = np.random.default_rng(0).integers(1, 256, (64, 128, 3), np.uint8)
UTM = Affine(0.5, 0, 587000, 0, -0.5, 4511000)


def raster(path, bands, transform=UTM, crs="EPSG:32618", **options):
    bands = np.asarray(bands)
    with rasterio.open(
        path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands),
        dtype=bands.dtype, crs=crs, transform=transform, **options,
    ) as dataset:  # fmt: skip
        dataset.write(bands)


BANDS = RGB.transpose(2, 0, 1)


def truncated_picture(path):
    Image.fromarray(RGB).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:2000])


def truncated_jpeg(path):
    Image.fromarray(RGB).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:1500])


def truncated_raster(path):
    raster(path, BANDS)
    path.write_bytes(path.read_bytes()[:9000])


def bomb(path):
    """A PNG that claims 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body)


def half_valid(path):
    bands = BANDS.copy()
    bands[:, :, :64] = 0
    raster(path, bands, nodata=0)


def palette_raster(path):
    raster(path, BANDS[:1])
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (i, i, 255 - i, 255) for i in range(256)})


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
    "16-bit": (
        lambda p: Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(p),
        "png",
        None,
        None,
    ),
    "16-bit raster": (
        lambda p: raster(p, BANDS.astype(np.uint16) * 9),
        "tif",
        "uint16",
        "not an image",
    ),
    "palette": (lambda p: Image.fromarray(RGB).quantize(64).save(p), "png", None, None),
    "palette raster": (palette_raster, "tif", None, None),
    "cmyk": (lambda p: Image.fromarray(RGB).convert("CMYK").save(p), "jpg", None, None),
    "rgba": (lambda p: Image.fromarray(RGB).convert("RGBA").save(p), "png", None, None),
    "grey": (lambda p: Image.fromarray(RGB).convert("L").save(p), "png", None, None),
    "one pixel": (lambda p: Image.fromarray(RGB[:1, :1]).save(p), "png", "1 x 1", "1 x 1"),
    "too large": (bomb, "png", "megapixels", "megapixels"),
    "nan": (
        lambda p: raster(p, np.full(BANDS.shape, np.nan, np.float32)),
        "tif",
        "no valid pixel",
        None,
    ),
    "all nodata": (
        lambda p: raster(p, np.zeros_like(BANDS), nodata=0),
        "tif",
        "no valid pixel",
        None,
    ),
    "some nodata": (half_valid, "tif", None, None),
    "rotated": (
        lambda p: raster(p, BANDS, Affine(0.4, 0.3, 587000, 0.3, -0.4, 4511000)),
        "tif",
        None,
        None,
    ),
    "two bands": (
        lambda p: raster(p, BANDS[:2], photometric="MINISBLACK"),
        "tif",
        "2 bands",
        None,
    ),
}
STREET_UNDECIDED = {"nan", "all nodata", "two bands", "16-bit raster", "truncated raster"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(ColourModel(), "colour")
    # Drawing takes most of the time, and has its own tests.
    monkeypatch.setattr(
        "cvsegguide.viz.localization.save_figure", lambda result, path, truth: path.touch()
    )
    Image.fromarray(RGB).save(tmp_path / "overhead.png")
    Image.fromarray(RGB).save(tmp_path / "street.png")
    return tmp_path


def run(folder, capsys, *arguments, command="localize"):
    """Status and stderr; asserts that a failure is one line and leaves nothing behind."""
    before = sorted(folder.rglob("*"))
    written = {"localize": "out/result.json", "segment": "out.tif"}[command]
    out = str(folder / written.partition("/")[0])
    status = main([command, *arguments, "--model", "colour", "--out", out])
    error = capsys.readouterr().err
    if status:
        assert status == 2
        assert error.startswith("cvsegguide: error: ")
        assert error.count("\n") == 1
        assert "Traceback" not in error
        assert sorted(folder.rglob("*")) == before
    else:
        assert (folder / written).is_file()
    return status, error


@pytest.mark.parametrize("command", ["localize", "segment"])
@pytest.mark.parametrize("kind", KINDS)
def test_overhead(folder, capsys, kind, command):
    make, suffix, fault, _ = KINDS[kind]
    path = folder / f"bad.{suffix}"
    make(path)
    if command == "segment" and kind in ("one pixel", "all nodata"):
        fault = None  # nothing wrong with land cover of one pixel, or of nothing
    words = [str(path)] if command == "segment" else [str(path), str(folder / "street.png")]
    status, error = run(folder, capsys, *words, command=command)
    assert status == (0 if fault is None else 2), error
    if fault:
        assert command == "segment" or fault in error
        assert str(path) in error


@pytest.mark.parametrize("kind", KINDS)
def test_street(folder, capsys, kind):
    make, suffix, _, fault = KINDS[kind]
    path = folder / f"bad.{suffix}"
    make(path)
    status, error = run(folder, capsys, str(folder / "overhead.png"), str(path))
    if kind in STREET_UNDECIDED:
        assert status == 0 or str(path) in error
        return
    assert status == (0 if fault is None else 2), error
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
    ],
)
def test_options(folder, capsys, options, fault):
    status, error = run(
        folder, capsys, str(folder / "overhead.png"), str(folder / "street.png"), *options
    )
    assert status == 2
    assert fault in error


def test_no_numbers(folder, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["localize", "a", "b", "--gsd", "fine"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


class Hostile:
    """Unpickling it would make a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


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
        assert main(["localize", picture, picture, "--model", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("cvsegguide: error: ")
    assert error.count("\n") == 1
    assert str(path) in error
    assert not (tmp_path / "hacked").exists()
    assert not out.exists()
