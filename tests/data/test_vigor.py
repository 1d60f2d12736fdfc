"""VIGOR: the real label lists against the coordinates in their names, and made trees."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.data import Vigor
from cvsegguide.data.sample import Sample
from cvsegguide.data.vigor import GSD, satellite_lonlat
from cvsegguide.errors import ConfigurationError, DatasetError
from cvsegguide.geo import GeoReference
from helpers.vigor import RADIUS, make_vigor, vigor_line


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_vigor(tmp_path)
    return tmp_path


def check_place(sample: Sample, city: str) -> None:
    """Row and column within the bounds are the place in the name of line 1's panorama."""
    height, width = sample.overhead.shape[1:]
    assert sample.bounds is not None
    frame = GeoReference.from_bounds(sample.bounds, height, width)
    assert frame.gsd == pytest.approx(sample.gsd, rel=1e-4)
    lon, lat = frame.rowcol_to_lonlat(sample.row, sample.col)
    _, true_lat, true_lon, _ = vigor_line(city, 1)[0].split(",")
    assert (lon, lat) == pytest.approx((float(true_lon), float(true_lat)), abs=1e-8)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_real_offsets_agree_with_the_names(shared: Path, tmp_path: Path, split: str) -> None:
    cities = ("NewYork", "Chicago")
    dataset = Vigor(
        shared / "real/vigor", split=split, cities=cities, split_folder=tmp_path / "splits"
    )
    table = dataset.table
    assert len(table) == len(dataset)
    assert dataset.left_out == 0
    for city in cities:
        part = table[table.city == city]
        low, high = {"train": (1500, 1700), "val": (300, 500), "test": (2000, 2000)}[split]
        assert low <= len(part) <= high
        center = np.array([satellite_lonlat(name) for name in part.satellite])
        north = RADIUS * np.radians(part.lat - center[:, 1])
        east = RADIUS * np.radians(part.lon - center[:, 0]) * np.cos(np.radians(center[:, 1]))
        error = np.hypot((320 - part.row) * part.gsd - north, (part.col - 320) * part.gsd - east)
        assert float(error.median()) < 0.25
        assert float(error.max()) < 0.6


def test_protocols(root: Path) -> None:
    count = {
        (area, split): len(Vigor(root, area, split))
        for area in ("same", "cross")
        for split in ("train", "val", "test")
    }
    assert count["same", "test"] == 20
    assert count["cross", "test"] == 20
    assert count["same", "train"] + count["same", "val"] == 20
    assert count["cross", "train"] + count["cross", "val"] == 20
    assert set(Vigor(root, "cross", "train").table.city) == {"NewYork", "Seattle"}
    assert set(Vigor(root, "cross", "test").table.city) == {"SanFrancisco", "Chicago"}
    assert set(Vigor(root, "same", "test").table.city) == set(GSD)


def test_samples(tmp_path: Path) -> None:
    make_vigor(tmp_path, count=2, pictures=1)
    dataset = Vigor(tmp_path, split="test")
    for index, city in enumerate(sorted(GSD)):
        sample = dataset[index]
        assert sample.id.startswith(f"{city}/id1,")
        assert sample.landcover is None
        assert sample.overhead.shape == (3, 256, 256)
        assert sample.street.shape == (3, 128, 512)
        assert (sample.row, sample.col) == pytest.approx((201 * 0.4, 300 * 0.4))
        assert sample.gsd == pytest.approx(GSD[city] * 2.5)
        assert (sample.heading, sample.fov) == (0.0, 360.0)
        check_place(sample, city)
    native = Vigor(tmp_path, split="test", overhead_size=None)[0]
    assert native.overhead.shape == (3, 640, 640)
    assert (native.row, native.col) == pytest.approx((201, 300))


def test_tiles_of_all_cities_at_one_resolution(tmp_path: Path) -> None:
    """A white square about the camera lies about it at any resolution; the rest is black."""
    make_vigor(tmp_path, count=2, pictures=1)
    native = Vigor(tmp_path, split="test", overhead_size=None)
    for index in range(len(native)):
        picture = np.zeros((640, 640, 3), np.uint8)
        row, col = map(round, native.position(index))
        picture[row - 20 : row + 20, col - 20 : col + 20] = 255
        Image.fromarray(picture).save(native.paths(index)[0])
    for gsd, size in ((0.2262, 320), (0.2262, 256), (0.45, 320), (0.113, 640)):
        dataset = Vigor(tmp_path, split="test", overhead_size=size, overhead_gsd=gsd)
        assert len(dataset) == 4
        for index in range(4):
            sample = dataset[index]
            assert sample.gsd == gsd
            assert sample.overhead.shape == (3, size, size)
            weight = sample.overhead[0].numpy()
            middle = [
                float((weight.sum(axis=1 - axis) * (np.arange(size) + 0.5)).sum() / weight.sum())
                for axis in (0, 1)
            ]
            assert middle == pytest.approx((sample.row, sample.col), abs=0.05)
            width = GSD[dataset.city(index)] / gsd * 40
            assert weight.sum() == pytest.approx(width**2, rel=0.05)
            check_place(sample, dataset.city(index))
    narrow = Vigor(tmp_path, split="test", overhead_size=112, overhead_gsd=0.2)
    assert (len(narrow), narrow.left_out) == (0, 4)  # the cameras stand 13 m off the middle
    with pytest.raises(ConfigurationError, match="overhead_gsd"):
        Vigor(tmp_path, split="test", overhead_gsd=-1.0)


