"""Data sets of overhead and street-view images, and their preparation. Names resolve lazily."""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "Batch": "cvsegguide.data.sample",
    "BrooklynQueens": "cvsegguide.data.brooklyn_queens",
    "CrossViewDataset": "cvsegguide.data.dataset",
    "DataModule": "cvsegguide.data.datamodule",
    "Manifest": "cvsegguide.data.manifest",
    "Sample": "cvsegguide.data.sample",
    "Vigor": "cvsegguide.data.vigor",
    "collate": "cvsegguide.data.sample",
    "link_panoramas": "cvsegguide.data.linking",
    "sightline": "cvsegguide.geo.sightline",
}

if TYPE_CHECKING:
    from cvsegguide.data.brooklyn_queens import BrooklynQueens as BrooklynQueens
    from cvsegguide.data.datamodule import DataModule as DataModule
    from cvsegguide.data.dataset import CrossViewDataset as CrossViewDataset
    from cvsegguide.data.linking import link_panoramas as link_panoramas
    from cvsegguide.data.manifest import Manifest as Manifest
    from cvsegguide.data.sample import Batch as Batch
    from cvsegguide.data.sample import Sample as Sample
    from cvsegguide.data.sample import collate as collate
    from cvsegguide.data.vigor import Vigor as Vigor
    from cvsegguide.geo.sightline import sightline as sightline


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'cvsegguide.data' has no attribute '{name}'")
