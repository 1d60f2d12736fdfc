"""Networks: pure functions of tensors, apart from training. Names resolve lazily."""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "LocalizationModel": "cvsegguide.models.base",
    "Prediction": "cvsegguide.models.base",
    "create_model": "cvsegguide.models.registry",
    "load_published": "cvsegguide.models.published",
}

__all__ = ["LocalizationModel", "Prediction", "create_model", "load_published"]

if TYPE_CHECKING:
    from cvsegguide.models.base import LocalizationModel as LocalizationModel
    from cvsegguide.models.base import Prediction as Prediction
    from cvsegguide.models.published import load_published as load_published
    from cvsegguide.models.registry import create_model as create_model


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'cvsegguide.models' has no attribute '{name}'")
