"""SynthCity: a procedural city with exact truth, and a renderer of street views.

Names are resolved when first used: compiling costs time that a caller may not need.
"""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "Camera": "cvsegguide.synth.cameras",
    "City": "cvsegguide.synth.city",
    "Scene": "cvsegguide.synth.scene",
    "StreetView": "cvsegguide.synth.street",
    "generate": "cvsegguide.synth.generation",
    "generate_from_rasters": "cvsegguide.synth.real_place",
    "generate_named": "cvsegguide.synth.generation",
    "make_city": "cvsegguide.synth.city",
    "prepare": "cvsegguide.synth.street",
    "render_overhead": "cvsegguide.synth.overhead",
    "render_street": "cvsegguide.synth.street",
    "scene_from_rasters": "cvsegguide.synth.real_place",
}

__all__ = [
    "Camera",
    "City",
    "Scene",
    "StreetView",
    "generate",
    "generate_from_rasters",
    "generate_named",
    "make_city",
    "prepare",
    "render_overhead",
    "render_street",
    "scene_from_rasters",
]

if TYPE_CHECKING:
    from cvsegguide.synth.cameras import Camera as Camera
    from cvsegguide.synth.city import City as City
    from cvsegguide.synth.city import make_city as make_city
    from cvsegguide.synth.generation import generate as generate
    from cvsegguide.synth.generation import generate_named as generate_named
    from cvsegguide.synth.overhead import render_overhead as render_overhead
    from cvsegguide.synth.real_place import generate_from_rasters as generate_from_rasters
    from cvsegguide.synth.real_place import scene_from_rasters as scene_from_rasters
    from cvsegguide.synth.scene import Scene as Scene
    from cvsegguide.synth.street import StreetView as StreetView
    from cvsegguide.synth.street import prepare as prepare
    from cvsegguide.synth.street import render_street as render_street


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'cvsegguide.synth' has no attribute '{name}'")
