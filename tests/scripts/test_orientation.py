"""The heading of a panorama, found from the land cover around its camera."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.errors import InputError
from helpers import scripts
from helpers.brooklyn_queens import arithmetic_landcover, make_sample_tree

orientation = scripts.load("panorama_orientation")
BUILDING, SKY, Alignment = orientation.BUILDING, orientation.SKY, orientation.Alignment
alignment_scores, combined = orientation.alignment_scores, orientation.combined
predicted_classes = orientation.predicted_classes

GSD = 0.2262


@pytest.mark.parametrize("heading", [0.0, 45.0, -90.0])
def test_the_heading_of_a_drawn_panorama_is_found(heading: float) -> None:
    cover = arithmetic_landcover()
    paint = np.random.default_rng(0).integers(30, 130, (256, 3)).astype(np.uint8)
    paint[SKY] = (170, 200, 235)
    north = paint[predicted_classes(cover, 140.0, 120.0, GSD, (64, 256))]
    street = np.roll(north, -round(heading / 360 * 256), axis=1)
    found = alignment_scores(street, cover, 140.0, 120.0, GSD)
    assert abs(found.best - heading) <= 6
    assert found.scores.max() > found.mirrored.max()
    mirrored = alignment_scores(street[:, ::-1], cover, 140.0, 120.0, GSD)
    assert mirrored.mirrored.max() > mirrored.scores.max()


def test_a_wall_in_the_east_stands_right_of_the_centre() -> None:
    cover = np.full((64, 64), 6, np.uint8)
    cover[:, 48:] = BUILDING
    classes = predicted_classes(cover, 32.0, 32.0, 0.5, (16, 64))
    # East is three quarters to the right; a wall 8 m away and 5.5 m above the camera rises to 34.5
    # degrees: rows are 5.625 degrees high from 45 downwards, so that two lie above it.
    assert (classes[:8, 48] == BUILDING).tolist() == [False] * 2 + [True] * 6
    # To the west nothing but road: sky above, the ground from its edge downwards.
    assert classes[0, 16] == SKY
    assert classes[-1, 16] == 6


def test_unusable_input_is_named() -> None:
    cover = np.zeros((8, 8), np.uint8)
    with pytest.raises(InputError, match="street: must be uint8"):
        alignment_scores(np.zeros((4, 8)), cover, 4, 4, 1.0)
    with pytest.raises(InputError, match="landcover"):
        alignment_scores(np.zeros((4, 8, 3), np.uint8), cover + 77, 4, 4, 1.0)
    with pytest.raises(InputError, match="alignments"):
        combined([])


def test_published_panoramas_look_north(shared: Path, tmp_path: Path) -> None:
    alignments: list[Alignment] = []
    for pair in make_sample_tree(tmp_path, shared, cities=["queens"]):
        folder = tmp_path / "queens"
        with Image.open(folder / "streetview" / "images" / pair.panorama) as image:
            street = np.asarray(image.resize((256, 64), Image.Resampling.BOX))
        with Image.open((folder / "labels/landcover" / pair.tile).with_suffix(".png")) as image:
            cover = np.asarray(image)
        found = alignment_scores(street, cover, pair.row, pair.col, GSD)
        assert abs(found.best) <= 6, f"{pair.tile}: {found.best}"
        alignments.append(found)
    both = combined(alignments)
    elsewhere = np.abs(both.headings) > 20
    assert abs(both.best) <= 6
    assert both.scores.max() > 2 * both.scores[elsewhere].max()
    assert both.scores.max() > 2 * both.mirrored.max()
