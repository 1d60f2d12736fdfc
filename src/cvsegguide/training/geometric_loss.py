"""Losses of the geometric network.

Besides the posterior and the overhead land cover, three things are known wherever the land cover
is: how probable the camera's place is from land cover alone, which places around the camera are
hidden by buildings, and what land cover the visible ones have. They teach the prior, the
visibility and the street branch's land cover. Nothing else than position and land cover is needed,
so any data set that has those trains them. Where the street view's depth is known, too, the first
head of the column attention learns in which rows of a column each range is seen.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as functional
from torch import Tensor

from cvsegguide.data.sample import Batch
from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC_CLASSES
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.geometric.polar import PolarGrid
from cvsegguide.training.losses import IGNORED, LocalizationLoss, landcover_loss, position_nll

HALF_BIN = 0.75
"""Range bins by which a row's distance may differ from a bin that it belongs to."""

DEPTH_OF_A_WALL = 2.0
"""Metres into an obstacle that still count as seen: its face."""


class GeometricLoss(LocalizationLoss):
    """Posterior, prior, visibility, and land cover of both branches.

    Its terms are ``position``, ``landcover``, ``prior``, ``visibility``, ``street_landcover``,
    ``range``; those whose labels a data set lacks are left out.
    """

    defaults: Mapping[str, float] = {
        "position": 4.0,
        "landcover": 0.5,
        "prior": 1.0,
        "visibility": 0.3,
        "street_landcover": 0.3,
        "range": 0.1,
    }

    def forward(
        self,
        model: LocalizationModel,
        prediction: Prediction,
        batch: Batch,
        landcover: Tensor | None,
    ) -> dict[str, Tensor]:
        """See :meth:`LocalizationLoss.forward`.

        Raises:
            ConfigurationError: The network gives no evidence (``Prediction.evidence``).
        """
        evidence = prediction.evidence
        if evidence is None:
            raise ConfigurationError(
                f"'geometric' needs a network that gives evidence, and {type(model).__name__} "
                "gives none",
                parameter="losses",
            )
        if prediction.joint is None:
            log_posterior = model.log_posterior(prediction).float()
        else:
            # the first of the headings is the true one
            joint = prediction.joint.float()
            log_posterior = joint.flatten(1).log_softmax(dim=1).view_as(joint)[:, 0]
        label = self.position_label(batch, log_posterior)
        terms = {"position": position_nll(log_posterior, label)}
        prior = evidence.prior[:, 0].float()
        log_prior = prior.flatten(1).log_softmax(dim=1).view_as(prior)
        terms["prior"] = position_nll(log_prior, self.position_label(batch, prior))
        if landcover is not None:
            thinned = _thinned(landcover, evidence.landcover.shape[-1])
            terms["landcover"] = landcover_loss(evidence.landcover, thinned)
            grid = evidence.grid
            target, visible, known = surroundings(landcover, batch.position, batch.gsd, grid)
            terms["visibility"] = _masked_mean(
                functional.binary_cross_entropy_with_logits(
                    evidence.visibility[:, 0].float(), visible.float(), reduction="none"
                ),
                known,
            )
            seen = visible & known & (target != IGNORED)
            terms["street_landcover"] = functional.cross_entropy(
                evidence.street_landcover.float(),
                torch.where(seen, target, IGNORED),
                ignore_index=IGNORED,
                reduction="sum",
            ) / seen.sum().clamp(min=1)
        if batch.street_range is not None and evidence.rows is not None:
            ranges = batch.street_range
            terms["range"] = range_loss(evidence.rows, ranges, batch.heading, evidence.grid)
        return self.weighted(terms)


def _thinned(landcover: Tensor, width: int) -> Tensor:
    """One pixel, any, of each block of ``(B, H, W)`` land cover that is one of ``width``."""
    step = landcover.shape[-1] // width
    first, second = torch.randint(step, (2,)).tolist()
    return landcover[..., first::step, second::step]


def range_loss(rows: Tensor, ranges: Tensor, heading: Tensor, grid: PolarGrid) -> Tensor:
    """Negative log of the attention that falls on the rows in which a range bin is seen.

    Args:
        rows: ``(B, R, rows, D)`` logarithmic shares of attention down the columns.
        ranges: ``(B, rows, D)`` metres along the ground, 0 where unknown, of full panoramas.
        heading: ``(B,)`` azimuth of their centre columns in degrees.
        grid: The polar grid of (R, D).

    Returns:
        The mean over the range bins and directions in which something is seen; 0 when ``ranges``
        has another grid than ``rows``.
    """
    if ranges.shape[1:] != rows.shape[2:]:
        return rows.new_zeros(())
    # the canvas looks north with its centre
    shift = (heading * (grid.directions / 360.0)).round().long()
    columns = (torch.arange(grid.directions, device=rows.device) - shift[:, None]).remainder(
        grid.directions
    )
    ranges = ranges.gather(2, columns[:, None].expand(-1, ranges.shape[1], -1))
    bins = torch.where(ranges > 0, grid.bin_of(ranges), -10.0)
    number = torch.arange(grid.ranges, device=rows.device, dtype=bins.dtype)
    there = (bins[:, None] - number.view(1, -1, 1, 1)).abs() <= HALF_BIN
    share = rows.masked_fill(~there, -30.0).logsumexp(dim=2)
    return _masked_mean(-share, there.any(dim=2))


def surroundings(
    landcover: Tensor, position: Tensor, gsd: Tensor, grid: PolarGrid
) -> tuple[Tensor, Tensor, Tensor]:
    """What stands around a camera, on a polar grid, and what of it is not hidden by buildings.

    Args:
        landcover: ``(B, H, W)`` channel indices of the eight-class scheme, 255 where ignored.
        position: ``(B, 2)`` row and column of the cameras in pixels.
        gsd: ``(B,)`` metres per pixel.
        grid: The polar grid of (R, D).

    Returns:
        ``(B, R, D)`` int64 classes (255 where ignored or outside), bool visible, bool inside the
        tile.
    """
    obstacle = list(NYC_CLASSES.channels).index("building")
    distances = grid.distances().to(position)
    steps = torch.linspace(0.0, grid.last, 2 * round(grid.last) + 1, device=position.device)
    hidden_from = torch.where(
        _along_rays(landcover, position, gsd, steps, grid.directions) == obstacle,
        steps[:, None],
        torch.inf,
    ).amin(dim=1)
    classes = _along_rays(landcover, position, gsd, distances, grid.directions)
    visible = distances[:, None] <= hidden_from[:, None] + DEPTH_OF_A_WALL
    inside = classes >= 0
    return torch.where(inside, classes, IGNORED), visible, inside


def _along_rays(
    landcover: Tensor, position: Tensor, gsd: Tensor, distances: Tensor, directions: int
) -> Tensor:
    """``(B, N, D)`` int64: the pixel at each distance in each direction; -1 outside."""
    height, width = landcover.shape[-2:]
    azimuth = torch.arange(directions, device=position.device, dtype=torch.float32) + 0.5
    azimuth = (azimuth - directions / 2) * (2 * torch.pi / directions)
    pixels = distances[None, :, None] / gsd[:, None, None]
    rows = (position[:, 0, None, None] - pixels * torch.cos(azimuth)).floor().long()
    cols = (position[:, 1, None, None] + pixels * torch.sin(azimuth)).floor().long()
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    index = rows.clamp(0, height - 1) * width + cols.clamp(0, width - 1)
    values = landcover.flatten(1).long().gather(1, index.flatten(1)).view_as(index)
    return torch.where(inside, values, -1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
