"""The figure: that everything a reader needs is in it, and where it belongs."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
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
    assert texts(bars)[0] == f"{100 * result.regions[0].probability:.0f}"
    labels = [label.get_text() for label in street.get_xticklabels()]
    assert "N\n0°" in labels
    assert labels.index("E\n90°") - labels.index("N\n0°") == 2


def test_marks_and_scale_bar_stand_where_they_should(result):
    lines = draw_localization(result, truth=(10.0, 50.0)).axes[0].lines
    points = {line.get_label(): line.get_xydata()[0] for line in lines}
    assert tuple(points["estimate"]) == (result.col, result.row)
    assert tuple(points["truth"]) == (50.0, 10.0)
    bar = next(line for line in lines if line.get_linewidth() == 3)
    left, right = bar.get_xdata()
    assert (right - left) * result.pixel_size[1] == pytest.approx(10.0)


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


def with_peak(result, row, col, sigma):
    """The same answer with a normal distribution for its posterior."""
    rows, cols = np.mgrid[: result.posterior.shape[0], : result.posterior.shape[1]]
    posterior = np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))
    posterior = (posterior / posterior.sum()).astype(np.float32)
    return replace(result, posterior=posterior, row=row + 0.5, col=col + 0.5)


def large(result):
    shape = (200, 300)
    blank = np.zeros((*shape, 3), np.uint8)
    cover = np.full(shape, result.landcover[0, 0])
    return replace(result, posterior=np.ones(shape) / 6e4, landcover=cover, overhead=blank)


def test_a_sharp_posterior_is_magnified_where_it_hides_neither_scale_nor_north(result):
    sharp = with_peak(large(result), 150, 240, 2.0)
    place = draw_localization(sharp, truth=(155.0, 243.0)).axes[0]
    (inset,) = place.child_axes
    left, right = inset.get_xlim()
    bottom, top = inset.get_ylim()
    # 90 % of it lie within 2.15 sigma: nine pixels, and the truth 5 from the middle
    assert (left + right) / 2 == pytest.approx(240.5, abs=1)
    assert (top + bottom) / 2 == pytest.approx(150.5, abs=1)
    assert 12 <= right - left == bottom - top <= 16
    points = {line.get_label(): line.get_xydata()[0] for line in inset.lines}
    assert tuple(points["estimate"]) == (240.5, 150.5)
    assert tuple(points["true position"]) == (243.0, 155.0)
    metres = (right - left) * sharp.pixel_size[1]
    assert f"{metres:.1f} m across" in texts(inset)
    figure = place.figure
    FigureCanvasAgg(figure).draw()
    box, whole = inset.get_window_extent(), place.get_window_extent()
    assert box.x1 < whole.x0 + 0.5 * whole.width  # upper left, since the estimate is lower right
    assert box.y0 > whole.y0 + 0.5 * whole.height


@pytest.mark.parametrize(("row", "col"), [(0, 0), (199, 299), (0, 150)])
def test_the_magnifier_stays_on_the_map(result, row, col):
    place = draw_localization(with_peak(large(result), row, col, 1.0)).axes[0]
    (inset,) = place.child_axes
    assert 0 <= inset.get_xlim()[0] < inset.get_xlim()[1] <= 300
    assert 0 <= inset.get_ylim()[1] < inset.get_ylim()[0] <= 200


def test_a_broad_posterior_is_not_magnified(result):
    assert not draw_localization(with_peak(large(result), 100, 150, 20.0)).axes[0].child_axes
    assert not draw_localization(large(result)).axes[0].child_axes


def test_searched_headings_are_a_rose(result):
    masses = np.zeros(8, np.float32)
    masses[2], masses[3] = 0.75, 0.25  # east, and south-east
    found = replace(result, heading=100.0, heading_posterior=masses)
    rose = draw_localization(found).axes[-1]
    assert rose.get_title() == "heading 100°"
    east = max(rose.patches, key=lambda bar: bar.get_height())
    assert np.degrees(east.get_x() + east.get_width() / 2) == pytest.approx(90.0)
    assert np.degrees(rose.lines[0].get_xdata()[0]) == pytest.approx(100.0)
    assert rose.get_theta_direction() == -1
    assert len(draw_localization(result).axes) == 4
