"""What ``data check --fix`` has cleaned can be loaded, whatever was wrong with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data import BrooklynQueens, Manifest, Vigor
from cvsegguide.data.checks import check
from cvsegguide.data.sightlines import sightline_path, write_sightlines
from cvsegguide.errors import DatasetError
from helpers.brooklyn_queens import Pair, make_tree, panorama_name, tile_lonlat

TILES = "overhead/images.txt"
BOXES = "overhead/bboxes.txt"
VIEWS = "streetview/images.txt"
PLACES = "streetview/locations.txt"


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, list[Pair]]:
    pairs = make_tree(tmp_path, cities=("queens",), tiles=3, street_size=(52, 104))
    return tmp_path, pairs


def _put(number: int, line: str | None) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        if line is None:
            del lines[number]
        else:
            lines[number] = line

    return change


def _insert(number: int, line: str) -> Callable[[list[str]], None]:
    return lambda lines: lines.insert(number, line)


@pytest.mark.parametrize(
    ("name", "change", "lost"),
    [
        (BOXES, _put(0, "19/154514/197033.jpg,what is this"), {0, 1}),
        (BOXES, _put(1, None), {2, 3}),
        (BOXES, _put(0, "19/154514/197033.jpg,40.75,-73.90,40.75,-73.91"), {0, 1}),
        (BOXES, _put(0, "19/154514/197033.jpg,40.70,-73.91,40.71,-73.90"), {0, 1}),
        (BOXES, _insert(0, "junk"), set()),
        (PLACES, _put(2, "here,there"), {2}),
        (PLACES, _put(2, "99.0,-73.9"), {2}),
        (PLACES, _put(3, "40.758,-73.903"), {3}),
        (PLACES, _put(6, None), set()),  # that of the panorama outside of all tiles
        (VIEWS, _put(1, "../../secret.jpg"), {1}),
        (VIEWS, _put(1, "40.1/-73.9/40.1_-73.9.jpg"), {1}),
        (TILES, _insert(3, "19/154514/197033.jpg"), set()),
        (TILES, _insert(1, ""), set()),
        (TILES, _put(2, "somewhere.jpg"), {4, 5}),
    ],
)
def test_a_tree_with_bad_lists_loads_by_its_cleaned_index(
    tree: tuple[Path, list[Pair]],
    name: str,
    change: Callable[[list[str]], None],
    lost: set[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, pairs = tree
    path = root / "queens" / name
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert main(["data", "check", str(root), "--fix"]) in (0, 1)
    capsys.readouterr()
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
    name = panorama_name(lon, lat)
    place = city / "streetview/images" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (104, 52)).save(place)
    with (city / VIEWS).open("a") as file:
        file.write(f"{name}\n")
    with (city / PLACES).open("a") as file:
        file.write(f"{lat!r},{lon!r}\n")
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


def _vigor(root: Path) -> list[str]:
    """Forty training panoramas of each city, the first four with a fault each; two for testing."""
    names = []
    for city in ("Chicago", "NewYork", "SanFrancisco", "Seattle"):
        folder = root / "splits__corrected" / city
        folder.mkdir(parents=True)
        (root / city / "panorama").mkdir(parents=True)
        (root / city / "satellite").mkdir()
        tile = f"satellite_41.0_{-87.0 - len(names) / 1000}.png"
        Image.new("RGB", (64, 64)).save(root / city / "satellite" / tile)
        lines = []
        for number in range(40):
            view = f"{city}{number},{91.0 if number == 3 else 41.0},-87.0,.jpg"
            names.append(view)
            if number:
                Image.new("RGB", (64, 32)).save(root / city / "panorama" / view)
            down = 330.0 if number == 1 else 10.0
            rest = "too short" if number == 2 else " ".join(f"{tile} {down} 5.0" for _ in range(4))
            lines.append(f"{view} {rest}\n")
        for split in ("train", "test"):
            part = lines if split == "train" else lines[5:7]
            path = folder / f"same_area_balanced_{split}__corrected.txt"
            path.write_text("".join(part))
    return names


def test_cleaned_lists_of_vigor_load(tmp_path: Path) -> None:
    names = _vigor(tmp_path)
    report = check(tmp_path, fix=True)
    assert dict(report.totals) == {"malformed": 8, "outside": 4, "missing": 4, "leak": 8}
    assert check(tmp_path).totals == report.totals  # cleaned lists are not taken for splits
    assert len(Vigor(tmp_path, split="test", cleaned=True)) == 0  # trained on
    with pytest.raises(DatasetError, match="line 3"):
        Vigor(tmp_path)
    parts = {split: Vigor(tmp_path, split=split, cleaned=True) for split in ("train", "val")}
    loaded = {split: set(part.table.panorama) for split, part in parts.items()}
    assert loaded["train"].isdisjoint(loaded["val"])
    good = {name for number, name in enumerate(names) if number % 40 > 3}
    assert loaded["train"] | loaded["val"] == good
    for part in parts.values():
        for number in range(len(part)):
            assert part[number].row == pytest.approx(330 * 256 / 640)
    # The saved list is that of the originals, and both read it.
    listed = (tmp_path / "cvsegguide_splits/val_same_seed0.txt").read_text().splitlines()[1:]
    assert set(listed) > loaded["val"]
    assert set(Vigor(tmp_path, split="val", cleaned=True).table.panorama) == loaded["val"]


def test_satellite_pictures_are_checked_without_a_list_of_them(tmp_path: Path) -> None:
    _vigor(tmp_path)
    gone = next((tmp_path / "Chicago/satellite").iterdir())
    gone.unlink()
    report = check(tmp_path)
    paths = [item.path for item in report.findings if item.kind == "missing"]
    assert gone.relative_to(tmp_path).as_posix() in paths
    assert report.counts["NewYork satellite"] == 1


COLUMNS = "id,overhead,street,lon,lat,row,col,heading,fov,gsd,west,south,east,north,landcover"


def _manifest(folder: Path, **cells: str) -> Path:
    """Three rows, the second with some other cells."""
    given = {
        "overhead": "tile{n}.png",
        "street": "view{n}.jpg",
        "row": "10",
        "col": "12",
        "gsd": "0.5",
        "landcover": "cover{n}.png",
    }
    rows = [COLUMNS]
    for number in range(3):
        Image.new("RGB", (64, 64)).save(folder / f"tile{number}.png")
        Image.new("L", (64, 64), 5).save(folder / f"cover{number}.png")
        Image.new("RGB", (64, 32)).save(folder / f"view{number}.jpg")
        row = {name: cell.format(n=number) for name, cell in given.items()}
        row |= cells if number == 1 else {}
        rows.append(",".join(row.get(name, "") for name in COLUMNS.split(",")))
    path = folder / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _wide(folder: Path) -> None:
    Image.new("RGB", (64, 32)).save(folder / "tile1.png")


def _transparent(folder: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(folder / "tile1.png")


def _small_cover(folder: Path) -> None:
    Image.new("L", (32, 32), 5).save(folder / "cover1.png")


def _same_stem(folder: Path) -> None:
    Image.new("RGB", (64, 32)).save(folder / "view0.png")


def _nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("cells", "change", "kind"),
    [
        ({"fov": "361"}, _nothing, "malformed"),
        ({"fov": "nan"}, _nothing, "malformed"),
        ({"heading": "inf"}, _nothing, "malformed"),
        ({"gsd": ""}, _nothing, "malformed"),
        ({"gsd": "0"}, _nothing, "malformed"),
        ({"gsd": "1e-300"}, _nothing, "malformed"),
        ({"lon": "nan"}, _nothing, "malformed"),
        ({"id": "view0"}, _nothing, "duplicate"),
        ({"street": "view0.png"}, _same_stem, "duplicate"),
        ({"west": "10", "south": "50", "east": "10.001", "north": "50.001"}, _nothing, "malformed"),
        (
            {"west": "10", "south": "50", "east": "10.001", "north": "50.001", "gsd": ""},
            _nothing,
            "wrong size",
        ),
        ({}, _wide, "wrong size"),
        ({}, _small_cover, "wrong size"),
        ({}, _transparent, "unreadable"),
    ],
)
def test_what_a_manifest_would_stumble_over_is_found(
    tmp_path: Path, cells: dict[str, str], change: Callable[[Path], None], kind: str
) -> None:
    path = _manifest(tmp_path, **cells)
    change(tmp_path)
    report = check(path, fix=True)
    assert kind in report.totals, report.findings
    cleaned = Manifest(path.with_name("pairs.cleaned.csv"))
    assert [cleaned[number].row for number in range(len(cleaned))] == [40.0, 40.0]


def test_an_upright_panorama_by_its_orientation_is_no_finding(tmp_path: Path) -> None:
    path = _manifest(tmp_path)
    picture = Image.new("RGB", (32, 64))
    entries = picture.getexif()
    entries[0x0112] = 6
    picture.save(tmp_path / "view1.jpg", exif=entries)
    assert check(path).clean
    assert Manifest(path)[1].street.shape == (3, 128, 512)


def test_an_empty_table_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(COLUMNS + "\n")
    assert main(["data", "check", str(path)]) == 1


def test_strips_that_cross_share_ground(tmp_path: Path) -> None:
    """A road east-west for training, one north-south for testing: no corner of one in the other."""
    for name, size in (("along", (640, 64)), ("across", (64, 640)), ("aside", (64, 640))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
        Image.new("RGB", (64, 32)).save(tmp_path / f"{name}.jpg")
    boxes = {
        "along": (10.0, 0.0045, 10.01, 0.0055),
        "across": (10.0045, 0.0, 10.0055, 0.01),
        "aside": (10.01, 0.0, 10.011, 0.01),
    }
    rows = ["overhead,street,row,col,west,south,east,north,split"]
    for name, box in boxes.items():
        split = "train" if name == "along" else "test"
        rows.append(f"{name}.png,{name}.jpg,32,32,{','.join(map(str, box))},{split}")
    path = tmp_path / "roads.csv"
    path.write_text("\n".join(rows) + "\n")
    leaks = [item.detail for item in check(path).findings if item.kind == "leak"]
    assert leaks == ["line 3: its ground is in train and test"]


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _manifest(tmp_path)

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert main(["data", "check", str(path), "--fix"]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"cvsegguide: error: {tmp_path}: no index can be written here (Read-only file system)\n"
    )