def test_pairs_and_the_rule_that_leaves_some_out(root: Path) -> None:
    positive = Vigor(root, split="test")
    semi = Vigor(root, split="test", pairs="semi-positive")
    every = Vigor(root, split="test", pairs="all")
    # Each city has one panorama of five whose last tile does not hold the camera.
    assert (len(positive), positive.left_out) == (20, 0)
    assert (len(semi), semi.left_out) == (56, 4)
    assert (len(every), every.left_out) == (76, 4)
    assert len(set(every.table.id)) == 76
    assert set(semi.table["rank"]) == {1, 2, 3}
    assert every.table[["row", "col"]].to_numpy().min() >= 0
    north = semi.table[semi.table["rank"] == 1].iloc[0]
    assert (north.row, north.col) == (205 + 320, 300)


def test_original_labels_are_other_labels(root: Path) -> None:
    corrected = Vigor(root, split="test")
    original = Vigor(root, split="test", labels="original", overhead_size=640)
    assert original.position(3)[0] == corrected.position(3)[0] * 2.5 + 1


def test_validation_is_fixed_by_seed_and_kept(tmp_path: Path) -> None:
    make_vigor(tmp_path, count=400)
    folder = tmp_path / "kept"
    val = Vigor(tmp_path, split="val", split_folder=folder)
    train = Vigor(tmp_path, split="train", split_folder=folder)
    assert len(val) + len(train) == 800
    assert 120 < len(val) < 200  # a fifth, by hash
    assert not set(val.table.panorama) & set(train.table.panorama)
    listed = (folder / "val_same_seed0.txt").read_text().splitlines()[1:]
    assert listed == sorted(val.table.panorama)
    again = Vigor(tmp_path, split="val", split_folder=tmp_path / "other")
    assert list(again.table.id) == list(val.table.id)
    seeded = Vigor(tmp_path, split="val", split_folder=folder, seed=1)
    assert set(seeded.table.panorama) != set(val.table.panorama)
    one = Vigor(tmp_path, split="val", split_folder=tmp_path / "one", cities=["Chicago"])
    assert list(one.table.id) == list(val.table[val.table.city == "Chicago"].id)
    # What the file says counts from then on.
    (folder / "val_same_seed0.txt").write_text(f"# mine\n{train.table.panorama[0]}\n")
    assert list(Vigor(tmp_path, split="val", split_folder=folder).table.id) == [train.table.id[0]]
    (folder / "val_same_seed0.txt").write_text("elsewhere,1,2,.jpg\n")
    with pytest.raises(DatasetError, match=r"val_same_seed0\.txt: names 1 panoramas that are not"):
        Vigor(tmp_path, split="val", split_folder=folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("id,1.0,2.0,.jpg", "line 2: expected a panorama and then"),
        ("id,1.0,2.0,.jpg satellite_1_2.png 3", "line 2: expected a panorama and then"),
        ("id,1.0,2.0,.jpg satellite_1_2.png 3 x", "line 2: expected 2 numbers"),
        ("id,1.0,2.0,.jpg satellite_1_2.png 3 nan", "line 2: expected 2 numbers"),
        ("id.jpg satellite_1_2.png 3 4", "line 2: names are"),
    ],
)
def test_bad_lines(root: Path, line: str, message: str) -> None:
    path = root / "splits__corrected/Chicago/same_area_balanced_test__corrected.txt"
    first = path.read_text().splitlines()[0]
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(DatasetError, match=message):
        Vigor(root, split="test")


def test_bad_arguments(root: Path) -> None:
    for bad in ({"area": "near"}, {"split": "all"}, {"labels": "new"}, {"pairs": "none"}):
        (name,) = bad
        with pytest.raises(ConfigurationError, match=f"^{name}: must be one of"):
            Vigor(root, **bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Seattle is not among"):
        Vigor(root, "cross", "test", cities=["Seattle"])
    (root / "splits__corrected/Seattle/same_area_balanced_test__corrected.txt").unlink()
    with pytest.raises(
        DatasetError, match=r"same_area_balanced_test__corrected\.txt: no such file"
    ):
        Vigor(root, split="test")
