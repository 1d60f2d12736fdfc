"""Puts the overhead photograph together."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import maximum_filter

from cvsegguide.errors import InputError
from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, U8
from cvsegguide.synth.noise import shift, texture
from cvsegguide.synth.overhead.development import develop
from cvsegguide.synth.overhead.light import Sweep, cast_shadows, surroundings
from cvsegguide.synth.overhead.materials import (
    CLASS_MATERIAL,
    FACADES,
    METAL_HUES,
    SHINGLE_HUES,
    leaves,
    linear,
    materials,
    redraw,
)
from cvsegguide.synth.overhead.shade import Light, Surfaces, radiance
from cvsegguide.synth.overhead.vehicles import draw_objects, object_table
from cvsegguide.synth.scene import Scene, reduce_blocks
from cvsegguide.synth.styles import PhotoStyle

MARGIN = 192
"""Pixels of scene around a window that its photograph depends on (shadows, lean, sky light)."""


@lru_cache(maxsize=4)
def _textures(seed: int) -> tuple[F32, F32, F32, F32]:
    """Fine, medium, coarse and white noise; periods are powers of two."""
    white = np.random.default_rng([0, 47]).standard_normal((512, 512)).astype(np.float32)
    return (
        shift(texture(41, 512, (110, 200), 0.9), seed + 41),
        shift(texture(42, 1024, (50, 100, 180), 0.8), seed + 42),
        shift(texture(43, 1024, (7, 15, 33, 68), 0.8), seed + 43),
        shift(white, seed + 47),
    )


@lru_cache(maxsize=2)
def _tables(seed: int) -> tuple[F32, F32, F32, F32, F32]:
    tables = *materials(), linear(FACADES), linear(SHINGLE_HUES), linear(METAL_HUES)
    return redraw(*tables, seed) if seed else tables


def render_overhead(
    scene: Scene, style: PhotoStyle | None = None, window: tuple[int, int, int, int] | None = None
) -> U8:
    """Photograph a scene from the air.

    Args:
        scene: The place. Its ``overhead_objects`` are what stands there at the time.
        style: Sun, lean, season, camera; drawn from the scene's seed when None.
        window: ``(row0, row1, col0, col1)`` of the scene to photograph, all of it when None. What
            lies :data:`MARGIN` pixels inside the scene does not depend on the scene's borders.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        InputError: The window does not lie in the scene.
    """
    if style is None:
        style = PhotoStyle.draw(scene.seed)
    rows, cols = scene.ground.shape
    r0, r1, c0, c1 = (0, rows, 0, cols) if window is None else window
    if not (0 <= r0 < r1 <= rows and 0 <= c0 < c1 <= cols):
        raise InputError(f"window {window} does not lie in a scene of {rows} x {cols} pixels")
    row0, col0 = scene.origin
    gsd = scene.gsd
    labels = scene.labels
    material = labels.get("material")
    kinds = CLASS_MATERIAL[scene.ground] if material is None else material.astype(np.uint8)
    tone = labels.get("tone")
    tones = np.full(scene.ground.shape, 128, np.uint8) if tone is None else tone.astype(np.uint8)
    marks = labels.get("species")
    species = (scene.canopy_top > 0).astype(np.uint8) if marks is None else marks.astype(np.uint8)

    canopy, bare = scene.canopy_top, style.season == "leaf-off"
    evergreen = (species > 0) & (((species - 1) & 7) == ids.CONIFER)
    twigs = (canopy > 0) & ~evergreen & bare
    crown = np.where(twigs, np.float32(0.0), canopy)
    objects = np.zeros(scene.ground.shape, np.float32)
    color = np.zeros((*scene.ground.shape, 3), np.float32)
    covered = np.zeros(scene.ground.shape, np.uint8)
    draw_objects(object_table(scene.overhead_objects), gsd, objects, color, covered)
    solid = np.maximum(scene.building_height, objects)
    surface = np.maximum(solid, crown)

    azimuth, elevation = np.radians(style.sun_azimuth), np.radians(style.sun_elevation)
    away_r, away_c = np.cos(azimuth), -np.sin(azimuth)  # where shadows fall
    largest = max(abs(away_r), abs(away_c))
    # Above this height things cast no longer shadow, so that the margin suffices.
    ceiling = float((MARGIN - 8) * gsd * np.tan(elevation))
    drop = float(np.tan(elevation) * gsd / largest)
    sweep = Sweep(float(away_r / largest), float(away_c / largest), drop, ceiling)
    lean = np.radians(style.lean_azimuth)
    lean_r, lean_c = -np.cos(lean) * style.lean / gsd, np.sin(lean) * style.lean / gsd
    reach = int(np.ceil(float(surface.max()) * style.lean / gsd / 16 + 0.1))
    surfaces = Surfaces(
        material=kinds,
        tone=tones,
        markings=scene.markings,
        identity=scene.building_id,
        roof=scene.building_height,
        crown=crown,
        twigs=twigs.astype(np.uint8),
        species=species,
        object_color=color,
        covered=covered,
        surface=surface,
        shadow=cast_shadows(solid, row0, col0, sweep),
        leaf_shadow=cast_shadows(canopy, row0, col0, sweep),
        around=surroundings(surface, row0, col0, 8, 2),
        tall=maximum_filter(reduce_blocks(np.maximum, surface, 16), 2 * reach + 1),
    )
    # walls that the camera sees face against the lean
    wall = float(np.sin(lean) * -np.sin(azimuth) + np.cos(lean) * -np.cos(azimuth))
    horizontal = float(np.cos(elevation))
    fine, medium, coarse, white = _textures(scene.seed)
    colors, grains, facades, shingles, metals = _tables(style.materials)
    light = Light(
        sun_r=float(-away_r * horizontal),
        sun_c=float(-away_c * horizontal),
        sun_z=float(np.sin(elevation)),
        sky=style.sky,
        lean_r=float(lean_r),
        lean_c=float(lean_c),
        gsd=gsd,
        dry=0.10 - 0.16 * style.vegetation + (0.22 if bare else 0.0),
        leaf_light=0.78 if bare else 0.10,
        facade_sun=max(wall, 0.0) * horizontal,
        palette=colors,
        grain=grains,
        leaves=leaves(style.season),
        facades=facades,
        shingles=shingles,
        metals=metals,
        fine=fine,
        medium=medium,
        coarse=coarse,
    )
    b0, b1 = max(r0 - 3, 0), min(r1 + 3, rows)
    d0, d1 = max(c0 - 3, 0), min(c1 + 3, cols)
    image = np.empty((b1 - b0, d1 - d0, 3), np.float32)
    radiance(surfaces, light, (row0, col0), (b0, d0), image)
    corner, inset = (row0 + r0, col0 + c0), (r0 - b0, c0 - d0)
    return develop(image, style, white, corner, inset, (r1 - r0, c1 - c0))
