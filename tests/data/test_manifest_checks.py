"""Checks of manifests: each fault is found, and what is left loads."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data import Manifest
from cvsegguide.data.checks import check
from cvsegguide.errors import DatasetError
from helpers.files import make_manifest, write_picture, write_raster, write_table

OUTSIDE = "the camera lies outside the overhead image, at row {:.1f}, column {:.1f} of 64 x 64"


def by_pixel(folder: Path, **cells: object) -> Path:
    """Three rows, the second with some other cells."""
    return make_manifest(folder, {"row": [10] * 3, "col": [12] * 3, "gsd": [0.5] * 3}, **cells)


def by_bounds(folder: Path, **cells: object) -> Path:
    """The same on tiles that lie side by side, the second of another split."""
    edges = [10 + number / 1000 for number in range(4)]
    place: dict[str, Sequence[object]] = {
        "lon": [edge + 0.0005 for edge in edges[:3]],
        "lat": [50.0003] * 3,
        "west": edges[:3],
        "south": [50] * 3,
        "east": edges[1:],
        "north": [50.000643] * 3,
        "split": ["train", "test", "train"],
    }
    return make_manifest(folder, place, **cells)


def test_a_manifest_without_faults(tmp_path: Path) -> None:
    by_bounds(tmp_path)
    report = check(tmp_path / "pairs.csv")
    assert report.clean, report.findings
    assert report.layout == "manifest"
    files = {"overhead": 3, "street": 3, "landcover": 3}
    assert report.counts == {"rows": 3, **files, "rows of train": 2, "rows of test": 1}


BOX = {"west": 10, "south": 50, "east": 10.001, "north": 50.001}
NO_GSD = "column 'gsd': is empty, and the overhead image has no georeference"


@pytest.mark.parametrize(
    ("make", "cells", "picture", "kind", "fault"),
    [
        (by_bounds, {"overhead": "absent.png"}, None, "missing", None),
        (by_bounds, {"lon": 10.0035}, None, "outside", "column 'lon': the camera lies outside"),
        (by_bounds, {"lon": "east"}, None, "malformed", "column 'lon': 'east' is no number"),
        (by_bounds, {"lon": ""}, None, "malformed", "column 'lon': is empty"),
        (by_bounds, {"lat": 95}, None, "malformed", "column 'lat': 95 lies outside -90..90"),
        (by_bounds, {"north": ""}, None, "malformed", "column 'north': is empty, but west and"),
        (by_bounds, {"east": 10}, None, "malformed", "column 'west': "),
        (by_bounds, {"street": "view0.jpg"}, None, "leak", None),
        (by_bounds, {"lon": 10.0005, "west": 10.0002, "east": 10.0012}, None, "leak", None),
        (by_pixel, {"overhead": ""}, None, "malformed", "column 'overhead': is empty"),
        (by_pixel, {"street": ""}, None, "malformed", "column 'street': is empty"),
        (by_pixel, {"row": 65}, None, "outside", "column 'row': the camera lies outside"),
        (by_pixel, {"col": ""}, None, "malformed", "'col': is empty, but row and col go together"),
        (by_pixel, {"row": "", "col": ""}, None, "malformed", "'lon': the camera has no position"),
        (by_pixel, {"fov": 361}, None, "malformed", "column 'fov': 361 lies outside 0.01..360"),
        (by_pixel, {"fov": "nan"}, None, "malformed", "column 'fov': 'nan' is no number"),
        (by_pixel, {"heading": "inf"}, None, "malformed", "'heading': 'inf' is not finite"),
        (by_pixel, {"gsd": ""}, None, "malformed", NO_GSD),
        (by_pixel, {"gsd": 0}, None, "malformed", "column 'gsd': 0 lies outside"),
        (by_pixel, {"gsd": "1e-300"}, None, "malformed", "column 'gsd': 1e-300 lies outside"),
        (by_pixel, {"lon": "nan"}, None, "malformed", "column 'lon': 'nan' is no number"),
        (by_pixel, {"lon": 3, "lat": 4, "row": "", "col": ""}, None, "malformed", "'lon': cannot"),
        (by_pixel, {"id": "view0"}, None, "duplicate", None),
        (by_pixel, {"street": "view0.png"}, ("view0.png", 64, 32), "duplicate", None),
        (by_pixel, BOX, None, "malformed", ""),
        (by_pixel, {**BOX, "gsd": ""}, None, "wrong size", "column 'overhead': 64 x 64 pixels of"),
        (by_pixel, {}, ("tile1.png", 64, 32), "wrong size", ""),
        (by_pixel, {}, ("cover1.png", 32, 32, 5, "L"), "wrong size", None),
        (by_pixel, {}, ("tile1.png", 64, 64, (0, 0, 0, 0), "RGBA"), "unreadable", None),
    ],
)
def test_faults_are_found_named_and_cleaned_away(
    tmp_path: Path,
    make: Callable[..., Path],
    cells: dict[str, object],
    picture: tuple | None,
    kind: str,
    fault: str | None,
) -> None:
    """``fault``: what loading says of line 3; None where it does not notice."""
    path = make(tmp_path, **cells)
    if picture is not None:
        write_picture(tmp_path / picture[0], *picture[1:])
    if fault is not None:
        with pytest.raises(DatasetError) as caught:
            Manifest(path)[1]
        said = str(caught.value)
        assert fault in said
        assert said.startswith(f"{path}: line 3")
        assert "\n" not in said
    report = check(path, fix=True)
    assert set(report.totals) == {kind}, report.findings
    index = path.with_name("pairs.cleaned.csv")
    cleaned = Manifest(index)
    assert [cleaned[number].id for number in range(len(cleaned))] == ["view0", "view2"]
    assert check(index).clean


def test_a_repeated_name_is_an_error(tmp_path: Path) -> None:
    path = by_pixel(tmp_path)
    rows = [{"overhead": "tile0.png", "street": f"view{n}.jpg", "id": "a"} for n in range(2)]
    write_table(path, [{**row, "row": 1, "col": 1, "gsd": 1} for row in rows])
    with pytest.raises(DatasetError, match=r"line 3, column 'id': 'a' is the name of line 2 too"):
        Manifest(path)


def test_an_upright_panorama_by_its_orientation_is_no_finding(tmp_path: Path) -> None:
    path = by_pixel(tmp_path)
    picture = Image.new("RGB", (32, 64))
    entries = picture.getexif()
    entries[0x0112] = 6
    picture.save(tmp_path / "view1.jpg", exif=entries)
    assert check(path).clean
    assert Manifest(path)[1].street.shape == (3, 128, 512)


def test_an_empty_table_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("overhead,street,row,col,gsd\n")
    assert main(["data", "check", str(path)]) == 1


def test_another_class_scheme(tmp_path: Path) -> None:
    path = by_pixel(tmp_path)
    write_picture(tmp_path / "cover2.png", 64, 64, 40, "L")
    ((kind, name),) = {(item.kind, item.path) for item in check(path).findings}
    assert (kind, name) == ("unknown id", "cover2.png")
    scheme = tmp_path / "scheme.toml"
    entries = "".join(
        f'[[classes]]\nid = {value}\nname = "c{value}"\ncolor = [0, 0, 0]\nchannel = "road"\n'
        for value in (5, 40)
    )
    scheme.write_text(f'name = "own"\n[channels]\nroad = 5\n{entries}')
    assert check(path, scheme=scheme).clean


def test_findings_name_the_line_of_the_file(tmp_path: Path) -> None:
    write_picture(tmp_path / "tile.png", 64, 64)
    write_picture(tmp_path / "view.jpg", 64, 32)
    path = tmp_path / "pairs.csv"
    path.write_text(
        "overhead,street,row,col,gsd,id\n"  # line 1
        "\n"
        'tile.png,view.jpg,9,9,1,"two\nlines"\n'  # 3 and 4
        "tile.png,absent.jpg,9,9,1,b\n"
        "tile.png,absent.jpg,99,9,1,c\n"
        "tile.png,view.jpg,9,9,1,d\n"
    )
    assert {(item.kind, item.path, item.detail) for item in check(path).findings} == {
        ("missing", "absent.jpg", "line 5 (and 1 more): no such file"),
        ("duplicate", "pairs.csv", "line 6: the same pair as line 5"),
        ("outside", "pairs.csv", "line 6, column 'row': " + OUTSIDE.format(99, 9)),
        ("duplicate", "pairs.csv", "line 7: the same pair as line 3"),
    }


def test_geotiffs(tmp_path: Path) -> None:
    for name in ("view.jpg", "other.jpg"):
        write_picture(tmp_path / name, 64, 32)
    corner = Affine(0.5, 0, 590000, 0, -0.5, 4510000)
    raster = write_raster(tmp_path / "tile.tif", np.ones((3, 64, 64), np.uint8), corner)
    # 16 m east and south of the corner is the middle; another camera is 32 m further east
    # (both rounded to 0.1 m).
    path = tmp_path / "pairs.csv"
    path.write_text(
        "overhead,street,lon,lat\ntile.tif,view.jpg,-73.933928,40.735876\n"
        "tile.tif,other.jpg,-73.933549,40.735872\n"
    )
    (finding,) = check(path).findings
    assert (finding.kind, finding.path) == ("outside", "pairs.csv")
    assert finding.detail == "line 3, column 'lon': " + OUTSIDE.format(32.1, 96.1)
    raster.write_bytes(raster.read_bytes()[: raster.stat().st_size // 2])
    assert [item.path for item in check(path).findings] == ["tile.tif"]


def test_strips_that_cross_share_ground(tmp_path: Path) -> None:
    """A road east-west for training, one north-south for testing: no corner of one in the other."""
    rows = []
    for name, size, *box in (
        ("along", (640, 64), 10.0, 0.0045, 10.01, 0.0055),
        ("across", (64, 640), 10.0045, 0.0, 10.0055, 0.01),
        ("aside", (64, 640), 10.01, 0.0, 10.011, 0.01),
    ):
        write_picture(tmp_path / f"{name}.png", *size)
        write_picture(tmp_path / f"{name}.jpg", 64, 32)
        row = {"overhead": f"{name}.png", "street": f"{name}.jpg", "row": 32, "col": 32}
        row |= dict(zip(("west", "south", "east", "north"), box, strict=True))
        rows.append({**row, "split": "train" if name == "along" else "test"})
    path = write_table(tmp_path / "roads.csv", rows)
    leaks = [item.detail for item in check(path).findings if item.kind == "leak"]
    assert leaks == ["line 3: its ground is in train and test"]


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = by_pixel(tmp_path)

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert main(["data", "check", str(path), "--fix"]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"cvsegguide: error: {tmp_path}: no index can be written here (Read-only file system)\n"
    )
