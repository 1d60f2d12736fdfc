"""Transforms of the tile as a plane: turned, mirrored, cut; the street view follows."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from cvsegguide.data.sample import Batch
from cvsegguide.data.transforms.base import (
    FULL,
    Draws,
    Transform,
    change_overhead,
    change_some,
    change_street,
    checked_share,
    checked_span,
    resize,
    roll_columns,
)
from cvsegguide.errors import ConfigurationError


class Rotate(Transform):
    """Turn the tile clockwise by 0, 90, 180 or 270 degrees, and the street view with it.

    A full panorama whose width divides by four is rolled, so that its heading stays as it was;
    any other view keeps its pixels and gets another heading.

    Args:
        quarters: Numbers of quarter turns to draw from.
    """

    def __init__(self, quarters: Sequence[int] = (0, 1, 2, 3)) -> None:
        if not quarters:
            raise ConfigurationError("Rotate: quarters must not be empty")
        self.quarters = tuple(int(turns) % 4 for turns in quarters)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        turns = torch.tensor(self.quarters)[draws.integers(len(self.quarters), len(batch))]
        if not turns.any():
            return batch
        height, width = batch.overhead.shape[-2:]
        for turn in (1, 2, 3):
            rotate = partial(torch.rot90, k=-turn, dims=(-2, -1))
            batch = change_overhead(batch, turns == turn, rotate)
        turns = turns.to(batch.position.device, non_blocking=True)
        row, col = batch.position.unbind(1)
        rows = torch.stack((row, col, height - row, width - col), 1)
        cols = torch.stack((col, height - row, width - col, row), 1)
        position = [places.gather(1, turns[:, None])[:, 0] for places in (rows, cols)]
        views = [batch.street] if batch.street_range is None else [batch.street, batch.street_range]
        rolled = batch.fov >= FULL
        if any(view.shape[-1] % 4 for view in views):
            rolled = torch.zeros_like(rolled)
        batch = change_street(
            batch, lambda view: roll_columns(view, turns * rolled * (view.shape[-1] // 4))
        )
        turned = (batch.heading + 90.0 * turns).remainder(360.0)
        return replace(
            batch,
            position=torch.stack(position, dim=1),
            heading=torch.where(rolled | (turns == 0), batch.heading, turned),
        )


class Mirror(Transform):
    """Mirror tile and street view left to right.

    Args:
        probability: How often.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = checked_share("Mirror: probability", probability)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        chosen = draws.choose(self.probability, len(batch))

        def flip(raster: Tensor) -> Tensor:
            return raster.flip(-1)

        batch = change_overhead(batch, chosen, flip)
        batch = change_street(batch, lambda view: change_some(view, chosen, flip))
        mask = chosen.to(batch.heading.device, non_blocking=True)
        row, col = batch.position.unbind(1)
        col = torch.where(mask, batch.overhead.shape[-1] - col, col)
        return replace(
            batch,
            position=torch.stack((row, col), dim=1),
            heading=torch.where(mask, (-batch.heading).remainder(360.0), batch.heading),
        )


class Crop(Transform):
    """Cut a smaller square out of the tile, off-centre, and enlarge it to the tile's size.

    The camera stays inside: its distance to the nearest edge of the cut is at least ``margin`` of
    the cut's side, or what it was where it was less. The position of the camera within the cut is
    as good as uniform, which undoes a data set's preference for the middle.

    Args:
        scale: Smallest and largest side of the cut as a share of the tile's.
        margin: As above.
    """

    def __init__(self, scale: tuple[float, float] = (0.7, 1.0), margin: float = 0.02) -> None:
        self.scale = checked_span("Crop: scale", scale, 1e-3, 1.0)
        self.margin = checked_share("Crop: margin", margin)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        height, width = size = batch.overhead.shape[-2], batch.overhead.shape[-1]
        cuts = []
        for row, col in batch.position.tolist():
            share = draws.number(*self.scale)
            rows, cols = max(1, round(height * share)), max(1, round(width * share))
            top = self._offset(row, height, rows, draws)
            left = self._offset(col, width, cols, draws)
            cuts.append((top, left, rows, cols))
        chosen = torch.tensor([cut[2:] != size for cut in cuts])
        inner = [cut for cut in cuts if cut[2:] != size]

        def cut_out(rasters: Tensor) -> Tensor:
            return torch.stack(
                [
                    resize(raster[..., top : top + rows, left : left + cols], size)
                    for raster, (top, left, rows, cols) in zip(rasters, inner, strict=True)
                ]
            )

        table = torch.tensor(cuts, dtype=torch.float64).to(batch.position.device)
        scale = torch.tensor(size).to(table) / table[:, 2:]
        position = (batch.position - table[:, :2]) * scale
        return replace(
            change_overhead(batch, chosen, cut_out),
            position=position.float(),
            gsd=(batch.gsd / scale.prod(dim=1).sqrt()).float(),
        )

    def _offset(self, position: float, side: int, cut: int, draws: Draws) -> int:
        margin = self.margin * cut
        low = max(0, math.ceil(position + margin - cut))
        high = min(side - cut, math.floor(position - margin))
        low = min(low, side - cut)
        high = max(high, 0)
        if high < low:  # nearer to the tile's edge than the margin
            low = high = min(max(low, 0), side - cut)
        return low + draws.integer(high - low + 1)
