"""Networks: pure functions of tensors, apart from training. Names resolve lazily."""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "LocalizationModel": "cvsegguide.models.base",
    "Prediction": "cvsegguide.models.base",
    "create_model": "cvsegguide.models.registry",
    "load_featup_upsampler": "cvsegguide.models.published",
    "load_model": "cvsegguide.models.hub",
    "load_published": "cvsegguide.models.published",
    "push_to_hub": "cvsegguide.models.hub",
    "save_model": "cvsegguide.models.hub",
}

__all__ = [
    "LocalizationModel",
    "Prediction",
    "create_model",
    "load_featup_upsampler",
    "load_model",
    "load_published",
    "push_to_hub",
    "save_model",
]

if TYPE_CHECKING:
    from cvsegguide.models.base import LocalizationModel as LocalizationModel
    from cvsegguide.models.base import Prediction as Prediction
    from cvsegguide.models.hub import load_model as load_model
    from cvsegguide.models.hub import push_to_hub as push_to_hub
    from cvsegguide.models.hub import save_model as save_model
    from cvsegguide.models.published import load_featup_upsampler as load_featup_upsampler
    from cvsegguide.models.published import load_published as load_published
    from cvsegguide.models.registry import create_model as create_model


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'cvsegguide.models' has no attribute '{name}'")
