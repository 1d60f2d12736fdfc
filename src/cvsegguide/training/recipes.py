"""The loss that a configuration names."""

from collections.abc import Mapping
from typing import Any

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.class_path import import_class
from cvsegguide.training.geometric_loss import GeometricLoss
from cvsegguide.training.losses import LocalizationLoss, PosteriorLoss, PublishedLoss

LOSSES: dict[str, type[LocalizationLoss]] = {
    "posterior": PosteriorLoss,
    "corrected": PosteriorLoss,  # its name in configurations of earlier versions
    "geometric": GeometricLoss,
    "published": PublishedLoss,
}
"""Value of ``losses`` in a configuration -> class."""


def create_loss(
    recipe: str | Mapping[str, Any],
    weights: Mapping[str, float] | None = None,
    sigma_m: float | None = None,
) -> LocalizationLoss:
    """A loss by name, or one of the user's own.

    Args:
        recipe: One of :data:`LOSSES`; the dotted path of a :class:`LocalizationLoss`,
            ``my_losses.Mine``; or ``{"class_path": dotted path, "init_args": {...}}``.
        weights: Factors of single terms.
        sigma_m: Standard deviation in metres of the label of the position; None: the loss's own.

    Raises:
        ConfigurationError: There is no such loss, or it does not take these arguments.
    """
    arguments: dict[str, Any] = {}
    if isinstance(recipe, Mapping):
        arguments.update(recipe.get("init_args") or {})
        recipe = str(recipe.get("class_path"))
    if weights is not None:
        arguments["weights"] = weights
    if sigma_m is not None:
        arguments["sigma_m"] = sigma_m
    if "." in recipe:
        kind = import_class(recipe, LocalizationLoss, "losses")
    elif recipe in LOSSES:
        kind = LOSSES[recipe]
    else:
        raise ConfigurationError(
            f"no loss '{recipe}' (there are {', '.join(LOSSES)}, or the dotted path of a class)",
            parameter="losses",
        )
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigurationError(f"'{recipe}': {error}", parameter="losses") from None
