"""The network that a configuration names."""

from collections.abc import Mapping
from typing import Any

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.class_path import import_class
from cvsegguide.models.hub import load_model
from cvsegguide.models.registry import create_model


def build_network(
    name: str, arguments: Mapping[str, Any] | None = None, weights: str | None = None
) -> LocalizationModel:
    """A network by name, by dotted path of its class, or with weights from elsewhere.

    Args:
        name: Model configuration, or ``package.module.Class``.
        arguments: Constructor arguments.
        weights: Anything that :func:`cvsegguide.models.hub.load_model` reads; it brings its
            own configuration.

    Raises:
        ConfigurationError: There is no such network, or it does not take these arguments.
        CheckpointError: The weights are unusable.
    """
    if weights is not None:
        return load_model(weights).train()
    given = dict(arguments or {})
    if "." not in name:
        return create_model(name, **given)
    try:
        return import_class(name, LocalizationModel, "network")(**given)
    except TypeError as error:
        raise ConfigurationError(f"'{name}': {error}", parameter="network") from None
