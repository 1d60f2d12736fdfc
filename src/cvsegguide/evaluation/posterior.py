"""Is the posterior right, and is it calibrated? Streaming metrics of probability maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

from cvsegguide.evaluation.states import collected

HDR_LEVELS = (0.5, 0.9)
"""Masses of the highest-density sets that are reported."""

RANKS = (1, 3, 5)
"""Ranks at which a region may hit."""


IMPOSSIBLE = -math.log(torch.finfo(torch.float32).tiny)
"""Nats of an event of probability 0, so that means stay finite: 87.3."""


@dataclass
class PosteriorReading:
    """What B posteriors say about their cameras.

    Attributes:
        p_true: ``(B,)`` probability of the true pixel.
        nll: ``(B,)`` ``-log p_true`` in nats; :data:`IMPOSSIBLE` where the camera stands on a pixel
            of no probability, which has no data.
        mass_above: ``(B,)`` probability of all pixels that are likelier than the true one: the
            true pixel lies in the highest-density set of mass m exactly when this is below m.
        hdr_area_m2: ``(B, L)`` area of the smallest set of pixels that holds each level's mass.
    """

    p_true: Tensor
    nll: Tensor
    mass_above: Tensor
    hdr_area_m2: Tensor


def read_posterior(
    log_posterior: Tensor, position: Tensor, gsd: Tensor, levels: Sequence[float] = HDR_LEVELS
) -> PosteriorReading:
    """Read off ``(B, H, W)`` log-posteriors at ``(B, 2)`` positions (row, col in pixels)."""
    height, width = log_posterior.shape[-2:]
    row = position[:, 0].floor().long().clamp(0, height - 1)
    col = position[:, 1].floor().long().clamp(0, width - 1)
    flat = log_posterior.flatten(1).float()
    nll = -flat.gather(1, (row * width + col)[:, None])[:, 0]
    nll = torch.where(nll.isposinf(), IMPOSSIBLE, nll)
    probability = flat.exp()
    p_true = (-nll).exp()
    mass_above = torch.where(probability > p_true[:, None], probability, 0.0).sum(dim=1)
    cumulative = probability.sort(dim=1, descending=True).values.cumsum(dim=1)
    # The last entry is 1 up to rounding, so that a level of 1 would still find a set.
    counts = [(cumulative < level).sum(dim=1).clamp(max=height * width - 1) + 1 for level in levels]
    area = torch.stack(counts, dim=1) * gsd.float().square()[:, None]
    return PosteriorReading(p_true, nll, mass_above, area)


class PosteriorScores(Metric):
    """Negative log-likelihood, and area and coverage of highest-density sets.

    A calibrated posterior's 90 % set holds 90 % of the cameras; a sharp one's is small.

    Args:
        levels: Masses of the sets.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None
    nll: list[Tensor]
    uniform: list[Tensor]
    above: list[Tensor]
    area: list[Tensor]

    def __init__(self, levels: Sequence[float] = HDR_LEVELS) -> None:
        super().__init__()
        self.levels = tuple(levels)
        for name in ("nll", "uniform", "above", "area"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, reading: PosteriorReading, pixels: int) -> None:
        """Add the readings of B posteriors over ``pixels`` pixels each."""
        self.nll.append(reading.nll.float())
        self.uniform.append(torch.full_like(self.nll[-1], math.log(pixels)))
        self.above.append(reading.mass_above.float())
        self.area.append(reading.hdr_area_m2.float())

    def compute(self) -> dict[str, float]:
        """``nll`` and ``nll_gain`` (nats, the gain over a uniform posterior),
        ``hdr{percent}_area_m2`` (median), ``hdr{percent}_coverage``; empty without samples."""
        nll = collected(self.nll)
        if not len(nll):
            return {}
        above, areas = collected(self.above), collected(self.area)
        result = {
            "nll": nll.mean().item(),
            "nll_gain": (collected(self.uniform) - nll).mean().item(),
        }
        for index, level in enumerate(self.levels):
            name = f"hdr{level * 100:g}"
            result[f"{name}_area_m2"] = areas[:, index].sort().values[len(areas) // 2].item()
            result[f"{name}_coverage"] = (above < level).double().mean().item()
        return result


class SelectiveError(Metric):
    """Does the posterior know when it is wrong? The error without the most uncertain samples.

    Uncertainty is the area of the widest highest-density set that is reported.

    Args:
        dropped: Share of the samples that is left out.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    error: list[Tensor]
    uncertainty: list[Tensor]

    def __init__(self, dropped: float = 0.2) -> None:
        super().__init__()
        self.dropped = dropped
        for name in ("error", "uncertainty"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, error: Tensor, uncertainty: Tensor) -> None:
        """Add ``(B,)`` errors and uncertainties."""
        self.error.append(error.float())
        self.uncertainty.append(uncertainty.float())

    def compute(self) -> dict[str, float]:
        """``mean_certain`` and ``median_certain`` (m): over the samples that are kept; and
        ``mean_certain_share``: that mean as a share of the mean over all."""
        error = collected(self.error)
        kept = math.ceil(len(error) * (1.0 - self.dropped) - 1e-9)
        if not kept:
            return {}
        certain = error[collected(self.uncertainty).argsort(stable=True)[:kept]]
        mean = certain.mean().item()
        return {
            "mean_certain": mean,
            "median_certain": certain.median().item(),
            "mean_certain_share": mean / max(error.mean().item(), 1e-12),
        }


class RegionScores(Metric):
    """Hit rate of ranked regions, and probability of the true one.

    Args:
        ranks: A hit at rank k: the camera stands in one of the k likeliest regions.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    rank: list[Tensor]
    mass: list[Tensor]

    def __init__(self, ranks: Sequence[int] = RANKS) -> None:
        super().__init__()
        self.ranks = tuple(ranks)
        self.add_state("rank", default=[], dist_reduce_fx="cat")
        self.add_state("mass", default=[], dist_reduce_fx="cat")

    def update(self, rank: Tensor, probability: Tensor) -> None:
        """Add B samples.

        Args:
            rank: ``(B,)`` rank of the region that the camera stands in, 1 the likeliest; 0 when
                it stands in none.
            probability: ``(B,)`` probability of that region, 0 when there is none.
        """
        self.rank.append(rank.float())
        self.mass.append(probability.float())

    def compute(self) -> dict[str, float]:
        """``hit_{k}`` and ``true_mass`` (mean); empty without samples."""
        rank = collected(self.rank)
        if not len(rank):
            return {}
        result = {
            f"hit_{limit}": ((rank >= 1) & (rank <= limit)).double().mean().item()
            for limit in self.ranks
        }
        result["true_mass"] = collected(self.mass).mean().item()
        return result
