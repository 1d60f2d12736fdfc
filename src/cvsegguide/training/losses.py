"""Losses: what a recipe is, the terms that recipes share, and two recipes.

A recipe is a sub-class of :class:`LocalizationLoss`. ``posterior`` fits every network:
cross-entropy and Dice on land-cover scores, binary cross-entropy of the heatmap against the
sightline map, and a position loss that has a gradient: the cross-entropy of the posterior with a
narrow Gaussian at the camera, and the expected distance to it. ``published`` is the recipe of
Xavier et al. (2025), kept to compare against: its position term goes through an arg max and
therefore trains nothing.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cvsegguide.data.sample import Batch
from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel, Prediction

IGNORED = 255
"""Target of pixels that take no part in the land-cover loss."""


def dice_loss(
    scores: Tensor, target: Tensor, ignored: int = IGNORED, smooth: float = 1.0
) -> Tensor:
    """Soft Dice loss, the mean over the classes that the batch holds (Milletari et al. 2016).

    Args:
        scores: ``(B, C, H, W)`` unnormalised scores.
        target: ``(B, H, W)`` integer classes; ``ignored`` where there is none.
        ignored: Target value that is left out.
        smooth: Added to both counts, in pixels.

    Returns:
        A scalar in [0, 1]; 0 when no pixel has a target.
    """
    valid = (target != ignored).unsqueeze(1)
    probability = scores.softmax(dim=1) * valid
    truth = functional.one_hot(target.long().clamp(max=scores.shape[1] - 1), scores.shape[1])
    truth = truth.movedim(-1, 1).to(probability.dtype) * valid
    overlap = (probability * truth).sum(dim=(0, 2, 3))
    size = probability.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    loss = 1.0 - (2.0 * overlap + smooth) / (size + smooth)
    return (loss * present).sum() / present.sum().clamp(min=1)


def landcover_loss(scores: Tensor, target: Tensor, ignored: int = IGNORED) -> Tensor:
    """Cross-entropy plus Dice of ``(B, C, H, W)`` scores and ``(B, H, W)`` classes.

    Pixels whose target is ``ignored`` count for nothing; without any other pixel the loss is 0.
    """
    total = functional.cross_entropy(
        scores.float(), target.long(), ignore_index=ignored, reduction="sum"
    )
    count = (target != ignored).sum().clamp(min=1)
    result: Tensor = total / count + dice_loss(scores.float(), target, ignored)
    return result


def gaussian_label(position: Tensor, size: tuple[int, int], sigma: Tensor) -> Tensor:
    """A probability mass function with a Gaussian of ``sigma`` pixels around each position.

    The mass of a pixel is the integral of the Gaussian over it, so that the mean of the label
    is the position to a fraction of a pixel however small sigma is.

    Args:
        position: ``(B, 2)`` row and column, pixel centres at +0.5.
        size: ``(H, W)``.
        sigma: ``(B,)`` in pixels, above 0.

    Returns:
        ``(B, H, W)`` float32, each summing to 1.
    """

    def axis(center: Tensor, length: int) -> Tensor:
        edges = torch.arange(length + 1, device=position.device, dtype=torch.float32)
        scaled = (edges - center[:, None]) / (sigma[:, None] * math.sqrt(2.0))
        cumulative = torch.special.erf(scaled)
        mass = (cumulative[:, 1:] - cumulative[:, :-1]).clamp(min=0.0)
        total = mass.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        result: Tensor = mass / total
        return result

    height, width = size
    inside = torch.stack(
        [position[:, 0].clamp(0.0, float(height)), position[:, 1].clamp(0.0, float(width))], dim=1
    ).float()
    rows = axis(inside[:, 0], height)
    cols = axis(inside[:, 1], width)
    return rows[:, :, None] * cols[:, None, :]


def position_nll(log_posterior: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of posterior and label, in units of a uniform posterior's (which scores 1).

    Args:
        log_posterior: ``(B, H, W)`` log-probabilities.
        label: ``(B, H, W)`` probabilities.
    """
    # Where the label is exactly 0 a log-probability of -inf must not make a NaN.
    terms = torch.where(label > 0, label * log_posterior, torch.zeros_like(label))
    entropy = -terms.sum(dim=(1, 2))
    uniform = math.log(log_posterior.shape[-1] * log_posterior.shape[-2])
    result: Tensor = entropy.mean() / uniform
    return result


def expected_distance(log_posterior: Tensor, position: Tensor) -> Tensor:
    """Mean distance between posterior and camera, in units of the tile's height.

    Args:
        log_posterior: ``(B, H, W)`` log-probabilities.
        position: ``(B, 2)`` row and column in pixels.
    """
    height, width = log_posterior.shape[-2:]
    rows = torch.arange(height, device=position.device, dtype=torch.float32) + 0.5
    cols = torch.arange(width, device=position.device, dtype=torch.float32) + 0.5
    down = rows[None, :, None] - position[:, 0, None, None]
    right = cols[None, None, :] - position[:, 1, None, None]
    distance = torch.sqrt(down.square() + right.square())
    result: Tensor = (log_posterior.exp() * distance).sum(dim=(1, 2)).mean() / height
    return result


