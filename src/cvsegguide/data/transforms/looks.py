"""Transforms of what the pictures look like; nothing moves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as photometric

from cvsegguide.data.sample import Sample
from cvsegguide.data.transforms.base import Transform, checked_share, integer, uniform
from cvsegguide.errors import ConfigurationError


class Photometric(Transform):
    """Change brightness, contrast, saturation, hue and gamma of each view on its own.

    Args:
        brightness, contrast, saturation, gamma: Factors are drawn from ``1 - x`` to ``1 + x``.
        hue: Turns of the colour circle are drawn from ``-x`` to ``x``; at most 0.5. It costs more
            than the others together.
        views: Which of ``"overhead"`` and ``"street"``.
    """

    def __init__(
        self,
        brightness: float = 0.25,
        contrast: float = 0.25,
        saturation: float = 0.25,
        hue: float = 0.0,
        gamma: float = 0.2,
        views: Sequence[str] = ("overhead", "street"),
    ) -> None:
        self.brightness = checked_share("Photometric: brightness", brightness)
        self.contrast = checked_share("Photometric: contrast", contrast)
        self.saturation = checked_share("Photometric: saturation", saturation)
        self.gamma = checked_share("Photometric: gamma", gamma)
        self.hue = checked_share("Photometric: hue", hue, 0.5)
        if not set(views) <= {"overhead", "street"}:
            raise ConfigurationError(f"Photometric: views must be overhead, street, got {views}")
        self.views = tuple(views)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        overhead, street = sample.overhead, sample.street
        if "overhead" in self.views:
            overhead = self._change(overhead, generator)
        if "street" in self.views:
            street = self._change(street, generator)
        return replace(sample, overhead=overhead, street=street)

    def _change(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        changes: tuple[tuple[float, Callable[..., Tensor]], ...] = (
            (self.brightness, photometric.adjust_brightness),
            (self.contrast, photometric.adjust_contrast),
            (self.saturation, photometric.adjust_saturation),
            (self.gamma, photometric.adjust_gamma),
        )
        for amount, change in changes:
            factor = uniform(1.0 - amount, 1.0 + amount, generator)
            if amount:
                picture = change(picture, factor)
        if self.hue:
            picture = photometric.adjust_hue(picture, uniform(-self.hue, self.hue, generator))
        return picture.clamp(0.0, 1.0)


class Appearance(Transform):
    """Take the pictures' looks apart, far beyond what cameras do, and leave only the structure.

    Meant for training on rendered imagery that shall work on photographs (domain randomisation,
    Tobin et al. 2017). Each view on its own, each change with its own probability:

    - every channel its own gain and gamma, partial or full loss of colour, inversion of contrast
      between classes: each land-cover class of the overhead image is tinted on its own;
    - smooth fields of light over the picture (haze, vignette, uneven exposure);
    - blur or loss of resolution, sharpening, noise;
    - rectangles of noise or flat colour, which hide what is there (cars, shadows, seams).

    Black columns of the street view stay black: they mean that nothing was seen.

    Args:
        strength: 0 changes nothing, 1 is what is described; scales all amounts.
        probability: Of each change.
        views: Which of ``"overhead"`` and ``"street"``.
    """

    def __init__(
        self,
        strength: float = 1.0,
        probability: float = 0.5,
        views: Sequence[str] = ("overhead", "street"),
    ) -> None:
        self.strength = checked_share("Appearance: strength", strength, 2.0)
        self.probability = checked_share("Appearance: probability", probability)
        if not set(views) <= {"overhead", "street"}:
            raise ConfigurationError(f"Appearance: views must be overhead, street, got {views}")
        self.views = tuple(views)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        overhead, street = sample.overhead, sample.street
        if "overhead" in self.views:
            if sample.landcover is not None and self._chosen(generator):
                overhead = self._tinted(overhead, sample.landcover, generator)
            overhead = self._change(overhead, generator)
        if "street" in self.views:
            seen = street.amax(dim=(0, 1), keepdim=True) > 0
            street = self._change(street, generator).clamp_min(1e-3) * seen
        return replace(sample, overhead=overhead, street=street)

    def _chosen(self, generator: torch.Generator) -> bool:
        return uniform(0.0, 1.0, generator) < self.probability

    def _tinted(self, picture: Tensor, landcover: Tensor, generator: torch.Generator) -> Tensor:
        """Each class with its own gain and offset per channel."""
        amount = 0.35 * self.strength
        gain = 1.0 + amount * (2.0 * torch.rand(256, 3, generator=generator) - 1.0)
        offset = 0.5 * amount * (2.0 * torch.rand(256, 3, generator=generator) - 1.0)
        classes = landcover.long()
        return picture * gain.T[:, classes] + offset.T[:, classes]

    def _change(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        strength = self.strength
        if self._chosen(generator):
            picture = self._resolution(picture, generator)
        if self._chosen(generator):  # colour
            mean = picture.mean(dim=0, keepdim=True)
            kept = 1.0 - min(1.0, strength) * uniform(0.0, 1.0, generator)
            picture = mean + kept * (picture - mean)
        # exposure and white balance, always
        gain = 1.0 + 0.3 * strength * (2.0 * torch.rand(3, 1, 1, generator=generator) - 1.0)
        contrast = math.exp(uniform(-0.5, 0.4, generator) * strength)
        light = 0.15 * strength * uniform(-1.0, 1.0, generator)
        middle = picture.mean()
        picture = (picture - middle) * (contrast * gain) + middle * gain + light
        if self._chosen(generator):
            gamma = math.exp(uniform(-0.6, 0.6, generator) * strength)
            picture = picture.clamp(1e-4, 1.0).pow(gamma)
        if self._chosen(generator):
            picture = picture * self._field(picture, generator)
        if self._chosen(generator):
            deviation = 0.06 * strength * uniform(0.0, 1.0, generator)
            picture = picture + deviation * torch.randn(picture.shape, generator=generator)
        if self._chosen(generator):
            picture = self._hidden(picture, generator)
        return picture.clamp(0.0, 1.0)

    def _resolution(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """Softer or sharper: the picture mixed with a copy of fewer pixels."""
        factor = uniform(1.3, 1.0 + 2.0 * max(self.strength, 0.15), generator)
        soft = of_larger_pixels(picture[None], factor, "bilinear")[0]
        amount = uniform(-0.7, 1.0, generator)  # below 0 the picture is sharpened
        return picture + amount * (soft - picture)

    def _field(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """A smooth field of factors about 1, ``(3, H, W)``, mostly grey."""
        rows, columns = (int(torch.randint(2, 6, (), generator=generator)) for _ in range(2))
        knots = torch.randn(1, 1, rows, columns, generator=generator)
        knots = knots + 0.3 * torch.randn(1, 3, rows, columns, generator=generator)
        size = (picture.shape[-2], picture.shape[-1])
        smooth = functional.interpolate(knots, size=size, mode="bilinear", align_corners=True)
        return torch.exp(0.2 * self.strength * smooth[0])

    def _hidden(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """Up to six rectangles replaced by flat colour with noise."""
        picture = picture.clone()
        height, width = picture.shape[-2:]
        for _ in range(1 + integer(max(1, round(6 * self.strength)), generator)):
            rows = 1 + integer(max(1, height // 6), generator)
            columns = 1 + integer(max(1, width // 10), generator)
            top = integer(height - rows + 1, generator)
            left = integer(width - columns + 1, generator)
            colour = torch.rand(3, 1, 1, generator=generator)
            noise = 0.1 * torch.randn(3, rows, columns, generator=generator)
            picture[:, top : top + rows, left : left + columns] = colour + noise
        return picture


class Coarsen(Transform):
    """Take the overhead image's detail away, as imagery of larger pixels has it that was enlarged.

    Args:
        factor: Smallest and largest number of pixels that one pixel of the coarser image spans.
        probability: How often.
    """

    def __init__(self, factor: tuple[float, float] = (1.5, 4.5), probability: float = 0.25) -> None:
        low, high = factor
        if not 1.0 <= low <= high:
            raise ConfigurationError(f"Coarsen: factor must rise from 1 on, got {factor}")
        self.factor = (float(low), float(high))
        self.probability = checked_share("Coarsen: probability", probability)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        factor = uniform(*self.factor, generator)
        return replace(sample, overhead=coarsened(sample.overhead[None], factor)[0])


def coarsened(pictures: Tensor, factor: float) -> Tensor:
    """Pictures ``(B, C, H, W)`` in [0, 1] as :class:`Coarsen` leaves them."""
    return of_larger_pixels(pictures, factor, "bicubic").clamp(0.0, 1.0)


def of_larger_pixels(pictures: Tensor, factor: float, mode: str) -> Tensor:
    """Pictures ``(B, C, H, W)`` with pixels ``factor`` times as large, and back by ``mode``."""
    height, width = pictures.shape[-2:]
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    coarse = functional.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    return functional.interpolate(coarse, size=(height, width), mode=mode)
