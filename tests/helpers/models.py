"""A network whose answers follow from arithmetic: the test double of inference."""

from typing import Any

import torch
from torch import Tensor

from cvsegguide.landcover import NYC
from cvsegguide.models.base import LocalizationModel, Prediction

PROTOTYPES = torch.tensor([[0.1, 0.6, 0.1], [0.8, 0.2, 0.1], [0.25, 0.25, 0.3], [0.7, 0.7, 0.65]])
"""Colours of tree canopy, building, road and other impervious."""


class ColourModel(LocalizationModel):
    """Stands where the overhead image has the colour that the street view shows to the north.

    The score of a pixel is ``-sharpness`` times the squared distance between its colour and that
    of the street canvas's centre; its land cover is the nearest of :data:`PROTOTYPES`. Both look at
    one pixel alone, so that no answer may depend on how an image is cut into windows. It counts
    the tiles that it has localised in and segmented.
    """

    def __init__(
        self,
        overhead_size: tuple[int, int] = (64, 64),
        street_size: tuple[int, int] = (16, 64),
        gsd: float = 0.5,
        guidance: str = "predicted",
        sharpness: float = 200.0,
    ) -> None:
        super().__init__()
        self.overhead_size = overhead_size
        self.street_size = street_size
        self.street_extent = (90.0, 360.0)
        self.gsd = gsd
        self.guidance = guidance
        self.channels = tuple(NYC.channels)
        self.sharpness = sharpness
        self.tiles = self.segmented = 0
        self.last_street: Tensor | None = None
        self.last_landcover: Tensor | None = None

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        assert overhead.shape[1:] == (3, *self.overhead_size)
        assert street.shape == (len(overhead), 3, *self.street_size)
        assert overhead.dtype == street.dtype == torch.float32
        assert 0 <= overhead.min() <= overhead.max() <= 1
        if self.guidance == "truth":
            assert landcover is not None
            assert landcover.shape == (len(overhead), *self.overhead_size)
            assert 1 <= landcover.min() <= landcover.max() <= 8
        self.tiles += len(overhead)
        self.last_street, self.last_landcover = street, landcover
        height, width = self.street_size
        half = slice(width // 2 - 1, width // 2 + 1)
        rows = slice(height // 4, 3 * height // 4)
        colour = street[:, :, rows, half].mean(dim=(2, 3), keepdim=True)
        heatmap = -self.sharpness * (overhead - colour).square().sum(dim=1, keepdim=True)
        cover = self.segment(overhead) if self.guidance == "predicted" else None
        return Prediction(landcover=cover, heatmap=heatmap)

    def segment(self, overhead: Tensor) -> Tensor:
        self.segmented += len(overhead)
        prototypes = PROTOTYPES.to(overhead)[None, :, :, None, None]
        return -(overhead[:, None] - prototypes).square().sum(dim=2)

    def config(self) -> dict[str, Any]:
        return {"gsd": self.gsd, "guidance": self.guidance}
