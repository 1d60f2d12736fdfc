"""The overhead branch: features at cells of four pixels, land cover at every second pixel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.geometric.encoders import create_encoder
from cvsegguide.models.geometric.layers import Merge, Residual, Unit

CELL = 4
"""Pixels a side of a cell."""


@dataclass
class OverheadFeatures:
    """What the overhead branch knows of B tiles of ``(H, W)`` pixels.

    Attributes:
        features: ``(B, C, H / 4, W / 4)``, unit length over channels.
        landcover: ``(B, K, H / 2, W / 2)`` logits per land-cover class.
        prior: ``(B, 1, H / 4, W / 4)`` logits of a camera standing there, from what is there.
        truth: ``(B, H, W)`` ids of the true land cover, for networks that it guides.
        cache: What matching made of the tile, for the next street view. No field of the dataclass:
            copies begin without.
    """

    features: Tensor
    landcover: Tensor
    prior: Tensor
    truth: Tensor | None = None

    def __post_init__(self) -> None:
        self.cache: dict[str, Any] = {}

    def full_landcover(self) -> Tensor:
        """``(B, K, H, W)`` logits at every pixel."""
        full: Tensor | None = self.cache.get("landcover")
        if full is None:
            full = enlarge(self.landcover, 2)
            if not torch.is_grad_enabled():
                self.cache["landcover"] = full
        return full

    def without_unknown(self, known: Tensor, mean: bool) -> "OverheadFeatures":
        """The same without what is in cells that have no imagery.

        Args:
            known: ``(H / 4, W / 4)`` bool.
            mean: Put the mean of the others there, of the land cover, too; else zeros.
        """
        if not mean:
            return replace(self, features=self.features * known)

        def fill(values: Tensor, mask: Tensor) -> Tensor:
            others = (values * mask).sum(dim=(2, 3), keepdim=True) / mask.sum().clamp_min(1)
            return torch.where(mask, values, others)

        fine = known.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
        shares = fill(self.landcover.softmax(dim=1), fine)
        return replace(self, features=fill(self.features, known), landcover=shares.log())


def average_turned(tiles: Sequence[OverheadFeatures]) -> OverheadFeatures:
    """The mean of what the branch made of tiles turned anticlockwise by 0, 1, ... quarters."""
    if len(tiles) == 1:
        return tiles[0]

    def mean(maps: Iterable[Tensor]) -> Tensor:
        back = [part.rot90(-quarter, (2, 3)) for quarter, part in enumerate(maps)]
        return torch.stack(back).mean(dim=0)

    shares = mean(tile.landcover.softmax(dim=1) for tile in tiles)
    features, prior = mean(tile.features for tile in tiles), mean(tile.prior for tile in tiles)
    return OverheadFeatures(features, shares.clamp_min(1e-9).log(), prior)


class OverheadBranch(nn.Module):
    """A U-Net of residual blocks with heads for features, land cover and a position prior.

    Args:
        classes: K land-cover classes.
        features: C channels to match.
        widths: Channels of the decoder's levels, finest (half size) first; of the plain encoder,
            too.
        depths: Residual blocks of the levels of the plain encoder.
        encoder, pretrained: See :func:`~cvsegguide.models.geometric.encoders.create_encoder`.
    """

    def __init__(
        self,
        classes: int,
        features: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        encoder: str = "plain",
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = create_encoder("overhead", encoder, widths, depths, pretrained)
        given = self.encoder.widths
        coarse = (*widths[:-1], given[-1])
        self.merges = nn.ModuleList(
            Merge(coarse[level + 1], given[level], widths[level])
            for level in reversed(range(len(widths) - 1))
        )
        self.project = nn.Sequential(Residual(widths[1]), nn.Conv2d(widths[1], features, 1))
        self.landcover = nn.Sequential(
            Unit(nn.Conv2d(widths[0], widths[0], 3, padding=1, bias=False)),
            nn.Conv2d(widths[0], classes, 1),
        )
        self.prior = nn.Sequential(
            Unit(nn.Conv2d(classes, 16, 5, padding=2, bias=False)),
            Unit(nn.Conv2d(16, 16, 5, padding=2, bias=False)),
            nn.Conv2d(16, 1, 1),
        )
        self.to(memory_format=torch.channels_last)  # a third faster on CPUs

    def forward(self, image: Tensor) -> OverheadFeatures:
        """``(B, 3, H, W)``, normalised, sides multiples of 32."""
        landcover, quarter = self._decoded(image)
        # the prior explains positions by land cover; it must not bend the segmentation
        prior = self.prior(F.avg_pool2d(landcover.detach().softmax(dim=1), 2))
        features = F.normalize(self.project(quarter), dim=1)
        return OverheadFeatures(features, landcover, prior)

    def segment(self, image: Tensor) -> Tensor:
        """Land cover alone, ``(B, K, H, W)`` logits."""
        return enlarge(self._decoded(image)[0], 2)

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


def enlarge(maps: Tensor, factor: int) -> Tensor:
    """``(B, C, H, W)``, ``factor`` times as large, bilinearly."""
    if factor == 1:
        return maps
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
