"""Compile everything once, on two cores, before work on a fresh machine starts."""

import subprocess
import sys
from typing import Any


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
    command = [sys.executable, "-c", "from cvsegguide.synth import warmup; warmup.warm_street()"]
    none = subprocess.DEVNULL
    other = subprocess.Popen(command, stdin=none, stdout=none, stderr=none)
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
    from cvsegguide.synth.scene import Scene
    from cvsegguide.synth.street import StreetStyle, render_street

    camera = Camera(row=32.0, col=32.0)
    render_street(Scene.flat((64, 64), 0.25), camera, (8, 32), style=StreetStyle())
