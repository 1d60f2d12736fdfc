"""What ``data check --fix`` has cleaned can be loaded, whatever was wrong with it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvsegguide.cli.main import main
from cvsegguide.data import BrooklynQueens, Vigor
from cvsegguide.data.checks import check
from cvsegguide.data.sightlines import sightline_path, write_sightlines
from cvsegguide.errors import DatasetError
from helpers.brooklyn_queens import Pair, add_panorama, make_tree, tile_lonlat
from helpers.vigor import CENTERS, make_vigor, vigor_line

TILES = "overhead/images.txt"
BOXES = "overhead/bboxes.txt"
VIEWS = "streetview/images.txt"
PLACES = "streetview/locations.txt"


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, list[Pair]]:
    pairs = make_tree(tmp_path, cities=("queens",), tiles=3, street_size=(52, 104))
    return tmp_path, pairs


def _put(number: int, *new: str) -> Callable[[list[str]], None]:
    return lambda lines: lines.__setitem__(slice(number, number + 1), new)


def _insert(number: int, line: str) -> Callable[[list[str]], None]:
    return lambda lines: lines.insert(number, line)


_TILE = "19/154514/197033.jpg"


@pytest.mark.parametrize(
    ("name", "change", "kinds", "lost", "fault"),
    [
        (BOXES, _put(0, f"{_TILE},what is this"), "malformed", {0, 1}, "line 1: expected 4 num"),
        (BOXES, _put(1), "malformed", {2, 3}, "no line for the tile '19/154515"),
        (BOXES, _put(0, f"{_TILE},40.75,-73.90,40.75,-73.91"), "malformed", {0, 1}, "line 1: the"),
        (BOXES, _put(0, f"{_TILE},40.70,-73.91,40.71,-73.90"), "contradiction", {0, 1}, "line 1: "),
        (BOXES, _insert(0, "junk"), "malformed", set(), "line 1: expected 4 numbers"),
        (PLACES, _put(2, "here,there"), "malformed", {2}, "line 3: expected 2 numbers"),
        (PLACES, _put(2, "99.0,-73.9"), "malformed", {2}, "line 3: no latitude,longitude: 99,"),
        (PLACES, _put(3, "40.758,-73.903"), "contradiction", {3}, "line 4: (40.758, -73.903) is"),
        # that of the panorama outside of all tiles
        (PLACES, _put(6), "malformed", set(), "has 6 lines, but images.txt has 7"),
        (VIEWS, _put(1, "../../secret.jpg"), "malformed", {1}, "line 2: '../../secret.jpg' is no"),
        (VIEWS, _put(1, "40.1/-73.9/40.1_-73.9.jpg"), "contradiction missing", {1}, "line 2: "),
        (TILES, _insert(3, _TILE), "duplicate", set(), None),
        (TILES, _insert(1, ""), "", set(), None),
        (TILES, _put(2, "x.jpg"), "contradiction malformed missing", {4, 5}, "no line for the"),
        (TILES, _insert(0, "../../../etc/passwd"), "malformed", set(), "line 1: '../../../etc"),
    ],
)
def test_bad_lists_are_refused_and_load_by_their_cleaned_index(
    tree: tuple[Path, list[Pair]],
    name: str,
    change: Callable[[list[str]], None],
    kinds: str,
    lost: set[int],
    fault: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, pairs = tree
    path = root / "queens" / name
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))
    if fault is not None:
        with pytest.raises(DatasetError, match=rf"\.txt: {re.escape(fault)}"):
            BrooklynQueens(root, "queens")
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert main(["data", "check", str(root), "--fix", "--json"]) in (0, 1)
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings.keys() - {"outside"} == set(kinds.split())
    assert all(file.read_bytes() == content for file, content in before.items())
    index = root / "queens/index.cleaned.txt"
    dataset = BrooklynQueens(root, "queens", index=index)
    kept = [pair for number, pair in enumerate(pairs) if number not in lost]
    assert len(dataset) == len(kept)
    for number, pair in enumerate(kept):
        sample = dataset[number]
        assert sample.id.endswith(Path(pair.panorama).stem)
        assert (sample.row, sample.col) == pytest.approx((pair.row, pair.col), abs=2e-3)


def test_a_faulty_line_that_is_needed_is_still_an_error(tree: tuple[Path, list[Pair]]) -> None:
    root, pairs = tree
    path = root / "queens" / BOXES
    lines = path.read_text().splitlines()
    lines[0] = "19/154514/197033.jpg,1,2,3"
    path.write_text("\n".join(lines) + "\n")
    index = root / "index.txt"
    index.write_text(f"{pairs[0].tile},{pairs[0].panorama}\n")
    with pytest.raises(DatasetError, match=r"bboxes.txt: line 1: expected 4 numbers"):
        BrooklynQueens(root, "queens", index=index)
    index.write_text(f"{pairs[2].tile},{pairs[2].panorama}\n")
    assert len(BrooklynQueens(root, "queens", index=index)) == 1
    index.write_text(f"{pairs[2].tile}\n")  # a tile may hold any panorama
    with pytest.raises(DatasetError, match=r"bboxes.txt: line 1"):
        BrooklynQueens(root, "queens", index=index)


def test_a_panorama_on_a_shared_border_has_a_written_sightline_for_each_tile(
    tmp_path: Path,
) -> None:
    """The camera stands on the border of two tiles, far north in both, at other columns."""
    make_tree(tmp_path, cities=("queens",), tiles=2, panoramas=1, street_size=(52, 104))
    city = tmp_path / "queens"
    x, y = 154514, 197033
    lon = (x + 1) / 2**19 * 360 - 180  # exactly as the bounds are computed
    lat = tile_lonlat(x, y, 120, 0)[1]
    name = add_panorama(city, lon, lat, (52, 104))
    drawn = BrooklynQueens(tmp_path, "queens")
    both = [i for i in range(len(drawn)) if drawn.sample_id(i).endswith(Path(name).stem)]
    assert len(both) == 2
    assert [round(drawn.position(i)[1]) for i in both] == [256, 0]
    write_sightlines(city)
    second = "19/154515/197033.jpg"
    assert sightline_path(city, name).is_file()
    assert sightline_path(city, name, second).is_file()
    index = tmp_path / "index.txt"
    index.write_text(f"{second},{name}\n")
    for chosen in (None, index):
        written = BrooklynQueens(tmp_path, "queens", sightlines="read", index=chosen)
        for number in range(len(written)):
            sample = written[number]
            again = next(i for i in range(len(drawn)) if drawn.sample_id(i) == sample.id)
            want = drawn[again].sightline
            assert want is not None
            assert sample.sightline is not None
            assert np.abs(want.numpy() - sample.sightline.numpy()).mean() < 0.005


def _vigor(root: Path) -> None:
    """Ten training panoramas of each city, the first four with a fault each; two for testing.

    Of the fifth and the tenth one tile does not hold the camera, as in the real lists.
    """
    make_vigor(root, count=20, pictures=4, labels=("corrected",))
    for city in CENTERS:
        folder = root / "splits__corrected" / city
        (folder / "pano_label_balanced__corrected.txt").unlink()
        train = folder / "same_area_balanced_train__corrected.txt"
        lines = [line.split() for line in train.read_text().splitlines()]
        (root / city / "panorama" / lines[0][0]).unlink()
        lines[1][2] = "330.0"
        del lines[2][3:]
        lines[3][0] = "id3,91.0,-87.0,.jpg"
        texts = [" ".join(line) + "\n" for line in lines]
        train.write_text("".join(texts))
        train.with_name(train.name.replace("train", "test")).write_text("".join(texts[5:7]))


def test_cleaned_lists_of_vigor_load(tmp_path: Path) -> None:
    _vigor(tmp_path)
    gone = tmp_path / "Chicago/satellite" / vigor_line("Chicago", 7)[1][2][0]
    gone.unlink()
    report = check(tmp_path, fix=True)
    assert dict(report.totals) == {"malformed": 8, "outside": 4, "missing": 5, "leak": 8}
    paths = {item.path for item in report.findings if item.kind == "missing"}
    assert gone.relative_to(tmp_path).as_posix() in paths
    assert report.counts["NewYork satellite"] == 7 * 4
    assert check(tmp_path).totals == report.totals  # cleaned lists are not taken for splits
    assert len(Vigor(tmp_path, split="test", cleaned=True)) == 0  # trained on
    with pytest.raises(DatasetError, match="line 3"):
        Vigor(tmp_path)
    parts = {split: Vigor(tmp_path, split=split, cleaned=True) for split in ("train", "val")}
    loaded = {split: set(part.table.panorama) for split, part in parts.items()}
    assert loaded["train"].isdisjoint(loaded["val"])
    lines = [vigor_line(city, number) for city in CENTERS for number in range(4, 10)]
    lines.remove(vigor_line("Chicago", 7))
    rows = {panorama: tiles[0][1] for panorama, tiles in lines}
    assert loaded["train"] | loaded["val"] == rows.keys()
    for part in parts.values():
        for number in range(len(part)):
            assert part[number].row == pytest.approx(0.4 * rows[part.table.panorama[number]])
    # The saved list is that of the originals, and both read it.
    listed = (tmp_path / "cvsegguide_splits/val_same_seed0.txt").read_text().splitlines()[1:]
    assert set(listed) > loaded["val"]
    assert set(Vigor(tmp_path, split="val", cleaned=True).table.panorama) == loaded["val"]
