"""Digests of scenes, where other processes can import them too."""

import hashlib

import numpy as np

from cvsegguide.synth.city import City
from cvsegguide.synth.scene import Scene

RASTERS = (
    "elevation",
    "ground",
    "landcover",
    "building_id",
    "building_height",
    "canopy_base",
    "canopy_top",
    "markings",
)


def digest(scene: Scene) -> str:
    """A hash over everything that a scene holds."""
    total = hashlib.sha256()
    for name in RASTERS:
        total.update(np.ascontiguousarray(getattr(scene, name)).tobytes())
    for name in sorted(scene.labels):
        total.update(np.ascontiguousarray(scene.labels[name]).tobytes())
    total.update(scene.cameras.tobytes())
    for part in (scene.trees, scene.overhead_objects, scene.street_objects):
        for value in vars(part).values():
            total.update(np.ascontiguousarray(value).tobytes())
    return total.hexdigest()


def digest_of(job: tuple[int, int, int]) -> str:
    seed, row0, col0 = job
    return digest(City(seed).scene(row0, col0, 256, 256))
