"""Drives through a SynthCity: what a camera on a car sees on its way across several tiles.

A route follows the middle of the streets, around corners, between two places of a town. Every few
metres a picture is taken; odometry tells the way between two pictures with noise. On disk::

    drive.csv                     a row a frame, see DRIVE_COLUMNS
    street/00000.jpg              the pictures
    overhead/images/19/x/y.jpg    the map tiles of the drive and around it
"""

import json
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import write_text
from cvsegguide.progress import track
from cvsegguide.synth import ids
from cvsegguide.synth.cameras import RIGS, Camera, draw_camera, without_obstacles
from cvsegguide.synth.city import City
from cvsegguide.synth.overhead import render_overhead
from cvsegguide.synth.scene import Scene
from cvsegguide.synth.settings import MARGIN, Settings, check_new_folder, check_settings
from cvsegguide.synth.street import draw_style, prepare, render_street
from cvsegguide.synth.styles import PhotoStyle
from cvsegguide.synth.writer import TILE, anchor, lonlat_of, write_jpeg

DRIVE_COLUMNS = (
    *("street", "time", "forward", "left", "turn", "forward_error", "left_error", "turn_error"),
    *("fov", "lon", "lat", "heading"),
)
"""Of ``drive.csv``: picture beside the table; seconds; odometry since the row before (metres ahead
and to the left in the frame of the row before, degrees clockwise) and its standard deviations;
degrees; then the truth: place, and azimuth of the picture's centre."""

_SPEED = 8.0


@dataclass(frozen=True)
class Odometry:
    """Noise of the odometry of a drive.

    Attributes:
        forward, left: Standard deviations in metres per metre driven.
        turn: Standard deviation in degrees per frame.
        least: Metres of noise ahead and sideways that are always there.
    """

    forward: float = 0.03
    left: float = 0.015
    turn: float = 0.7
    least: float = 0.05


def generate_drive(
    directory: str | PathLike[str],
    frames: int = 30,
    seed: int = 0,
    *,
    spacing: float = 8.0,
    fov: float = 70.0,
    size: tuple[int, int] = (192, 256),
    rig: str = "car",
    side: int = 6,
    odometry: Odometry | None = None,
) -> Path:
    """Make a drive through a city of this seed.

    Args:
        directory: Folder to make.
        frames: Number of pictures.
        seed: Of city, route, look and noise.
        spacing: Metres of the way between two pictures.
        fov: Horizontal extent of the pictures in degrees; they look ahead.
        size: ``(rows, columns)`` of a picture; pixels are square.
        rig: Name of a camera rig: ``"car"`` or ``"anyone"``.
        side: Tiles along the side of the town that is driven through.
        odometry: Its noise.

    Returns:
        The table, ``directory/drive.csv``.

    Raises:
        InputError: An argument is out of range, the folder is not empty, or the town has no route
            of that length.
    """
    ranges = {
        "frames": (frames, 2, 100_000, "pictures"),
        "spacing": (spacing, 0.1, 200, "m"),
        "side": (side, 1, 16, "tiles"),
    }
    for name, (value, low, high, unit) in ranges.items():
        if not low <= value <= high:
            raise InputError(f"must lie in {low}..{high} {unit}, got {value:g}", parameter=name)
    settings = Settings(seed, 1, size=size, fov=fov, rig=rig)
    check_settings(settings)
    root = Path(directory)
    check_new_folder(root)
    random = np.random.default_rng([seed, 71])
    length = side * TILE + 2 * MARGIN
    scene = City(seed).scene(-MARGIN, -MARGIN, length, length)
    route = find_route(scene, frames, spacing, random, MARGIN)
    scene = without_obstacles(replace(scene, cameras=route))
    cameras = []
    for row, col, azimuth in route:
        camera = draw_camera(row, col, azimuth, RIGS[rig], random)
        # Along the way; a rig's error of heading is how it is mounted.
        heading = round((azimuth + camera.heading) % 360.0, 3)
        cameras.append(replace(camera, heading=heading))
    x, y = anchor("queens")
    west = x + 4 * (seed % 1000)  # cities of different seeds lie apart

    photograph = render_overhead(
        scene, PhotoStyle.draw(seed), (MARGIN, length - MARGIN, MARGIN, length - MARGIN)
    )
    quality = int(random.integers(78, 95))
    for i, j in _tiles_around(route[:, :2] - MARGIN, side):
        tile = photograph[i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE]
        path = root / "overhead" / "images" / "19" / str(west + j) / f"{y + i}.jpg"
        write_jpeg(path, np.ascontiguousarray(tile), quality)
    world = prepare(scene)
    for index, camera in track(list(enumerate(cameras)), "pictures"):
        style = draw_style(int(random.integers(1 << 31)), seed)
        view = render_street(world, camera, size, settings.extent, style)
        write_jpeg(root / "street" / f"{index:05d}.jpg", view.image, int(random.integers(78, 96)))

    steps = _noisy(cameras, scene.gsd, odometry or Odometry(), random)
    lines = [",".join(DRIVE_COLUMNS)]
    for index, (camera, step) in enumerate(zip(cameras, steps, strict=True)):
        lon, lat = lonlat_of(camera.row - MARGIN, camera.col - MARGIN, west, y)
        numbers = ",".join("" if math.isnan(value) else f"{value:.4f}" for value in step)
        lines.append(
            f"street/{index:05d}.jpg,{index * spacing / _SPEED:.2f},{numbers},{fov:g},"
            f"{lon:.8f},{lat:.8f},{camera.heading:.3f}"
        )
    table = root / "drive.csv"
    write_text(table, "\n".join(lines) + "\n")
    record = {"seed": seed, "frames": frames, "spacing": spacing, "rig": rig, "license": "CC0-1.0"}
    write_text(root / "drive.json", json.dumps(record, indent=1) + "\n")
    return table


