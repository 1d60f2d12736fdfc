"""CVSegGuide: cross-view geo-localisation guided by land-cover segmentation.

A street view and an aerial photograph go in; a map of probabilities, ranked regions, coordinates
and the land cover that explains them come out. Public names are resolved when first used, so that
``import cvsegguide`` costs nothing.

Idle threads of PyTorch sleep at once instead of spinning, so that a machine's other processes keep
their cores: ``OMP_WAIT_POLICY=passive``, unless the environment says how to wait or PyTorch is
loaded already.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["OMP_WAIT_POLICY"] = "passive"

__version__ = "0.1.0"

_LAZY = {
    "Localizer": "cvsegguide.inference.localizer",
    "Localization": "cvsegguide.inference.result",
    "Region": "cvsegguide.inference.regions",
    "Tracker": "cvsegguide.tracking",
    "CVSegGuideError": "cvsegguide.errors",
}
_MODULES = (
    "data", "evaluation", "geo", "inference", "landcover", "models", "synth", "tracking",
    "training",
)  # fmt: skip

__all__ = [
    "CVSegGuideError",
    "Localization",
    "Localizer",
    "Region",
    "Tracker",
    "__version__",
    "data",
    "evaluation",
    "geo",
    "inference",
    "landcover",
    "models",
    "synth",
    "tracking",
    "training",
]

if TYPE_CHECKING:
    from cvsegguide import (
        data,
        evaluation,
        geo,
        inference,
        landcover,
        models,
        synth,
        tracking,
        training,
    )
    from cvsegguide.errors import CVSegGuideError
    from cvsegguide.inference.localizer import Localizer
    from cvsegguide.inference.regions import Region
    from cvsegguide.inference.result import Localization
    from cvsegguide.tracking import Tracker


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"cvsegguide.{name}")
    raise AttributeError(f"module 'cvsegguide' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
