"""Checks of data sets: each fault is put in by hand and must be found, alone."""

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.data import BrooklynQueens, Manifest
from cvsegguide.data.checks import Report, check
from cvsegguide.errors import DatasetError
from helpers.brooklyn_queens import make_tree, panorama_name, tile_lonlat

TILE = "19/154514/197033"
OUTSIDE = "the camera lies outside the overhead image, at row {:.1f}, column {:.1f} of 64 x 64"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of two cities in which nothing is wrong."""
    root = tmp_path / "tree"
    make_tree(root, street_size=(52, 104))
    for city in ("brooklyn", "queens"):
        for name in ("images.txt", "locations.txt"):  # without the panorama outside of all tiles
            path = root / city / "streetview" / name
            path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return root


def found(report: Report) -> dict[str, list[str]]:
    return {
        kind: sorted(item.path for item in report.findings if item.kind == kind)
        for kind in report.totals
    }


def first_panorama(root: Path, city: str = "queens") -> Path:
    name = (root / city / "streetview/images.txt").read_text().splitlines()[0]
    return root / city / "streetview/images" / name


def test_a_clean_tree_is_clean(tree: Path) -> None:
    report = check(tree, workers=2)
    assert report.clean, report.findings
    assert report.layout == "brooklyn-queens"
    kinds = ("overhead", "landcover", "landuse", "age", "function", "height")
    for city in ("brooklyn", "queens"):
        assert all(report.counts[f"{city} {kind}"] == 2 for kind in kinds)
        assert report.counts[f"{city} streetview"] == 4
        assert report.counts[f"{city} pairs"] == 4


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(path: Path) -> None:
    with Image.open(path) as image:
        small = image.resize((100, 100), Image.Resampling.NEAREST)
    small.save(path)


def put_unknown_id(path: Path) -> None:
    with Image.open(path) as image:
        values = np.array(image)
    values[7, 9] = 254
    Image.fromarray(values).save(path)


def hollow_out(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "damage", "kind"),
    [
        (f"overhead/images/{TILE}.jpg", Path.unlink, "missing"),
        (f"overhead/images/{TILE}.jpg", truncate, "truncated"),
        (f"overhead/images/{TILE}.jpg", lambda path: path.write_bytes(b""), "truncated"),
        (f"overhead/images/{TILE}.jpg", lambda path: path.write_bytes(b"GIF?"), "unreadable"),
        (f"overhead/images/{TILE}.jpg", hollow_out, "unreadable"),
        (f"overhead/images/{TILE}.jpg", resize, "wrong size"),
        (f"labels/landcover/{TILE}.png", Path.unlink, "missing"),
        (f"labels/landcover/{TILE}.png", truncate, "truncated"),
        (f"labels/landcover/{TILE}.png", put_unknown_id, "unknown id"),
        (f"labels/function/{TILE}.png", put_unknown_id, "unknown id"),
        (f"labels/age/{TILE}.png", resize, "wrong size"),
        (f"labels/height/{TILE}.npz", lambda path: path.write_bytes(b"PK?"), "unreadable"),
    ],
)
def test_a_damaged_file_is_found(
    tree: Path, name: str, damage: Callable[[Path], object], kind: str
) -> None:
    damage(tree / "queens" / name)
    report = check(tree, workers=2, fix=True)
    assert found(report) == {kind: [f"queens/{name}"]}
    # The cleaned index leaves the tile's pairs out, and the data set takes it.
    index = tree / "queens" / "index.cleaned.txt"
    samples = BrooklynQueens(tree, "queens", index=index)
    assert len(samples) == 2
    assert all(TILE not in samples.sample_id(row) for row in range(2))


def test_damaged_panoramas_are_found(tree: Path) -> None:
    path = first_panorama(tree)
    truncate(path)
    name = path.relative_to(tree).as_posix()
    assert found(check(tree, fix=True)) == {"truncated": [name]}
    assert path.name not in (tree / "queens/index.cleaned.txt").read_text()
    Image.new("RGB", (104, 30)).save(path)
    assert found(check(tree)) == {"wrong size": [name]}


def test_a_decompression_bomb_is_not_unpacked(tree: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        check_sum = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + check_sum

    side = (60000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([1, 0, 0, 0, 0]))
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    picture = tree / f"queens/overhead/images/{TILE}.jpg"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))
    heights = tree / f"queens/labels/height/{TILE}.npz"
    with zipfile.ZipFile(heights, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes((1 << 28) + 1))
    report = check(tree)
    assert set(found(report)) == {"unreadable"}
    assert "too large" in " ".join(item.detail for item in report.findings)
    assert len(report.findings) == 2


def test_positions_and_names(tree: Path) -> None:
    queens = tree / "queens"
    lon, lat = tile_lonlat(154400, 197033, 10, 10)
    outside = panorama_name(lon, lat)
    picture = queens / "streetview/images" / outside
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (104, 52)).save(picture)
    with (queens / "streetview/images.txt").open("a") as file:
        file.write(f"{outside}\n")
    with (queens / "streetview/locations.txt").open("a") as file:
        file.write(f"{lat},{lon}\n")
    assert found(check(tree)) == {"outside": [f"queens/streetview/images/{outside}"]}


def test_a_repeated_name_shifts_no_position(tree: Path) -> None:
    for name in ("images.txt", "locations.txt"):
        path = tree / "queens/streetview" / name
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([lines[0], *lines]))
    assert found(check(tree)) == {"duplicate": ["queens/streetview/images.txt"]}


def test_contradictions(tree: Path) -> None:
    boxes = tree / "queens/overhead/bboxes.txt"
    boxes.write_text(boxes.read_text().replace("-73.90", "-73.80"))
    places = tree / "queens/streetview/locations.txt"
    lines = places.read_text().splitlines()
    lat, lon = map(float, lines[0].split(","))
    places.write_text("\n".join([f"{lat + 2e-5},{lon}", *lines[1:]]))
    report = check(tree)
    assert set(found(report)) == {"contradiction"}
    assert set(found(report)["contradiction"]) == {
        "queens/overhead/bboxes.txt",
        "queens/streetview/locations.txt",
    }


def test_names_do_not_lead_out_of_the_tree(tree: Path) -> None:
    path = tree / "queens/overhead/images.txt"
    path.write_text(path.read_text() + "../../../etc/passwd\n/etc/passwd\n")
    report = check(tree)
    assert report.totals["malformed"] == 2
    assert set(report.totals) == {"malformed"}


def test_what_two_cities_share_is_a_leak(tree: Path) -> None:
    shutil.rmtree(tree / "brooklyn")
    shutil.copytree(tree / "queens", tree / "brooklyn")
    report = check(tree, fix=True)
    names = [
        name
        for kind in ("overhead", "streetview")
        for name in (tree / "queens" / kind / "images.txt").read_text().splitlines()
    ]
    assert found(report) == {"leak": sorted(names)}
    # Brooklyn keeps what they share.
    assert len((tree / "brooklyn/index.cleaned.txt").read_text().splitlines()) == 4
    assert (tree / "queens/index.cleaned.txt").read_text() == ""


def test_labels_of_panoramas_are_read_where_there_are_any(tree: Path) -> None:
    views = (tree / "queens/streetview/images.txt").read_text().splitlines()
    for number, name in enumerate(views):
        path = (tree / "queens/labels/street_landcover" / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (104, 52), 6 if number else 77).save(path)
    report = check(tree, fix=True)
    name = str(Path("queens/labels/street_landcover", views[0]).with_suffix(".png"))
    assert found(report) == {"unknown id": [name]}
    assert report.counts["queens street_landcover"] == 4
    assert views[0] not in (tree / "queens/index.cleaned.txt").read_text()


def test_json_tells_the_same(tree: Path) -> None:
    first_panorama(tree).unlink()
    told = json.loads(check(tree).to_json())
    assert told["clean"] is False
    assert told["findings"]["missing"]["count"] == 1
    assert told["counts"]["queens streetview"] == 3


def test_real_vigor_lists_are_consistent(shared: Path) -> None:
    report = check(shared / "real" / "vigor")
    assert set(report.totals) == {"missing"}  # lists without pictures
    assert report.counts["splits__corrected/NewYork/same_area_balanced_test__corrected.txt pairs"]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three rows of two splits on tiles that lie side by side."""
    rows = ["overhead,street,lon,lat,west,south,east,north,split,landcover"]
    for number, split in enumerate(("train", "train", "test")):
        Image.new("RGB", (64, 64)).save(tmp_path / f"tile{number}.png")
        Image.new("L", (64, 64), 6).save(tmp_path / f"cover{number}.png")
        Image.new("RGB", (64, 32)).save(tmp_path / f"view{number}.jpg")
        west, east = 10 + number * 0.001, 10 + (number + 1) * 0.001
        rows.append(
            f"tile{number}.png,view{number}.jpg,{(west + east) / 2:.4f},50.0003,"
            f"{west:.4f},50,{east:.4f},50.000643,{split},cover{number}.png"
        )
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_manifest(manifest: Path) -> None:
    report = check(manifest.parent)
    assert report.clean, report.findings
    assert report.layout == "manifest"
    assert report.counts == {
        "rows": 3,
        "overhead": 3,
        "street": 3,
        "landcover": 3,
        "rows of train": 2,
        "rows of test": 1,
    }


