"""What every localisation network has in common."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass
class Prediction:
    """Output of a localisation network for B pairs.

    Attributes:
        landcover: ``(B, C, H, W)`` scores per guidance channel on the overhead grid, or None.
        heatmap: ``(B, 1, H, W)`` localisation scores on the overhead grid.
    """

    landcover: Tensor | None
    heatmap: Tensor


class LocalizationModel(nn.Module):
    """A pure network from a pair of images to land cover and a localisation heatmap.

    Subclasses set the attributes below in their constructor and implement :meth:`forward`;
    training, inference and export know nothing else about them.

    Attributes:
        overhead_size: ``(H, W)`` of the overhead input in pixels.
        street_size: ``(h, w)`` of the street input in pixels.
        street_extent: Degrees ``(vertical, horizontal)`` that the street input spans.
        gsd: Metres per overhead pixel that the network was made for.
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.
        channels: Names of the land-cover channels of the output, in order.
    """

    overhead_size: tuple[int, int]
    street_size: tuple[int, int]
    street_extent: tuple[float, float]
    gsd: float
    guidance: str
    channels: tuple[str, ...]

    def forward(
        self, overhead: Tensor, street: Tensor, landcover: Tensor | None = None
    ) -> Prediction:
        """Localise B street views in B overhead tiles.

        Args:
            overhead: ``(B, 3, H, W)`` float32 in [0, 1], RGB, north up.
            street: ``(B, 3, h, w)`` float32 in [0, 1], RGB, centre column looking north.
            landcover: ``(B, H, W)`` class ids 1..8, needed when ``guidance`` is ``"truth"``.
        """
        raise NotImplementedError

    def segment(self, overhead: Tensor) -> Tensor:
        """Land-cover scores ``(B, C, H, W)`` of ``(B, 3, H, W)`` overhead tiles alone."""
        raise NotImplementedError

    def log_posterior(self, prediction: Prediction) -> Tensor:
        """Log-probability ``(B, H, W)`` of the camera standing in each overhead pixel."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Constructor arguments that rebuild this network (JSON types only)."""
        raise NotImplementedError
