"""Calibration of posteriors after training: temperatures, from validation data.

A network that has seen its training places many times is surer of itself than it should be (Guo et
al. 2017). The temperature is chosen so that highest-density sets hold what they promise: the true
pixel of a sample lies in the set of mass m exactly when the pixels likelier than it hold less than
m together, so that over many samples these masses should be spread evenly between 0 and 1.

Networks that search headings have a second temperature for that: places and headings together are
more often mistaken than places alone.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor

from cvsegguide.data.sample import Batch
from cvsegguide.evaluation.posterior import log_at
from cvsegguide.models.base import LocalizationModel
from cvsegguide.training.module import LocalizationTask

FACTORS = tuple(1.06**k for k in range(-24, 17))
"""Factors of the log-probabilities that are tried: a quarter to two and a half."""

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Masses of the sets whose coverage is compared with what they promise."""

MINIMUM = 50
"""Samples that a temperature is chosen on at least: of 50 a coverage of 50 % is known to within 7
points (standard deviation), of fewer a temperature would follow chance."""

SEARCHED = (180.0, 10.0)
"""Errors of the compass in degrees, in turn, by which the search of headings is calibrated."""

SEARCHES = 256
"""Samples that the search of headings is calibrated on at most: each takes several times as long
as one whose heading is known."""


@dataclass(frozen=True)
class Calibration:
    """What :func:`calibrate` found.

    Attributes:
        factor: What the log-probabilities were multiplied by.
        before, after: Mean absolute difference between coverage and mass over :data:`LEVELS`.
        samples: Number of samples that it was chosen on. Below :data:`MINIMUM` nothing was changed.
    """

    factor: float
    before: float
    after: float
    samples: int

    def __str__(self) -> str:
        return (
            f"log-probabilities times {self.factor:.3g}, from {self.samples} validation samples: "
            f"mean difference between coverage and mass {self.before:.3f} before, "
            f"{self.after:.3f} after"
        )


@torch.inference_mode()
def log_posteriors(
    task: LocalizationTask, batches: Iterable[Batch], heading_errors: Sequence[float] = (0.0,)
) -> Iterator[tuple[Tensor, Tensor]]:
    """What :func:`calibrate` reads, for batches as data sets yield them.

    Args:
        task: The network and how it is asked.
        batches: Validation samples.
        heading_errors: Errors of the compass in degrees, one batch after the other in turn; 0 is
            a known heading.
    """
    before = task.training, task.heading_error
    task.eval()
    try:
        for batch, task.heading_error in zip(batches, cycle(heading_errors)):
            moved = batch.to(task.device)
            yield task.network.log_posterior(task(moved)).float(), moved.position
    finally:
        task.train(before[0])
        task.heading_error = before[1]


@torch.inference_mode()
def calibrate(
    model: LocalizationModel, batches: Iterable[tuple[Tensor, Tensor]], search: bool = False
) -> Calibration | None:
    """Choose the factor by which ``model``'s log-probabilities are right, and build it in.

    Args:
        model: Changed in place (:meth:`LocalizationModel.sharpen`).
        batches: Log-posteriors ``(B, H, W)`` of validation samples and the true positions
            ``(B, 2)``, row and column in pixels.
        search: Whether several headings were tried; changed is what they are scored by, then
            (:meth:`LocalizationModel.sharpen_search`).

    Returns:
        None without samples, and then the model stays as it is.

    Raises:
        ConfigurationError: The network has no temperature.
    """
    readings = [masses_above(log, position, FACTORS) for log, position in batches]
    if not readings:
        return None
    masses = torch.cat(readings)  # (N, F)
    levels = masses.new_tensor(LEVELS)
    coverage = (masses[:, :, None] < levels).double().mean(dim=0)  # (F, L)
    error = (coverage - levels).abs().mean(dim=1)
    unchanged = FACTORS.index(1.0)
    change = error.new_tensor([abs(math.log(factor)) for factor in FACTORS])
    best = int((error + 1e-6 * change).argmin()) if masses.shape[0] >= MINIMUM else unchanged
    (model.sharpen_search if search else model.sharpen)(FACTORS[best])
    return Calibration(FACTORS[best], float(error[unchanged]), float(error[best]), masses.shape[0])


def masses_above(log_posterior: Tensor, position: Tensor, factors: Sequence[float]) -> Tensor:
    """``(B, F)``: mass of the pixels likelier than the true one, for each factor.

    Args:
        log_posterior: ``(B, H, W)``.
        position: ``(B, 2)`` true row and column in pixels.
        factors: What log-probabilities are multiplied by.
    """
    flat = log_posterior.flatten(1).float()
    true = log_at(log_posterior, position)[:, None]
    # sorted once, every factor needs one running sum only
    falling = flat.sort(dim=1, descending=True).values
    rank = (flat > true).sum(dim=1)
    columns = []
    for factor in factors:
        total = (falling * factor).softmax(dim=1).cumsum(dim=1)
        above = total.gather(1, (rank - 1).clamp_min(0)[:, None])[:, 0]
        columns.append(torch.where(rank > 0, above, 0.0))
    return torch.stack(columns, dim=1)
