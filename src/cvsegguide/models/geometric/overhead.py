"""The overhead branch: features at cells of four pixels, land cover at every second pixel."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.lanes import each
from cvsegguide.models.convolutions import suits
from cvsegguide.models.geometric.fused import fused, parted
from cvsegguide.models.geometric.layers import Encoder, Head, Merge, Residual, unit
from cvsegguide.models.geometric.lite0 import WIDTHS, Lite0Encoder
from cvsegguide.models.outputs import joined

CELL = 4
"""Pixels a side of a cell."""


@dataclass
class OverheadFeatures:
    """What the overhead branch knows of B tiles of ``(H, W)`` pixels.

    Attributes:
        features: ``(B, C, H / 4, W / 4)``, unit length over channels.
        landcover: ``(B, K, H / 2, W / 2)`` logits per land-cover class.
        prior: ``(B, 1, H / 4, W / 4)`` logits of a camera standing there, from what is there.
    """

    features: Tensor
    landcover: Tensor
    prior: Tensor

    def __post_init__(self) -> None:
        self.kept: dict[Any, Any] = {}
        """What matching made of the tile, for the next street view. Not a field: a copy of the
        features with others among them starts without."""

    def full_landcover(self) -> Tensor:
        """``(B, K, H, W)`` logits at every pixel."""
        if not (suits(self.landcover, self.landcover) and not torch.is_grad_enabled()):
            return _enlarged(self.landcover)
        if "landcover" not in self.kept:
            self.kept["landcover"] = _enlarged(self.landcover)
        full: Tensor = self.kept["landcover"]
        return full


class OverheadBranch(nn.Module):
    """A U-Net of residual blocks with heads for features, land cover and a position prior.

    Args:
        classes: K land-cover classes.
        features: C channels to match.
        widths: Channels of the decoder's levels, finest (half size) first; of the plain encoder,
            too.
        depths: Residual blocks of the levels of the plain encoder.
        encoder: ``"plain"``, or ``"lite0"`` for EfficientNet-Lite0.
    """

    def __init__(
        self,
        classes: int,
        features: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        encoder: str = "plain",
    ) -> None:
        super().__init__()
        given = widths
        self.encoder: nn.Module
        if encoder == "lite0":
            self.encoder = Lite0Encoder(len(widths))
            given = WIDTHS[: len(widths)]
        else:
            self.encoder = Encoder(3, widths, depths, circular=False)
        coarse = (*widths[:-1], given[-1])
        self.merges = nn.ModuleList(
            Merge(coarse[level + 1], given[level], widths[level])
            for level in reversed(range(len(widths) - 1))
        )
        self.project = nn.Sequential(Residual(widths[1]), Head(widths[1], features))
        self.landcover = nn.Sequential(
            unit(nn.Conv2d(widths[0], widths[0], 3, padding=1, bias=False)),
            Head(widths[0], classes),
        )
        self.prior = nn.Sequential(
            unit(nn.Conv2d(classes, 16, 5, padding=2, bias=False)),
            unit(nn.Conv2d(16, 16, 5, padding=2, bias=False)),
            Head(16, 1),
        )
        self.to(memory_format=torch.channels_last)  # a third faster on CPUs

    def forward(self, image: Tensor) -> OverheadFeatures:
        """``(B, 3, H, W)``, normalised, sides multiples of 32."""
        if fused(self, image) and len(parts := parted(image)) > 1:
            some: list[OverheadFeatures] = each(lambda part: self(image[part]), parts)
            return joined(some)
        landcover, quarter = self._decoded(image)
        # the prior explains positions by land cover; it must not bend the segmentation
        prior = self.prior(F.avg_pool2d(landcover.detach().softmax(dim=1), 2))
        features = F.normalize(self.project(quarter), dim=1)
        return OverheadFeatures(features, landcover, prior)

    def segment(self, image: Tensor) -> Tensor:
        """Land cover alone, ``(B, K, H, W)`` logits as of ``full_landcover``."""
        return _enlarged(self.segment_coarsely(image))

    def segment_coarsely(self, image: Tensor) -> Tensor:
        """The same before it is enlarged, ``(B, K, H / 2, W / 2)``."""
        return self._decoded(image)[0]

    def _decoded(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Land cover at half size, and the decoder's map at a quarter."""
        maps = self.encoder(image.contiguous(memory_format=torch.channels_last))
        decoded = maps[-1]
        quarter = decoded
        for merge, fine in zip(self.merges, reversed(maps[:-1]), strict=True):
            quarter = decoded
            decoded = merge(decoded, fine)
        if quarter.shape[-1] * CELL != image.shape[-1]:
            raise ValueError("the encoder needs at least two levels")
        return self.landcover(decoded), quarter


def _enlarged(landcover: Tensor) -> Tensor:
    return F.interpolate(landcover, scale_factor=2, mode="bilinear", align_corners=False)