@pytest.mark.parametrize(
    ("old", "new", "kind", "left"),
    [
        ("tile0.png,view0", "absent.png,view0", "missing", 2),
        ("view2.jpg,10.0025", "view2.jpg,10.0035", "outside", 2),
        ("view2.jpg,10.0025", "view2.jpg,east", "malformed", 2),
        ("view2.jpg,10.0025", "view2.jpg,", "malformed", 2),
        ("view2.jpg", "view0.jpg", "leak", 2),
        ("10.0025,50.0003,10.0020,50,10.0030", "10.0015,50.0003,10.0012,50,10.0022", "leak", 2),
    ],
)
def test_manifest_faults(manifest: Path, old: str, new: str, kind: str, left: int) -> None:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    report = check(manifest, fix=True)
    assert set(report.totals) == {kind}, report.findings
    cleaned = Manifest(manifest.with_name("manifest.cleaned.csv"))
    assert len(cleaned) == left
    assert check(manifest.with_name("manifest.cleaned.csv")).clean


def test_manifest_with_another_class_scheme(manifest: Path) -> None:
    Image.new("L", (64, 64), 40).save(manifest.with_name("cover2.png"))
    assert found(check(manifest)) == {"unknown id": ["cover2.png"]}
    scheme = manifest.with_name("scheme.toml")
    entries = "".join(
        f'[[classes]]\nid = {value}\nname = "c{value}"\ncolor = [0, 0, 0]\nchannel = "road"\n'
        for value in (6, 40)
    )
    scheme.write_text(f'name = "own"\n[channels]\nroad = 6\n{entries}')
    assert check(manifest, scheme=scheme).clean


