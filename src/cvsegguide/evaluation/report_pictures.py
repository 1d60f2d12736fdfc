"""The pictures of a report: plots of what was measured, the best and the worst samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvsegguide.evaluation.choice import extremes, read_predictions

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from cvsegguide.data.sample import Sample
    from cvsegguide.landcover import ClassScheme
    from cvsegguide.models.base import LocalizationModel

SHOWN = 3
"""Samples among the best, and among the worst."""


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        name: File name.
        title: Heading.
        caption: What is to be seen, in a sentence or two.
        content: The file.
        beside: First word of the heading of the table that it stands below; empty for the end.
    """

    name: str
    title: str
    caption: str
    content: bytes
    beside: str = ""

    @property
    def media_type(self) -> str:
        """As HTML wants it."""
        return "image/jpeg" if self.name.endswith(".jpg") else "image/png"


def run_pictures(
    figures: Mapping[str, Any],
    predictions: Path | None = None,
    dataset: "Dataset[Sample] | None" = None,
    model: "LocalizationModel | None" = None,
    scheme: "ClassScheme | None" = None,
    places: "list[int] | None" = None,
    heading_error: float = 0.0,
) -> list[Picture]:
    """Draw what there is the matter for.

    Args:
        figures: What was measured; gives the confusion matrix.
        predictions: The table of predictions; gives error and calibration.
        dataset: The samples in the order of the table; give, with ``model``, the best and worst.
        model: In evaluation mode.
        scheme: Class ids of the model's land cover.
        places: Index in ``dataset`` of each row of the table; by default the row's own number.
        heading_error: Of the compass that was simulated, in degrees either way.

    Raises:
        CVSegGuideError: The table or a sample cannot be read.
    """
    from cvsegguide.viz.report import draw_calibration, draw_confusion, draw_errors, rendered

    pictures: list[Picture] = []
    if predictions is not None:
        columns = ("id", "error_m", "mass_above", "row_true", "col_true", "gsd")
        table = read_predictions(predictions, columns)
        shown = min(SHOWN, -(-len(table["id"]) // 2))  # few samples are shared out
        best, worst = extremes(table["error_m"], shown, shown)
        baselines = {}
        if dataset is not None and best:
            first = dataset[best[0] if places is None else places[best[0]]]
            height, width = first.overhead.shape[1:]
            down = np.array(table["row_true"]) - height / 2
            across = np.array(table["col_true"]) - width / 2
            inside = (abs(down) <= height / 2) & (abs(across) <= width / 2)
            if inside.all():  # else the tiles differ in size
                baselines["tile centre"] = np.hypot(down, across) * np.array(table["gsd"])
        pictures.append(
            Picture(
                "errors.png",
                "Errors",
                "Share of samples whose position error is at most so many metres (logarithmic).",
                rendered(draw_errors(table["error_m"], baselines)),
                "Position",
            )
        )
        pictures.append(
            Picture(
                "calibration.png",
                "Calibration of the posterior",
                "How many cameras lie in the highest-density set of each mass; on the diagonal "
                "where the posterior is calibrated, below it where it is too sure.",
                rendered(draw_calibration(table["mass_above"])),
                "Position",
            )
        )
    scores = figures.get("landcover")
    if scores:
        pictures.append(
            Picture(
                "confusion.png",
                "Land cover: what is taken for what",
                "Per cent of the pixels of each true class.",
                rendered(draw_confusion(scores["confusion"], scores["classes"])),
                "Confusion",
            )
        )
    if predictions is not None and dataset is not None and model is not None:
        pictures += _samples(dataset, model, scheme, best, worst, places, heading_error)
    return pictures


def _samples(
    dataset: "Dataset[Sample]",
    model: "LocalizationModel",
    scheme: "ClassScheme | None",
    best: list[int],
    worst: list[int],
    places: "list[int] | None",
    heading_error: float,
) -> list[Picture]:
    from cvsegguide.evaluation.examples import answer
    from cvsegguide.inference.example import Example
    from cvsegguide.viz.comparison import draw_comparison
    from cvsegguide.viz.report import rendered

    what = (
        "Left, the overhead image under the posterior; then the true land cover, and the predicted "
        "one with the outlines of the 50 % and 90 % highest-density sets. Below, the street view "
        "and the probabilities of the ranked regions."
    )
    found = []
    for name, title, rows in (
        ("best.jpg", "Best samples", best),
        ("worst.jpg", "Worst samples", worst),
    ):
        samples = [dataset[row if places is None else places[row]] for row in rows]
        entries = [
            Example(sample, [answer(model, sample, "prediction", scheme, heading_error)])
            for sample in samples
        ]
        if entries:
            content = rendered(draw_comparison(entries), "jpg")
            found.append(Picture(name, title, what, content))
    return found
