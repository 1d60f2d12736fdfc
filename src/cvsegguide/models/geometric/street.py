"""The street branch: per direction and range, what the street view shows there.

A column of the panorama is a direction. For each range bin, attention down the column gathers
features; it starts from flat ground (a point ``r`` metres away lies ``atan(h / r)`` below the
horizon, ``h`` the camera's height) and learns from there. After OrienterNet's and SNAP's idea of
lifting image columns to polar rays (Sarlin et al. 2023a, b).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.lanes import each
from cvsegguide.models.geometric.fused import convolve, fused, kept, parted
from cvsegguide.models.geometric.layers import Encoder, Merge, Residual, Unit, convolution, unit
from cvsegguide.models.geometric.polar import PolarGrid
from cvsegguide.models.geometric.trained import product, trained
from cvsegguide.models.linear import linear
from cvsegguide.models.outputs import joined

INNER = 48
"""Channels of the polar grid before the heads."""

_DIRECTIONS = 16
"""Columns that a CPU attends to at a time, so that their shares stay in its cache."""


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
        """
        if fused(self, columns):
            return self._gathered_first(columns), None
        if self.training and trained(columns):
            return self._gathered_first_in_training(columns)
        values = self.values(columns).unflatten(1, (self.heads, -1))
        logits = self.logits(columns).unflatten(1, (self.heads, self.ranges))
        # (B, heads, R, rows, D); down the columns while they lie side by side
        logits = logits + self.bias[..., None].to(logits.dtype)
        share = logits.softmax(dim=-2).to(values.dtype)
        first = logits[:, 0].float().log_softmax(dim=-2) if self.training else None
        gathered: Tensor = share.permute(0, 1, 4, 2, 3) @ values.permute(0, 1, 4, 3, 2)
        return gathered.permute(0, 1, 4, 3, 2).flatten(1, 2), first

    def _gathered_first(self, columns: Tensor) -> Tensor:
        """The same: what attention gathers are features, and values are made of those alone.

        Values are linear in the features and shares sum to one; there are fewer range bins than
        rows. Directions come first, so that each is a product of small matrices.
        """
        queries, bias, values, shift = kept(
            self,
            (self.logits.weight, self.bias, self.values.weight, self._shift()),
            self._by_direction,
        )
        batch, channels, rows, directions = columns.shape
        features = columns.permute(0, 3, 2, 1).reshape(-1, rows, channels)
        gathered = features.new_empty(len(features), len(queries), channels)
        for some, result in zip(
            torch.split(features, _DIRECTIONS), torch.split(gathered, _DIRECTIONS), strict=True
        ):
            every = queries.expand(len(some), -1, -1)
            share = torch.baddbmm(bias, every, some.transpose(1, 2)).softmax(dim=-1)
            torch.bmm(share, some, out=result)
        lifted = linear(gathered.view(-1, self.heads * channels), values, shift)
        return lifted.view(batch, directions, self.ranges, -1).permute(0, 3, 2, 1)

    def _gathered_first_in_training(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The same with gradients, all directions at once."""
        queries, bias, values, shift = self._by_direction()
        batch, channels, rows, directions = columns.shape
        features = columns.permute(0, 3, 2, 1).reshape(-1, rows, channels)
        every = queries.expand(len(features), -1, -1)
        logits = torch.baddbmm(bias, every, features.transpose(1, 2))
        gathered = torch.bmm(logits.softmax(dim=-1), features)
        lifted = linear(gathered.view(-1, self.heads * channels), values, shift)
        polar = lifted.view(batch, directions, self.ranges, -1).permute(0, 3, 2, 1)
        first = logits.view(batch, directions, self.ranges, self.heads, rows)[..., 0, :]
        return polar, first.float().log_softmax(dim=-1).permute(0, 2, 3, 1)

    def _by_direction(self) -> tuple[Tensor, ...]:
        """Queries and bias with heads inside range bins, all heads' values as one matrix."""
        queries = self.logits.weight.view(self.heads, self.ranges, -1)
        values = self.values.weight.view(self.heads, -1, queries.shape[-1])
        return (
            queries.transpose(0, 1).flatten(0, 1).contiguous(),
            self.bias.transpose(0, 1).flatten(0, 1).contiguous(),
            torch.block_diag(*values),  # type: ignore[no-untyped-call]
            self._shift(),
        )

    def _shift(self) -> Tensor:
        assert self.values.bias is not None
        return self.values.bias


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
    ) -> None:
        super().__init__()
        self.grid = grid
        self.encoder = Encoder(5, widths, depths, circular=True)
        self.merges = nn.ModuleList(
            Merge(widths[level + 1], widths[level], widths[level], circular=True)
            for level in reversed(range(1, len(widths) - 1))
        )
        self.columns = Merge(widths[1], widths[0], widths[1], circular=True)
        rows = size[0] // 2
        with torch.device("cpu"):  # constants, also where the network is built without storage
            elevation = extent[0] * (0.5 - (torch.arange(rows) + 0.5) / rows)
            bias = _initial_attention(grid, elevation, camera_height)
        self.attention = ColumnAttention(widths[1], INNER // 2, bias)
        self.register_buffer("elevation", elevation / 45.0, persistent=False)
        self.refine = nn.Sequential(
            unit(convolution(INNER + 1, INNER, circular=True)),
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
        if fused(self, image) and len(parts := parted(image)) > 1:
            some: list[StreetFeatures] = each(lambda part: self(image[part], seen[part]), parts)
            return joined(some)
        vertical = F.interpolate(
            self.elevation.view(1, 1, -1, 1), size=(height, 1), mode="bilinear"
        )
        image = torch.cat((image, seen, vertical.expand(batch, 1, height, width)), dim=1)
        if fused(self, image):
            image = image.contiguous(memory_format=torch.channels_last)
        maps = self.encoder(image)
        decoded = maps[-1]
        for merge, fine in zip(self.merges, reversed(maps[1:-1]), strict=True):
            decoded = merge(decoded, fine)
        fine = (maps[0][..., ::2] + maps[0][..., 1::2]) * 0.5
        polar, rows = self.attention(self.columns(decoded, fine))
        # how far away a bin is, for the convolutions that follow
        distance = torch.linspace(-1, 1, self.grid.ranges, device=polar.device, dtype=polar.dtype)
        distance = distance.view(1, 1, -1, 1)
        if fused(self, polar):
            first, second = self.refine
            assert isinstance(first, Unit)
            polar = second(first.after_wrapping(_beside(polar, distance)))
        else:
            distance = distance.expand(batch, 1, -1, polar.shape[-1])
            polar = self.refine(torch.cat((polar, distance), dim=1))
        shown = F.adaptive_avg_pool2d(seen, (1, polar.shape[-1]))
        features, landcover, visibility = self._heads(polar)
        visibility = visibility + torch.log(shown + 1e-4)
        return StreetFeatures(F.normalize(features, dim=1), landcover, visibility, rows)

    def _heads(self, polar: Tensor) -> tuple[Tensor, ...]:
        """Features, land cover and visibility of the polar grid."""
        heads = (self.project, self.landcover, self.visibility)
        if self.training and trained(polar):
            weight, bias = (torch.cat(each) for each in zip(*_parameters(heads), strict=True))
            joint = product(polar, weight, bias)
            return torch.split(joint, [head.out_channels for head in heads], dim=1)
        if not fused(self, polar):
            return tuple(head(polar) for head in heads)
        weights = [head.weight for head in heads]
        biases = [head.bias for head in heads if head.bias is not None]
        weight, bias = kept(
            self, (*weights, *biases), lambda: (torch.cat(weights), torch.cat(biases))
        )
        joint = convolve(polar, weight, bias, self.project)
        return tuple(torch.split(joint, [len(each) for each in weights], dim=1))


def _parameters(heads: Iterable[nn.Conv2d]) -> Iterator[tuple[Tensor, Tensor]]:
    for head in heads:
        assert head.bias is not None
        yield head.weight, head.bias


def _beside(polar: Tensor, distance: Tensor) -> Tensor:
    """``(B, C, R, D)`` and another channel ``(1, 1, R, 1)`` in one copy, columns wrapped by one."""
    batch, channels, ranges, directions = polar.shape
    both = polar.new_empty(batch, ranges, directions + 2, channels + 1)
    pixels = polar.permute(0, 2, 3, 1)
    both[:, :, 1:-1, :-1] = pixels
    both[:, :, 0, :-1] = pixels[:, :, -1]
    both[:, :, -1, :-1] = pixels[:, :, 0]
    both[..., -1] = distance[:, 0]
    return both.permute(0, 3, 1, 2)


def _initial_attention(grid: PolarGrid, elevation: Tensor, camera_height: float) -> Tensor:
    """``(2, R, rows)``: the flat ground's row, and everything above the horizon."""
    step = float(elevation[0] - elevation[1])
    ground = -torch.atan(camera_height / grid.distances()) * (180 / math.pi)
    below = -0.5 * ((elevation[None] - ground[:, None]) / (1.5 * step)) ** 2
    above = torch.where(elevation > 0, 0.0, -4.0).expand(grid.ranges, -1)
    return torch.stack((below.clamp_min(-12.0), above))
