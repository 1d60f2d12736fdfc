"""The network that a configuration names."""

import importlib
from collections.abc import Mapping
from typing import Any

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel


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
        from cvsegguide.models.hub import load_model

        return load_model(weights).train()
    factory: Any
    if "." in name:
        module_name, _, class_name = name.rpartition(".")
        try:
            factory = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"network: '{name}' cannot be imported ({error})") from None
    else:
        from cvsegguide.models.registry import create_model

        def factory(**overrides: Any) -> LocalizationModel:
            return create_model(name, **overrides)

    try:
        network = factory(**dict(arguments or {}))
    except TypeError as error:
        raise ConfigurationError(f"network '{name}': {error}") from None
    if not isinstance(network, LocalizationModel):
        raise ConfigurationError(f"network: '{name}' is no LocalizationModel")
    return network
