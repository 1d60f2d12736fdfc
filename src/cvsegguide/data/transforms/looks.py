"""Transforms of what the pictures look like; nothing moves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as photometric

from cvsegguide.data.sample import Batch
from cvsegguide.data.transforms.base import (
    Draws,
    Transform,
    change_some,
    checked_share,
    checked_span,
)
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
        self.views = _checked_views("Photometric", views)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        return _change_views(batch, self.views, lambda pictures: self._change(pictures, draws))

    def _change(self, pictures: Tensor, draws: Draws) -> Tensor:
        return torch.stack([self._change_one(picture, draws) for picture in pictures])

    def _change_one(self, picture: Tensor, draws: Draws) -> Tensor:
        changes: tuple[tuple[float, Callable[..., Tensor]], ...] = (
            (self.brightness, photometric.adjust_brightness),
            (self.contrast, photometric.adjust_contrast),
            (self.saturation, photometric.adjust_saturation),
            (self.gamma, photometric.adjust_gamma),
        )
        for amount, change in changes:
            if amount:
                picture = change(picture, draws.number(1.0 - amount, 1.0 + amount))
        if self.hue:
            picture = photometric.adjust_hue(picture, draws.number(-self.hue, self.hue))
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
        self.views = _checked_views("Appearance", views)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        landcover = batch.landcover
        if "overhead" in self.views and landcover is not None:
            chosen = draws.choose(self.probability, len(batch))
            overhead = change_some(
                batch.overhead,
                chosen,
                lambda pictures: self._tint(pictures, landcover[chosen.nonzero()[:, 0]], draws),
            )
            batch = replace(batch, overhead=overhead)
        seen = batch.street.amax(dim=(1, 2), keepdim=True) > 0
        batch = _change_views(batch, self.views, lambda pictures: self._change(pictures, draws))
        if "street" in self.views:
            batch = replace(batch, street=batch.street.clamp_min(1e-3) * seen)
        return batch

    def _tint(self, pictures: Tensor, landcover: Tensor, draws: Draws) -> Tensor:
        """Each class with its own gain and offset per channel."""
        count, amount = len(pictures), 0.35 * self.strength
        gain = 1.0 + amount * draws.uniform(-1.0, 1.0, count, 3, 256)
        offset = 0.5 * amount * draws.uniform(-1.0, 1.0, count, 3, 256)
        index = landcover.long().flatten(1)[:, None].expand(-1, 3, -1)
        gain, offset = (table.gather(2, index).view_as(pictures) for table in (gain, offset))
        return pictures * gain + offset

    def _change(self, pictures: Tensor, draws: Draws) -> Tensor:
        def change_at_random(change: Callable[[Tensor, Draws], Tensor]) -> Tensor:
            chosen = draws.choose(self.probability, len(pictures))
            return change_some(pictures, chosen, lambda some: change(some, draws))

        pictures = change_at_random(self._change_resolution)
        pictures = change_at_random(self._lose_color)
        pictures = self._expose(pictures, draws)
        pictures = change_at_random(self._change_gamma)
        pictures = change_at_random(self._shade)
        pictures = change_at_random(self._add_noise)
        pictures = change_at_random(self._hide_rectangles)
        return pictures.clamp(0.0, 1.0)

    def _change_resolution(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Softer or sharper: the picture mixed with a copy of fewer pixels."""
        factor = draws.number(1.3, 1.0 + 2.0 * max(self.strength, 0.15))
        soft = enlarge_pixels(pictures, factor, "bilinear")
        amount = draws.uniform(-0.7, 1.0, len(pictures), 1, 1, 1)  # below 0 it is sharpened
        return pictures + amount * (soft - pictures)

    def _lose_color(self, pictures: Tensor, draws: Draws) -> Tensor:
        grey = pictures.mean(dim=1, keepdim=True)
        lost = min(1.0, self.strength) * draws.uniform(0.0, 1.0, len(pictures), 1, 1, 1)
        return grey + (1.0 - lost) * (pictures - grey)

    def _expose(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Exposure, contrast and white balance."""
        strength, count = self.strength, len(pictures)
        gain = 1.0 + 0.3 * strength * draws.uniform(-1.0, 1.0, count, 3, 1, 1)
        contrast = torch.exp(strength * draws.uniform(-0.5, 0.4, count, 1, 1, 1))
        light = 0.15 * strength * draws.uniform(-1.0, 1.0, count, 1, 1, 1)
        middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
        return (pictures - middle) * (contrast * gain) + middle * gain + light

    def _change_gamma(self, pictures: Tensor, draws: Draws) -> Tensor:
        gamma = torch.exp(self.strength * draws.uniform(-0.6, 0.6, len(pictures), 1, 1, 1))
        return pictures.clamp(1e-4, 1.0).pow(gamma)

    def _shade(self, pictures: Tensor, draws: Draws) -> Tensor:
        """A smooth field of light, factors about 1, mostly grey."""
        rows, columns = draws.integer(4) + 2, draws.integer(4) + 2
        knots = draws.normal(len(pictures), 1, rows, columns)
        knots = knots + 0.3 * draws.normal(len(pictures), 3, rows, columns)
        size = (pictures.shape[-2], pictures.shape[-1])
        smooth = functional.interpolate(knots, size=size, mode="bilinear", align_corners=True)
        return pictures * torch.exp(0.2 * self.strength * smooth)

    def _add_noise(self, pictures: Tensor, draws: Draws) -> Tensor:
        deviation = 0.06 * self.strength * draws.uniform(0.0, 1.0, len(pictures), 1, 1, 1)
        return pictures + deviation * draws.normal(*pictures.shape)

    def _hide_rectangles(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Up to six rectangles replaced by flat colour with noise."""
        count, _, height, width = pictures.shape
        most = max(1, round(6 * self.strength))
        number = draws.uniform(1.0, most + 1.0, count, 1, 1, 1).floor()
        down = torch.arange(height, device=pictures.device).view(1, 1, -1, 1) + 0.5
        across = torch.arange(width, device=pictures.device).view(1, 1, 1, -1) + 0.5
        owner = torch.zeros((count, 1, height, width), dtype=torch.long, device=pictures.device)
        for index in range(most):
            rows = draws.uniform(1.0, 1.0 + max(1, height // 6), count, 1, 1, 1)
            columns = draws.uniform(1.0, 1.0 + max(1, width // 10), count, 1, 1, 1)
            top = draws.uniform(0.0, 1.0, count, 1, 1, 1) * (height - rows)
            left = draws.uniform(0.0, 1.0, count, 1, 1, 1) * (width - columns)
            inside = (down >= top) & (down < top + rows) & (index < number)
            inside = inside & (across >= left) & (across < left + columns)
            owner = owner.masked_fill(inside, index + 1)
        colours = draws.uniform(0.0, 1.0, count, 3, most + 1)
        fill = colours.gather(2, owner.flatten(1)[:, None].expand(-1, 3, -1)).view_as(pictures)
        fill = fill + 0.1 * draws.normal(*pictures.shape)
        return torch.where(owner > 0, fill, pictures)


class Coarsen(Transform):
    """Take the overhead image's detail away, as imagery of larger pixels has it that was enlarged.

    Args:
        factor: Smallest and largest number of pixels that one pixel of the coarser image spans; a
            batch that is changed as a whole shares one.
        probability: How often.
    """

    def __init__(self, factor: tuple[float, float] = (1.5, 4.5), probability: float = 0.25) -> None:
        self.factor = checked_span("Coarsen: factor", factor, 1.0, math.inf)
        self.probability = checked_share("Coarsen: probability", probability)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        chosen = draws.choose(self.probability, len(batch))
        factor = draws.number(*self.factor)

        def coarsen(pictures: Tensor) -> Tensor:
            return enlarge_pixels(pictures, factor, "bicubic").clamp(0.0, 1.0)

        return replace(batch, overhead=change_some(batch.overhead, chosen, coarsen))


def _change_views(batch: Batch, views: Sequence[str], change: Callable[[Tensor], Tensor]) -> Batch:
    """``change`` of the pictures of some views, each on its own."""
    changed: dict[str, Any] = {view: change(batch[view]) for view in views}
    return replace(batch, **changed)


def _checked_views(name: str, views: Sequence[str]) -> tuple[str, ...]:
    if not set(views) <= {"overhead", "street"}:
        raise ConfigurationError(f"{name}: views must be overhead, street, got {views}")
    return tuple(views)


def enlarge_pixels(pictures: Tensor, factor: float, mode: str) -> Tensor:
    """Pictures ``(B, C, H, W)`` with pixels ``factor`` times as large, and back by ``mode``."""
    height, width = pictures.shape[-2:]
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    coarse = functional.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    return functional.interpolate(coarse, size=(height, width), mode=mode)
