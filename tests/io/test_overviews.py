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
