"""What the ray caster reads: a scene turned into tables that are quick to walk through."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.scene import BUS, CAR, FENCE, LAMP, POLE, SIGN, VAN, Objects, Scene
from cvsegguide.synth.street.blocks import (
    COARSE,
    FINE,
    block_extremes,
    building_frames,
    dense_rows,
    larger_blocks,
    paint_contact,
    paint_crowns,
    sort_into_blocks,
    stack_heights,
    stack_surface,
    track_frames,
    wall_directions,
)
from cvsegguide.synth.street.buildings import BASE, building_looks
from cvsegguide.synth.street.noise import LEAF_STEPS
from cvsegguide.synth.street.things import TRUNK
from cvsegguide.synth.vegetation import CONIFER

Floats = NDArray[np.float32]

GROUND_Z, SOLID_Z, CANOPY_LOW, CANOPY_HIGH = range(4)
"""Layers of :attr:`World.relief`: absolute metres; everything below ``SOLID_Z`` is full; without
canopy the last two are +inf and -inf."""

GROUND, ROAD_SHARE, PAINT, CONTACT = range(4)
"""Layers of :attr:`World.surface`: land-cover id, share of road within 3 x 3 cells (0..255), paint,
darkness below vehicles (0..255)."""

LOOK = 14
"""Column of :attr:`World.things`: a whole number drawn from where the thing stands."""

SHEDS, PER_RADIUS, MIDDLE, PER_HALF, SHIFT, SHIFT_Z = range(2, 8)
"""Columns of :attr:`World.crowns`, after x and y of the trunk: 0 for conifers and 1 for others,
radii per cell, absolute height of the middle, half heights per metre, where the tree looks into the
table of leaves (columns, and 32 x rows; heights)."""

BY_BUILDING, BY_TREE = range(2)
"""Layers of :attr:`World.owner`."""


class World(NamedTuple):
    """A scene made ready for :func:`~cvsegguide.synth.street.render.render_street`.

    Heights are absolute metres; rasters are ``(H, W)``. Blocks are 8 x 8 cells (``fine``) and
    32 x 32 cells (``coarse``); they hold the extremes of the cells in them, so that a ray passes
    over empty ones in one step.
    """

    gsd: float
    seed: int
    east: float  # cells from the world's column 0, which textures are anchored to, to column 0
    south: float  # the same of rows
    ceiling: float  # nothing rises above
    relief: Floats  # (H, W, 4), layers GROUND_Z to CANOPY_HIGH
    surface: NDArray[np.uint8]  # (H, W, 4), layers GROUND to CONTACT
    owner: NDArray[np.int32]  # (H, W, 2), rows of `buildings` and `trees`, 0 = none
    wall: Floats  # outward direction of a wall, radians from +col towards +row; nan elsewhere
    fine: Floats  # (h, w, 3): highest solid, lowest canopy, highest canopy of each fine block
    coarse: Floats  # the same of each coarse block
    things: NDArray[np.float64]
    # x, y, cos, sin, half length, half width, z0, z1, radius, kind, color (3), ground, look
    block_start: NDArray[np.int32]
    block_things: NDArray[np.int32]
    block_bounds: Floats  # x, y, z1, radius of each entry of `block_things`
    buildings: Floats  # see buildings.py
    trees: Floats  # x, y, base, top, radius, species, hue, clump offset
    crowns: Floats  # a row a tree: what tells leaves from gaps
    tracks: Floats  # per coarse block: point on a railway's middle line and its direction


def prepare(scene: Scene) -> World:
    """Build the tables of a scene; costs about as much as one picture per 256 x 256 cells."""
    height, width = scene.ground.shape
    elevation = np.ascontiguousarray(scene.elevation, dtype=np.float32)
    roof = np.ascontiguousarray(scene.building_height, dtype=np.float32)
    top = np.ascontiguousarray(scene.canopy_top, dtype=np.float32)
    base = np.ascontiguousarray(scene.canopy_base, dtype=np.float32)
    gsd = float(scene.gsd)
    ids, building = _dense_ids(scene.building_id)
    relief = stack_heights(elevation, roof, building, base, top)
    fine = block_extremes(relief, FINE)
    coarse = larger_blocks(fine, COARSE // FINE)
    wall = wall_directions(relief, building, 1.0)
    frames, means = building_frames(building, wall, roof, relief, len(ids), gsd)
    functions = _functions(scene, building, len(ids))
    looks = building_looks(ids, frames, means[:, 0], scene.seed, functions)
    looks[:, BASE] = means[:, 1]

    things = _things(scene, elevation)
    block_start, block_things = sort_into_blocks(things, gsd, height, width)
    vehicle = np.isin(scene.street_objects.kind, (CAR, VAN, BUS))
    trees = _trees(scene, elevation)
    ground = np.ascontiguousarray(scene.ground)
    surface = stack_surface(ground, np.ascontiguousarray(scene.markings))
    paint_contact(things[: len(vehicle)][vehicle], gsd, surface)
    owner = np.zeros((height, width, 2), np.int32)
    owner[..., BY_BUILDING] = building
    paint_crowns(trees, gsd, top, owner)
    bounds = things[block_things][:, [0, 1, 7, 8]]
    bounds[:, 2:] += 0.01  # more than what rounding takes
    return World(
        gsd=gsd,
        seed=int(scene.seed) & 0x7FFFFFFF,
        east=float(scene.origin[1]),
        south=float(scene.origin[0]),
        ceiling=float(
            max(coarse[..., 0].max(), coarse[..., 2].max(), things[:, 7].max(initial=-1e9))
        )
        + 0.1,
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


def _dense_ids(building_id: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Ids in use, 0 first, then as they come, and the raster of rows into them."""
    found, rows = dense_rows(np.ascontiguousarray(building_id))
    return np.asarray(found, np.int64), rows


