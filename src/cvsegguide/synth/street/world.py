"""What the ray caster reads: a scene turned into tables that are quick to walk through."""

from typing import Any, NamedTuple

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, I32, I64, U8
from cvsegguide.synth.noise import LEAF_STEPS
from cvsegguide.synth.scene import Objects, Scene
from cvsegguide.synth.street import columns as of
from cvsegguide.synth.street.buildings import building_looks
from cvsegguide.synth.street.columns import COARSE, FINE
from cvsegguide.synth.street.layers import (
    assign_crowns,
    block_extremes,
    building_frames,
    dense_rows,
    paint_contact,
    sort_into_blocks,
    stack_heights,
    stack_surface,
    track_frames,
    wall_directions,
)
from cvsegguide.synth.street.style import StreetStyle


class World(NamedTuple):
    """A scene made ready for :func:`~cvsegguide.synth.street.render.render_street`.

    Columns and layers are those of :mod:`~cvsegguide.synth.street.columns`. Heights are absolute
    metres; rasters are ``(H, W)``. Blocks are 8 x 8 cells (``fine``) and
    32 x 32 cells (``coarse``); they hold the extremes of the cells in them, so that a ray passes
    over empty ones in one step.
    """

    gsd: float
    seed: int
    east: float  # cells from the world's column 0, which textures are anchored to, to column 0
    south: float  # the same of rows
    ceiling: float  # nothing rises above
    relief: F32  # (H, W, 4), layers GROUND_Z to CANOPY_HIGH
    surface: U8  # (H, W, 4), layers GROUND to CONTACT
    owner: I32  # (H, W, 2), rows of `buildings` and `trees`, 0 = none
    wall: F32  # outward direction of a wall, radians from +col towards +row; nan elsewhere
    fine: F32  # (h, w, 3): highest solid, lowest canopy, highest canopy of each fine block
    coarse: F32  # the same of each coarse block
    things: F64
    block_start: I32
    block_things: I32
    block_bounds: F32  # x, y, top, radius of each entry of `block_things`
    buildings: F32
    trees: F32  # row 0 stands for "no tree"
    crowns: F32  # a row a tree: what tells leaves from gaps
    tracks: F32  # per coarse block: point on a railway's middle line and its direction


class Picture(NamedTuple):
    """What all rays of a picture share."""

    table: F32  # table, leaves: plane noise and leaf noise
    leaves: U8
    style: StreetStyle  # light, season and lens
    place: tuple[float, float, float]  # of the camera: column, row, absolute height
    sun: tuple[float, float, float]  # unit vector towards the sun (east, south, up)
    street: tuple[float, float]  # direction of the street that slabs lie along (east, south)
    pixel: float  # angle of a pixel in radians
    axes: F64  # of :func:`~cvsegguide.synth.street.render.camera_axes`
    # turns, lifts: ``(2, w)`` and ``(2, h)`` sines and cosines of the columns' and rows' angles
    turns: F64
    lifts: F64
    reach: float  # metres at which rays end


