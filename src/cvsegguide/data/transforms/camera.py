"""Transforms of the camera: how much it sees, and where it looks."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from cvsegguide.data.sample import Batch
from cvsegguide.data.transforms.base import (
    FULL,
    Draws,
    Transform,
    change_some,
    change_street,
    checked_share,
    checked_span,
    roll_columns,
)
from cvsegguide.geo.filling import filled_up_and_down


class LimitFieldOfView(Transform):
    """Keep a run of columns of the street view, as a camera with a lens would; heading follows.

    Out of a full panorama the run begins anywhere and may go over the seam. Street views of
    different extent are padded to the widest when they are put into one batch.

    Args:
        fov: Smallest and largest horizontal extent in degrees; equal ones need no padding.
        probability: How often.
        blacken: Blacken the other columns rather than cut them off; the sample keeps its extent
            and heading, and batches need no padding. For networks that take black columns as not
            seen (the geometric one).
    """

    def __init__(
        self,
        fov: tuple[float, float] = (90.0, 90.0),
        probability: float = 1.0,
        blacken: bool = False,
    ) -> None:
        self.fov = checked_span("LimitFieldOfView: fov", fov, 1e-3, 360.0)
        self.probability = checked_share("LimitFieldOfView: probability", probability)
        self.blacken = blacken

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        count, width = len(batch), batch.street.shape[-1]
        chosen = draws.choose(self.probability, count).to(batch.fov.device, non_blocking=True)
        wanted = draws.uniform(*self.fov, count)
        columns = (width * wanted / batch.fov).round().clamp(1, width)
        columns = torch.where(chosen, columns, width)
        places = torch.where(batch.fov >= FULL, width, width - columns + 1)
        places = torch.where(columns < width, places, 1)
        first = (draws.uniform(0.0, 1.0, count) * places).floor()
        if self.blacken:
            seen = (torch.arange(width, device=first.device) - first[:, None]) % width
            return _blacken(batch, seen < columns[:, None])
        if not bool((columns < width).any()):
            return batch
        return _cut(batch, first, columns)


def _blacken(batch: Batch, seen: Tensor) -> Batch:
    """Street views without the columns that are not ``seen`` ``(B, w)``."""
    seen = seen.float()

    def hide(views: Tensor) -> Tensor:
        shares = functional.interpolate(seen[:, None], views.shape[-1], mode="area")[:, 0]
        return views * (shares > 0.999).view(len(views), *[1] * (views.dim() - 2), -1)

    return change_street(batch, hide)


def _cut(batch: Batch, first: Tensor, columns: Tensor) -> Batch:
    """``columns`` ``(B,)`` of each view from ``first`` on, centred in the most there are."""
    width = batch.street.shape[-1]
    widest = int(columns.max())
    # Where the cut of each view begins, black columns beside it included.
    start = first - ((widest - columns) / 2).floor()
    place = start[:, None] + torch.arange(widest, device=start.device)
    seen = (place >= first[:, None]) & (place < (first + columns)[:, None])
    index = (place % width).long()[:, None, None].expand(*batch.street.shape[:3], -1)
    turn = (start + widest / 2 - width / 2) * (batch.fov / width)
    return replace(
        batch,
        street=batch.street.gather(-1, index) * seen[:, None, None],
        street_range=None,
        heading=(batch.heading + turn).remainder(360.0),
        fov=batch.fov * widest / width,
    )


class LimitVerticalExtent(Transform):
    """Take rows of a full panorama away above and below, as a camera with a lens would.

    What is taken away is filled as it is when such a photograph is localised
    (:func:`~cvsegguide.geo.filling.filled_up_and_down`), and its ranges are not known any more.
    Views of less than 360 degrees are left as they are. Comes after :class:`LimitFieldOfView`,
    with ``blacken``.

    Args:
        degrees: Smallest and largest extent that is kept, centred on the horizon; a batch that is
            changed as a whole shares one.
        probability: How often.
    """

    def __init__(
        self, degrees: tuple[float, float] = (45.0, 80.0), probability: float = 1.0
    ) -> None:
        # slivers are not filled
        self.degrees = checked_span("LimitVerticalExtent: degrees", degrees, 10.0, 180.0)
        self.probability = checked_share("LimitVerticalExtent: probability", probability)

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        chosen = draws.choose(self.probability, len(batch))
        kept = draws.number(*self.degrees)
        extent = 360.0 * batch.street.shape[-2] / batch.street.shape[-1]

        def limit(views: Tensor) -> Tensor:
            if views.dim() == 4:
                return torch.as_tensor(filled_up_and_down(views, extent, kept))
            rows = torch.arange(views.shape[-2], device=views.device)
            elevation = extent * ((rows + 0.5) / len(rows) - 0.5)
            return views * (elevation.abs() < kept / 2)[:, None]

        def limit_full(views: Tensor) -> Tensor:
            full = (batch.fov >= FULL).view(-1, *[1] * (views.dim() - 1))
            return torch.where(full, change_some(views, chosen, limit), views)

        return change_street(batch, limit_full) if chosen.any() else batch


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

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        turn = draws.uniform(-self.degrees, self.degrees, len(batch)) * (batch.fov >= FULL)

        def columns(views: Tensor) -> Tensor:
            return (turn * views.shape[-1] / 360.0).round().long()

        heading = batch.heading
        if self.known:
            step = 360.0 / batch.street.shape[-1]
            heading = (heading + columns(batch.street) * step).remainder(360.0)
        # The centre now looks further clockwise: what was there moves to the left.
        batch = change_street(batch, lambda views: roll_columns(views, -columns(views)))
        return replace(batch, heading=heading)