def _functions(scene: Scene, building: NDArray[np.int32], count: int) -> NDArray[np.int64] | None:
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


def _things(scene: Scene, elevation: Floats) -> NDArray[np.float64]:
    """Objects first, in their order, then the trunks; x = col, y = row in cells."""
    objects, trees = scene.street_objects, scene.trees
    table = np.zeros((len(objects) + len(trees), 15))
    parts: tuple[tuple[Any, int], ...] = ((objects, 0), (trees, len(objects)))
    for part, offset in parts:
        rows = slice(offset, offset + len(part))
        table[rows, 0], table[rows, 1] = part.col, part.row
        row = np.clip(part.row.astype(np.int64), 0, elevation.shape[0] - 1)
        col = np.clip(part.col.astype(np.int64), 0, elevation.shape[1] - 1)
        table[rows, 6] = elevation[row, col]
        table[rows, 13] = scene.ground[row, col]
        table[rows, LOOK] = np.floor(4096.0 * _spread(scene, part.row, part.col))
    n = len(objects)
    _fill_objects(table[:n], objects)
    table[:n, 10:13] = (objects.color / 255.0) ** 2.2
    table[n:, 4] = table[n:, 5] = table[n:, 8] = trees.trunk_radius
    # Into the crown, not out of its top.
    reach = trees.crown_base + 0.6 * (trees.crown_top - trees.crown_base)
    table[n:, 7] = table[n:, 6] + reach
    table[n:, 9] = TRUNK
    table[n:, 10:13] = (0.105, 0.082, 0.062)
    return table


def _fill_objects(table: NDArray[np.float64], objects: Objects) -> None:
    azimuth = np.radians(objects.azimuth)
    # The long side as a direction on the grid: x = east = +col, y = south = +row.
    table[:, 2], table[:, 3] = np.sin(azimuth), -np.cos(azimuth)
    table[:, 4], table[:, 5] = objects.length / 2, objects.width / 2
    thin = np.isin(objects.kind, (LAMP, POLE, SIGN))
    table[thin, 4] = table[thin, 5] = np.clip(objects.width[thin] / 2, 0.03, 0.14)
    fence = objects.kind == FENCE
    table[fence, 5] = np.minimum(table[fence, 5], 0.05)
    table[:, 7] = table[:, 6] + objects.height
    table[:, 8] = np.hypot(table[:, 4], table[:, 5])
    table[objects.kind == LAMP, 8] = 2.0  # the arm
    table[objects.kind == SIGN, 8] = 0.4
    table[:, 9] = objects.kind


def _trees(scene: Scene, elevation: Floats) -> Floats:
    """Row 0 stands for "no tree" and is never looked at."""
    trees = scene.trees
    table = np.zeros((len(trees) + 1, 8), np.float32)
    row = np.clip(trees.row.astype(np.int64), 0, elevation.shape[0] - 1)
    col = np.clip(trees.col.astype(np.int64), 0, elevation.shape[1] - 1)
    base = elevation[row, col]
    table[1:, 0], table[1:, 1] = trees.col, trees.row
    table[1:, 2], table[1:, 3] = base + trees.crown_base, base + trees.crown_top
    table[1:, 4], table[1:, 5] = trees.crown_radius, trees.species
    # Drawn from where the tree stands, so that it looks the same in every cut of the city.
    table[1:, 6] = _spread(scene, trees.row, trees.col)
    table[1:, 7] = np.floor(64.0 * ((table[1:, 6] * 257.0) % 1.0))
    return table


def _crowns(trees: Floats, gsd: float) -> Floats:
    table = np.zeros_like(trees)
    x, y, low, high, radius, species, hue, offset = trees.T.astype(np.float64)
    table[:, 0], table[:, 1] = x - 0.5, y - 0.5
    table[:, SHEDS] = species != CONIFER
    table[:, PER_RADIUS] = gsd / (radius + 0.05)
    table[:, MIDDLE] = 0.5 * (low + high)
    table[:, PER_HALF] = 1.0 / (0.5 * (high - low) + 0.05)
    across = (offset - np.floor(x)) % 32
    down = (np.floor(1024.0 * hue) - np.floor(y)) % 32
    table[:, SHIFT] = across + 32 * down
    table[:, SHIFT_Z] = offset - LEAF_STEPS * low + 256.0
    return table


def _spread(
    scene: Scene, row: NDArray[np.float64], col: NDArray[np.float64]
) -> NDArray[np.float64]:
    """An even number in [0, 1) drawn from a place of the world, the same in every window."""
    # Quarters of a pixel, off centre: rounding differs between windows in the last bits.
    down = np.floor(4.0 * (row + scene.origin[0]) + 0.37)
    right = np.floor(4.0 * (col + scene.origin[1]) + 0.37)
    wave = np.sin(down * 12.9898 + right * 78.233) * 43758.5453
    return np.asarray(wave - np.floor(wave))
