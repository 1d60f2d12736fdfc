"""The figure: that everything a reader needs is in it, and where it belongs."""

import numpy as np
import pytest
from PIL import Image

from cvsegguide.geo import tile_bounds
from cvsegguide.inference.localizer import Localizer
from cvsegguide.viz.localization import draw_localization, save_figure
from helpers.models import ColourModel


@pytest.fixture(scope="module")
def result():
    overhead = np.full((64, 64, 3), 178, np.uint8)
    overhead[:, :16] = (204, 51, 26)
    overhead[39:42, 29:32] = (230, 20, 230)
    street = np.full((64, 256, 3), (230, 20, 230), np.uint8)
    localizer = Localizer(ColourModel(gsd=0.9), device="cpu", name="colour")
    return localizer.localize(overhead, street, bounds=tile_bounds(19, 154514, 197033))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_what_is_said(result):
    figure = draw_localization(result, truth=(41.5, 30.5))
    place, cover, bars, street = figure.axes
    distance = np.hypot(41.5 - result.row, 30.5 - result.col) * result.gsd
    assert f"error {distance:.1f} m" in figure.get_suptitle()
    assert "40.758" in figure.get_suptitle()
    assert {"N", "10 m", "1"} <= set(texts(place))
    assert [t.get_text() for t in place.get_legend().get_texts()] == ["truth", "estimate"]
    names = {t.get_text() for t in cover.get_legend().get_texts()}
    assert {"building", "other impervious"} <= names
    assert "water" not in names
    first = f"{100 * result.regions[0].probability:.0f} %"
    assert texts(bars)[0] == first
    labels = [label.get_text() for label in street.get_xticklabels()]
    assert "N\n0°" in labels
    assert labels.index("E\n90°") - labels.index("N\n0°") == 2


def test_the_scale_bar_is_to_scale(result):
    figure = draw_localization(result)
    bar = next(line for line in figure.axes[0].lines if line.get_linewidth() == 3)
    left, right = bar.get_xdata()
    assert (right - left) * result.pixel_size[1] == pytest.approx(10.0)


def test_the_marks_stand_where_they_should(result):
    figure = draw_localization(result, truth=(10.0, 50.0))
    points = {line.get_label(): line.get_xydata()[0] for line in figure.axes[0].lines}
    assert tuple(points["estimate"]) == (result.col, result.row)
    assert tuple(points["truth"]) == (50.0, 10.0)


def test_unknown_things_are_not_invented():
    image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    localizer = Localizer(ColourModel(), device="cpu")
    result = localizer.localize(image, image[:20], heading=None, fov=120.0)
    figure = draw_localization(result)
    assert "row" in figure.get_suptitle()
    assert "20 px" in texts(figure.axes[0])
    assert "heading unknown" in figure.axes[3].get_title()
    labels = [label.get_text() for label in figure.axes[3].get_xticklabels()]
    assert labels == ["-60°", "-30°", "0°", "+30°", "+60°"]


def test_large_images_make_no_large_figures(tmp_path):
    image = np.zeros((1500, 900, 3), np.uint8)
    localizer = Localizer(ColourModel(), device="cpu")
    save_figure(localizer.localize(image, image[:450]), tmp_path / "a.png")
    assert max(Image.open(tmp_path / "a.png").size) < 2500
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
