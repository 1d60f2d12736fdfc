"""What every transform is, and the random numbers and rasters that they share."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError

FULL = 360.0 - 1e-6
"""Degrees from which on a street view is a full panorama."""


class Transform:
    """Base of the transforms; a configuration names its subclasses by ``class_path``."""

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The changed sample."""
        raise NotImplementedError


def map_overhead(sample: Sample, change: Callable[[Tensor], Tensor]) -> Sample:
    """Apply ``change`` to every raster on the overhead grid."""

    def optional(raster: Tensor | None) -> Tensor | None:
        return None if raster is None else change(raster).contiguous()

    return replace(
        sample,
        overhead=change(sample.overhead).contiguous(),
        landcover=optional(sample.landcover),
        sightline=optional(sample.sightline),
        valid=optional(sample.valid),
        labels={name: change(raster).contiguous() for name, raster in sample.labels.items()},
    )


def resize(raster: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures and sightlines bilinearly, class ids to the nearest."""
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


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number from ``low`` to ``high``."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def integer(count: int, generator: torch.Generator) -> int:
    """One of ``0 .. count - 1``."""
    return int(torch.randint(count, (), generator=generator))


def checked_share(name: str, value: float, limit: float = 1.0) -> float:
    """``value``, or ConfigurationError where it does not lie in 0 to ``limit``."""
    if not 0.0 <= value <= limit:
        raise ConfigurationError(f"{name} must lie in 0..{limit:g}, got {value:g}")
    return float(value)
