"""Random changes to samples in training that keep the geometry true.

A transform takes a sample and a generator and returns a new sample in which position, heading,
field of view, metres per pixel and bounds still describe the pictures. The pictures of the sample
that is handed in are not written to. All randomness comes from the generator, which the
:class:`~cvsegguide.data.datamodule.DataModule` seeds by seed, epoch and sample, so that an epoch is
the same with any number of workers.

Azimuths are degrees clockwise from the overhead image's *up*, which is north until the tile is
rotated or mirrored; since bounds could no longer be true then, they become None.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as photometric

from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import Bounds, wrap_degrees

_FULL = 360.0 - 1e-6


class Transform:
    """Base of the transforms; a configuration names its subclasses by ``class_path``."""

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """The changed sample."""
        raise NotImplementedError


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

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        turns = self.quarters[_integer(len(self.quarters), generator)]
        if turns == 0:
            return sample
        height, width = sample.overhead.shape[-2:]
        row, col = sample.row, sample.col
        for _ in range(turns):
            row, col = col, height - row
            height, width = width, height
        street, ranges, heading = sample.street, sample.street_range, sample.heading
        grids = [street] if ranges is None else [street, ranges]
        if sample.fov >= _FULL and all(grid.shape[-1] % 4 == 0 for grid in grids):
            street = torch.roll(street, turns * street.shape[-1] // 4, dims=-1)
            if ranges is not None:
                ranges = torch.roll(ranges, turns * ranges.shape[-1] // 4, dims=-1)
        else:
            heading = wrap_degrees(heading + 90.0 * turns)
        return replace(
            _map_overhead(sample, lambda raster: torch.rot90(raster, -turns, dims=(-2, -1))),
            street=street,
            street_range=ranges,
            row=row,
            col=col,
            heading=heading,
            bounds=None,
            reference=None,
        )


class Mirror(Transform):
    """Mirror tile and street view left to right.

    Args:
        probability: How often.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = _checked_share("Mirror: probability", probability)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if _uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        return replace(
            _map_overhead(sample, lambda raster: raster.flip(-1)),
            street=sample.street.flip(-1),
            street_range=None if sample.street_range is None else sample.street_range.flip(-1),
            col=sample.overhead.shape[-1] - sample.col,
            heading=wrap_degrees(-sample.heading),
            bounds=None,
            reference=None,
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
        low, high = scale
        if not 0 < low <= high <= 1:
            raise ConfigurationError(f"Crop: scale must rise within (0, 1], got {scale}")
        self.scale = (float(low), float(high))
        self.margin = _checked_share("Crop: margin", margin)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        height, width = sample.overhead.shape[-2:]
        share = _uniform(*self.scale, generator)
        rows, cols = max(1, round(height * share)), max(1, round(width * share))
        top = self._offset(sample.row, height, rows, generator)
        left = self._offset(sample.col, width, cols, generator)
        if (rows, cols) == (height, width):
            return sample
        size = (height, width)

        def cut(raster: Tensor) -> Tensor:
            return _resize(raster[..., top : top + rows, left : left + cols], size)

        down, across = height / rows, width / cols
        return replace(
            _map_overhead(sample, cut),
            row=(sample.row - top) * down,
            col=(sample.col - left) * across,
            gsd=sample.gsd / math.sqrt(down * across),
            bounds=_cut_bounds(
                sample.bounds,
                (top / height, (top + rows) / height),
                (left / width, (left + cols) / width),
            ),
            reference=None,
        )

    def _offset(self, position: float, side: int, cut: int, generator: torch.Generator) -> int:
        margin = self.margin * cut
        low = max(0, math.ceil(position + margin - cut))
        high = min(side - cut, math.floor(position - margin))
        low = min(low, side - cut)
        high = max(high, 0)
        if high < low:  # nearer to the tile's edge than the margin
            low = high = min(max(low, 0), side - cut)
        return low + _integer(high - low + 1, generator)


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
        self.brightness = _checked_share("Photometric: brightness", brightness)
        self.contrast = _checked_share("Photometric: contrast", contrast)
        self.saturation = _checked_share("Photometric: saturation", saturation)
        self.gamma = _checked_share("Photometric: gamma", gamma)
        self.hue = _checked_share("Photometric: hue", hue, 0.5)
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
            factor = _uniform(1.0 - amount, 1.0 + amount, generator)
            if amount:
                picture = change(picture, factor)
        if self.hue:
            picture = photometric.adjust_hue(picture, _uniform(-self.hue, self.hue, generator))
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
        self.strength = _checked_share("Appearance: strength", strength, 2.0)
        self.probability = _checked_share("Appearance: probability", probability)
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
        return _uniform(0.0, 1.0, generator) < self.probability

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
            kept = 1.0 - min(1.0, strength) * _uniform(0.0, 1.0, generator)
            picture = mean + kept * (picture - mean)
        # exposure and white balance, always
        gain = 1.0 + 0.3 * strength * (2.0 * torch.rand(3, 1, 1, generator=generator) - 1.0)
        contrast = math.exp(_uniform(-0.5, 0.4, generator) * strength)
        light = 0.15 * strength * _uniform(-1.0, 1.0, generator)
        middle = picture.mean()
        picture = (picture - middle) * (contrast * gain) + middle * gain + light
        if self._chosen(generator):
            gamma = math.exp(_uniform(-0.6, 0.6, generator) * strength)
            picture = picture.clamp(1e-4, 1.0).pow(gamma)
        if self._chosen(generator):
            picture = picture * self._field(picture, generator)
        if self._chosen(generator):
            deviation = 0.06 * strength * _uniform(0.0, 1.0, generator)
            picture = picture + deviation * torch.randn(picture.shape, generator=generator)
        if self._chosen(generator):
            picture = self._hidden(picture, generator)
        return picture.clamp(0.0, 1.0)

    def _resolution(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """Softer or sharper: the picture mixed with a copy of fewer pixels."""
        height, width = picture.shape[-2:]
        factor = _uniform(1.3, 1.0 + 2.0 * max(self.strength, 0.15), generator)
        size = (max(1, round(height / factor)), max(1, round(width / factor)))
        soft = functional.interpolate(picture[None], size=size, mode="bilinear", antialias=True)
        soft = functional.interpolate(soft, size=(height, width), mode="bilinear")[0]
        amount = _uniform(-0.7, 1.0, generator)  # below 0 the picture is sharpened
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
        for _ in range(1 + _integer(max(1, round(6 * self.strength)), generator)):
            rows = 1 + _integer(max(1, height // 6), generator)
            columns = 1 + _integer(max(1, width // 10), generator)
            top = _integer(height - rows + 1, generator)
            left = _integer(width - columns + 1, generator)
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
        self.probability = _checked_share("Coarsen: probability", probability)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if _uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        factor = _uniform(*self.factor, generator)
        return replace(sample, overhead=coarsened(sample.overhead[None], factor)[0])


def coarsened(pictures: Tensor, factor: float) -> Tensor:
    """Pictures ``(B, C, H, W)`` brought to pixels ``factor`` times as large, and back."""
    height, width = pictures.shape[-2:]
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    coarse = functional.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    fine = functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return fine.clamp(0.0, 1.0)


class LimitFieldOfView(Transform):
    """Keep a run of columns of the street view, as a camera with a lens would; heading follows.

    Out of a full panorama the run begins anywhere and may go over the seam. Street views of
    different extent are padded to the widest when they are put into one batch.

    Args:
        fov: Smallest and largest horizontal extent in degrees; equal ones need no padding.
        probability: How often.
        blacken: Blacken the other columns of a full panorama rather than cut them off; the sample
            keeps its extent and heading, and batches need no padding. For networks that take
            black columns as not seen (the geometric one).
    """

    def __init__(
        self,
        fov: tuple[float, float] = (90.0, 90.0),
        probability: float = 1.0,
        blacken: bool = False,
    ) -> None:
        low, high = fov
        if not 0 < low <= high <= 360:
            raise ConfigurationError(f"LimitFieldOfView: fov must rise within (0, 360], got {fov}")
        self.fov = (float(low), float(high))
        self.probability = _checked_share("LimitFieldOfView: probability", probability)
        self.blacken = blacken

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if _uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        width = sample.street.shape[-1]
        wanted = _uniform(*self.fov, generator)
        columns = max(1, round(width * wanted / sample.fov))
        if columns >= width:
            return sample
        street = sample.street
        if sample.fov >= _FULL:
            first = _integer(width, generator)
            if self.blacken:
                kept = torch.zeros(width)
                kept[:columns] = 1.0
                kept = kept.roll(first)
                ranges = sample.street_range
                if ranges is not None:
                    whole = _resize(kept[None, None], (1, ranges.shape[-1]))[0] > 0.999
                    ranges = ranges * whole
                return replace(sample, street=sample.street * kept, street_range=ranges)
            street = torch.cat((street, street), dim=-1)
        else:
            first = _integer(width - columns + 1, generator)
        turn = (first + columns / 2 - width / 2) * (sample.fov / width)
        return replace(
            sample,
            street=street[..., first : first + columns].contiguous(),
            street_range=None,
            heading=wrap_degrees(sample.heading + turn),
            fov=sample.fov * columns / width,
        )


class HeadingJitter(Transform):
    """Turn the camera: the panorama is rolled by a whole number of columns.

    Args:
        degrees: The turn is drawn from ``-degrees`` to ``degrees``; 180 is any heading.
        known: Whether the heading of the sample follows. False simulates a compass that errs: the
            sample goes on claiming the heading that it had.

    Views that are no full panoramas are left as they are.
    """

    def __init__(self, degrees: float = 180.0, known: bool = True) -> None:
        self.degrees = 180.0 * _checked_share("HeadingJitter: degrees / 180", degrees / 180.0)
        self.known = known

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        turn = _uniform(-self.degrees, self.degrees, generator)
        if sample.fov < _FULL:
            return sample
        width = sample.street.shape[-1]
        columns = round(turn * width / 360.0)
        heading = sample.heading
        if self.known:
            heading = wrap_degrees(heading + columns * 360.0 / width)
        # The centre now looks `columns` further clockwise: what was there moves to the left.
        ranges = sample.street_range
        if ranges is not None:
            ranges = torch.roll(ranges, -round(turn * ranges.shape[-1] / 360.0), -1)
        return replace(
            sample,
            street=torch.roll(sample.street, -columns, -1),
            street_range=ranges,
            heading=heading,
        )


def _map_overhead(sample: Sample, change: Callable[[Tensor], Tensor]) -> Sample:
    """Apply ``change`` to every raster on the overhead grid."""

    def optional(raster: Tensor | None) -> Tensor | None:
        return None if raster is None else change(raster).contiguous()

    return replace(
        sample,
        overhead=change(sample.overhead).contiguous(),
        landcover=optional(sample.landcover),
        sightline=optional(sample.sightline),
        labels={name: change(raster).contiguous() for name, raster in sample.labels.items()},
    )


def _resize(raster: Tensor, size: tuple[int, int]) -> Tensor:
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


def _cut_bounds(
    bounds: Bounds | None, rows: tuple[float, float], cols: tuple[float, float]
) -> Bounds | None:
    """Bounds of a part of a tile, given as shares of height and width (Web Mercator)."""
    if bounds is None:
        return None
    top = math.asinh(math.tan(math.radians(bounds.north)))
    bottom = math.asinh(math.tan(math.radians(bounds.south)))

    def latitude(share: float) -> float:
        return math.degrees(math.atan(math.sinh(top + share * (bottom - top))))

    def longitude(share: float) -> float:
        return bounds.west + share * (bounds.east - bounds.west)

    return Bounds(longitude(cols[0]), latitude(rows[1]), longitude(cols[1]), latitude(rows[0]))


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _integer(count: int, generator: torch.Generator) -> int:
    """One of ``0 .. count - 1``."""
    return int(torch.randint(count, (), generator=generator))


def _checked_share(name: str, value: float, limit: float = 1.0) -> float:
    if not 0.0 <= value <= limit:
        raise ConfigurationError(f"{name} must lie in 0..{limit:g}, got {value:g}")
    return float(value)
