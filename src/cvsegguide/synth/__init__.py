"""SynthCity: a procedural city with exact truth, and a renderer of street views.

Names are resolved when first used: compiling costs time that a caller may not need.
"""

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "Camera": "cameras",
    "City": "city",
    "Scene": "scene",
    "StreetView": "street",
    "generate": "generation",
    "generate_from_rasters": "real_place",
    "generate_named": "generation",
    "make_city": "city",
    "prepare": "street",
    "render_overhead": "overhead",
    "render_street": "street",
    "scene_from_rasters": "real_place",
}

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
        return getattr(importlib.import_module(f"cvsegguide.synth.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'cvsegguide.synth' has no attribute '{name}'")
