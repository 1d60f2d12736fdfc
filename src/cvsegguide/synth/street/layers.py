"""Passes over the rasters of a scene that prepare it for ray casting."""

import math

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, I32, I64, U8, compiled
from cvsegguide.synth.scene import Scene, reduce_blocks
from cvsegguide.synth.street.columns import COARSE, CONTACT


def stack_heights(scene: Scene) -> F32:
    """The layers of :attr:`World.relief <cvsegguide.synth.street.world.World>`."""
    ground, leafy = scene.elevation, scene.canopy_top > 0
    solid = np.where(scene.building_id > 0, ground + scene.building_height, ground)
    low = np.where(leafy, ground + scene.canopy_base, np.inf)
    high = np.where(leafy, ground + scene.canopy_top, -np.inf)
    return np.stack([ground, solid, low, high], axis=-1, dtype=np.float32)


def block_extremes(layers: F32, side: int) -> F32:
    """Highest of the first, lowest of the second, highest of the last of three layers.

    Args:
        layers: ``(H, W, 3)``.
        side: Of the blocks in cells; those at the end may be smaller.
    """
    operations = enumerate((np.maximum, np.minimum, np.maximum))
    found = [reduce_blocks(operation, layers[..., k], side) for k, operation in operations]
    return np.stack(found, axis=-1)


def stack_surface(ground: U8, markings: U8) -> U8:
    """The layers of :attr:`World.surface <cvsegguide.synth.street.world.World>`, the last one 0.

    The share of road within 3 x 3 cells, 0..255, makes a soft edge for the curb.
    """
    surface = np.zeros((*ground.shape, 4), np.uint8)
    road = np.pad((ground == ids.ROAD).astype(np.uint8), 1)
    down = road[:-2] + road[1:-1] + road[2:]
    count = down[:, :-2] + down[:, 1:-1] + down[:, 2:]
    surface[..., 0] = ground
    surface[..., 1] = np.where(count == 0, 0, 28 * count + 3)
    surface[..., 2] = markings
    return surface


@compiled
def wall_directions(relief: F32, building: I32, step: float) -> F32:
    """Outward direction of walls: radians from +col towards +row; nan away from walls.

    A wall cell has a neighbour that is lower by ``step`` metres or more. Its direction points to
    the middle of the lower cells in the 7 x 7 window around it.
    """
    height, width = building.shape
    direction = np.full((height, width), np.nan, np.float32)
    for r in range(height):
        for c in range(width):
            if building[r, c] == 0:
                continue
            top = relief[r, c, 1] - step
            edge = (
                (r > 0 and relief[r - 1, c, 1] < top)
                or (r + 1 < height and relief[r + 1, c, 1] < top)
                or (c > 0 and relief[r, c - 1, 1] < top)
                or (c + 1 < width and relief[r, c + 1, 1] < top)
            )
            if not edge:
                continue
            dx = 0.0
            dy = 0.0
            for i in range(max(0, r - 3), min(height, r + 4)):
                for j in range(max(0, c - 3), min(width, c + 4)):
                    if relief[i, j, 1] < top:
                        dx += j - c
                        dy += i - r
            direction[r, c] = math.atan2(dy, dx)
    return direction


def building_frames(
    building: I32, wall: F32, roof: F32, relief: F32, count: int, gsd: float
) -> tuple[F32, F64]:
    """Main axes and extents of each building, from the directions of its walls, and its heights.

    Returns:
        ``(count, 8)``: centre x, y in cells, cosine and sine of the main axis, and the extents
        along the two axes in metres from the centre. ``(count, 2)``: mean height of the roof above
        the ground, and of the ground.
    """
    r, c = np.nonzero(building)
    b = building[r, c]
    cells = np.maximum(1.0, np.bincount(b, minlength=count))
    values = c + 0.5, r + 0.5, roof[r, c], relief[r, c, 0]
    x, y, *means = (np.bincount(b, value, count) / cells for value in values)
    edge = ~np.isnan(wall[r, c])
    r, c, b = r[edge], c[edge], b[edge]
    angle = 4.0 * wall[r, c].astype(np.float64)
    sines, cosines = (np.bincount(b, wave(angle), count) for wave in (np.sin, np.cos))
    turn = 0.25 * np.arctan2(sines, cosines)
    frames = np.zeros((count, 8), np.float32)
    frames[1:, :4] = np.stack([x, y, np.cos(turn), np.sin(turn)], axis=1)[1:]
    frames[1:, 4:] = 1e9, -1e9, 1e9, -1e9
    dx, dy = (c + 0.5 - frames[b, 0]) * gsd, (r + 0.5 - frames[b, 1]) * gsd
    along = dx * frames[b, 2] + dy * frames[b, 3]
    across = dy * frames[b, 2] - dx * frames[b, 3]
    for first, place in ((4, along), (6, across)):
        np.minimum.at(frames[:, first], b, (place - 0.5 * gsd).astype(np.float32))
        np.maximum.at(frames[:, first + 1], b, (place + 0.5 * gsd).astype(np.float32))
    return frames, np.stack(means, axis=1)


