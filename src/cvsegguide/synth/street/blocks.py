"""Passes over the rasters of a scene that prepare it for ray casting."""

import math

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.compiled import compiled

COARSE = 32
"""Side of a coarse block in cells."""

Floats = NDArray[np.float32]


@compiled
def block_extremes(
    solid: Floats, low: Floats, high: Floats, side: int
) -> tuple[Floats, Floats, Floats]:
    """Highest solid, lowest canopy base and highest canopy top per block of ``side`` cells."""
    height, width = solid.shape
    rows = (height + side - 1) // side
    cols = (width + side - 1) // side
    solid_max = np.full((rows, cols), -np.inf, np.float32)
    low_min = np.full((rows, cols), np.inf, np.float32)
    high_max = np.full((rows, cols), -np.inf, np.float32)
    for r in range(height):
        for c in range(width):
            i = r // side
            j = c // side
            solid_max[i, j] = max(solid_max[i, j], solid[r, c])
            low_min[i, j] = min(low_min[i, j], low[r, c])
            high_max[i, j] = max(high_max[i, j], high[r, c])
    return solid_max, low_min, high_max


@compiled
def wall_directions(solid: Floats, building: NDArray[np.int32], step: float) -> Floats:
    """Outward direction of walls: radians from +col towards +row; nan away from walls.

    A wall cell has a neighbour that is lower by ``step`` metres or more. Its direction points to
    the middle of the lower cells in the 7 x 7 window around it.
    """
    height, width = solid.shape
    direction = np.full((height, width), np.nan, np.float32)
    for r in range(height):
        for c in range(width):
            if building[r, c] == 0:
                continue
            top = solid[r, c] - step
            edge = (
                (r > 0 and solid[r - 1, c] < top)
                or (r + 1 < height and solid[r + 1, c] < top)
                or (c > 0 and solid[r, c - 1] < top)
                or (c + 1 < width and solid[r, c + 1] < top)
            )
            if not edge:
                continue
            dx = 0.0
            dy = 0.0
            for i in range(max(0, r - 3), min(height, r + 4)):
                for j in range(max(0, c - 3), min(width, c + 4)):
                    if solid[i, j] < top:
                        dx += j - c
                        dy += i - r
            direction[r, c] = math.atan2(dy, dx)
    return direction


@compiled
def building_frames(building: NDArray[np.int32], wall: Floats, count: int, gsd: float) -> Floats:
    """Main axes and extents of each building, from the directions of its walls.

    Returns:
        ``(count, 8)``: centre x, y in cells, cosine and sine of the main axis, and the extents
        along the two axes in metres from the centre.
    """
    height, width = building.shape
    frames = np.zeros((count, 8), np.float32)
    sums = np.zeros((count, 5), np.float64)
    for r in range(height):
        for c in range(width):
            b = building[r, c]
            if b > 0:
                sums[b, 0] += c + 0.5
                sums[b, 1] += r + 0.5
                sums[b, 2] += 1.0
                angle = wall[r, c]
                if not np.isnan(angle):
                    sums[b, 3] += math.cos(4.0 * angle)
                    sums[b, 4] += math.sin(4.0 * angle)
    for b in range(1, count):
        cells = max(1.0, sums[b, 2])
        angle = 0.25 * math.atan2(sums[b, 4], sums[b, 3])
        frames[b, 0] = sums[b, 0] / cells
        frames[b, 1] = sums[b, 1] / cells
        frames[b, 2] = math.cos(angle)
        frames[b, 3] = math.sin(angle)
        frames[b, 4] = 1e9
        frames[b, 5] = -1e9
        frames[b, 6] = 1e9
        frames[b, 7] = -1e9
    for r in range(height):
        for c in range(width):
            b = building[r, c]
            if b > 0 and not np.isnan(wall[r, c]):
                dx = (c + 0.5 - frames[b, 0]) * gsd
                dy = (r + 0.5 - frames[b, 1]) * gsd
                u = dx * frames[b, 2] + dy * frames[b, 3]
                v = dy * frames[b, 2] - dx * frames[b, 3]
                frames[b, 4] = min(frames[b, 4], u - 0.5 * gsd)
                frames[b, 5] = max(frames[b, 5], u + 0.5 * gsd)
                frames[b, 6] = min(frames[b, 6], v - 0.5 * gsd)
                frames[b, 7] = max(frames[b, 7], v + 0.5 * gsd)
    return frames


