"""How errors grow with a narrower view and a worse compass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.sample import Sample
from cvsegguide.data.transforms import Draws, LimitFieldOfView, Transform, transform_sample
from cvsegguide.evaluation.report import Table, position_table

FIELDS_OF_VIEW = (360.0, 180.0, 108.0, 70.0)
"""Degrees; the heading is known."""

HEADING_ERRORS = (10.0, 45.0, 180.0)
"""Largest error of the compass in degrees, drawn evenly from both sides; the view is a full
panorama; 180 is no compass."""


class Degraded(CrossViewDataset):
    """Another data set, its street views cropped or turned; the same way whenever it is read.

    Args:
        dataset: The data set.
        transforms: What is done to each sample, under a generator of its own.
        seed: Seed of these generators.
    """

    def __init__(
        self, dataset: CrossViewDataset, transforms: Sequence[Transform], seed: int = 0
    ) -> None:
        self.dataset = dataset
        self.transforms = tuple(transforms)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def sample_id(self, index: int) -> str:
        return self.dataset.sample_id(index)

    def __getitem__(self, index: int) -> Sample:
        return transform_sample(self.dataset[index], self.transforms, Draws(self.seed, index))


@dataclass(frozen=True)
class Condition:
    """What a sweep changes.

    Attributes:
        transforms: What is done to the samples.
        heading_error: Largest error of the compass in degrees, see
            :class:`cvsegguide.training.module.LocalizationTask`: networks that search headings
            search so far, others take the wrong heading for the right one.
    """

    transforms: tuple[Transform, ...] = ()
    heading_error: float = 0.0


def conditions() -> dict[str, Condition]:
    """What a sweep tries, by name: fields of view, then headings."""
    found: dict[str, Condition] = {}
    for fov in FIELDS_OF_VIEW:
        limit = () if fov >= 360 else (LimitFieldOfView((fov, fov)),)
        found[f"{fov:g}° view, known heading"] = Condition(limit)
    for error in HEADING_ERRORS:
        name = "unknown heading" if error >= 180 else f"heading ±{error:g}°"
        found[f"360° view, {name}"] = Condition(heading_error=error)
    return found


def sweep_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per condition, and the baselines, which no condition touches, once.

    Where headings were searched, a last column holds the median error of the heading found.
    """
    head: list[str] = []
    rows: list[list[str]] = []
    baselines: list[list[str]] = []
    searched = any("heading" in figures for figures in results.values())
    for name, figures in results.items():
        head, (model, *baselines) = position_table(figures)
        row = [name, *model[1:]]
        if searched:
            heading = figures.get("heading", {})
            row.append(f"{heading['median']:.1f}" if "median" in heading else "-")
        rows.append(row)
    if searched:
        head = [*head, "heading, median °"]
        baselines = [[*row, "-"] for row in baselines]
    return ["condition", *head[1:]], [*rows, *baselines]
