"""The transforms of training for whole batches, on whatever device the batch lies.

They draw what :mod:`cvsegguide.data.transforms` draws, from other random numbers, and where a
change has one parameter that would give every sample another size (the factor of a loss of
resolution, the rows that are kept), the batch shares it. All street views must be full panoramas.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cvsegguide.data.sample import Batch
from cvsegguide.data.transforms import (
    Appearance,
    Coarsen,
    LimitFieldOfView,
    LimitVerticalExtent,
    Mirror,
    Rotate,
    Transform,
)
from cvsegguide.data.transforms.camera import within_extent
from cvsegguide.data.transforms.looks import coarsened, of_larger_pixels
from cvsegguide.errors import ConfigurationError


class Draws:
    """Random numbers for a batch: few on the CPU, where they steer, many on the device.

    Args:
        seed: Everything drawn follows from it and, for noise, from the kind of device.
        device: Where the batch lies.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.steering = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(device).manual_seed(seed)

    def integers(self, count: int, size: int) -> Tensor:
        """``(size,)`` of ``0 .. count - 1``, on the CPU."""
        return torch.randint(count, (size,), generator=self.steering)

    def uniform(self, low: float, high: float, *size: int) -> Tensor:
        """Numbers of the given size on the device."""
        values = torch.rand(size, generator=self.steering).to(self.device, non_blocking=True)
        return low + (high - low) * values

    def number(self, low: float, high: float) -> float:
        """One number."""
        return low + (high - low) * float(torch.rand((), generator=self.steering))

    def chosen(self, probability: float, size: int) -> Tensor:
        """``(size,)`` bool on the device."""
        return self.uniform(0.0, 1.0, size) < probability

    def normal(self, *size: int) -> Tensor:
        """Noise of the given size on the device."""
        return torch.randn(size, generator=self.noise, device=self.device)


def check(transforms: list[Transform]) -> None:
    """Raise ConfigurationError for a transform that cannot be run on batches."""
    for transform in transforms:
        name = type(transform).__name__
        if type(transform) not in _CHANGES:
            raise ConfigurationError(f"data.resident: {name} does not run on batches")
        if isinstance(transform, LimitFieldOfView) and not transform.blacken:
            raise ConfigurationError("data.resident: LimitFieldOfView must have blacken: true")


def transformed(batch: Batch, transforms: list[Transform], draws: Draws) -> Batch:
    """The batch with all transforms applied in their order.

    Raises:
        ConfigurationError: As :func:`check`.
    """
    check(transforms)
    for transform in transforms:
        batch = _CHANGES[type(transform)](transform, batch, draws)
    return batch