def road_share(ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Share of road (id 6) within 3 x 3 cells, 0..255: a soft edge for the curb."""
    road = (ground == 6).astype(np.uint8)
    down = road.copy()
    down[1:] += road[:-1]
    down[:-1] += road[1:]
    total = down.copy()
    total[:, 1:] += down[:, :-1]
    total[:, :-1] += down[:, 1:]
    levels = np.minimum(255, np.arange(10) * 28 + 3).astype(np.uint8)
    levels[0] = 0
    share: NDArray[np.uint8] = levels[total]
    return share


@compiled
def paint_contact(
    vehicles: NDArray[np.float64], gsd: float, height: int, width: int
) -> NDArray[np.uint8]:
    """Darkness of the ground below and beside vehicles, 0..255."""
    contact = np.zeros((height, width), np.uint8)
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
                contact[r, c] = max(contact[r, c], dark)
    return contact


@compiled
def paint_crowns(trees: Floats, gsd: float, canopy: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Which tree each canopy cell belongs to: the one whose centre is nearest in radii."""
    height, width = canopy.shape
    crown = np.zeros((height, width), np.int32)
    best = np.full((height, width), 1.5, np.float32)
    for k in range(1, len(trees)):
        x = trees[k, 0]
        y = trees[k, 1]
        radius = max(0.3, trees[k, 4]) / gsd
        reach = 1.5 * radius
        for r in range(max(0, int(y - reach)), min(height, int(y + reach) + 2)):
            for c in range(max(0, int(x - reach)), min(width, int(x + reach) + 2)):
                if canopy[r, c]:
                    share = math.hypot(c + 0.5 - x, r + 0.5 - y) / radius
                    if share < best[r, c]:
                        best[r, c] = share
                        crown[r, c] = k
    return crown


def sort_into_blocks(
    things: NDArray[np.float64], gsd: float, height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
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


@compiled
def track_frames(ground: NDArray[np.uint8], gsd: float) -> Floats:
    """Where railways lie (id 8) and which way they run, per coarse block.

    Returns:
        ``(rows, cols, 4)``: a point on the middle line (x, y in metres) and the direction's
        cosine and sine, all 0 where there is no railway around; from the second moments of the
        railway cells in the 3 x 3 blocks around.
    """
    height, width = ground.shape
    rows = (height + COARSE - 1) // COARSE
    cols = (width + COARSE - 1) // COARSE
    sums = np.zeros((rows, cols, 6), np.float64)
    for r in range(height):
        for c in range(width):
            if ground[r, c] == 8:
                x = (c + 0.5) * gsd
                y = (r + 0.5) * gsd
                cell = sums[r // COARSE, c // COARSE]
                cell[0] += 1.0
                cell[1] += x
                cell[2] += y
                cell[3] += x * x
                cell[4] += y * y
                cell[5] += x * y
    frames = np.zeros((rows, cols, 4), np.float32)
    for i in range(rows):
        for j in range(cols):
            if sums[i, j, 0] == 0:
                continue
            total = np.zeros(6)
            for a in range(max(0, i - 1), min(rows, i + 2)):
                for b in range(max(0, j - 1), min(cols, j + 2)):
                    for k in range(6):
                        total[k] += sums[a, b, k]
            n = total[0]
            x = total[1] / n
            y = total[2] / n
            xx = total[3] / n - x * x
            yy = total[4] / n - y * y
            xy = total[5] / n - x * y
            angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
            frames[i, j, 0] = x
            frames[i, j, 1] = y
            frames[i, j, 2] = math.cos(angle)
            frames[i, j, 3] = math.sin(angle)
    return frames


def dense_rows(ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Ids in use, 0 first, then in the order in which they come, and the raster of their rows."""
    flat = ids.ravel()
    # A raster of ids is runs of the same: sort those, not the cells.
    first = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    values = np.concatenate([[0], flat[first]])
    found, where, row = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(where)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    lengths = np.diff(first, append=flat.size)
    return found[order].astype(np.int64), np.repeat(place[row[1:]], lengths).reshape(ids.shape)