class LocalizationLoss(nn.Module):
    """Turns a prediction and its batch into named, weighted losses.

    Sub-classes are recipes; :meth:`forward` returns the terms already weighted, and the trainer
    minimises their sum. One outside of the package is named by its dotted path, ``losses:
    my_losses.Mine`` in a configuration.

    Args:
        weights: Factor by term; terms that it leaves out keep that of :attr:`defaults`. 0 switches
            a term off.
        sigma_m: Standard deviation in metres of the Gaussian label of the position.

    Attributes:
        defaults: The terms of the recipe and their factors.

    Raises:
        ConfigurationError: There is no such term, or the deviation is not above 0.
    """

    defaults: Mapping[str, float] = {}

    def __init__(self, weights: Mapping[str, float] | None = None, sigma_m: float = 0.5) -> None:
        super().__init__()
        unknown = sorted(set(weights or {}) - set(self.defaults))
        if unknown:
            raise ConfigurationError(
                f"there is no term '{unknown[0]}' (there are {', '.join(self.defaults)})",
                parameter="loss_weights",
            )
        if not sigma_m > 0:
            raise ConfigurationError(f"must be above 0, got {sigma_m}", "position_sigma_m")
        self.weights = {**self.defaults, **(weights or {})}
        self.sigma_m = sigma_m

    def forward(
        self,
        model: LocalizationModel,
        prediction: Prediction,
        batch: Batch,
        landcover: Tensor | None,
    ) -> dict[str, Tensor]:
        """Terms by name.

        Args:
            model: The network, for its ``log_posterior``.
            prediction: What it returned for the batch.
            batch: Truth: position, sightline, gsd.
            landcover: ``(B, H, W)`` channel indices, 255 where ignored, or None.
        """
        raise NotImplementedError

    def weighted(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The terms times their factors, without those that are switched off."""
        return {
            name: self.weights[name] * term for name, term in terms.items() if self.weights[name]
        }

    def position_label(self, batch: Batch, scores: Tensor) -> Tensor:
        """The label of the position on the grid of ``scores`` ``(B, h, w)``, see
        :func:`gaussian_label`; the grid covers the overhead tile."""
        scale = scores.shape[-1] / batch.overhead.shape[-1]
        size = (scores.shape[-2], scores.shape[-1])
        return gaussian_label(batch.position * scale, size, self.sigma_m / batch.gsd * scale)


class PosteriorLoss(LocalizationLoss):
    """The recipe for every network; see the module's docstring.

    Its terms are ``landcover``, ``heatmap``, ``position``, ``distance``.
    """

    defaults: Mapping[str, float] = {
        "landcover": 1.0,
        "heatmap": 0.5,
        "position": 2.0,
        "distance": 1.0,
    }

    def forward(
        self,
        model: LocalizationModel,
        prediction: Prediction,
        batch: Batch,
        landcover: Tensor | None,
    ) -> dict[str, Tensor]:
        """See :meth:`LocalizationLoss.forward`."""
        terms: dict[str, Tensor] = {}
        if prediction.landcover is not None and landcover is not None:
            terms["landcover"] = landcover_loss(prediction.landcover, landcover)
        if batch.sightline is not None:
            terms["heatmap"] = functional.binary_cross_entropy_with_logits(
                prediction.heatmap[:, 0].float(), batch.sightline
            )
        log_posterior = model.log_posterior(prediction).float()
        label = self.position_label(batch, log_posterior)
        terms["position"] = position_nll(log_posterior, label)
        terms["distance"] = expected_distance(log_posterior, batch.position)
        return self.weighted(terms)


class PublishedLoss(LocalizationLoss):
    """The recipe of Xavier et al. (2025), faults included.

    Cross-entropy plus Dice, 5 x binary cross-entropy with logits against the sightline map, and
    10 x the squared distance between the maxima of heatmap and sightline, whose gradient is zero
    everywhere. With ``variant="published"`` the network hands it sigmoids where it expects
    scores, as the original did. There is no label of the position: ``sigma_m`` means nothing.
    """

    defaults: Mapping[str, float] = {"landcover": 1.0, "heatmap": 5.0, "position": 10.0}

    def forward(
        self,
        model: LocalizationModel,
        prediction: Prediction,
        batch: Batch,
        landcover: Tensor | None,
    ) -> dict[str, Tensor]:
        """See :meth:`LocalizationLoss.forward`.

        Raises:
            ConfigurationError: The data set yields no sightline maps.
        """
        if batch.sightline is None:
            raise ConfigurationError(
                "'published' needs sightline maps, and the data set yields none", "losses"
            )
        terms: dict[str, Tensor] = {}
        if prediction.landcover is not None and landcover is not None:
            terms["landcover"] = landcover_loss(prediction.landcover, landcover)
        heatmap = prediction.heatmap[:, 0].float()
        terms["heatmap"] = functional.binary_cross_entropy_with_logits(heatmap, batch.sightline)
        with torch.no_grad():
            offset = _maximum(heatmap) - _maximum(batch.sightline)
            # In units of the tile, so that the constant does not drown the other figures.
            distance = (offset / torch.tensor(heatmap.shape[-2:], device=offset.device)).square()
        terms["position"] = distance.mean()
        return self.weighted(terms)


def _maximum(values: Tensor) -> Tensor:
    """``(B, 2)`` row and column of the first maximum of ``(B, H, W)``."""
    index = values.flatten(1).argmax(dim=1)
    width = values.shape[-1]
    return torch.stack([index // width, index % width], dim=1).float()
