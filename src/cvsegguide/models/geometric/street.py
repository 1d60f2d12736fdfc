"""The street branch: per direction and range, what the street view shows there.

A column of the panorama is a direction. For each range bin, attention down the column gathers
features; it starts from flat ground (a point ``r`` metres away lies ``atan(h / r)`` below the
horizon, ``h`` the camera's height) and learns from there. After OrienterNet's and SNAP's idea of
lifting image columns to polar rays (Sarlin et al. 2023a, b).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.geometric.encoders import create_encoder
from cvsegguide.models.geometric.layers import Merge, Residual, Unit, convolution
from cvsegguide.models.geometric.polar import PolarGrid

INNER = 48
"""Channels of the polar grid before the heads."""


@dataclass
class StreetFeatures:
    """What the street view tells of its surroundings, on a polar grid of (R, D).

    Attributes:
        features: ``(B, C, R, D)``, unit length over channels.
        landcover: ``(B, K, R, D)`` logits per land-cover class.
        visibility: ``(B, 1, R, D)`` logit of the place being seen at all.
        rows: ``(B, R, rows, D)``, while training: for each range bin, the logarithm of the share
            of attention that each row of the column gets from the first head.
    """

    features: Tensor
    landcover: Tensor
    visibility: Tensor
    rows: Tensor | None = None


class ColumnAttention(nn.Module):
    """Attention from every range bin down each column.

    Queries are constants, one a range bin and head, so that the product of queries and keys is a
    linear map of the column's features: one 1 x 1 convolution.

    Args:
        channels: Channels of the column features.
        values: Channels of the values of each head.
        bias: ``(heads, R, rows)`` initial attention logits.
    """

    def __init__(self, channels: int, values: int, bias: Tensor) -> None:
        super().__init__()
        heads, ranges, _ = bias.shape
        self.heads, self.ranges = heads, ranges
        self.bias = nn.Parameter(bias.clone())
        self.logits = nn.Conv2d(channels, heads * ranges, 1, bias=False)
        self.values = nn.Conv2d(channels, heads * values, 1)

    def forward(self, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """``(B, channels, rows, D)`` to ``(B, heads * values, R, D)``.

        While training also the first head's logarithmic shares, ``(B, R, rows, D)``.

        What attention gathers are features, and values are made of those alone: values are linear
        in the features, shares sum to one, and there are fewer range bins than rows.
        """
        channels, width = columns.shape[1], columns.shape[3]
        features = columns.permute(0, 3, 2, 1).flatten(0, 1)  # (B D, rows, C)
        queries = self.logits.weight.view(1, self.heads * self.ranges, channels)
        queries = queries.expand(features.shape[0], -1, -1)
        logits = torch.baddbmm(self.bias.flatten(0, 1), queries, features.transpose(1, 2))
        gathered = logits.softmax(dim=-1).to(features.dtype) @ features
        gathered = torch.unflatten(gathered, 1, (self.heads, self.ranges))
        values = self.values.weight.view(self.heads, -1, channels)
        assert self.values.bias is not None
        lifted = torch.einsum("nhrc,hvc->nrhv", gathered, values).flatten(2) + self.values.bias
        polar = torch.unflatten(lifted, 0, (-1, width)).permute(0, 3, 2, 1)
        if not self.training:
            return polar, None
        first = logits[:, : self.ranges].float().log_softmax(dim=-1)
        return polar, torch.unflatten(first, 0, (-1, width)).permute(0, 2, 3, 1)


class StreetBranch(nn.Module):
    """A U-Net with circular columns, column attention, and convolutions on the polar grid.

    Args:
        grid: The polar grid.
        classes: K land-cover classes.
        features: C channels to match.
        size: ``(h, w)`` of the street view.
        extent: Degrees ``(vertical, horizontal)`` that it spans.
        widths, depths: Levels of the encoder, finest (half size) first.
        camera_height: Metres above the ground that the attention starts from.
        encoder, pretrained: See :func:`~cvsegguide.models.geometric.encoders.create_encoder`.
    """

    elevation: Tensor

    def __init__(
        self,
        grid: PolarGrid,
        classes: int,
        features: int,
        size: tuple[int, int],
        extent: tuple[float, float],
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        camera_height: float,
        encoder: str = "plain",
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.encoder = create_encoder("street", encoder, widths, depths, pretrained)
        given = self.encoder.widths
        coarse = (*widths[:-1], given[-1])
        self.merges = nn.ModuleList(
            Merge(coarse[level + 1], given[level], widths[level], circular=True)
            for level in reversed(range(1, len(widths) - 1))
        )
        self.columns = Merge(widths[1], given[0], widths[1], circular=True)
        rows = size[0] // 2
        elevation = extent[0] * (0.5 - (torch.arange(rows) + 0.5) / rows)
        bias = _initial_attention(grid, elevation, camera_height)
        self.attention = ColumnAttention(widths[1], INNER // 2, bias)
        self.register_buffer("elevation", elevation / 45.0, persistent=False)
        self.refine = nn.Sequential(
            Unit(convolution(INNER + 1, INNER, circular=True)),
            Residual(INNER, circular=True),
        )
        self.project = nn.Conv2d(INNER, features, 1)
        self.landcover = nn.Conv2d(INNER, classes, 1)
        self.visibility = nn.Conv2d(INNER, 1, 1)

    def forward(self, image: Tensor, seen: Tensor) -> StreetFeatures:
        """Lift B panoramas.

        Args:
            image: ``(B, 3, h, w)``, normalised, zero where not seen.
            seen: ``(B, 1, h, w)``, 1 where the picture shows something.
        """
        batch, _, height, width = image.shape
        vertical = F.interpolate(
            self.elevation.view(1, 1, -1, 1), size=(height, 1), mode="bilinear"
        )
        image = torch.cat((image, seen, vertical.expand(batch, 1, height, width)), dim=1)
        maps = self.encoder(image.contiguous(memory_format=torch.channels_last))
        decoded = maps[-1]
        for merge, fine in zip(self.merges, reversed(maps[1:-1]), strict=True):
            decoded = merge(decoded, fine)
        fine = (maps[0][..., ::2] + maps[0][..., 1::2]) * 0.5
        polar, rows = self.attention(self.columns(decoded, fine))
        # how far away a bin is, for the convolutions that follow
        distance = torch.linspace(-1, 1, self.grid.ranges, device=polar.device, dtype=polar.dtype)
        distance = distance.view(1, 1, -1, 1).expand(batch, 1, -1, polar.shape[-1])
        polar = self.refine(torch.cat((polar, distance), dim=1))
        shown = F.adaptive_avg_pool2d(seen, (1, polar.shape[-1]))
        visibility = self.visibility(polar) + torch.log(shown + 1e-4)
        features = F.normalize(self.project(polar), dim=1)
        return StreetFeatures(features, self.landcover(polar), visibility, rows)


def _initial_attention(grid: PolarGrid, elevation: Tensor, camera_height: float) -> Tensor:
    """``(2, R, rows)``: the flat ground's row, and everything above the horizon."""
    step = float(elevation[0] - elevation[1])
    ground = -torch.atan(camera_height / grid.distances()) * (180 / math.pi)
    below = -0.5 * ((elevation[None] - ground[:, None]) / (1.5 * step)) ** 2
    above = torch.where(elevation > 0, 0.0, -4.0).expand(grid.ranges, -1)
    return torch.stack((below.clamp_min(-12.0), above))
