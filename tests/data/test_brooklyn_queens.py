"""Brooklyn & Queens: made trees with known positions, and the published samples."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvsegguide.data import BrooklynQueens
from cvsegguide.data.brooklyn_queens import IGNORE_INDEX
from cvsegguide.errors import ConfigurationError, DatasetError
from helpers.brooklyn_queens import (
    BUILDING,
    BUILDING_FEET,
    Pair,
    arithmetic_landcover,
    make_sample_tree,
    make_tree,
    tile_lonlat,
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Pair]]:
    root = tmp_path_factory.mktemp("bq")
    return root, make_tree(root, tiles=3, panoramas=2)


@pytest.fixture
def own_tree(tmp_path: Path) -> tuple[Path, list[Pair]]:
    return tmp_path, make_tree(tmp_path, cities=("queens",))


@pytest.mark.parametrize("city", ["brooklyn", "queens"])
def test_samples_are_the_pairs_of_the_tree(tree: tuple[Path, list[Pair]], city: str) -> None:
    root, pairs = tree
    pairs = [pair for pair in pairs if pair.city == city]
    dataset = BrooklynQueens(root, city)
    assert len(dataset) == len(pairs) == 6  # the panorama outside every tile is in no pair
    for index, pair in enumerate(pairs):
        sample = dataset[index]
        assert sample.id == f"{pair.tile[:-4]}/{Path(pair.panorama).stem}"
        # locations.txt has nine decimals of a degree: 0.1 mm
        assert sample.row == pytest.approx(pair.row, abs=1e-3)
        assert sample.col == pytest.approx(pair.col, abs=1e-3)
        assert dataset.position(index) == pytest.approx((sample.row, sample.col))
        assert (sample.heading, sample.fov) == (0.0, 360.0)
        assert sample.overhead.shape == (3, 256, 256)
        assert sample.street.shape == (3, 128, 512)
        assert sample.overhead.dtype == sample.street.dtype == torch.float32
        assert 0 <= float(sample.overhead.min()) < float(sample.overhead.max()) <= 1
    assert len({dataset[index].id for index in range(len(dataset))}) == 6


def test_bounds_and_metres_per_pixel(tree: tuple[Path, list[Pair]]) -> None:
    sample = BrooklynQueens(tree[0], "queens")[0]
    west, north = tile_lonlat(154514, 197033, 0, 0)
    east, south = tile_lonlat(154514, 197033, 256, 256)
    assert sample.bounds == pytest.approx((west, south, east, north), abs=1e-12)
    # Evidence of the data set: 0.2262 m/px at Queens, 57.9 m a tile.
    assert sample.gsd == pytest.approx(0.2262, abs=5e-5)
    assert sample.gsd * 256 == pytest.approx(57.9, abs=0.01)


def test_every_label_kind(tree: tuple[Path, list[Pair]]) -> None:
    root, _ = tree
    kinds = ("landcover", "landuse", "age", "function", "height", "sightline")
    dataset = BrooklynQueens(root, "queens", labels=kinds)
    for tile in (0, 1):  # one file of each sparse library
        sample = dataset[2 * tile]
        truth = arithmetic_landcover(tile)
        building = truth == BUILDING
        assert sample.landcover is not None
        assert np.array_equal(sample.landcover.numpy(), truth)  # 3, bare soil, is left alone
        for kind, value in (("landuse", 3 + tile), ("age", 2 + tile), ("function", 207 - tile)):
            label = sample.labels[kind].numpy()
            assert (label[building] == value).all()
            assert (label[~building] == IGNORE_INDEX).all()
        height = sample.labels["height"].numpy()
        assert height.dtype == np.float32
        assert height[building] == pytest.approx(BUILDING_FEET * 1200 / 3937, rel=1e-6)
        assert (height[~building] == 0).all()
        assert sample.sightline is not None
        row, col = int(sample.row), int(sample.col)
        assert float(sample.sightline[row, col]) > 0.99
        assert float(sample.sightline.numpy()[building].max()) == 0.0


def test_sightlines_read_from_disk(own_tree: tuple[Path, list[Pair]]) -> None:
    root, pairs = own_tree
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    for pair in pairs:
        path = (root / "queens/labels/depth" / pair.panorama).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp).save(path)
    sample = BrooklynQueens(root, "queens", labels=["sightline"], sightlines="read")[0]
    assert sample.landcover is None
    assert sample.sightline is not None
    assert sample.sightline.numpy() == pytest.approx(ramp / 255.0)


def test_sizes_scale_position_and_metres(tree: tuple[Path, list[Pair]]) -> None:
    root, _ = tree
    native = BrooklynQueens(root, "queens")[1]
    small = BrooklynQueens(root, "queens", overhead_size=64, street_size=(32, 128))[1]
    assert small.overhead.shape == (3, 64, 64)
    assert small.street.shape == (3, 32, 128)
    assert small.landcover is not None
    assert small.landcover.shape == (64, 64)
    assert small.sightline is not None
    assert native.sightline is not None
    assert (small.row, small.col) == pytest.approx((native.row / 4, native.col / 4))
    assert small.gsd == pytest.approx(4 * native.gsd)
    # The Gaussian is as wide on the ground: 20 px of 64 are 80 px of 256.
    near = float(small.sightline[int(small.row), int(small.col) + 20])
    far = float(native.sightline[int(native.row), int(native.col) + 80])
    assert near == pytest.approx(far, abs=0.02)


def test_street_view_keeps_its_middle(tmp_path: Path) -> None:
    (pair,) = make_tree(tmp_path, cities=("queens",), tiles=1, panoramas=1)
    path = tmp_path / "queens/streetview/images" / pair.panorama
    # Rows of a full panorama by elevation: green within +-45 degrees, red beyond.
    full = np.zeros((1664, 3328, 3), np.uint8)
    full[:, :, 0] = 255
    full[416:1248] = (0, 255, 0)
    full[416:1248, :1664, 2] = 255
    Image.fromarray(full).save(path, quality=95, subsampling=0)
    street = BrooklynQueens(tmp_path, "queens")[0].street
    assert street.shape == (3, 128, 512)
    # The filter reaches half a pixel over the edge, no further.
    assert float(street[1].min()) > 0.8
    assert float(street[1, 1:-1].min()) > 0.95
    assert float(street[0, 1:-1].max()) < 0.05
    assert float(street[2, 1:-1, :254].min()) > 0.95
    assert float(street[2, :, 258:].max()) < 0.05
    whole = BrooklynQueens(tmp_path, "queens", street_size=(256, 512), street_extent=180.0)[0]
    assert whole.street.shape == (3, 256, 512)
    assert float(whole.street[0, 1:60].min()) > 0.95
    native = BrooklynQueens(tmp_path, "queens", street_size=None)[0]
    assert native.street.shape == (3, 832, 3328)
    # A 4:1 file is the same band already.
    Image.fromarray(full[416:1248]).save(path, quality=95, subsampling=0)
    crop = BrooklynQueens(tmp_path, "queens")[0].street
    assert float((crop - street)[:, 1:-1].abs().max()) < 0.06


def test_index_file_chooses(tree: tuple[Path, list[Pair]], tmp_path: Path) -> None:
    root, pairs = tree
    pairs = [pair for pair in pairs if pair.city == "queens"]
    index = tmp_path / "split.txt"
    index.write_text(f"# mine\n{pairs[2].tile}\n{pairs[0].panorama}\n")
    dataset = BrooklynQueens(root, "queens", index=index)
    assert [dataset.sample_id(row) for row in range(len(dataset))] == [
        f"{pair.tile[:-4]}/{Path(pair.panorama).stem}" for pair in (pairs[0], pairs[2], pairs[3])
    ]
    index.write_text(f"{pairs[5].tile},{pairs[5].panorama}\n")
    assert len(BrooklynQueens(root, "queens", index=index)) == 1
    index.write_text(f"{pairs[5].tile}\n19/1/2.jpg\n")
    with pytest.raises(DatasetError, match=r"split\.txt: line 2: '19/1/2\.jpg' is neither"):
        BrooklynQueens(root, "queens", index=index)


def test_corners_of_boxes_may_come_in_any_order(own_tree: tuple[Path, list[Pair]]) -> None:
    root, _ = own_tree
    path = root / "queens/overhead/bboxes.txt"
    lines = path.read_text().splitlines()
    name, south, west, north, east = lines[1].split(",")
    path.write_text(f"{lines[0]}\n{name},{north},{east},{south},{west}\n")
    assert len(BrooklynQueens(root, "queens")) == 4


def test_unknown_names(tree: tuple[Path, list[Pair]], tmp_path: Path) -> None:
    root, _ = tree
    with pytest.raises(ConfigurationError, match="city"):
        BrooklynQueens(root, "bronx")
    with pytest.raises(ConfigurationError, match="labels: unknown kind 'zoning'"):
        BrooklynQueens(root, labels=["zoning"])
    with pytest.raises(ConfigurationError, match="street_size"):
        BrooklynQueens(root, street_size=(128, 256))
    with pytest.raises(DatasetError, match="no such folder"):
        BrooklynQueens(tmp_path / "nowhere")


def test_pickled_data_set_is_small_and_whole(tree: tuple[Path, list[Pair]]) -> None:
    dataset = BrooklynQueens(tree[0], "queens")
    stored = pickle.dumps(dataset)
    assert len(stored) < 5000
    assert torch.equal(pickle.loads(stored)[3].street, dataset[3].street)


def test_published_samples(tmp_path: Path, shared: Path) -> None:
    """The three real samples: positions, classes, and the published sightline map itself."""
    from matplotlib import colormaps

    pairs = make_sample_tree(tmp_path, shared, cities=("queens",))
    dataset = BrooklynQueens(tmp_path, "queens")
    assert len(dataset) == 3
    inferno = (colormaps["inferno"](np.arange(256))[:, :3] * 255).round()
    for index, pair in enumerate(pairs):
        sample = dataset[index]
        assert (sample.row, sample.col) == pytest.approx((pair.row, pair.col), abs=1e-3)
        assert sample.landcover is not None
        assert set(np.unique(sample.landcover.numpy())) == {1, 5, 6, 7}
        picture = Image.open(shared / f"real/bq_samples/Sample{index + 1}_Sightline.png")
        pixels = np.asarray(picture.convert("RGB").resize((256, 256), Image.Resampling.NEAREST))
        distance = np.abs(pixels[:, :, None].astype(float) - inferno).sum(-1)
        published = distance.argmin(-1) / 255
        assert sample.sightline is not None
        computed = sample.sightline.numpy()
        assert np.abs(computed - published).mean() < 0.003
        both = ((computed > 0.05) & (published > 0.05)).sum()
        either = ((computed > 0.05) | (published > 0.05)).sum()
        assert both / either > 0.99


def test_positions_follow_web_mercator_in_large_tiles(tmp_path: Path) -> None:
    """At zoom 8 a tile is 1.4 degrees wide: rows even in latitude would be off by a pixel."""
    make_tree(tmp_path, cities=("queens",), tiles=1, panoramas=1, bboxes=False)
    (tmp_path / "queens/overhead/images.txt").write_text("8/75/96.jpg\n")
    # Row 200, column 60 of the tile, by the textbook's formula at zoom 8.
    lon = (75 + 60 / 256) / 2**8 * 360 - 180
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (96 + 200 / 256) / 2**8))))
    (tmp_path / "queens/streetview/images.txt").write_text("a.jpg\n")
    (tmp_path / "queens/streetview/locations.txt").write_text(f"{lat:.9f},{lon:.9f}\n")
    dataset = BrooklynQueens(tmp_path, "queens")
    assert dataset.position(0) == pytest.approx((200.0, 60.0), abs=1e-4)


def test_heights_with_a_fill_value(own_tree: tuple[Path, list[Pair]]) -> None:
    root, _ = own_tree
    np.savez(
        root / "queens/labels/height/19/154514/197033.npz",
        data=np.array([10.0, 20.0]),
        coords=np.array([[3, 200], [5, 7]]),
        shape=np.array([256, 256]),
        fill_value=np.float64(1.0),
    )
    height = BrooklynQueens(root, "queens", labels=["height"])[0].labels["height"] * 3937 / 1200
    assert float(height[3, 5]) == pytest.approx(10.0)
    assert float(height[200, 7]) == pytest.approx(20.0)
    assert float(height[0, 0]) == pytest.approx(1.0)
