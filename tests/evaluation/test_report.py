"""The report: that it holds the figures, its pictures, nothing from elsewhere, and stays small."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvsegguide.data.sample import collate
from cvsegguide.evaluation.choice import extremes, find_samples, ranked_ids, spread
from cvsegguide.evaluation.evaluator import Evaluator, measure
from cvsegguide.evaluation.predictions import to_table, write_predictions
from cvsegguide.evaluation.report import fit_table, position_table, write_report
from cvsegguide.evaluation.report_pictures import draw_pictures
from cvsegguide.viz.plots import coverage, draw_calibration, draw_errors
from helpers.models import ColourModel
from helpers.tiny import TinyPairs

EVIL = '<script>alert("1")</script> & | `x`'


class Page(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data + "\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Figures of a colour model on tiny pairs, with the table, the data set and the model."""
    folder = tmp_path_factory.mktemp("run")
    model = ColourModel(overhead_size=(32, 32), street_size=(8, 32))
    dataset = TinyPairs(length=9)
    evaluator = Evaluator(model.channels)
    rows = [measure(model, evaluator, collate([dataset[index]]))[0] for index in range(9)]
    write_predictions(folder / "predictions.parquet", to_table(rows))
    figures = {
        **evaluator.compute(), "weights": EVIL, "data": "TinyPairs", "split": "test",
        "command": ["cvsegguide", "test", "--out", "a b"],
    }  # fmt: skip
    return figures, folder / "predictions.parquet", dataset, model


@pytest.fixture(scope="module")
def report(run, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report")
    figures, table, dataset, model = run
    write_report(out, figures, draw_pictures(table, dataset, model))
    return out


def test_the_page_stands_alone(report: Path, run) -> None:
    text = (report / "report.html").read_text()
    page = Page(text)
    assert len(text) < 3_000_000
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert EVIL in page.text
    assert len(page.sources) == 4
    for source in page.sources:
        kind, _, content = source.partition(";base64,")
        assert kind in ("data:image/png", "data:image/jpeg")
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert min(picture.size) > 150
    position = run[0]["position"]
    assert f"{position['median']:.2f} m" in page.text
    assert f"{position['mean_low']:.2f} to {position['mean_high']:.2f}" in page.text
    assert "land-cover prior" in page.text
    assert "cvsegguide test --out 'a b'" in page.text


def test_the_markdown_shows_the_same_pictures(report: Path) -> None:
    text = (report / "report.md").read_text()
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert links == [
        f"pictures/{name}" for name in ("errors.png", "calibration.png", "best.jpg", "worst.jpg")
    ]
    assert all((report / link).is_file() for link in links)
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "| model |" in text


def test_without_pictures(run, tmp_path: Path) -> None:
    write_report(tmp_path, run[0], note="No pictures: <b>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]
    page = Page((tmp_path / "report.html").read_text())
    assert "img" not in page.tags
    assert "No pictures: <b>" in page.text


def test_the_best_and_the_worst_are_drawn(run) -> None:
    _, table, _, model = run
    shown = []

    class Watched(TinyPairs):
        def __getitem__(self, index):
            shown.append(index)
            return super().__getitem__(index)

    places = list(range(9))[::-1]
    reverse = Watched(length=9)
    pictures = draw_pictures(table, reverse, model, places=places)
    assert [picture.name for picture in pictures][-2:] == ["best.jpg", "worst.jpg"]
    import pyarrow.parquet as pq

    errors = pq.read_table(table)["error_m"].to_pylist()
    order = np.argsort(errors, kind="stable").tolist()
    assert shown[-6:] == [places[i] for i in [*order[:3], *order[::-1][:3]]]


def test_the_curve_of_errors() -> None:
    figure = draw_errors([1.0, 2.0, 4.0, np.nan], {"tile centre": [8.0, 8.0, 8.0, 8.0]})
    model, centre = figure.axes[0].lines[:2]
    x, y = model.get_xdata(), model.get_ydata()
    # A sample without an estimate is never found.
    reached = [y[x <= limit].max(initial=0) for limit in (0.9, 1.0, 2.0, 5.0)]
    assert reached == [0, 0.25, 0.5, 0.75]
    assert centre.get_ydata().max() == 1


def test_the_curve_of_calibration() -> None:
    # Of four cameras two lie within the likeliest tenth, one within 60 %, one within 95 %.
    above = [0.05, 0.09, 0.55, 0.92]
    assert coverage(above, [0.05, 0.1, 0.6, 0.95]).tolist() == [0, 0.5, 0.75, 1]
    line = draw_calibration(above).axes[0].lines[1]
    assert line.get_ydata()[50] == 50
    assert line.get_ydata()[90] == 75
    assert line.get_ydata()[-1] == 100


def test_choices(run) -> None:
    _, table, dataset, _ = run
    assert extremes([3.0, 1.0, float("nan"), 2.0], 2, 5) == ([1, 3], [0])
    assert spread(10, 2) == [2, 7]
    assert spread(2, 5) == [0, 1]
    joined = torch.utils.data.ConcatDataset([dataset, TinyPairs(length=3, first=100)])
    assert find_samples(joined, ["tiny-101", "tiny-8"]) == [10, 8]
    with pytest.raises(Exception, match="2 samples end so"):
        find_samples(joined, ["1"])
    assert len(ranked_ids(table, 2, 1)) == 3


FIGURES = {
    "position": {
        "mean": 5.81, "mean_low": 2.02, "mean_high": 10.19, "median": 1.25, "p25": 0.5, "p75": 3.5,
        "p90": 20.2, "recall_1m": 0.43, "recall_3m": 0.7, "recall_5m": 0.76, "recall_10m": 0.81,
    },
    "posterior": {"nll": 5.82},
}  # fmt: skip


def widest(table: tuple[list[str], list[list[str]]]) -> int:
    head, rows = table
    return 1 + sum(
        max(len(name), *(len(row[i]) for row in rows)) + 3 for i, name in enumerate(head)
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut(width: int) -> None:
    """A narrow terminal gets a line a figure, a wide one everything."""
    table = position_table(FIGURES)
    head, rows = fit_table(table, width)
    assert widest((head, rows)) <= width
    figures = {name: cells[0] for name, *cells in rows}
    assert figures["mean m"] == "5.81 [2.02, 10.19]"
    assert figures["within 1 m %"] == "43.0"
    assert fit_table(table, 250) == table
    assert table[1][0][1] == "5.81 [2.02, 10.19]"