def find_route(
    scene: Scene, frames: int, spacing: float, random: np.random.Generator, margin: int = 0
) -> NDArray[np.float64]:
    """A way along the middle of the streets.

    The cheapest way between two places where a mapping car takes pictures, where a metre costs
    more the nearer it is to the kerb; smoothed, and cut to length.

    Args:
        scene: The town.
        frames, spacing: How many places, how many metres of the way apart.
        random: Chooses the two ends.
        margin: Pixels at the scene's border that the route keeps out of.

    Returns:
        ``(frames, 3)``: row, col, azimuth of the way in degrees.

    Raises:
        InputError: No way is that long.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter1d
    from skimage.graph import MCP_Geometric

    coarse = 2
    road = (scene.ground == ids.ROAD) & (scene.building_id == 0)
    road[:margin] = road[:, :margin] = False
    road[road.shape[0] - margin :] = road[:, road.shape[1] - margin :] = False
    rows, cols = (side // coarse for side in road.shape)
    road = road[: rows * coarse, : cols * coarse].reshape(rows, coarse, cols, coarse)
    road = road.all(axis=(1, 3))
    for row, col in zip(scene.trees.row, scene.trees.col, strict=True):  # trunks on medians
        i, j = int(row / coarse), int(col / coarse)
        if 0 <= i < rows and 0 <= j < cols:
            road[max(0, i - 2) : i + 3, max(0, j - 2) : j + 3] = False
    kerb = distance_transform_edt(road) * coarse * scene.gsd
    cost = np.where(road, 1.0 + 8.0 * np.exp(-kerb / 1.2), np.inf)
    places = (scene.cameras[:, :2] / coarse).astype(int)
    inside = (places >= 0).all(axis=1) & (places < [rows, cols]).all(axis=1)
    places = places[inside]
    places = places[road[places[:, 0], places[:, 1]]]
    wanted = (frames - 1) * spacing
    # Smoothing shortens a way, and its ends are dropped.
    needed = 1.06 * wanted + 12.0
    for start in random.permutation(len(places))[:24]:
        graph = MCP_Geometric(np.where(np.isfinite(cost), cost, -1.0))
        costs, _ = graph.find_costs([tuple(places[start])])
        reached = costs[places[:, 0], places[:, 1]]
        # No way is shorter than its cost in metres over the dearest cell; most cells cost 1.
        far = np.flatnonzero(np.isfinite(reached) & (reached * coarse * scene.gsd >= needed))
        if not len(far):
            continue
        for end in random.permutation(far)[:4]:
            way = np.array(graph.traceback(tuple(places[end])), np.float64) * coarse + coarse / 2
            way = gaussian_filter1d(way, 2.5 / (coarse * scene.gsd), axis=0, mode="nearest")
            route = _spaced(way, spacing / scene.gsd, 5.0 / scene.gsd, frames)
            if route is not None:
                return route
    raise InputError(
        f"no way through this town is {wanted:.0f} m long; take fewer pictures, a smaller "
        "`spacing`, a larger town or another `seed`",
        parameter="frames",
    )


def _spaced(
    way: NDArray[np.float64], spacing: float, first: float, frames: int
) -> NDArray[np.float64] | None:
    """Places every ``spacing`` pixels along a way and the way's azimuth there."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
    stops = first + spacing * np.arange(frames)
    if stops[-1] > along[-1] - first:
        return None

    def at(stop: Any) -> Any:
        return np.stack([np.interp(stop, along, way[:, axis]) for axis in (0, 1)], axis=1)

    ahead = at(stops + first / 3) - at(stops - first / 3)
    azimuth = np.degrees(np.arctan2(ahead[:, 1], -ahead[:, 0])) % 360.0
    return np.concatenate([at(stops), azimuth[:, None]], axis=1)


def _noisy(
    cameras: list[Camera], metres: float, noise: Odometry, random: np.random.Generator
) -> list[tuple[float, ...]]:
    """Forward, left, turn and their standard deviations for each frame; NaN for the first."""
    steps: list[tuple[float, ...]] = [(math.nan,) * 6]
    for before, after in pairwise(cameras):
        east, north = (after.col - before.col) * metres, (before.row - after.row) * metres
        angle = math.radians(before.heading)
        forward = east * math.sin(angle) + north * math.cos(angle)
        left = -east * math.cos(angle) + north * math.sin(angle)
        turn = (after.heading - before.heading + 180.0) % 360.0 - 180.0
        way = math.hypot(east, north)
        errors = (noise.least + noise.forward * way, noise.least + noise.left * way, noise.turn)
        drawn = random.normal(size=3) * errors
        steps.append((forward + drawn[0], left + drawn[1], turn + drawn[2], *errors))
    return steps


def _tiles_around(places: NDArray[np.float64], side: int) -> list[tuple[int, int]]:
    """Tiles of the drive and those that touch them."""
    found = {
        (int(row // TILE) + i, int(col // TILE) + j)
        for row, col in places
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    }
    return sorted((i, j) for i, j in found if 0 <= i < side and 0 <= j < side)
