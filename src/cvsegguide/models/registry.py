"""Networks by name.

A new network is one class and one line in :data:`MODELS`; a new size of one is one entry in
:data:`CONFIGURATIONS`.
"""

import importlib
import inspect
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

_SMALL_VIT = "vit_tiny_patch16_224"

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "mst": {"model": "mst"},
    "mst-small": {
        "model": "mst",
        "embed_dim": 48,
        "depths": [2, 2, 2, 2],
        "heads": [3, 6, 12, 24],
        "descriptor_channels": 256,
        "heatmap_channels": 16,
    },
    "mst-tiny": {
        "model": "mst",
        "embed_dim": 24,
        "depths": [1, 1, 1, 1],
        "heads": [1, 2, 4, 8],
        "group_size": 4,
        "descriptor_channels": 32,
        "heatmap_channels": 8,
        "overhead_size": [64, 64],
        "street_size": [32, 128],
    },
    "featup": {"model": "featup"},
    "featup-small": {
        "model": "featup",
        "backbone": _SMALL_VIT,
        "backbone_arguments": {"depth": 4},
        "frozen": False,
        "hidden_channels": 128,
        "descriptor_channels": 256,
        "heatmap_channels": 16,
    },
    "featup-lite0": {
        "model": "featup",
        "backbone": "tf_efficientnet_lite0",
        "trained_upsampler": True,
        "feature_channels": 48,
        "hidden_channels": 128,
        "descriptor_channels": 256,
        "heatmap_channels": 16,
    },
    "featup-tiny": {
        "model": "featup",
        "backbone": _SMALL_VIT,
        "backbone_arguments": {"depth": 1, "embed_dim": 24, "num_heads": 2},
        "frozen": False,
        "hidden_channels": 16,
        "descriptor_channels": 32,
        "heatmap_channels": 8,
        "overhead_size": [64, 64],
        "street_size": [32, 128],
    },
    "geometric": {"model": "geometric"},
    "geometric-tiny": {
        "model": "geometric",
        "features": 8,
        "overhead_widths": [8, 16, 16],
        "overhead_depths": [0, 1, 1],
        "street_widths": [8, 16, 16],
        "street_depths": [0, 1, 1],
        "overhead_size": [64, 64],
        "street_size": [32, 128],
    },
}
"""Named configurations: ``mst`` and ``featup`` have the published sizes."""


def create_model(name: str, **overrides: Any) -> LocalizationModel:
    """Build a network with fresh weights.

    Args:
        name: One of :data:`CONFIGURATIONS`, or the dotted path of a class of one's own.
        **overrides: Constructor arguments; those that differ from the configuration.

    Raises:
        ConfigurationError: The name or an argument is not known, or they do not fit together.
    """
    if "." in name:
        return from_config({"model": name, **overrides})
    if name not in CONFIGURATIONS:
        raise ConfigurationError(f"no model '{name}' (there are {', '.join(CONFIGURATIONS)})")
    return from_config({**CONFIGURATIONS[name], **overrides})


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
