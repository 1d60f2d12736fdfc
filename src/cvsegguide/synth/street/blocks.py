"""Passes over the rasters of a scene that prepare it for ray casting."""

import math

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.compiled import compiled

FINE = 8
COARSE = 32
"""Sides of the blocks in cells."""

Floats = NDArray[np.float32]


@compiled
def stack_heights(
    elevation: Floats, roof: Floats, building: NDArray[np.int32], base: Floats, top: Floats
) -> Floats:
    """The layers of :attr:`World.relief <cvsegguide.synth.street.world.World>`."""
    height, width = elevation.shape
    relief = np.empty((height, width, 4), np.float32)
    for r in range(height):
        for c in range(width):
            z = elevation[r, c]
            relief[r, c, 0] = z
            relief[r, c, 1] = z + roof[r, c] if building[r, c] > 0 else z
            if top[r, c] > 0:
                relief[r, c, 2] = z + base[r, c]
                relief[r, c, 3] = z + top[r, c]
            else:
                relief[r, c, 2] = np.inf
                relief[r, c, 3] = -np.inf
    return relief


@compiled
def block_extremes(relief: Floats, side: int) -> Floats:
    """Highest solid, lowest canopy base and highest canopy top per block of ``side`` cells."""
    height, width, _ = relief.shape
    rows = (height + side - 1) // side
    cols = (width + side - 1) // side
    found = np.empty((rows, cols, 3), np.float32)
    for i in range(rows):
        for j in range(cols):
            solid = low = high = np.float32(0.0)
            first = True
            for r in range(i * side, min(height, (i + 1) * side)):
                for c in range(j * side, min(width, (j + 1) * side)):
                    if first:
                        solid, low, high = relief[r, c, 1], relief[r, c, 2], relief[r, c, 3]
                        first = False
                    solid = max(solid, relief[r, c, 1])
                    low = min(low, relief[r, c, 2])
                    high = max(high, relief[r, c, 3])
            found[i, j, 0] = solid
            found[i, j, 1] = low
            found[i, j, 2] = high
    return found


@compiled
def larger_blocks(fine: Floats, side: int) -> Floats:
    """The same for blocks of ``side`` x ``side`` blocks."""
    height, width, _ = fine.shape
    rows = (height + side - 1) // side
    cols = (width + side - 1) // side
    found = np.empty((rows, cols, 3), np.float32)
    for i in range(rows):
        for j in range(cols):
            found[i, j] = fine[i * side, j * side]
            for r in range(i * side, min(height, (i + 1) * side)):
                for c in range(j * side, min(width, (j + 1) * side)):
                    found[i, j, 0] = max(found[i, j, 0], fine[r, c, 0])
                    found[i, j, 1] = min(found[i, j, 1], fine[r, c, 1])
                    found[i, j, 2] = max(found[i, j, 2], fine[r, c, 2])
    return found


@compiled
def wall_directions(relief: Floats, building: NDArray[np.int32], step: float) -> Floats:
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


@compiled
def building_frames(
    building: NDArray[np.int32], wall: Floats, roof: Floats, relief: Floats, count: int, gsd: float
) -> tuple[Floats, NDArray[np.float64]]:
    """Main axes and extents of each building, from the directions of its walls, and its heights.

    Returns:
        ``(count, 8)``: centre x, y in cells, cosine and sine of the main axis, and the extents
        along the two axes in metres from the centre. ``(count, 2)``: mean height of the roof above
        the ground, and of the ground.
    """
    height, width = building.shape
    frames = np.zeros((count, 8), np.float32)
    sums = np.zeros((count, 7), np.float64)
    for r in range(height):
        for c in range(width):
            b = building[r, c]
            if b > 0:
                sums[b, 0] += c + 0.5
                sums[b, 1] += r + 0.5
                sums[b, 2] += 1.0
                sums[b, 5] += roof[r, c]
                sums[b, 6] += relief[r, c, 0]
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
    means = np.zeros((count, 2), np.float64)
    for b in range(1, count):
        cells = max(1.0, sums[b, 2])
        means[b, 0] = sums[b, 5] / cells
        means[b, 1] = sums[b, 6] / cells
    return frames, means


@compiled
def stack_surface(ground: NDArray[np.uint8], markings: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The layers of :attr:`World.surface <cvsegguide.synth.street.world.World>`, the last one 0.

    The share of road (id 6) within 3 x 3 cells, 0..255, makes a soft edge for the curb.
    """
    height, width = ground.shape
    surface = np.zeros((height, width, 4), np.uint8)
    down = np.zeros(width + 2, np.uint8)
    for r in range(height):
        above = max(0, r - 1)
        below = min(height - 1, r + 1)
        for c in range(width):
            count = np.uint8(ground[r, c] == 6)
            if above < r:
                count += np.uint8(ground[above, c] == 6)
            if below > r:
                count += np.uint8(ground[below, c] == 6)
            down[c + 1] = count
        for c in range(width):
            count = down[c] + down[c + 1] + down[c + 2]
            surface[r, c, 0] = ground[r, c]
            surface[r, c, 1] = 0 if count == 0 else min(255, 28 * count + 3)
            surface[r, c, 2] = markings[r, c]
    return surface


@compiled
def paint_contact(vehicles: NDArray[np.float64], gsd: float, surface: NDArray[np.uint8]) -> None:
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
                surface[r, c, 3] = max(surface[r, c, 3], dark)


@compiled
def paint_crowns(trees: Floats, gsd: float, canopy: Floats, owner: NDArray[np.int32]) -> None:
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
