"""Ranges beside street views: the metres that were written come back; broken files are named."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.data import BrooklynQueens
from cvsegguide.data.sample import collate
from cvsegguide.errors import DatasetError
from cvsegguide.synth.street import StreetView
from cvsegguide.synth.writer import write_panorama
from helpers.brooklyn_queens import make_tree

WALLS = (10.0, 20.0, 35.5, 400.0)
"""Metres to upright walls in each quarter of the picture, from 45 degrees below to 20 above."""


def write_walls(root: Path, size: tuple[int, int], vertical: float = 180.0) -> tuple[Path, Path]:
    """One panorama of ``size`` pixels and its depth; returns the files of depth and picture."""
    (pair,) = make_tree(root, cities=("queens",), tiles=1, panoramas=1)
    height, width = size
    elevation = np.radians((0.5 - (np.arange(height) + 0.5) / height) * vertical)
    walls = np.repeat(WALLS, width // 4)
    depth = walls / np.cos(elevation)[:, None]
    depth[(elevation > np.radians(20.0)) | (elevation < -np.radians(45.5))] = np.inf
    view = StreetView(
        np.full((height, width, 3), 90, np.uint8),
        depth.astype(np.float32),
        np.full((height, width), 5, np.uint8),
    )
    name = pair.panorama.removesuffix(".jpg")
    folder = root / "queens"
    write_panorama(folder, name, view, 90)
    return (
        folder / "labels/street_depth" / f"{name}.png",
        folder / "streetview/images" / pair.panorama,
    )


def ranges(root: Path, **options: object) -> NDArray[np.float32]:
    sample = BrooklynQueens(root, "queens", labels=["street_range"], **options)[0]  # type: ignore[arg-type]
    assert sample.street_range is not None
    found = sample.street_range.numpy()
    assert found.dtype == np.float32
    # every second row and fourth column of the picture
    assert found.shape == (sample.street.shape[1] // 2, sample.street.shape[2] // 4)
    return found


def check_walls(found: NDArray[np.float32], vertical: float) -> None:
    rows, columns = found.shape
    elevation = (0.5 - (np.arange(rows) + 0.5) / rows) * vertical
    expected = np.tile(np.repeat(WALLS, columns // 4), (rows, 1))
    sky = elevation > 21
    wall = (elevation < 19) & (elevation > -45)
    # half a centimetre of rounding, along the ray
    np.testing.assert_allclose(found[wall], expected[wall], rtol=1e-5, atol=0.006)
    assert (found[sky] == 0).all()
    assert sky.any()
    assert wall.any()


@pytest.mark.parametrize(
    ("size", "options", "vertical"),
    [
        ((208, 416), {}, 90.0),
        ((256, 512), {"street_size": (256, 512), "street_extent": 180.0}, 180.0),
        ((128, 256), {"street_size": None}, 90.0),
        ((832, 1664), {"street_size": (64, 256)}, 90.0),
    ],
)
def test_metres_along_the_ground_come_back(
    tmp_path: Path, size: tuple[int, int], options: dict[str, object], vertical: float
) -> None:
    write_walls(tmp_path, size)
    check_walls(ranges(tmp_path, **options), vertical)


def test_a_picture_that_shows_less_has_ranges_of_its_own_extent(tmp_path: Path) -> None:
    write_walls(tmp_path, (64, 512), vertical=45.0)
    found = ranges(tmp_path)
    assert found.shape == (32, 128)
    check_walls(found, 45.0)


def test_ranges_may_have_fewer_pixels_than_the_picture(tmp_path: Path) -> None:
    _, picture = write_walls(tmp_path, (208, 416))
    Image.new("RGB", (3328, 1664)).save(picture)
    check_walls(ranges(tmp_path), 90.0)


def test_without_the_label_no_file_is_read(tmp_path: Path) -> None:
    depth, _ = write_walls(tmp_path, (208, 416))
    depth.unlink()
    assert BrooklynQueens(tmp_path, "queens")[0].street_range is None


def _save(pixels: NDArray[np.generic], path: Path) -> None:
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (Path.unlink, "no such file"),
        (lambda path: path.write_bytes(b"metres"), "not an image in a format that can be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), ".*truncated.*"),
        (
            lambda path: _save(np.zeros((208, 416), np.uint8), path),
            re.escape("holds no depth (its pixels are L)"),
        ),
        (
            lambda path: _save(np.zeros((104, 416), np.uint16), path),
            "is 416 x 104 pixels, other proportions than the 416 x 208 of its street view",
        ),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path: Path, damage, fault: str) -> None:  # type: ignore[no-untyped-def]
    depth, _ = write_walls(tmp_path, (208, 416))
    damage(depth)
    with pytest.raises(DatasetError) as caught:
        ranges(tmp_path)
    assert re.fullmatch(f"{re.escape(str(depth))}: {fault}", str(caught.value))


def test_pairs_without_ranges_go_into_one_batch_with_those_that_have_them(tmp_path: Path) -> None:
    make_tree(tmp_path, tiles=1, panoramas=1)
    sample = BrooklynQueens(tmp_path, "queens")[0]
    known = replace(sample, street_range=torch.full((4, 8), 7.0))
    ranges = collate([sample, known]).street_range
    assert ranges is not None
    assert ranges.amax(dim=(1, 2)).tolist() == [0.0, 7.0]
    assert collate([sample, sample]).street_range is None
