"""The pictures of a report: plots of what was measured, the best and the worst samples."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cvsegguide.evaluation.choice import extremes, read_predictions
from cvsegguide.evaluation.examples import answer
from cvsegguide.inference.example import Example
from cvsegguide.viz.comparison import draw_comparison
from cvsegguide.viz.parts import render
from cvsegguide.viz.plots import draw_calibration, draw_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from torch.utils.data import Dataset

    from cvsegguide.data.sample import Sample
    from cvsegguide.landcover import ClassScheme
    from cvsegguide.models.base import LocalizationModel

SHOWN = 3
"""Samples among the best, and among the worst."""

_SAMPLES = (
    "Left, the overhead image under the posterior; then the true land cover, and the predicted one "
    "with the outlines of the 50 % and 90 % highest-density sets. Below, the street view and the "
    "probabilities of the ranked regions."
)


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

    @property
    def base64(self) -> str:
        """The file as text."""
        return base64.b64encode(self.content).decode("ascii")


def draw_pictures(
    predictions: Path,
    dataset: "Dataset[Sample]",
    model: "LocalizationModel",
    scheme: "ClassScheme | None" = None,
    places: Sequence[int] | None = None,
    heading_error: float = 0.0,
) -> list[Picture]:
    """Draw errors, calibration, and the best and worst samples.

    Args:
        predictions: The table of predictions.
        dataset: The samples in the order of the table.
        model: In evaluation mode.
        scheme: Class ids of the model's land cover.
        places: Index in ``dataset`` of each row of the table; by default the row's own number.
        heading_error: Of the compass that was simulated, in degrees either way.

    Raises:
        CVSegGuideError: The table or a sample cannot be read.
    """
    pictures: list[Picture] = []

    def add(name: str, title: str, caption: str, figure: "Figure", beside: str = "") -> None:
        content = render(figure, name.rpartition(".")[2])
        pictures.append(Picture(name, title, caption, content, beside))

    columns = ("id", "error_m", "mass_above", "row_true", "col_true", "gsd")
    table = read_predictions(predictions, columns)
    shown = min(SHOWN, -(-len(table) // 2))  # few samples are shared out
    best, worst = (
        [dataset[row if places is None else places[row]] for row in rows]
        for rows in extremes(table["error_m"], shown, shown)
    )
    baselines = {}
    if len(table):
        size = (best or [dataset[0]])[0].overhead.shape[1:]
        baselines = _centre_errors(table, (size[0], size[1]))
    add(
        "errors.png",
        "Errors",
        "Share of samples whose position error is at most so many metres (logarithmic).",
        draw_errors(table["error_m"], baselines),
        "Position",
    )
    add(
        "calibration.png",
        "Calibration of the posterior",
        "How many cameras lie in the highest-density set of each mass; on the diagonal where "
        "the posterior is calibrated, below it where it is too sure.",
        draw_calibration(table["mass_above"]),
        "Position",
    )
    for name, samples in (("Best", best), ("Worst", worst)):
        if samples:
            entries = [
                Example(sample, [answer(model, sample, "prediction", scheme, heading_error)])
                for sample in samples
            ]
            figure = draw_comparison(entries)
            add(f"{name.lower()}.jpg", f"{name} samples", _SAMPLES, figure)
    return pictures


def _centre_errors(table: "DataFrame", size: tuple[int, int]) -> dict[str, ArrayLike]:
    """Errors in metres of whoever says the middle of each tile; none where tiles differ in size."""
    down, across = table["row_true"] - size[0] / 2, table["col_true"] - size[1] / 2
    if (abs(down) > size[0] / 2).any() or (abs(across) > size[1] / 2).any():
        return {}
    return {"tile centre": np.hypot(down, across) * table["gsd"]}