@compiled
def paint_contact(vehicles: F64, gsd: float, surface: U8) -> None:
    """Darkness of the ground below and beside vehicles, 0..255, into the last layer."""
    height, width, _ = surface.shape
    for k in range(len(vehicles)):
        x, y, cos, sin = vehicles[k, 0], vehicles[k, 1], vehicles[k, 2], vehicles[k, 3]
        half_length, half_width = vehicles[k, 4], vehicles[k, 5]
        reach = (vehicles[k, 8] + 0.5) / gsd
        for r in range(max(0, int(y - reach)), min(height, int(y + reach) + 2)):
            for c in range(max(0, int(x - reach)), min(width, int(x + reach) + 2)):
                dx = (c + 0.5 - x) * gsd
                dy = (r + 0.5 - y) * gsd
                u = abs(dx * cos + dy * sin) - half_length
                v = abs(dy * cos - dx * sin) - half_width
                outside = math.hypot(max(u, 0.0), max(v, 0.0))
                dark = int(255.0 * max(0.0, 1.0 - outside / 0.5))
                surface[r, c, CONTACT] = max(surface[r, c, CONTACT], dark)


@compiled
def assign_crowns(trees: F32, gsd: float, canopy: F32, owner: I32) -> None:
    """Which tree each canopy cell belongs to, into the last layer: the nearest one in radii."""
    height, width = canopy.shape
    best = np.full((height, width), 2.25, np.float32)
    for k in range(1, len(trees)):
        x = trees[k, 0]
        y = trees[k, 1]
        radius = max(0.3, trees[k, 4]) / gsd
        reach = 1.5 * radius
        for r in range(max(0, int(y - reach)), min(height, int(y + reach) + 2)):
            for c in range(max(0, int(x - reach)), min(width, int(x + reach) + 2)):
                if canopy[r, c] > 0:
                    dx = (c + 0.5 - x) / radius
                    dy = (r + 0.5 - y) / radius
                    share = dx * dx + dy * dy
                    if share < best[r, c]:
                        best[r, c] = share
                        owner[r, c, 1] = k


def sort_into_blocks(things: F64, gsd: float, height: int, width: int) -> tuple[I32, I32]:
    """Which things reach into each coarse block, row by row.

    Returns:
        Where the things of each block begin in the list, one more for its end, and the list.
    """
    rows = (height + COARSE - 1) // COARSE
    cols = (width + COARSE - 1) // COARSE
    found: list[list[int]] = [[] for _ in range(rows * cols)]
    x, y, reach = things[:, 0], things[:, 1], things[:, 8] / gsd
    edges = np.stack([y - reach, y + reach, x - reach, x + reach], axis=1) // COARSE
    for k, (top, bottom, left, right) in enumerate(edges.astype(np.int64).tolist()):
        for i in range(max(0, top), min(rows, bottom + 1)):
            for j in range(max(0, left), min(cols, right + 1)):
                found[i * cols + j].append(k)
    start = np.zeros(len(found) + 1, np.int32)
    np.cumsum([len(block) for block in found], out=start[1:])
    return start, np.array([k for block in found for k in block], np.int32)


def track_frames(ground: U8, gsd: float) -> F32:
    """Where railways lie and which way they run, per coarse block.

    Returns:
        ``(rows, cols, 4)``: a point on the middle line (x, y in metres) and the direction's
        cosine and sine, all 0 where there is no railway around; from the second moments of the
        railway cells in the 3 x 3 blocks around.
    """
    rows, cols = (-(-side // COARSE) for side in ground.shape)
    frames = np.zeros((rows, cols, 4), np.float32)
    r, c = np.nonzero(ground == ids.RAIL)
    x, y = (c + 0.5) * gsd, (r + 0.5) * gsd
    block = (r // COARSE + 1) * (cols + 2) + c // COARSE + 1
    size = (rows + 2) * (cols + 2)
    weights = (np.ones(len(x)), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(block, w, size).reshape(rows + 2, cols + 2) for w in weights])
    around = np.zeros((6, rows, cols))
    for i in range(3):
        for j in range(3):
            around += sums[:, i : i + rows, j : j + cols]
    for i, j in np.argwhere(sums[0, 1:-1, 1:-1]):
        n, x, y, xx, yy, xy = around[:, i, j].tolist()
        x, y = x / n, y / n
        angle = 0.5 * math.atan2(2.0 * (xy / n - x * y), (xx / n - x * x) - (yy / n - y * y))
        frames[i, j] = x, y, math.cos(angle), math.sin(angle)
    return frames


def dense_rows(ids: I32) -> tuple[I64, I32]:
    """Ids in use, 0 first, and the raster of their rows."""
    flat = np.append(0, ids)
    # A raster of ids is runs of the same: sort those, not the cells.
    first = np.flatnonzero(np.diff(flat, prepend=-1))
    found, rows = np.unique(flat[first], return_inverse=True)
    table: I32 = np.repeat(np.int32(rows), np.diff(first, append=len(flat)))[1:]
    return found, table.reshape(ids.shape)
