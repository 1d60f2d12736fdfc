"""Compile everything once, on two cores, before work on a fresh machine starts."""

import subprocess
import sys
from typing import Any

import numpy as np


def warm_up() -> None:
    """Compile what makes a city, the street view in a second process, unless all is cached.

    Kernels compile where they are first called, so a single process would compile one after the
    other, and several would compile each the same. What cannot be cached is left to its first
    call.
    """
    from cvsegguide.synth.overhead.shade import radiance
    from cvsegguide.synth.street.render import _render

    if not (_missing(radiance) and _missing(_render)):
        return
    # Not by multiprocessing, which would run a user's script without a guard once more. Should it
    # fail, the first street view compiles.
    command = "from cvsegguide.synth.warmup import warm_street; warm_street()"
    other = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        warm_city()
        other.wait()
    finally:
        other.kill()
        other.wait()


def _missing(kernel: Any) -> bool:
    """Whether a kernel could be cached, but is not."""
    try:
        # Not public, hence the guard: without an answer nothing is compiled ahead.
        return not kernel._cache._cache_file._load_index()
    except Exception:
        return False


def warm_city() -> None:
    """Compile the city, its rasters and the photograph."""
    from cvsegguide.synth.city import City
    from cvsegguide.synth.overhead.render import render_overhead

    render_overhead(City(0).scene(0, 0, 64, 64))


def warm_street() -> None:
    """Compile the tables and kernels of the street view, with a scene that needs no city."""
    from cvsegguide.synth.cameras import Camera
    from cvsegguide.synth.scene import Objects, Scene, Trees
    from cvsegguide.synth.street import prepare, render_street
    from cvsegguide.synth.street.style import StreetStyle

    shape = (64, 64)
    zeros = np.zeros(shape, np.float32)
    none, few = np.zeros(0), np.zeros(0, np.float32)
    ground = np.full(shape, 6, np.uint8)
    scene = Scene(
        gsd=0.25, elevation=zeros, ground=ground, landcover=ground,
        building_id=np.zeros(shape, np.int32), building_height=zeros, canopy_base=zeros,
        canopy_top=zeros, trees=Trees(none, none, few, few, few, few, np.zeros(0, np.uint8)),
        overhead_objects=Objects.empty(), street_objects=Objects.empty(),
        markings=np.zeros(shape, np.uint8), cameras=np.zeros((0, 3)), seed=0,
    )  # fmt: skip
    world = prepare(scene)
    render_street(world, Camera(row=32.0, col=32.0), (8, 32), style=StreetStyle())
