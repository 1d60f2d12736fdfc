"""Is the posterior right, and is it calibrated? Streaming metrics of probability maps."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvsegguide.evaluation.streaming import SampleMetric

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


def log_at(log_posterior: Tensor, position: Tensor) -> Tensor:
    """``(B,)`` log-probabilities of the pixels that hold ``(B, 2)`` positions (row, col in pixels).

    Positions on the far edges of ``log_posterior`` ``(B, H, W)`` lie in its last pixels.
    """
    height, width = log_posterior.shape[-2:]
    row = position[:, 0].floor().long().clamp(0, height - 1)
    col = position[:, 1].floor().long().clamp(0, width - 1)
    index = (row * width + col)[:, None]
    return log_posterior.flatten(1).float().gather(1, index)[:, 0]


def read_posterior(log_posterior: Tensor, position: Tensor, gsd: Tensor) -> PosteriorReading:
    """Read off ``(B, H, W)`` log-posteriors at ``(B, 2)`` positions (row, col in pixels)."""
    nll = -log_at(log_posterior, position)
    nll = torch.where(nll.isposinf(), IMPOSSIBLE, nll)
    probability = log_posterior.flatten(1).float().exp()
    p_true = (-nll).exp()
    mass_above = torch.where(probability > p_true[:, None], probability, 0.0).sum(dim=1)
    cumulative = probability.sort(dim=1, descending=True).values.cumsum(dim=1)
    counts = [(cumulative < level).sum(dim=1) + 1 for level in HDR_LEVELS]
    area = torch.stack(counts, dim=1) * gsd.float().square()[:, None]
    return PosteriorReading(p_true, nll, mass_above, area)


class PosteriorScores(SampleMetric):
    """Likelihood, area and coverage of highest-density sets, and errors where a posterior is sure.

    A calibrated posterior's 90 % set holds 90 % of the cameras; a sharp one's is small. Without the
    samples whose widest set is largest, the error of a posterior that knows when it is wrong is
    smaller.
    """

    columns = ("nll", "uniform", "above", "area", "error")

    def update(self, reading: PosteriorReading, pixels: int, error: Tensor) -> None:
        """Add the readings of B posteriors over ``pixels`` pixels each, and ``(B,)`` errors (m)."""
        self.add(
            nll=reading.nll,
            uniform=torch.full_like(reading.nll, math.log(pixels)),
            above=reading.mass_above,
            area=reading.hdr_area_m2,
            error=error,
        )

    def compute(self) -> dict[str, float]:
        """``nll`` and ``nll_gain`` (nats, the gain over a uniform posterior),
        ``hdr{percent}_area_m2`` (median), ``hdr{percent}_coverage``; ``mean_certain`` and
        ``median_certain`` (m) without the most uncertain fifth, and ``mean_certain_share``: that
        mean as a share of the mean over all. Empty without samples."""
        nll = self.column("nll")
        if not len(nll):
            return {}
        above, areas, error = self.column("above"), self.column("area"), self.column("error")
        gain = self.column("uniform") - nll
        result = {"nll": float(nll.mean()), "nll_gain": float(gain.mean())}
        for index, level in enumerate(HDR_LEVELS):
            name = f"hdr{level * 100:g}"
            result[f"{name}_area_m2"] = float(np.sort(areas[:, index])[len(areas) // 2])
            result[f"{name}_coverage"] = float((above < level).mean())
        kept = math.ceil(0.8 * len(error) - 1e-9)
        certain = np.sort(error[areas[:, -1].argsort(kind="stable")[:kept]])
        mean = float(certain.mean())
        return {
            **result,
            "mean_certain": mean,
            "median_certain": float(certain[(kept - 1) // 2]),
            "mean_certain_share": mean / max(float(error.mean()), 1e-12),
        }


class RegionScores(SampleMetric):
    """Hit rate of ranked regions, and probability of the true one."""

    columns = ("rank", "mass")

    def update(self, rank: Tensor, probability: Tensor) -> None:
        """Add B samples.

        Args:
            rank: ``(B,)`` rank of the region that the camera stands in, 1 the likeliest; 0 when
                it stands in none.
            probability: ``(B,)`` probability of that region, 0 when there is none.
        """
        self.add(rank=rank, mass=probability)

    def compute(self) -> dict[str, float]:
        """``hit_{k}``, the camera stands in one of the k likeliest regions, and ``true_mass``
        (mean); empty without samples."""
        rank = self.column("rank")
        if not len(rank):
            return {}
        hits = {f"hit_{k}": float(((rank >= 1) & (rank <= k)).mean()) for k in RANKS}
        return {**hits, "true_mass": float(self.column("mass").mean())}
