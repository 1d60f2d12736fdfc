"""Scenes and data sets from rasters of a real place: photograph, land cover and maybe height."""

import json
import shutil
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cvsegguide import __version__
from cvsegguide.errors import InputError
from cvsegguide.io.atomic import write_text
from cvsegguide.io.rasters import read_band, read_landcover, read_overhead
from cvsegguide.synth import ids
from cvsegguide.synth.chunk import write_scene
from cvsegguide.synth.city import GSD
from cvsegguide.synth.place_features import (
    draw_buildings,
    draw_parked_cars,
    draw_trees,
    find_cameras,
)
from cvsegguide.synth.scene import Objects, Scene
from cvsegguide.synth.settings import (
    EDITION,
    Chunk,
    Settings,
    check_new_folder,
    check_settings,
)
from cvsegguide.synth.writer import TILE, anchor, write_lists

_SHED = 14.0
"""Square metres below which a "building" is lettering of a map."""

_SPECK = 90.0
"""Square metres of unknown ground within a road that count as lettering, not as an island."""


def scene_from_rasters(
    landcover: NDArray[np.integer[Any]],
    height: NDArray[np.floating[Any]] | None = None,
    gsd: float = GSD,
    *,
    seed: int = 0,
    target_gsd: float | None = None,
) -> Scene:
    """Make a scene of a real place.

    Id 0 (no data) becomes other impervious; specks of it inside roads (names, arrows of a map)
    become road.

    Args:
        landcover: ``(H, W)`` NYC ids 0 to 8.
        height: ``(H, W)`` metres above the ground of buildings and, where the canopy class lies,
            of crowns; None draws a height per building (connected part, long ones cut into lots).
        gsd: Metres per pixel of the rasters.
        seed: Everything drawn follows from it.
        target_gsd: Metres per pixel of the scene; by default ``gsd``, or 0.2262 if that is finer.

    Raises:
        InputError: Sizes do not match, ids are unknown, heights are not finite, or there is no
            road to stand on.
    """
    landcover = np.asarray(landcover)
    _check_rasters(landcover, height, gsd)
    random = np.random.default_rng([seed, 61])
    target = min(gsd, GSD) if target_gsd is None else target_gsd
    cover = _clean(landcover.astype(np.uint8), gsd)
    shape = tuple(max(16, round(side * gsd / target)) for side in cover.shape)
    cover = _enlarge(cover, (shape[0], shape[1]))
    tall = None
    if height is not None:
        raster = Image.fromarray(np.asarray(height, np.float32))
        raster = raster.resize(cover.shape[::-1], Image.Resampling.NEAREST)
        tall = np.maximum(np.asarray(raster), np.float32(0.0))

    building_id, roofs = draw_buildings(cover == ids.HOUSE, tall, target, random)
    canopy = cover == ids.CANOPY
    # Under crowns lies what lies around them; a crown over a road hides road.
    around = _from_nearest(cover, canopy | (cover == ids.HOUSE))
    ground = np.where(canopy, around, cover).astype(np.uint8)
    ground[ground == ids.CANOPY] = ids.GRASS
    ground[canopy & (ground == ids.HOUSE)] = ids.GRASS
    trees, base, top = draw_trees(canopy, tall, target, random)
    cameras = find_cameras(ground == ids.ROAD, building_id > 0, target)
    if len(cameras) == 0:
        raise InputError(
            "no road (id 6) is long enough for a camera to stand on", parameter="landcover"
        )
    yy, xx = np.indices(cover.shape, dtype=np.float32) * np.float32(target)
    slope = random.uniform(-0.012, 0.012, 2)
    hills = 0.5 * np.sin(xx / 61.0 + random.uniform(0, 6)) * np.sin(yy / 83.0)
    elevation = (slope[0] * xx + slope[1] * yy + hills).astype(np.float32)
    return Scene(
        gsd=target,
        elevation=elevation,
        ground=ground,
        landcover=cover,
        building_id=building_id,
        building_height=roofs,
        canopy_base=base,
        canopy_top=top,
        trees=trees,
        overhead_objects=Objects.from_table(np.zeros((0, 10))),
        street_objects=draw_parked_cars(ground == ids.ROAD, target, random),
        markings=np.zeros(cover.shape, np.uint8),
        cameras=cameras,
        seed=seed,
    )


