"""Checks of data sets: each fault is put in by hand and must be found, alone."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.data import BrooklynQueens
from cvsegguide.data.checks import Report, check
from cvsegguide.errors import DatasetError
from helpers.brooklyn_queens import make_tree
from helpers.files import BOMB

TILE = "19/154514/197033"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of two cities in which nothing is wrong."""
    root = tmp_path / "tree"
    make_tree(root, street_size=(52, 104), outside=False)
    return root


def found(report: Report) -> dict[str, list[str]]:
    return {
        kind: sorted(item.path for item in report.findings if item.kind == kind)
        for kind in report.totals
    }


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
        (f"labels/height/{TILE}.npz", Path.unlink, "missing"),
    ],
)
def test_a_damaged_file_is_named_and_found(
    tree: Path, name: str, damage: Callable[[Path], object], kind: str
) -> None:
    damage(tree / "queens" / name)
    if kind not in ("wrong size", "unknown id") and damage is not hollow_out:
        samples = BrooklynQueens(tree, "queens", labels=("landcover", "height"))
        with pytest.raises(DatasetError, match=f"^{tree / 'queens' / name}: [^\n]*$"):
            samples[0]
    report = check(tree, workers=2, fix=True)
    assert found(report) == {kind: [f"queens/{name}"]}
    # The cleaned index leaves the tile's pairs out, and the data set takes it.
    index = tree / "queens" / "index.cleaned.txt"
    samples = BrooklynQueens(tree, "queens", index=index)
    assert len(samples) == 2
    assert all(TILE not in samples.sample_id(row) for row in range(2))


def test_damaged_panoramas_are_found(tree: Path) -> None:
    images = tree / "queens/streetview"
    path = images / "images" / (images / "images.txt").read_text().splitlines()[0]
    truncate(path)
    name = path.relative_to(tree).as_posix()
    assert found(check(tree, fix=True)) == {"truncated": [name]}
    assert path.name not in (tree / "queens/index.cleaned.txt").read_text()
    Image.new("RGB", (104, 30)).save(path)
    assert found(check(tree)) == {"wrong size": [name]}


def test_a_decompression_bomb_is_not_unpacked(tree: Path) -> None:
    (tree / f"queens/overhead/images/{TILE}.jpg").write_bytes(BOMB)
    heights = tree / f"queens/labels/height/{TILE}.npz"
    with zipfile.ZipFile(heights, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes((1 << 28) + 1))
    report = check(tree)
    assert set(found(report)) == {"unreadable"}
    assert "too large" in " ".join(item.detail for item in report.findings)
    assert len(report.findings) == 2


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


def test_real_vigor_lists_are_consistent(shared: Path) -> None:
    report = check(shared / "real" / "vigor")
    assert set(report.totals) == {"missing"}  # lists without pictures
    assert report.counts["splits__corrected/NewYork/same_area_balanced_test__corrected.txt pairs"]


def test_unknown_layouts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither a tree of Brooklyn & Queens"):
        check(tmp_path)