def _rotated(transform: Rotate, batch: Batch, draws: Draws) -> Batch:
    quarters = torch.tensor(transform.quarters)
    turns = quarters[draws.integers(len(quarters), len(batch))]
    groups = [
        (turn, (turns == turn).nonzero()[:, 0].to(draws.device, non_blocking=True))
        for turn in (1, 2, 3)
    ]

    def above(raster: Tensor) -> Tensor:
        result = raster.clone()
        for turn, members in groups:
            result[members] = torch.rot90(raster[members], -turn, dims=(-2, -1))
        return result

    def around(view: Tensor) -> Tensor:
        result = view.clone()
        for turn, members in groups:
            result[members] = torch.roll(view[members], turn * view.shape[-1] // 4, dims=-1)
        return result

    size = batch.overhead.shape[-1]
    row, col = batch.position.unbind(1)
    number = turns.to(draws.device, non_blocking=True)
    rows = torch.stack((row, col, size - row, size - col), 1).gather(1, number[:, None])[:, 0]
    cols = torch.stack((col, size - row, size - col, row), 1).gather(1, number[:, None])[:, 0]
    return replace(
        _above(batch, above),
        street=around(batch.street),
        street_range=None if batch.street_range is None else around(batch.street_range),
        position=torch.stack((rows, cols), dim=1),
    )


def _mirrored(transform: Mirror, batch: Batch, draws: Draws) -> Batch:
    mask = draws.chosen(transform.probability, len(batch))

    def change(raster: Tensor) -> Tensor:
        return torch.where(mask.view(-1, *[1] * (raster.dim() - 1)), raster.flip(-1), raster)

    row, col = batch.position.unbind(1)
    col = torch.where(mask, batch.overhead.shape[-1] - col, col)
    return replace(
        _above(batch, change),
        street=change(batch.street),
        street_range=None if batch.street_range is None else change(batch.street_range),
        position=torch.stack((row, col), dim=1),
        heading=torch.where(mask, (-batch.heading).remainder(360.0), batch.heading),
    )


def _limited(transform: LimitFieldOfView, batch: Batch, draws: Draws) -> Batch:
    count = len(batch)
    fov = draws.uniform(*transform.fov, count)
    share = torch.where(draws.chosen(transform.probability, count), fov / 360.0, 2.0)
    first = draws.uniform(0.0, 1.0, count)

    def kept(width: int) -> Tensor:
        column = (torch.arange(width, device=draws.device) + 0.5) / width
        return ((column - first[:, None]).remainder(1.0) < share[:, None]).float()

    ranges = batch.street_range
    if ranges is not None:
        ranges = ranges * kept(ranges.shape[-1])[:, None]
    street = batch.street * kept(batch.street.shape[-1])[:, None, None]
    return replace(batch, street=street, street_range=ranges)


def _limited_vertically(transform: LimitVerticalExtent, batch: Batch, draws: Draws) -> Batch:
    chosen = draws.chosen(transform.probability, len(batch))
    street, ranges = within_extent(
        batch.street, batch.street_range, draws.number(*transform.degrees)
    )
    if ranges is not None and batch.street_range is not None:
        ranges = torch.where(chosen[:, None, None], ranges, batch.street_range)
    street = torch.where(chosen[:, None, None, None], street, batch.street)
    return replace(batch, street=street, street_range=ranges)


def _restyled(transform: Appearance, batch: Batch, draws: Draws) -> Batch:
    overhead, street = batch.overhead, batch.street
    if "overhead" in transform.views:
        if batch.landcover is not None:
            overhead = _tinted(transform, overhead, batch.landcover, draws)
        overhead = _changed(transform, overhead, draws)
    if "street" in transform.views:
        seen = street.amax(dim=(1, 2), keepdim=True) > 0
        street = _changed(transform, street, draws).clamp_min(1e-3) * seen
    return replace(batch, overhead=overhead, street=street)


def _tinted(transform: Appearance, pictures: Tensor, landcover: Tensor, draws: Draws) -> Tensor:
    count, amount = len(pictures), 0.35 * transform.strength
    some = draws.chosen(transform.probability, count).view(-1, 1, 1) * amount
    gain = 1.0 + some * draws.uniform(-1.0, 1.0, count, 3, 256)
    offset = 0.5 * some * draws.uniform(-1.0, 1.0, count, 3, 256)
    index = landcover.long().flatten(1)[:, None].expand(-1, 3, -1)
    return pictures * gain.gather(2, index).view_as(pictures) + offset.gather(2, index).view_as(
        pictures
    )


def _changed(transform: Appearance, pictures: Tensor, draws: Draws) -> Tensor:
    """See :meth:`Appearance._change`: the same steps for every picture of the batch."""
    strength, count = transform.strength, len(pictures)

    def some() -> Tensor:
        return draws.chosen(transform.probability, count).view(-1, 1, 1, 1)

    factor = draws.number(1.3, 1.0 + 2.0 * max(strength, 0.15))
    soft = of_larger_pixels(pictures, factor, "bilinear")
    amount = draws.uniform(-0.7, 1.0, count, 1, 1, 1) * some()
    pictures = pictures + amount * (soft - pictures)
    mean = pictures.mean(dim=1, keepdim=True)
    lost = min(1.0, strength) * draws.uniform(0.0, 1.0, count, 1, 1, 1) * some()
    pictures = mean + (1.0 - lost) * (pictures - mean)
    gain = 1.0 + 0.3 * strength * draws.uniform(-1.0, 1.0, count, 3, 1, 1)
    contrast = torch.exp(strength * draws.uniform(-0.5, 0.4, count, 1, 1, 1))
    light = 0.15 * strength * draws.uniform(-1.0, 1.0, count, 1, 1, 1)
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    pictures = (pictures - middle) * (contrast * gain) + middle * gain + light
    gamma = torch.exp(strength * draws.uniform(-0.6, 0.6, count, 1, 1, 1))
    chosen = some()
    pictures = torch.where(chosen, pictures.clamp(1e-4, 1.0).pow(gamma), pictures)
    pictures = pictures * torch.where(some(), _light(strength, pictures, draws), 1.0)
    deviation = 0.06 * strength * draws.uniform(0.0, 1.0, count, 1, 1, 1) * some()
    pictures = pictures + deviation * draws.normal(*pictures.shape)
    pictures = _hidden(strength, pictures, some(), draws)
    return pictures.clamp(0.0, 1.0)


def _light(strength: float, pictures: Tensor, draws: Draws) -> Tensor:
    """A smooth field of factors about 1 for each picture, mostly grey."""
    rows, columns = (int(number) + 2 for number in draws.integers(4, 2))
    knots = draws.normal(len(pictures), 1, rows, columns)
    knots = knots + 0.3 * draws.normal(len(pictures), 3, rows, columns)
    size = (pictures.shape[-2], pictures.shape[-1])
    smooth = functional.interpolate(knots, size=size, mode="bilinear", align_corners=True)
    return torch.exp(0.2 * strength * smooth)


def _hidden(strength: float, pictures: Tensor, some: Tensor, draws: Draws) -> Tensor:
    """Up to six rectangles of each picture replaced by flat colour with noise."""
    count, _, height, width = pictures.shape
    most = max(1, round(6 * strength))
    number = draws.uniform(1.0, most + 1.0, count, 1, 1, 1).floor()
    down = torch.arange(height, device=draws.device).view(1, 1, -1, 1) + 0.5
    across = torch.arange(width, device=draws.device).view(1, 1, 1, -1) + 0.5
    noise = 0.1 * draws.normal(*pictures.shape)
    for index in range(most):
        rows = draws.uniform(1.0, 1.0 + max(1, height // 6), count, 1, 1, 1)
        columns = draws.uniform(1.0, 1.0 + max(1, width // 10), count, 1, 1, 1)
        top = draws.uniform(0.0, 1.0, count, 1, 1, 1) * (height - rows)
        left = draws.uniform(0.0, 1.0, count, 1, 1, 1) * (width - columns)
        inside = (down >= top) & (down < top + rows) & (across >= left) & (across < left + columns)
        colour = draws.uniform(0.0, 1.0, count, 3, 1, 1)
        pictures = torch.where(inside & some & (index < number), colour + noise, pictures)
    return pictures


def _coarsened(transform: Coarsen, batch: Batch, draws: Draws) -> Batch:
    chosen = draws.chosen(transform.probability, len(batch)).view(-1, 1, 1, 1)
    coarse = coarsened(batch.overhead, draws.number(*transform.factor))
    return replace(batch, overhead=torch.where(chosen, coarse, batch.overhead))


def _above(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Apply ``change`` to every raster on the overhead grid; the frames are lost."""

    def optional(raster: Tensor | None) -> Tensor | None:
        return None if raster is None else change(raster)

    return replace(
        batch,
        overhead=change(batch.overhead),
        landcover=optional(batch.landcover),
        sightline=optional(batch.sightline),
        valid=optional(batch.valid),
        labels={name: change(raster) for name, raster in batch.labels.items()},
        bounds=[None] * len(batch),
        references=[None] * len(batch),
    )


_CHANGES: dict[type[Transform], Callable[[Any, Batch, Draws], Batch]] = {
    Rotate: _rotated,
    Mirror: _mirrored,
    LimitFieldOfView: _limited,
    LimitVerticalExtent: _limited_vertically,
    Appearance: _restyled,
    Coarsen: _coarsened,
}
