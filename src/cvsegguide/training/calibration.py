"""Calibration of posteriors after training: one temperature, from validation data.

A network that has seen its training places many times is surer of itself than it should be (Guo et
al. 2017). The temperature is chosen so that highest-density sets hold what they promise: the true
pixel of a sample lies in the set of mass m exactly when the pixels likelier than it hold less than
m together, so that over many samples these masses should be spread evenly between 0 and 1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cvsegguide.data.sample import Batch
from cvsegguide.models.base import LocalizationModel
from cvsegguide.training.module import LocalizationTask

FACTORS = tuple(1.06**k for k in range(-24, 17))
"""Factors of the log-probabilities that are tried: a quarter to two and a half."""

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Masses of the sets whose coverage is compared with what they promise."""

MINIMUM = 50
"""Samples that a temperature is chosen on at least: of 50 a coverage of 50 % is known to within 7
points (standard deviation), of fewer a temperature would follow chance."""


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


@torch.inference_mode()
def log_posteriors(
    task: LocalizationTask, batches: Iterable[Batch]
) -> Iterator[tuple[Tensor, Tensor]]:
    """What :func:`calibrate` reads, for batches as data sets yield them."""
    training = task.training
    task.eval()
    for batch in batches:
        moved = batch.to(task.device)
        yield task.network.log_posterior(task(moved)).float(), moved.position
    task.train(training)


@torch.inference_mode()
def calibrate(
    model: LocalizationModel, batches: Iterable[tuple[Tensor, Tensor]]
) -> Calibration | None:
    """Choose the factor by which ``model``'s log-probabilities are right, and build it in.

    Args:
        model: Changed in place (:meth:`LocalizationModel.sharpen`).
        batches: Log-posteriors ``(B, H, W)`` of validation samples and the true positions
            ``(B, 2)``, row and column in pixels.

    Returns:
        None without samples, and then the model stays as it is.

    Raises:
        ConfigurationError: The network has no temperature.
    """
    readings = [_masses_above(log, position) for log, position in batches]
    if not readings:
        return None
    masses = torch.cat(readings)  # (N, F)
    levels = masses.new_tensor(LEVELS)
    coverage = (masses[:, :, None] < levels).double().mean(dim=0)  # (F, L)
    error = (coverage - levels).abs().mean(dim=1)
    unchanged = FACTORS.index(1.0)
    best = int(error.argmin()) if masses.shape[0] >= MINIMUM else unchanged
    model.sharpen(FACTORS[best])
    return Calibration(FACTORS[best], float(error[unchanged]), float(error[best]), masses.shape[0])


def _masses_above(log_posterior: Tensor, position: Tensor) -> Tensor:
    """``(B, F)``: mass of the pixels likelier than the true one, for each factor."""
    height, width = log_posterior.shape[-2:]
    row = position[:, 0].floor().long().clamp(0, height - 1)
    col = position[:, 1].floor().long().clamp(0, width - 1)
    flat = log_posterior.flatten(1).float()
    true = flat.gather(1, (row * width + col)[:, None])
    # sorted once, every factor needs one running sum only
    falling = flat.sort(dim=1, descending=True).values
    rank = (flat > true).sum(dim=1)
    columns = []
    for factor in FACTORS:
        total = (falling * factor).softmax(dim=1).cumsum(dim=1)
        above = total.gather(1, (rank - 1).clamp_min(0)[:, None])[:, 0]
        columns.append(torch.where(rank > 0, above, 0.0))
    return torch.stack(columns, dim=1)
