"""Networks by name.

A new network is one class and one line in :data:`MODELS`; a new size of one is one entry in
``configurations.yaml``.
"""

import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.class_path import import_class

MODELS = {
    "mst": ("cvsegguide.models.mst", "MultiScaleTransformer"),
    "featup": ("cvsegguide.models.featup", "FeatUpModel"),
    "geometric": ("cvsegguide.models.geometric.network", "GeometricModel"),
}
"""Value of ``config()["model"]`` -> module and class."""


@cache
def read_configurations() -> dict[str, dict[str, Any]]:
    """Named configurations: as ``model`` the name of a network in :data:`MODELS`, and arguments.

    Whoever loads weights does without them, and without YAML.
    """
    import yaml

    content = Path(__file__).with_name("configurations.yaml").read_text(encoding="utf-8")
    configurations: dict[str, dict[str, Any]] = yaml.safe_load(content)
    return configurations


def create_model(name: str, **overrides: Any) -> LocalizationModel:
    """Build a network with fresh weights.

    Args:
        name: One of :func:`read_configurations`, or the dotted path of a class of one's own.
        **overrides: Constructor arguments; those that differ from the configuration.

    Raises:
        ConfigurationError: The name or an argument is not known, or they do not fit together.
    """
    if "." in name:
        return from_config({"model": name, **overrides})
    configurations = read_configurations()
    if name not in configurations:
        raise ConfigurationError(f"no model '{name}' (there are {', '.join(configurations)})")
    return from_config({**configurations[name], **overrides})


def from_config(config: dict[str, Any]) -> LocalizationModel:
    """Build a network from what :func:`to_config` returned.

    Raises:
        ConfigurationError: The configuration names no known network, or one from outside of the
            package that cannot be imported here, or arguments that it lacks.
    """
    arguments = dict(config)
    name, file = arguments.pop("model", None), arguments.pop("model_file", None)
    if isinstance(name, str) and name in MODELS:
        module, attribute = MODELS[name]
        kind = getattr(importlib.import_module(module), attribute)
    elif isinstance(name, str) and "." in name:
        kind = import_class(name, LocalizationModel, "model", file)
    else:
        raise ConfigurationError(f"no network '{name}' (there are {', '.join(MODELS)})")
    try:
        model: LocalizationModel = kind(**arguments)
    except ConfigurationError:
        raise
    except Exception as error:  # torch and timm refuse arguments in many ways
        reason = str(error).strip() or type(error).__name__
        raise ConfigurationError(f"model '{name}': {reason.splitlines()[0]}") from None
    return model


def to_config(model: LocalizationModel) -> dict[str, Any]:
    """What :func:`from_config` rebuilds a network from (JSON types only).

    The constructor's arguments, and as ``model`` the name of its class: that in :data:`MODELS`, or
    its dotted path. With a path comes the file that it lay in, ``model_file``, for whoever looks
    for it.
    """
    config = model.config()
    kind = type(model)
    if MODELS.get(str(config.get("model"))) == (kind.__module__, kind.__qualname__):
        return config
    return {
        **config,
        "model": f"{kind.__module__}.{kind.__qualname__}",
        "model_file": inspect.getsourcefile(kind),
    }
