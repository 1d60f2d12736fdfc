"""Overviews of classes, against counting block by block."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from cvsegguide.io.geotiff import create_geotiff
from cvsegguide.io.overviews import factors_for, most_frequent
from cvsegguide.landcover import NYC


def counted(classes: NDArray[np.uint8], factor: int, nodata: int | None) -> NDArray[np.uint8]:
    """The same in two loops."""
    height, width = (-(-side // factor) for side in classes.shape)
    result = np.zeros((height, width), np.uint8)
    for i in range(height):
        for j in range(width):
            block = classes[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            counts = np.bincount(block.ravel(), minlength=256)
            if nodata is not None:
                counts[nodata] = 0
            result[i, j] = counts.argmax() if counts.any() else nodata
    return result


@pytest.mark.parametrize("nodata", [None, 0, 3])
@pytest.mark.parametrize("shape", [(64, 96), (37, 53), (1, 5)])
def test_the_most_frequent_class_of_every_block(shape: tuple[int, int], nodata: int | None) -> None:
    rng = np.random.default_rng(1)
    classes = rng.choice(np.array([0, 1, 3, 8, 40], np.uint8), shape)
    classes[:17, :20] = 0 if nodata is None else nodata  # a corner without any data
    for level, found in enumerate(most_frequent(classes, 5, nodata), start=1):
        assert np.array_equal(found, counted(classes, 2**level, nodata)), level


def test_counts_do_not_run_over() -> None:
    """256 equal pixels are more than a byte holds, 65536 more than two."""
    for level, found in enumerate(most_frequent(np.full((512, 512), 7, np.uint8), 9), start=1):
        assert np.array_equal(found, np.full((512 >> level,) * 2, 7)), level


def test_as_many_as_a_tile_needs() -> None:
    assert factors_for((256, 200)) == []
    assert factors_for((257, 10)) == [2]
    assert factors_for((2240, 1000)) == [2, 4, 8, 16]


def test_the_file_holds_them_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 9, (700, 530), np.uint8)
    path = tmp_path / "a.tif"
    with create_geotiff(path, classes.shape, "uint8", nodata=0, palette=NYC.palette) as writer:
        for top in range(0, 700, 256):
            writer.write(classes[top : top + 256], top)
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1) == [2, 4]
        assert np.array_equal(dataset.read(1), classes)
    for level, factor in enumerate((2, 4)):
        with rasterio.open(path, overview_level=level) as overview:
            assert np.array_equal(overview.read(1), counted(classes, factor, 0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_parts_of_any_width_make_the_same_file(tmp_path: Path) -> None:
    """Parts narrower than an overview's tile, from right to left."""
    classes = np.random.default_rng(3).integers(0, 9, (1300, 1900), np.uint8)
    paths = tmp_path / "whole.tif", tmp_path / "parts.tif"
    for path, width in zip(paths, (1900, 256), strict=True):
        with create_geotiff(path, classes.shape, "uint8", nodata=0, palette=NYC.palette) as writer:
            for left in reversed(range(0, 1900, width)):
                for top in range(0, 1300, 512):
                    writer.write(classes[top : top + 512, left : left + width], top, left)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for level, factor in enumerate((2, 4, 8)):
        with rasterio.open(paths[0], overview_level=level) as overview:
            assert np.array_equal(overview.read(1), counted(classes, factor, 0))


def test_levels_beyond_a_tile_of_blocks(tmp_path: Path) -> None:
    """A strip whose last overviews count more columns than are counted at a time."""
    classes = np.random.default_rng(4).choice(np.array([0, 2, 5], np.uint8), (1, 140_000))
    classes[:, 512:1024] = 0
    path = tmp_path / "a.tif"
    with create_geotiff(path, (1, 140_000), "uint8", nodata=0, palette=NYC.palette) as writer:
        for left in range(0, 140_000, 8192):
            writer.write(classes[:, left : left + 8192], 0, left)
    factors = factors_for((1, 140_000))
    assert factors[-2:] == [512, 1024]
    for level, factor in enumerate(factors):
        with rasterio.open(path, overview_level=level) as overview:
            assert np.array_equal(overview.read(1), counted(classes, factor, 0)), factor


def test_statistics_are_of_the_valid_pixels(tmp_path: Path) -> None:
    classes = np.random.default_rng(5).integers(0, 9, (400, 300), np.uint8)
    with create_geotiff(
        tmp_path / "a.tif", classes.shape, "uint8", nodata=0, palette=NYC.palette
    ) as writer:
        writer.write(classes)
    valid = classes[classes > 0].astype(np.float64)
    expected = {
        "MINIMUM": valid.min(),
        "MAXIMUM": valid.max(),
        "MEAN": valid.mean(),
        "STDDEV": valid.std(),
        "VALID_PERCENT": 100 * valid.size / classes.size,
    }
    with rasterio.open(tmp_path / "a.tif") as dataset:
        for name, value in expected.items():
            said = float(dataset.tags(1)[f"STATISTICS_{name}"])
            assert said == pytest.approx(float(value), rel=1e-3 if name[0] == "V" else 1e-12)


def test_what_is_not_written_has_no_data(tmp_path: Path) -> None:
    classes = np.full((256, 256), 4, np.uint8)
    path = tmp_path / "a.tif"
    with create_geotiff(path, (600, 700), "uint8", nodata=3, palette=NYC.palette) as writer:
        writer.write(classes, 256, 256)
    with rasterio.open(path) as dataset:
        band = dataset.read(1)
        assert (band == 4).sum() == 256**2
        assert (band[256:512, 256:512] == 4).all()
        assert (band == 3).sum() == 600 * 700 - 256**2
    with rasterio.open(path, overview_level=0) as overview:
        smaller = overview.read(1)
        assert (smaller[128:256, 128:256] == 4).all()
        assert (smaller == 3).sum() == 300 * 350 - 128**2


def test_parts_end_where_tiles_do(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="whole tiles"),
        create_geotiff(tmp_path / "a.tif", (600, 600), "uint8", palette=NYC.palette) as writer,
    ):
        writer.write(np.ones((100, 600), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("large", [False, True])
def test_files_beyond_four_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """Their layout, of a small one: each tile's length stands before it, its end behind it."""
    if large:
        monkeypatch.setattr("cvsegguide.io.tiff._CLASSIC", 1000)
    classes = np.random.default_rng(6).integers(0, 9, (700, 530), np.uint8)
    path = tmp_path / "a.tif"
    with create_geotiff(path, classes.shape, "uint8", nodata=0, palette=NYC.palette) as writer:
        writer.write(classes)
    data = path.read_bytes()
    assert data[:4] == (b"II+\0" if large else b"II*\0")
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(1), classes)
        assert dataset.overviews(1) == [2, 4]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        last = 0
        for row in range(3):
            for col in range(3):
                start, size = (
                    int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", 1))
                    for what in ("OFFSET", "SIZE")
                )
                assert start > last, "row by row"
                last = start
                assert int.from_bytes(data[start - 4 : start], "little") == size
                assert data[start + size : start + size + 4] == data[start + size - 4 :][:4]
    for level, factor in enumerate((2, 4)):
        with rasterio.open(path, overview_level=level) as overview:
            assert np.array_equal(overview.read(1), counted(classes, factor, 0))
