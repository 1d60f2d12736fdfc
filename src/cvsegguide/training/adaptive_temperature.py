"""How far a match must stand out to be believed, from validation views made unfamiliar.

A temperature (:mod:`cvsegguide.training.calibration`) suits pictures like those it was chosen on.
Over imagery unlike any that the network knows nothing agrees with the street view, and the place
that happens to disagree least is still far ahead of the others in a softmax whose temperature is
made for clear matches. What gives it away is that it stands out little: the log-probability of the
best place exceeds the mean by less than it does in familiar pictures. So there is a second
temperature that depends on this (:meth:`LocalizationModel.adapt_temperature`), chosen so that
highest-density sets hold what they promise in validation views as they are and in those whose
overhead pictures were changed beyond recognition, alike.

Joy et al. ("Sample-dependent Adaptive Temperature Scaling for Improved Calibration", AAAI 2023)
learn a temperature for each sample from features; here one figure of the answer is enough.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cvsegguide.data.sample import Batch
from cvsegguide.data.transforms import Appearance, Coarsen, Draws, Transform, transform_batch
from cvsegguide.models.base import LocalizationModel
from cvsegguide.training.calibration import MINIMUM, masses_above

LOG_FACTORS = torch.linspace(math.log(0.03), math.log(8.0), 40)
"""Logarithms of the factors at which coverage is computed; between them masses are linear."""

SCALES = torch.linspace(math.log(0.2), math.log(8.0), 75)
"""Logarithms of the factors that the log-probabilities of a usual match may have."""

LEVELS = (0.8, 0.9)
"""Masses of the sets whose coverage is compared: of smaller ones it says little where a clear match
has half of its mass in one pixel."""

POWERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)

GAIN = 0.01
"""Difference between coverage and mass that has to be gained at least: less may be chance."""

KINDS = 3
"""Kinds of batches that :func:`made_unfamiliar` yields in turn."""


@dataclass(frozen=True)
class AdaptiveTemperature:
    """What :func:`choose_adaptive_temperature` found.

    Attributes:
        peak, power: As :meth:`LocalizationModel.adapt_temperature` takes them; a power of 0:
            nothing to gain.
        before, after: Mean absolute difference between coverage and mass over
            :data:`LEVELS` and all kinds of views, with the best
            single temperature and with one that depends on the match.
        samples: Views of each kind. Below
            :data:`~cvsegguide.training.calibration.MINIMUM` nothing was changed.
    """

    peak: float
    power: float
    before: float
    after: float
    samples: int

    def __str__(self) -> str:
        return (
            f"log-probabilities times (g / {self.peak:.3g})^{self.power:g} where the best place "
            f"exceeds the mean by g nats, from {self.samples} validation samples, as they are and "
            "made unfamiliar twice: mean difference between coverage and mass "
            f"{self.before:.3f} before, {self.after:.3f} after"
        )


def made_unfamiliar(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Each batch three times: as it is, its overhead pictures of another look, and of none known.

    The second loses resolution and colour, each class its own; the third all of that in every
    picture, inverted, with its channels exchanged. Geometry and street views stay. What is drawn
    follows from the number of the batch.
    """
    other: list[Transform] = [Appearance(2.0, 0.6, ("overhead",)), Coarsen((2.0, 5.0), 0.7)]
    unlike: list[Transform] = [Appearance(2.0, 1.0, ("overhead",)), Coarsen((4.0, 6.0), 1.0)]
    for number, batch in enumerate(batches):
        draws = Draws(number, device=batch.overhead.device)
        yield batch
        yield transform_batch(batch, other, draws)
        changed = transform_batch(batch, unlike, draws)
        yield replace(changed, overhead=1.0 - changed.overhead.roll(1 + number % 2, dims=1))


@torch.inference_mode()
def choose_adaptive_temperature(
    model: LocalizationModel, batches: Iterable[tuple[Tensor, Tensor]]
) -> AdaptiveTemperature | None:
    """Choose by how much the best place has to stand out, and build it in.

    Args:
        model: Changed in place (:meth:`LocalizationModel.adapt_temperature`). What it had, as of
            weights that training began with, is undone before the first batch is taken.
        batches: Its log-posteriors ``(B, H, W)`` of the :data:`KINDS` kinds of views in turn
            (:func:`made_unfamiliar`), and the true positions ``(B, 2)``, row and column in
            pixels.

    Returns:
        None without samples, and then one temperature holds for all.

    Raises:
        ConfigurationError: The network has no such parameters.
    """
    model.adapt_temperature(1.0, 0.0)
    readings = [_reading(log, position).cpu() for log, position in batches]
    kinds = [torch.cat(readings[kind::KINDS]) for kind in range(KINDS) if readings[kind::KINDS]]
    if not kinds:
        return None
    samples = min(map(len, kinds))
    before = float(_error(kinds, 1.0, 0.0).min())
    best = (before - GAIN, 1.0, 0.0)
    if samples >= MINIMUM:
        usual = max(float(kinds[0][:, 0].median()), 1e-6)
        for power in POWERS:
            errors = _error(kinds, usual, power)
            least = int(errors.argmin())
            peak = usual * math.exp(-float(SCALES[least]) / power)
            best = min(best, (float(errors[least]), peak, power))
    after, peak, power = best
    after = after if power else before
    model.adapt_temperature(peak, power)
    return AdaptiveTemperature(peak, power, before, after, samples)


def _reading(log_posterior: Tensor, position: Tensor) -> Tensor:
    """``(B, 1 + F)``: nats that the best place stands out by; masses likelier than the truth."""
    flat = log_posterior.flatten(1).float()
    stands_out = flat.amax(dim=1, keepdim=True) - flat.mean(dim=1, keepdim=True)
    factors = LOG_FACTORS.exp().tolist()
    return torch.cat((stands_out, masses_above(log_posterior, position, factors)), dim=1)


def _error(kinds: Sequence[Tensor], usual: float, power: float) -> Tensor:
    """Mean difference between coverage and mass for each of :data:`SCALES`, over the kinds."""
    levels = torch.tensor(LEVELS)
    step = float(LOG_FACTORS[1] - LOG_FACTORS[0])
    total = torch.zeros(len(SCALES))
    for found in kinds:
        stands_out, masses = found[:, 0], found[:, 1:]
        surer = power * (stands_out.clamp_min(1e-6) / usual).log()
        place = (SCALES[:, None] + surer - float(LOG_FACTORS[0])) / step  # (S, N)
        place = place.clamp(0.0, len(LOG_FACTORS) - 1.001)
        lower, rows = place.floor().long(), torch.arange(len(found))
        share = place - lower
        above = masses[rows, lower] * (1 - share) + masses[rows, lower + 1] * share
        coverage = (above[:, :, None] < levels).float().mean(dim=1)
        total += (coverage - levels).abs().mean(dim=1) / len(kinds)
    return total
