"""Small scenes made by hand, whose answers follow from arithmetic."""

from dataclasses import replace

import numpy as np

from cvsegguide.synth.scene import Scene


def flat_scene(size: int = 200, gsd: float = 0.25, ground: int = 6) -> Scene:
    """Level ground of one class, nothing on it."""
    return replace(Scene.flat((size, size), gsd, ground), seed=5)


def add_building(scene: Scene, rows: slice, cols: slice, height: float, number: int = 1) -> None:
    scene.building_id[rows, cols] = number
    scene.building_height[rows, cols] = height
    scene.ground[rows, cols] = 5
    scene.landcover[rows, cols] = 5


def rough_scene(seed: int = 3, size: int = 160, gsd: float = 0.5) -> Scene:
    """Hills, buildings of many heights, patches of every ground class."""
    random = np.random.default_rng(seed)
    scene = flat_scene(size, gsd)
    row, col = np.indices((size, size))
    scene.elevation[:] = 0.02 * gsd * col + 0.8 * np.sin(row * gsd / 11.0)
    patches = random.choice([2, 3, 4, 6, 7, 8], (size // 10 + 1, size // 10 + 1))
    scene.ground[:] = np.kron(patches, np.ones((10, 10), int))[:size, :size]
    scene.landcover[:] = scene.ground
    for number in range(1, 30):
        r, c = random.integers(0, size - 20, 2)
        h, w = random.integers(6, 20, 2)
        if abs(r + h / 2 - size / 2) < 18 and abs(c + w / 2 - size / 2) < 18:
            continue
        height = float(random.uniform(3, 25))
        add_building(scene, slice(r, r + h), slice(c, c + w), height, number)
    return scene
