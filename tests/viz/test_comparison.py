"""The figure of the paper: every part where it belongs, nothing over anything else."""

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cvsegguide.evaluation.examples import answer, examples
from cvsegguide.geo import angular_difference
from cvsegguide.inference.example import Example
from cvsegguide.inference.localizer import Localizer
from cvsegguide.landcover import NYC
from cvsegguide.viz.comparison import draw_comparison, save_comparison
from cvsegguide.viz.parts import draw_street, highest_density_levels
from helpers.models import ColourModel
from helpers.tiny import TinyPairs


def colour_model(**options) -> ColourModel:
    """Finds the coloured square of the tiny pairs."""
    return ColourModel(overhead_size=(32, 32), street_size=(8, 32), **options).eval()


@pytest.fixture(scope="module")
def entries() -> list[Example]:
    pairs = TinyPairs(length=2)
    models = [("sharp", colour_model()), ("blunt", colour_model(sharpness=1.0))]
    return examples(models, [pairs[0], pairs[1]])


def block(figure, number: int, models: int = 2):
    """Axes of a sample: overhead, cover, street, then map and bars of each model."""
    size = 3 + 2 * models
    return figure.axes[number * size : (number + 1) * size]


def marks(axes):
    return {line.get_label(): tuple(line.get_xydata()[0]) for line in axes.lines}


def test_answers_are_those_of_the_network_and_of_the_localizer(entries):
    sample, model = TinyPairs(length=2)[1], colour_model()
    found = answer(model, sample, "sharp")
    assert found.posterior.sum() == pytest.approx(1, abs=1e-6)
    # The square is 5 x 5 pixels about the camera: its middle is within a pixel.
    assert abs(found.row - sample.row) < 3
    assert abs(found.col - sample.col) < 3
    entry = entries[1]
    distance = np.hypot(found.row - sample.row, found.col - sample.col) * 0.5
    assert entry.error(0) == pytest.approx(distance)
    whole = Localizer(model, device="cpu").localize(entry.overhead, entry.street, gsd=0.5)
    assert np.abs(whole.posterior - found.posterior).max() < 0.01
    assert (whole.landcover == found.landcover).mean() > 0.99


def test_a_tile_of_another_size_is_resampled():
    sample = TinyPairs(length=1)[0]
    model = colour_model()
    model.overhead_size = (64, 64)
    found = answer(model, sample, "other")
    assert found.posterior.shape == (32, 32)
    assert abs(found.row - sample.row) < 4


def test_marks_errors_and_bars(entries):
    figure = draw_comparison(entries)
    for number, entry in enumerate(entries):
        overhead, cover, street, first, bars, second, _ = block(figure, number)
        titles = [axes.get_title() for axes in (overhead, cover, first, second)]
        assert titles == ["overhead image", "land cover: truth", "sharp", "blunt"]
        sample = entry.sample
        truth = (pytest.approx(sample.col), pytest.approx(sample.row))
        for axes in (overhead, cover, first, second):
            assert marks(axes)["true position"] == truth
        assert marks(first)["sharp"] == (entry.answers[0].col, entry.answers[0].row)
        assert {"sharp", "blunt"} <= set(marks(overhead))
        assert "blunt" not in marks(first)
        assert first.get_xlabel() == f"error {entry.error(0):.2f} m"
        assert figure.subfigs[number].get_suptitle() == sample.id
        probabilities = [region.probability for region in entry.answers[0].regions[:5]]
        heights = [patch.get_height() / 100 for patch in bars.patches]
        assert heights[: len(probabilities)] == pytest.approx(probabilities)
        assert sum(heights) == pytest.approx(1)
        assert "N\n0°" in [label.get_text() for label in street.get_xticklabels()]


def test_the_true_land_cover_is_shown_in_the_models_classes(entries):
    cover = block(draw_comparison(entries), 0)[1].images[0].get_array()
    colors = {tuple(color) for color in np.asarray(cover).reshape(-1, 3)}
    names = {entry.color: entry.name for entry in NYC.classes}
    assert {names[color] for color in colors} == {
        "no data", "building", "road", "other impervious",
    }  # fmt: skip


def test_an_unknown_land_cover_is_said_to_be_unknown(entries):
    bare = replace(entries[0], sample=replace(entries[0].sample, landcover=None))
    cover = block(draw_comparison([bare]), 0)[1]
    assert [text.get_text() for text in cover.texts] == ["not known"]


@pytest.mark.parametrize("models", [1, 2, 4])
def test_nothing_overlaps(entries, models):
    names = ["a", "b", "runs/a-long-name-of-a-folder-in-a-folder", "d"][:models]
    many = [
        Example(entry.sample, [replace(entry.answers[0], model=name) for name in names])
        for entry in entries
    ]
    figure = draw_comparison(many)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent(renderer) for part in figure.subfigs for text in part.texts]
    boxes.append(figure.legends[0].get_window_extent(renderer))
    whole = figure.bbox
    for box in boxes:
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1
        assert box.y0 >= whole.y0 - 1
        assert box.y1 <= whole.y1 + 1
    for one, other in combinations(boxes, 2):
        wide = min(one.x1, other.x1) - max(one.x0, other.x0)
        high = min(one.y1, other.y1) - max(one.y0, other.y0)
        # Marks at a tile's border stand out by a few pixels.
        assert min(wide, high) < 8, (one, other)


@pytest.mark.parametrize("fov", [20.0, 40.0, 70.0, 90.0, 108.0, 150.0, 180.0, 270.0, 360.0])
@pytest.mark.parametrize("heading", [0.0, 77.0, 355.0, None])
def test_azimuths_of_narrow_views_have_room(fov, heading):
    figure = Figure(figsize=(7.16, 2))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.3, 0.46, 0.42))  # as wide as two maps, as high as half of one
    columns = round(512 * fov / 360)
    draw_street(axes, np.zeros((128, columns, 3), np.uint8), heading, fov, size=6.5)
    canvas.draw()
    labels = axes.get_xticklabels()
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
    assert len(boxes) >= (2 if fov >= 70 else 1)
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    for place, label in zip(axes.get_xticks(), labels, strict=True):
        shown = float(label.get_text().split("\n")[-1].removesuffix("°"))
        assert abs(angular_difference(place, shown)) < 1e-6
        assert abs(place - (heading or 0.0)) <= fov / 2


def test_files(entries, tmp_path: Path):
    written = save_comparison(entries, tmp_path / "figure", ("png", "pdf"), dpi=100)
    assert [path.name for path in written] == ["figure.png", "figure.pdf"]
    assert Image.open(written[0]).size[0] == 716
    assert written[1].read_bytes().startswith(b"%PDF")
    assert len(list(tmp_path.iterdir())) == 2


def test_models_must_agree(entries):
    with pytest.raises(ValueError, match="same models"):
        draw_comparison([entries[0], replace(entries[1], answers=entries[1].answers[:1])])


def test_levels_of_highest_density_sets():
    posterior = np.array([[0.4, 0.3], [0.2, 0.1]])
    assert highest_density_levels(posterior, (0.4, 0.5, 0.9, 1.0)).tolist() == [0.4, 0.3, 0.2, 0.1]
