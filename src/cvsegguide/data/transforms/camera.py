"""Transforms of the camera: how much it sees, and where it looks."""

from dataclasses import replace

import torch
from torch import Tensor

from cvsegguide.data.sample import Sample
from cvsegguide.data.transforms.base import (
    FULL,
    Transform,
    checked_share,
    integer,
    resize,
    uniform,
)
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import wrap_degrees
from cvsegguide.geo.filling import filled_up_and_down
from cvsegguide.geo.panorama import FULL_CIRCLE


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
        self.probability = checked_share("LimitFieldOfView: probability", probability)
        self.blacken = blacken

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        width = sample.street.shape[-1]
        wanted = uniform(*self.fov, generator)
        columns = max(1, round(width * wanted / sample.fov))
        if columns >= width:
            return sample
        street = sample.street
        if sample.fov >= FULL:
            first = integer(width, generator)
            if self.blacken:
                kept = torch.zeros(width)
                kept[:columns] = 1.0
                kept = kept.roll(first)
                ranges = sample.street_range
                if ranges is not None:
                    whole = resize(kept[None, None], (1, ranges.shape[-1]))[0] > 0.999
                    ranges = ranges * whole
                return replace(sample, street=sample.street * kept, street_range=ranges)
            street = torch.cat((street, street), dim=-1)
        else:
            first = integer(width - columns + 1, generator)
        turn = (first + columns / 2 - width / 2) * (sample.fov / width)
        return replace(
            sample,
            street=street[..., first : first + columns].contiguous(),
            street_range=None,
            heading=wrap_degrees(sample.heading + turn),
            fov=sample.fov * columns / width,
        )


class LimitVerticalExtent(Transform):
    """Take rows of a full panorama away above and below, as a camera with a lens would.

    What is taken away is filled as it is when such a photograph is localised
    (:func:`~cvsegguide.geo.filling.filled_up_and_down`), and its ranges are not known any more.
    Views of less than 360 degrees are left as they are. Comes after :class:`LimitFieldOfView`,
    with ``blacken``.

    Args:
        degrees: Smallest and largest extent that is kept, centred on the horizon.
        probability: How often.
    """

    def __init__(
        self, degrees: tuple[float, float] = (45.0, 80.0), probability: float = 1.0
    ) -> None:
        low, high = degrees
        if not 10 <= low <= high <= 180:  # slivers are not filled
            raise ConfigurationError(
                f"LimitVerticalExtent: degrees must rise within 10..180, got {degrees}"
            )
        self.degrees = (float(low), float(high))
        self.probability = checked_share("LimitVerticalExtent: probability", probability)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        if sample.fov < FULL or uniform(0.0, 1.0, generator) >= self.probability:
            return sample
        kept = uniform(*self.degrees, generator)
        street, ranges = within_extent(sample.street, sample.street_range, kept)
        return replace(sample, street=street, street_range=ranges)


def within_extent(
    street: Tensor, ranges: Tensor | None, kept: float
) -> tuple[Tensor, Tensor | None]:
    """Full panoramas whose rows beyond ``kept`` degrees are filled, and their ranges without them.

    Args:
        street: ``(..., 3, h, w)``, 360 degrees wide.
        ranges: ``(..., h', w')`` of the same extent, or None.
        kept: Degrees from top to bottom, centred on the horizon.
    """
    extent = FULL_CIRCLE * street.shape[-2] / street.shape[-1]
    if ranges is not None:
        count = ranges.shape[-2]
        elevation = extent * ((torch.arange(count, device=ranges.device) + 0.5) / count - 0.5)
        ranges = ranges * (elevation.abs() < kept / 2)[:, None]
    return filled_up_and_down(street, extent, kept), ranges


class HeadingJitter(Transform):
    """Turn the camera: the panorama is rolled by a whole number of columns.

    Args:
        degrees: The turn is drawn from ``-degrees`` to ``degrees``; 180 is any heading.
        known: Whether the heading of the sample follows. False simulates a compass that errs: the
            sample goes on claiming the heading that it had.

    Views that are no full panoramas are left as they are.
    """

    def __init__(self, degrees: float = 180.0, known: bool = True) -> None:
        self.degrees = 180.0 * checked_share("HeadingJitter: degrees / 180", degrees / 180.0)
        self.known = known

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        turn = uniform(-self.degrees, self.degrees, generator)
        if sample.fov < FULL:
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
