"""How errors grow with a narrower view and a worse compass."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cvsegguide.data.base import CrossViewDataset
from cvsegguide.data.sample import Sample
from cvsegguide.data.transforms import HeadingJitter, LimitFieldOfView, Transform
from cvsegguide.evaluation.report import Table, position_table

FIELDS_OF_VIEW = (360.0, 180.0, 108.0, 70.0)
"""Degrees; the heading is known."""

HEADING_ERRORS = (10.0, 45.0, 180.0)
"""Largest error of the compass in degrees; the view is a full panorama; 180 is no compass."""


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
        sample = self.dataset[index]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        for transform in self.transforms:
            sample = transform(sample, generator)
        return sample


def conditions() -> dict[str, list[Transform]]:
    """What a sweep tries, by name: fields of view, then headings."""
    found: dict[str, list[Transform]] = {}
    for fov in FIELDS_OF_VIEW:
        limit: list[Transform] = [] if fov >= 360 else [LimitFieldOfView((fov, fov))]
        found[f"{fov:g}° view, known heading"] = limit
    for error in HEADING_ERRORS:
        name = "unknown heading" if error >= 180 else f"heading ±{error:g}°"
        found[f"360° view, {name}"] = [HeadingJitter(error, known=False)]
    return found


def sweep_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per condition, and the baselines, which no condition touches, once."""
    head: list[str] = []
    rows: list[list[str]] = []
    baselines: list[list[str]] = []
    for name, figures in results.items():
        head, (model, *baselines) = position_table(figures)
        rows.append([name, *model[1:]])
    return ["condition", *head[1:]], [*rows, *baselines]
