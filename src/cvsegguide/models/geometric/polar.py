"""The polar grid around the camera and its resampling to metres.

A polar grid has R range bins and D directions. Direction ``d`` looks to the azimuth
``(d + 0.5 - D / 2) * 360 / D`` degrees clockwise from north, like the columns of a panorama whose
centre looks north. Range bin ``k`` lies ``first + (last - first) * (k / (R - 1)) ** power`` metres
from the camera on the ground: denser near the camera, where a street view resolves more.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PolarGrid:
    """Range bins and directions.

    Attributes:
        directions: D; ranges: R.
        first, last: Distance of the nearest and of the farthest bin in metres.
        power: How fast the bins widen; 1 spaces them evenly.
    """

    directions: int = 128
    ranges: int = 32
    first: float = 1.0
    last: float = 41.0
    power: float = 1.6

    def distances(self) -> Tensor:
        """``(R,)`` metres of the bins' centres."""
        steps = torch.arange(self.ranges, dtype=torch.float32) / (self.ranges - 1)
        return self.first + (self.last - self.first) * steps**self.power

    def bin_of(self, distance: Tensor) -> Tensor:
        """Fractional index of the range bin at ``distance`` metres (may leave ``[0, R - 1]``)."""
        share = ((distance - self.first) / (self.last - self.first)).clamp_min(0.0)
        return share ** (1.0 / self.power) * (self.ranges - 1)

    def direction_of(self, azimuth: Tensor) -> Tensor:
        """Fractional index of the direction that looks to ``azimuth`` (radians), in ``[0, D)``."""
        turns = azimuth / (2 * math.pi)
        return (turns * self.directions + self.directions / 2 - 0.5) % self.directions


def template_coordinates(grid: PolarGrid, radius: int, cell: float) -> tuple[Tensor, Tensor]:
    """Where in the polar grid each cell of a metric template lies.

    Args:
        grid: The polar grid.
        radius: The template has ``2 * radius + 1`` cells a side; the camera stands in the middle.
        cell: Side of a cell in metres.

    Returns:
        ``(S, S, 2)`` coordinates for :func:`to_metric` and ``(S, S)`` distances in metres.
    """
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    south = steps[:, None] * cell
    east = steps[None, :] * cell
    distance = torch.hypot(south, east)
    azimuth = torch.atan2(east.expand_as(distance), -south.expand_as(distance))
    # one column of padding on either side closes the circle
    columns = grid.direction_of(azimuth) + 1.0
    rows = grid.bin_of(distance)
    x = columns / (grid.directions + 1) * 2 - 1
    y = rows / (grid.ranges - 1) * 2 - 1
    return torch.stack((x, y), dim=-1), distance


def turn_coordinates(coordinates: Tensor, turns: Tensor, grid: PolarGrid) -> Tensor:
    """Coordinates of :func:`template_coordinates` for other headings.

    Args:
        coordinates: ``(S, S, 2)``.
        turns: ``(K,)`` degrees by which the camera's heading lies further clockwise than the polar
            grid takes it.
        grid: The polar grid.

    Returns:
        ``(K, S, S, 2)``.
    """
    columns = (coordinates[..., 0] + 1) / 2 * (grid.directions + 1) - 1.0
    columns = columns - turns[:, None, None] * (grid.directions / 360.0)
    x = (columns.remainder(grid.directions) + 1.0) / (grid.directions + 1) * 2 - 1
    return torch.stack((x, coordinates[..., 1].expand_as(x)), dim=-1)


def to_metric(polar: Tensor, coordinates: Tensor) -> Tensor:
    """Resample polar features to metric templates, bilinearly.

    Args:
        polar: ``(B, C, R, D)``.
        coordinates: ``(K, S, S, 2)`` of :func:`turn_coordinates`.

    Returns:
        ``(B, K, C, S, S)``; beyond the last range bin it holds the last bin's value (mask it by
        distance).
    """
    batch, count = polar.shape[0], coordinates.shape[0]
    closed = torch.cat((polar[..., -1:], polar, polar[..., :1]), dim=-1)
    metric = F.grid_sample(
        closed,
        coordinates.flatten(0, 1).expand(batch, -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return torch.unflatten(metric, 2, (count, -1)).transpose(1, 2)
