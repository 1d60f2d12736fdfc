"""A network and a loss as somebody outside of the package writes them, in one file."""

from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.models import LocalizationModel, Prediction
from cvsegguide.training.losses import LocalizationLoss


class Colours(LocalizationModel):
    """Stands where the overhead image has the street view's mean colour."""

    def __init__(self, side: int = 32) -> None:
        super().__init__()
        self.overhead_size, self.street_size = (side, side), (8, 32)
        self.street_extent, self.gsd, self.guidance = (90.0, 360.0), 0.5, "none"
        self.channels = ("tree canopy", "building", "road", "other impervious")
        self.cover = nn.Conv2d(3, 4, 1)
        self.log_sharpness = nn.Parameter(torch.tensor(3.0))

    def forward(
        self, overhead: Tensor, street: Tensor, landcover: Any = None, headings: Any = None
    ) -> Prediction:
        difference = overhead - street.mean(dim=(2, 3), keepdim=True)
        scores = -self.log_sharpness.exp() * difference.square().sum(dim=1, keepdim=True)
        return Prediction(self.cover(overhead), scores)

    def segment(self, overhead: Tensor) -> Tensor:
        return self.cover(overhead)

    def inverse_temperature(self) -> float:
        return 0.5

    def config(self) -> dict[str, Any]:
        return {"side": self.overhead_size[0]}


class Surprise(LocalizationLoss):
    """How surprised the posterior is by the pixel that the camera stands in, in nats."""

    defaults = MappingProxyType({"surprise": 1.0})

    def __init__(self, weights: Any = None, unit: float = 1.0) -> None:
        super().__init__(weights)
        self.unit = unit

    def forward(
        self, model: LocalizationModel, prediction: Prediction, batch: Any, landcover: Any
    ) -> dict[str, Tensor]:
        row, col = batch.position.long().unbind(dim=1)
        picked = model.log_posterior(prediction)[torch.arange(len(row)), row, col]
        return self.weighted({"surprise": -picked.mean() / self.unit})