def prepare(scene: Scene) -> World:
    """Build the tables of a scene; costs about as much as one picture per 256 x 256 cells."""
    height, width = scene.ground.shape
    gsd, top = float(scene.gsd), np.ascontiguousarray(scene.canopy_top, np.float32)
    numbers, building = dense_rows(scene.building_id)
    relief = stack_heights(scene)
    elevation = relief[..., of.GROUND_Z]
    fine = block_extremes(relief[..., 1:], FINE)
    coarse = block_extremes(fine, COARSE // FINE)
    wall = wall_directions(relief, building, 1.0)
    frames, means = building_frames(
        building, wall, scene.building_height, relief, len(numbers), gsd
    )
    functions = _functions(scene, building, len(numbers))
    looks = building_looks(numbers, frames, means[:, 0], scene.seed, functions)
    looks[:, of.BASE] = means[:, 1]

    things = _things(scene, elevation)
    block_start, block_things = sort_into_blocks(things, gsd, height, width)
    vehicle = np.isin(scene.street_objects.kind, (ids.CAR, ids.VAN, ids.BUS))
    trees = _trees(scene, elevation)
    ground = np.ascontiguousarray(scene.ground)
    surface = stack_surface(ground, scene.markings)
    paint_contact(things[: len(vehicle)][vehicle], gsd, surface)
    owner = np.zeros((height, width, 2), np.int32)
    owner[..., of.BY_BUILDING] = building
    assign_crowns(trees, gsd, top, owner)
    bounds = things[block_things][:, [of.X, of.Y, of.HIGH, of.RADIUS]]
    bounds[:, 2:] += 0.01  # more than what rounding takes
    tallest = things[:, of.HIGH].max(initial=-1e9)
    return World(
        gsd=gsd,
        seed=int(scene.seed) & 0x7FFFFFFF,
        east=float(scene.origin[1]),
        south=float(scene.origin[0]),
        ceiling=float(max(coarse[..., 0].max(), coarse[..., 2].max(), tallest)) + 0.1,
        relief=relief,
        surface=surface,
        owner=owner,
        wall=wall,
        fine=fine,
        coarse=coarse,
        things=things,
        block_start=block_start,
        block_things=block_things,
        block_bounds=bounds.astype(np.float32),
        buildings=looks,
        trees=trees,
        crowns=_crowns(trees, gsd),
        tracks=track_frames(ground, gsd),
    )


def _functions(scene: Scene, building: I32, count: int) -> I64 | None:
    """The function of each building, where the scene says."""
    label = scene.labels.get("function")
    if label is None:
        return None
    # Every other cell is enough: wings and plant on roofs have none of their own.
    values, owners = label[::2, ::2].astype(np.int64), building[::2, ::2]
    known = (values > 0) & (owners > 0)
    functions = np.zeros(count, np.int64)
    functions[owners[known]] = values[known]
    return functions


def _below(scene: Scene, row: F64, col: F64) -> tuple[I64, I64]:
    """The cells of the scene that are nearest to places."""
    height, width = scene.ground.shape
    return np.clip(row.astype(np.int64), 0, height - 1), np.clip(col.astype(np.int64), 0, width - 1)


def _things(scene: Scene, elevation: F32) -> F64:
    """Objects first, in their order, then the trunks; x = col, y = row in cells."""
    objects, trees = scene.street_objects, scene.trees
    table = np.zeros((len(objects) + len(trees), 15))
    n = len(objects)
    parts: tuple[tuple[Any, F64], ...] = ((objects, table[:n]), (trees, table[n:]))
    for part, rows in parts:
        rows[:, of.X], rows[:, of.Y] = part.col, part.row
        cells = _below(scene, part.row, part.col)
        rows[:, of.LOW] = elevation[cells]
        rows[:, of.STANDS_ON] = scene.ground[cells]
        rows[:, of.LOOK] = np.floor(4096.0 * _even(scene, part.row, part.col))
    _fill_objects(table[:n], objects)
    trunks = table[n:]
    for column in (of.LENGTH, of.WIDTH, of.RADIUS):
        trunks[:, column] = trees.trunk_radius
    # Into the crown, not out of its top.
    reach = trees.crown_base + 0.6 * (trees.crown_top - trees.crown_base)
    trunks[:, of.HIGH] = trunks[:, of.LOW] + reach
    trunks[:, of.KIND] = ids.TRUNK
    trunks[:, of.COLOR : of.COLOR + 3] = (0.105, 0.082, 0.062)
    return table


def _fill_objects(table: F64, objects: Objects) -> None:
    azimuth = np.radians(objects.azimuth)
    # The long side as a direction on the grid: x = east = +col, y = south = +row.
    table[:, of.COS], table[:, of.SIN] = np.sin(azimuth), -np.cos(azimuth)
    length, width, radius = (table[:, k] for k in (of.LENGTH, of.WIDTH, of.RADIUS))
    length[:], width[:] = objects.length / 2, objects.width / 2
    thin = np.isin(objects.kind, (ids.LAMP, ids.POLE, ids.SIGN))
    length[thin] = width[thin] = np.clip(objects.width[thin] / 2, 0.03, 0.14)
    fence = objects.kind == ids.FENCE
    width[fence] = np.minimum(width[fence], 0.05)
    table[:, of.HIGH] = table[:, of.LOW] + objects.height
    radius[:] = np.hypot(length, width)
    radius[objects.kind == ids.LAMP] = 2.0  # the arm
    radius[objects.kind == ids.SIGN] = 0.4
    table[:, of.KIND] = objects.kind
    table[:, of.COLOR : of.COLOR + 3] = (objects.color / 255.0) ** 2.2


def _trees(scene: Scene, elevation: F32) -> F32:
    """Row 0 stands for "no tree" and is never looked at."""
    trees = scene.trees
    table = np.zeros((len(trees) + 1, 8), np.float32)
    rows = table[1:]
    base = elevation[_below(scene, trees.row, trees.col)]
    rows[:, of.X], rows[:, of.Y] = trees.col, trees.row
    rows[:, of.TREE_LOW], rows[:, of.TREE_HIGH] = base + trees.crown_base, base + trees.crown_top
    rows[:, of.CROWN_RADIUS], rows[:, of.SPECIES] = trees.crown_radius, trees.species
    # Drawn from where the tree stands, so that it looks the same in every cut of the city.
    rows[:, of.HUE] = _even(scene, trees.row, trees.col)
    rows[:, of.CLUMPS] = np.floor(64.0 * ((rows[:, of.HUE] * 257.0) % 1.0))
    return table


def _crowns(trees: F32, gsd: float) -> F32:
    table = np.zeros_like(trees)
    x, y, low, high, radius, species, hue, offset = trees.T.astype(np.float64)
    table[:, of.X], table[:, of.Y] = x - 0.5, y - 0.5
    table[:, of.SHEDS] = species != ids.CONIFER
    table[:, of.PER_RADIUS] = gsd / (radius + 0.05)
    table[:, of.MIDDLE] = 0.5 * (low + high)
    table[:, of.PER_HALF] = 1.0 / (0.5 * (high - low) + 0.05)
    across = (offset - np.floor(x)) % 32
    down = (np.floor(1024.0 * hue) - np.floor(y)) % 32
    table[:, of.SHIFT] = across + 32 * down
    table[:, of.SHIFT_Z] = offset - LEAF_STEPS * low + 256.0
    return table


def _even(scene: Scene, row: F64, col: F64) -> F64:
    """An even number in [0, 1) drawn from a place of the world, the same in every window."""
    # Quarters of a pixel, off centre: rounding differs between windows in the last bits.
    down = np.floor(4.0 * (row + scene.origin[0]) + 0.37)
    right = np.floor(4.0 * (col + scene.origin[1]) + 0.37)
    wave = np.sin(down * 12.9898 + right * 78.233) * 43758.5453
    return np.asarray(wave - np.floor(wave))
