"""What can be known without looking: the tile's centre, a blind guess, the land cover alone."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.evaluation.streaming import RECALL_THRESHOLDS, SampleMetric, error_figures

CENTRE, UNIFORM, PRIOR = "tile centre", "uniform", "land-cover prior"

RESAMPLES = 1000
"""Bootstrap resamples behind the intervals."""


class Baselines(SampleMetric):
    """Errors of three predictors that never see the street view.

    - *tile centre*: the middle of the tile.
    - *uniform*: every pixel alike; its position error is that of a random pixel, drawn per
      sample from a fixed seed, its likelihood that of a uniform posterior.
    - *land-cover prior*: every pixel of a class alike, classes weighted by how often cameras
      stand on them per area. The weights are those that maximise the likelihood of the very
      samples that are evaluated, so that no other prior of this kind does better; the position
      is the mean of that posterior. One pass suffices: of each tile only the area and the sum of
      the positions of each class are kept.

    Args:
        ids: Land-cover ids that may occur.
    """

    columns = ("rows", "moments")

    def __init__(self, ids: Sequence[int]) -> None:
        super().__init__()
        self.ids = tuple(ids)

    def update(
        self,
        position: Tensor,
        gsd: Tensor,
        size: tuple[int, int],
        ids: Sequence[str],
        landcover: Tensor | None = None,
    ) -> None:
        """Add B samples.

        Args:
            position: ``(B, 2)`` true row and column in pixels.
            gsd: ``(B,)`` metres per pixel.
            size: ``(H, W)`` of the tiles.
            ids: B names of samples, which the blind guess is drawn from.
            landcover: ``(B, H, W)`` class ids, or None.
        """
        height, width = size
        count = len(position)
        guesses = [np.random.default_rng(zlib.crc32(name.encode())).random(2) for name in ids]
        guess = torch.tensor(np.array(guesses), dtype=torch.float32, device=position.device)
        guess = guess * torch.tensor([height, width], device=position.device)
        row = position[:, 0].floor().long().clamp(0, height - 1)
        col = position[:, 1].floor().long().clamp(0, width - 1)
        standing = torch.full((count,), -1, dtype=torch.int64, device=position.device)
        moments = torch.zeros(count, len(self.ids), 3, device=position.device)
        if landcover is not None:
            rows = torch.arange(height, device=position.device, dtype=torch.float32) + 0.5
            cols = torch.arange(width, device=position.device, dtype=torch.float32) + 0.5
            under = landcover[torch.arange(count, device=position.device), row, col]
            for number, value in enumerate(self.ids):
                mask = (landcover == value).float()
                moments[:, number, 0] = mask.sum(dim=(1, 2))
                moments[:, number, 1] = (mask.sum(dim=2) * rows).sum(dim=1)
                moments[:, number, 2] = (mask.sum(dim=1) * cols).sum(dim=1)
                standing[under == value] = number
        fixed = torch.tensor([height, width], device=position.device).expand(count, 2)
        rows = torch.cat([position, gsd[:, None], fixed, guess, standing[:, None]], dim=1)
        self.add(rows=rows, moments=moments.flatten(1))

    def compute(self) -> dict[str, dict[str, float]]:
        """By name of the baseline: ``mean``, ``median``, ``recall_{t}m``, their intervals as
        ``mean_low`` and so on, and ``nll`` (nats) where it has a posterior."""
        table = self.column("rows")
        if not len(table):
            return {}
        moments = self.column("moments").reshape(len(table), len(self.ids), 3)
        truth, gsd, size, guess = table[:, :2], table[:, 2], table[:, 3:5], table[:, 5:7]
        standing = table[:, 7].astype(int)

        def errors(estimate: NDArray[np.float64], chosen: NDArray[np.bool_]) -> dict[str, float]:
            distance = np.linalg.norm(estimate - truth[chosen], axis=1) * gsd[chosen]
            return error_figures(distance, RECALL_THRESHOLDS, RESAMPLES)

        every = np.ones(len(table), bool)
        result = {CENTRE: errors(size / 2, every), UNIFORM: errors(guess, every)}
        result[UNIFORM]["nll"] = float(np.log(size.prod(axis=1)).mean())
        known = standing >= 0
        if known.any():
            weights = fit_prior(moments[known, :, 0], standing[known])
            total = moments[known] * weights[None, :, None]
            mean = total[:, :, 1:].sum(axis=1) / total[:, :, 0].sum(axis=1)[:, None]
            result[PRIOR] = errors(mean, known)
            probability = weights[standing[known]] / total[:, :, 0].sum(axis=1)
            result[PRIOR]["nll"] = float(-np.log(probability).mean())
        return result


def fit_prior(
    areas: NDArray[np.float64], standing: NDArray[np.int_], iterations: int = 100
) -> NDArray[np.float64]:
    """Weights per class that maximise the likelihood of cameras given the classes' areas.

    The likelihood of a camera on class c of tile i is ``w_c / sum_k w_k areas[i, k]``. It has the
    form of Plackett-Luce models and the fixed point below climbs it (Hunter 2004, an MM
    algorithm).

    Args:
        areas: ``(N, C)`` pixels of each class in each tile.
        standing: ``(N,)`` class that each camera stands on.
        iterations: Number of updates.

    Returns:
        ``(C,)`` weights; 0 for classes on which no camera stands.
    """
    stood = np.bincount(standing, minlength=areas.shape[1]).astype(float)
    weights = (stood > 0).astype(float)
    for _ in range(iterations):
        exposure = (areas / (areas @ weights)[:, None]).sum(axis=0)
        weights = np.divide(stood, exposure, out=np.zeros_like(stood), where=exposure > 0)
    return weights