def generate_from_rasters(
    directory: str | PathLike[str],
    overhead: str | PathLike[str],
    landcover: str | PathLike[str],
    height: str | PathLike[str] | None = None,
    *,
    gsd: float | None = None,
    seed: int = 0,
    rig: str = "car",
    size: tuple[int, int] = (128, 512),
    fov: float = 360.0,
    panoramas: int = 0,
) -> Path:
    """Make a data set in Brooklyn & Queens layout from the rasters of a real place.

    The rasters are brought to 0.2262 m per pixel and cut into as many whole tiles as fit (the
    middle of the place), which bear slippy names on the spot of ocean that SynthCity uses, not
    those of the place. Street views are rendered; see :func:`scene_from_rasters`. It is one job in
    one process: when cut off it leaves ``DIR.part`` behind and starts anew.

    Args:
        directory: Empty or new folder; ``BrooklynQueens(directory, city="brooklyn")`` reads it.
        overhead, landcover, height: Pictures or GeoTIFFs of equal size.
        gsd: Metres per pixel of the rasters, where ``overhead`` does not say.
        seed, rig, size, fov, panoramas: As in :func:`~cvsegguide.synth.generation.generate`.

    Raises:
        InputError: A file is missing or unreadable, the rasters do not fit each other, or they
            cover less than one tile (58 m).
    """
    place = read_overhead(overhead, gsd=gsd)
    photograph, gsd = place.image, place.gsd
    if gsd is None:
        text = f"{overhead} does not say where it lies; give metres per pixel"
        raise InputError(text, parameter="gsd")
    cover = read_landcover(landcover, place.shape)
    tall = None if height is None else read_band(height).astype(np.float32)
    settings = Settings(seed, 1, size=size, fov=fov, rig=rig, panoramas=panoramas)
    check_settings(settings)
    scene = scene_from_rasters(cover, tall, gsd, seed=seed, target_gsd=GSD)
    rows, cols = (side // TILE for side in scene.ground.shape)
    if rows < 1 or cols < 1:
        raise InputError(
            f"{landcover}: {cover.shape[0]} x {cover.shape[1]} pixels of {gsd:g} m cover less "
            f"than one tile of {TILE * GSD:.0f} m"
        )
    root = Path(directory)
    check_new_folder(root)
    view = np.asarray(
        Image.fromarray(photograph).resize(
            (scene.ground.shape[1], scene.ground.shape[0]), Image.Resampling.BICUBIC
        )
    )
    top = (scene.ground.shape[0] - rows * TILE) // 2
    left = (scene.ground.shape[1] - cols * TILE) // 2
    x, y = anchor("brooklyn")
    tiles = tuple((i, j) for i in range(rows) for j in range(cols))
    part = Path(f"{root}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        chunk = Chunk(str(part), "brooklyn", 0, 0, seed, x, y, tiles)
        names, truth = write_scene(
            chunk,
            settings,
            scene,
            photograph=view[top : top + rows * TILE, left : left + cols * TILE],
            inset=(top, left),
        )
        if not truth:
            raise InputError(f"{landcover}: no camera stands within the tiles that fit")
        write_lists(part / "brooklyn", names, truth)
        record = {
            "name": "street views of a real place",
            "version": __version__,
            "edition": EDITION,
            "license": "of the street views CC0-1.0; of the overhead picture as its source",
            "seed": seed,
            "settings": asdict(settings),
            "overhead": Path(overhead).name,
            "landcover": Path(landcover).name,
            "height": None if height is None else Path(height).name,
            "gsd": gsd,
        }
        write_text(part / "synthcity.json", json.dumps(record, indent=1) + "\n")
        if root.exists():
            root.rmdir()
        part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def _check_rasters(
    landcover: NDArray[np.integer[Any]],
    height: NDArray[np.floating[Any]] | None,
    gsd: float,
) -> None:
    def refuse(text: str, parameter: str = "landcover") -> InputError:
        return InputError(text, parameter=parameter)

    if landcover.ndim != 2 or min(landcover.shape) < 16:
        raise refuse(f"must be a raster of 16 x 16 or more, is {landcover.shape}")
    if not 0.02 <= gsd <= 5.0:
        raise refuse(f"must lie in 0.02..5 metres per pixel, got {gsd:g}", "gsd")
    unknown = np.setdiff1d(landcover, np.arange(9))
    if len(unknown):
        raise refuse(f"unknown id {unknown[0]} (NYC ids are 0 to 8)")
    if height is not None and height.shape != landcover.shape:
        raise refuse(f"is of shape {height.shape}, but land cover of {landcover.shape}", "height")
    if height is not None and not np.isfinite(height).all():
        raise refuse("holds values that are not finite", "height")


def _clean(cover: NDArray[np.uint8], gsd: float) -> NDArray[np.uint8]:
    """Give lettering on roads to the road, and what is left without data to paved ground."""
    cover = cover.copy()
    # Marks of the map, not houses: they go to what surrounds them.
    houses, count = ndimage.label(cover == ids.HOUSE)
    if count:
        area = ndimage.sum_labels(cover == ids.HOUSE, houses, np.arange(1, count + 1)) * gsd * gsd
        speck = np.append(False, area < _SHED)[houses]
        if speck.any() and not speck.all():
            cover = _from_nearest(cover, speck)
    empty = (cover == 0) | (cover == ids.PAVED)
    parts, count = ndimage.label(empty)
    if count:
        index = np.arange(1, count + 1)
        area = ndimage.sum_labels(empty, parts, index) * gsd * gsd
        around = ndimage.binary_dilation(cover == ids.ROAD, iterations=1) & empty
        border = empty & ~ndimage.binary_erosion(empty, border_value=1)
        touching = ndimage.sum_labels(around, parts, index)
        edge = np.maximum(ndimage.sum_labels(border, parts, index), 1)
        # An island of grass or paving is larger; a speck beside a house touches the house too.
        road = (area < _SPECK) & (touching / edge > 0.8)
        cover[np.append(False, road)[parts]] = ids.ROAD
    cover[cover == 0] = ids.PAVED
    return cover


def _from_nearest(cover: NDArray[np.uint8], away: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Ids with those of the nearest pixel outside of a mask in the mask."""
    nearest = ndimage.distance_transform_edt(away, return_distances=False, return_indices=True)
    return np.asarray(cover[tuple(nearest)])


def _enlarge(cover: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample ids: the class with the largest interpolated share, so that edges stay smooth."""
    if cover.shape == shape:
        return cover
    best = np.full(shape, -1.0, np.float32)
    out = np.zeros(shape, np.uint8)
    for value in np.unique(cover):
        share = Image.fromarray((cover == value).astype(np.float32))
        grown = np.asarray(share.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
        better = grown > best
        best[better] = grown[better]
        out[better] = value
    return out