def test_findings_name_the_line_of_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "tile.png")
    Image.new("RGB", (64, 32)).save(tmp_path / "view.jpg")
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


def test_manifest_of_geotiffs(tmp_path: Path) -> None:
    import rasterio
    from rasterio.transform import from_origin

    for name in ("view.jpg", "other.jpg"):
        Image.new("RGB", (64, 32)).save(tmp_path / name)
    with rasterio.open(
        tmp_path / "tile.tif",
        "w",
        driver="GTiff",
        width=64,
        height=64,
        count=3,
        dtype="uint8",
        crs="EPSG:32618",
        transform=from_origin(590000, 4510000, 0.5, 0.5),
    ) as raster:
        raster.write(np.ones((3, 64, 64), np.uint8))
    path = tmp_path / "pairs.csv"
    # 16 m east and south of the corner is the middle; another camera is 32 m further east
    # (both rounded to 0.1 m).
    path.write_text(
        "overhead,street,lon,lat\ntile.tif,view.jpg,-73.933928,40.735876\n"
        "tile.tif,other.jpg,-73.933549,40.735872\n"
    )
    report = check(path)
    assert found(report) == {"outside": ["pairs.csv"]}
    assert report.findings[0].detail == "line 3, column 'lon': " + OUTSIDE.format(32.1, 96.1)
    truncate(tmp_path / "tile.tif")
    assert list(found(check(path)).values()) == [["tile.tif"]]


def test_unknown_layouts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither a tree of Brooklyn & Queens"):
        check(tmp_path)
    with pytest.raises(DatasetError, match=r"absent: no such file or folder"):
        check(tmp_path / "absent")
