"""Photographs, labels and street views of one piece of a city, written to disk."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cvsegguide.synth.cameras import RIGS, draw_camera, free_cameras, without_obstacles
from cvsegguide.synth.compiled import F64, U8
from cvsegguide.synth.overhead import render_overhead
from cvsegguide.synth.scene import Scene
from cvsegguide.synth.settings import MARGIN, Chunk, Settings
from cvsegguide.synth.street import draw_style, prepare, render_street
from cvsegguide.synth.styles import PhotoStyle
from cvsegguide.synth.writer import (
    TILE,
    position_name,
    snap,
    truth_row,
    write_panorama,
    write_tile,
)


def write_scene(
    chunk: Chunk,
    settings: Settings,
    scene: Scene,
    photo: PhotoStyle | None = None,
    photograph: U8 | None = None,
    inset: tuple[int, int] = (MARGIN, MARGIN),
) -> tuple[list[str], list[dict[str, str]]]:
    """Photograph the tiles of a chunk, take its street views, and write both.

    Args:
        chunk, settings: What is made.
        scene: The chunk and what lies around it.
        photo: Style of the overhead photograph.
        photograph: The overhead photograph of the tiles, where it exists already.
        inset: Row and column of the scene at which the tiles begin.

    Returns:
        Names of the tiles, rows of truth.
    """
    folder = Path(chunk.folder) / chunk.city
    if photograph is None:
        (top, left), (height, width) = inset, chunk.shape
        window = (top, top + height * TILE, left, left + width * TILE)
        photograph = render_overhead(scene, photo, window)
    names = list(_write_tiles(folder, chunk, scene, photograph, inset))
    scene = without_obstacles(scene)
    world = prepare(scene)
    truth: dict[int, dict[str, str]] = {}
    for index, position, place, azimuth in _choose_places(chunk, settings, scene, inset):
        name, lat, lon = position
        random = np.random.default_rng(
            [chunk.town_seed, int(lat * 1e6 + 0.5), int(-lon * 1e6 + 0.5)]
        )
        camera = draw_camera(*place, azimuth, RIGS[settings.rig], random)
        if settings.fov < 360:  # Who sees a part only may look anywhere.
            camera = replace(camera, heading=round(float(random.uniform(0.0, 360.0)) % 360.0, 3))
        # A drive along a street has one light and one season.
        drive = chunk.town_seed * 64 + int(azimuth % 180) // 20
        style = draw_style(int(random.integers(1 << 31)), drive)
        view = render_street(world, camera, settings.size, settings.extent, style)
        write_panorama(folder, name, view, int(random.integers(78, 96)))
        truth[index] = truth_row(position, camera, settings.extent, chunk.town, style)
    # As the car drove.
    return names, [truth[index] for index in sorted(truth)]


def _write_tiles(
    folder: Path, chunk: Chunk, scene: Scene, photograph: U8, inset: tuple[int, int]
) -> Iterator[str]:
    """Write the tiles; yields their names."""
    (top, left), (row0, col0) = inset, chunk.corner
    quality = int(np.random.default_rng([chunk.town_seed, 5]).integers(72, 95))
    for i, j in chunk.tiles:
        r, c = (i - row0) * TILE, (j - col0) * TILE
        here = np.s_[r : r + TILE, c : c + TILE]
        there = np.s_[top + r : top + r + TILE, left + c : left + c + TILE]
        labels: dict[str, U8] = {
            kind: np.minimum(scene.labels[kind][there], 255).astype(np.uint8)
            for kind in ("landuse", "age", "function")
            if kind in scene.labels
        }
        name = f"19/{chunk.x + j}/{chunk.y + i}"
        write_tile(
            folder,
            name,
            np.ascontiguousarray(photograph[here]),
            scene.landcover[there],
            scene.building_height[there],
            labels,
            quality,
        )
        yield name


def _choose_places(
    chunk: Chunk, settings: Settings, scene: Scene, inset: tuple[int, int]
) -> Iterator[tuple[int, tuple[str, float, float], tuple[float, float], float]]:
    """Where street views are taken.

    Yields:
        Number of the camera; name, latitude and longitude; row and column; azimuth of the street.
    """
    places: F64 = free_cameras(scene)
    order = np.arange(len(places))
    if settings.panoramas:
        # Any of a tile's cameras, not the first ones, which stand at its edge.
        order = np.random.default_rng([chunk.town_seed, chunk.index, 9]).permutation(order)
    # Positions from the town's corner, where the names of the tiles count from.
    down, right = (TILE * first - start for first, start in zip(chunk.corner, inset, strict=True))
    wanted = set(chunk.tiles)
    taken: dict[tuple[int, int], int] = {}
    seen = set()
    for index in order:
        row, col, azimuth = places[index]
        town_row, town_col, lat, lon = snap(row + down, col + right, chunk.x, chunk.y)
        tile = (int(town_row // TILE), int(town_col // TILE))
        name = position_name(lat, lon)
        if tile not in wanted or name in seen:
            continue
        if settings.panoramas and taken.get(tile, 0) >= settings.panoramas:
            continue
        place = (town_row - down, town_col - right)
        if scene.building_id[int(place[0]), int(place[1])]:
            continue
        taken[tile] = taken.get(tile, 0) + 1
        seen.add(name)
        yield int(index), (name, lat, lon), place, azimuth
