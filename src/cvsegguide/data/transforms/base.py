"""What every transform is, and the random numbers and rasters that they share."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.errors import ConfigurationError

FULL = 360.0 - 1e-6
"""Degrees from which on a street view is a full panorama."""


class Draws:
    """Random numbers for a batch: those that steer on the CPU, the rest where the batch lies.

    Args:
        seeds: Non-negative numbers; everything drawn follows from them and, for noise, from the
            kind of device.
        device: Where the batch lies.
    """

    def __init__(self, *seeds: int, device: torch.device | str = "cpu") -> None:
        high, low = map(int, np.random.SeedSequence(seeds).generate_state(2))
        seed = high << 32 | low
        self.device = torch.device(device)
        self._steering = torch.Generator().manual_seed(seed)
        self._noise = torch.Generator(self.device).manual_seed(seed ^ 1)

    def integers(self, count: int, size: int) -> Tensor:
        """``(size,)`` of ``0 .. count - 1``, on the CPU."""
        return torch.randint(count, (size,), generator=self._steering)

    def integer(self, count: int) -> int:
        """One of ``0 .. count - 1``."""
        return int(self.integers(count, 1))

    def uniform(self, low: float, high: float, *size: int) -> Tensor:
        """Numbers of the given size, on the device."""
        values = torch.rand(size, generator=self._steering).to(self.device, non_blocking=True)
        return low + (high - low) * values

    def number(self, low: float, high: float) -> float:
        """One number from ``low`` to ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self._steering))

    def choose(self, probability: float, size: int) -> Tensor:
        """``(size,)`` bool on the CPU: each True with this probability."""
        return torch.rand(size, generator=self._steering) < probability

    def normal(self, *size: int) -> Tensor:
        """Noise of the given size, on the device."""
        return torch.randn(size, generator=self._noise, device=self.device)


class Transform:
    """Base of the transforms; a configuration names its subclasses by ``class_path``.

    The loader changes each sample as a batch of one, so that it does not depend on its
    neighbours.
    """

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        """The changed batch; the tensors of the one handed in are not written to."""
        raise NotImplementedError


def transform_batch(batch: Batch, transforms: Iterable[Transform], draws: Draws) -> Batch:
    """The batch with all transforms applied in their order."""
    for transform in transforms:
        batch = transform(batch, draws)
    return batch


def transform_sample(sample: Sample, transforms: Iterable[Transform], draws: Draws) -> Sample:
    """The same for one sample."""
    return transform_batch(collate([sample]), transforms, draws).sample(0)


def change_some(values: Tensor, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """``values`` with ``change`` applied to those members of the batch that are chosen.

    Args:
        values: ``(B, ...)``.
        chosen: ``(B,)`` bool on the CPU.
        change: From the chosen members ``(K, ...)`` to what takes their place. Only where all are
            chosen may the result have another size.
    """
    if not chosen.any():
        return values
    if chosen.all():
        return change(values).contiguous()
    index = chosen.nonzero()[:, 0].to(values.device, non_blocking=True)
    return values.index_copy(0, index, change(values[index]))


def change_overhead(batch: Batch, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> Batch:
    """:func:`change_some` for every raster on the overhead grid, whose frames are lost.

    Raises:
        ConfigurationError: Only a part of the batch gets another size.
    """

    def optional(raster: Tensor | None) -> Tensor | None:
        return None if raster is None else change_some(raster, chosen, change)

    keep = (~chosen).tolist()
    references = batch.references or [None] * len(batch)
    try:
        overhead = change_some(batch.overhead, chosen, change)
    except RuntimeError:
        raise ConfigurationError("tiles that are not square cannot be turned in a batch") from None
    return replace(
        batch,
        overhead=overhead,
        landcover=optional(batch.landcover),
        sightline=optional(batch.sightline),
        valid=optional(batch.valid),
        labels={name: change_some(raster, chosen, change) for name, raster in batch.labels.items()},
        bounds=[entry if stay else None for entry, stay in zip(batch.bounds, keep, strict=True)],
        references=[entry if stay else None for entry, stay in zip(references, keep, strict=True)],
    )


def change_street(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """``change`` of the street views ``(B, 3, h, w)`` and of their ranges ``(B, h', w')``."""
    ranges = batch.street_range
    return replace(
        batch,
        street=change(batch.street),
        street_range=None if ranges is None else change(ranges),
    )


def roll_columns(views: Tensor, columns: Tensor) -> Tensor:
    """Views ``(B, ..., w)``, the columns of each moved to the right by ``columns`` ``(B,)``."""
    width = views.shape[-1]
    if len(views) == 1:
        return views.roll(int(columns[0]), -1)
    index = (torch.arange(width, device=views.device) - columns[:, None]) % width
    index = index.view(len(views), *[1] * (views.dim() - 2), width)
    return views.gather(-1, index.expand_as(views))


def resize(raster: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures ``(3, H, W)`` and sightlines ``(H, W)`` bilinearly, class ids to the nearest."""
    if not raster.is_floating_point():
        rows, cols = (
            ((torch.arange(new) + 0.5) * (old / new)).long()
            for new, old in zip(size, raster.shape[-2:], strict=True)
        )
        return raster[..., rows[:, None], cols]
    planes = raster if raster.dim() == 3 else raster[None]
    resized = functional.interpolate(
        planes[None], size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
    return resized if raster.dim() == 3 else resized[0]


def checked_share(name: str, value: float, limit: float = 1.0) -> float:
    """``value``, or ConfigurationError where it does not lie in 0 to ``limit``."""
    if not 0.0 <= value <= limit:
        raise ConfigurationError(f"{name} must lie in 0..{limit:g}, got {value:g}")
    return float(value)


def checked_span(
    name: str, span: tuple[float, float], least: float, most: float
) -> tuple[float, float]:
    """``span`` of a smaller and a larger number, or ConfigurationError."""
    low, high = span
    if not least <= low <= high <= most:
        raise ConfigurationError(f"{name} must rise within {least:g}..{most:g}, got {span}")
    return float(low), float(high)
