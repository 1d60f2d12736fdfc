"""Walking a ray through the height field: grid traversal with empty blocks passed in one step.

The solid world is a field of columns: every cell is full from below up to ``solid_z``. Canopies
are cells that are partly full between two heights. Things are boxes and cylinders of their own
(:mod:`~cvsegguide.synth.street.things`). Traversal after Amanatides & Woo, "A fast voxel
traversal algorithm for ray tracing" (Eurographics 1987); the blocks are maximum mipmaps of two
levels as in Tevs, Ihrke & Seidel (I3D 2008).
"""

import math

import numpy as np

from cvsegguide.synth.compiled import F32, F64, I32, U8
from cvsegguide.synth.street.blocks import COARSE
from cvsegguide.synth.street.kernel import inlined
from cvsegguide.synth.street.things import hit_thing
from cvsegguide.synth.street.world import (
    BY_TREE,
    CANOPY_HIGH,
    CANOPY_LOW,
    SOLID_Z,
)
from cvsegguide.synth.vegetation import CONIFER

NOTHING, TOP, SIDE, LEAF, THING = range(5)
"""What a ray ended on: nothing, a column from above, a column's side, a crown, a thing."""

FINE_BITS = 3
FINE = 1 << FINE_BITS
COARSE_BITS = 5
_NUDGE = 1e-6


@inlined
def is_leaf(
    gsd: float,
    owner: I32,
    trees: F32,
    noise: U8,
    r: int,
    c: int,
    z: float,
    threshold: float,
    bare: float,
) -> bool:
    """Whether a canopy cell is leaf at one height: noise, less than which thins out at the rim.

    ``noise`` is the table of solid noise; ``bare`` (0 to 1) turns crowns into branches.
    """
    k = owner[r, c, BY_TREE]
    if trees[k, 5] == CONIFER:
        bare = 0.0
    threshold += 0.55 * bare
    # From the trunk, so that a tree looks the same in every window of the city.
    x = (c + 0.5 - trees[k, 0]) * gsd
    y = (r + 0.5 - trees[k, 1]) * gsd
    half = 0.5 * (trees[k, 3] - trees[k, 2]) + 0.05
    up = (z - 0.5 * (trees[k, 3] + trees[k, 2])) / half
    radius = trees[k, 4] + 0.05
    # Thick inside, thin at the rim, nothing in the corners of the volume.
    rim = (x * x + y * y) / (radius * radius) + up * up
    # Where not even the densest noise, 1, would do.
    limit = 0.72 + (1.0 - threshold) / 1.1
    if limit < 0.0 or rim >= limit * limit:
        return False
    threshold += 1.1 * max(0.0, math.sqrt(rim) - 0.72)
    offset = np.int64(trees[k, 7])
    low = z - trees[k, 2] + 256.0
    x += 256.0
    y += 256.0
    n = noise[
        np.int64(low * 4.0 + offset) & 63,
        np.int64(y * 4.0 + 2 * offset) & 63,
        np.int64(x * 4.0 + 3 * offset) & 63,
    ]
    coarse = (0.6 / 255.0) * n
    if coarse > threshold:
        return True
    if coarse + 0.4 <= threshold:
        return False
    small = noise[
        np.int64(low * 13.0 + offset) & 63, np.int64(y * 13.0) & 63, np.int64(x * 13.0) & 63
    ]
    return bool(coarse + (0.4 / 255.0) * small > threshold)


@inlined
def trace(
    gsd: float,
    relief: F32,
    owner: I32,
    fine: F32,
    coarse: F32,
    things: F64,
    block_start: I32,
    block_things: I32,
    trees: F32,
    noise: U8,
    x: float,
    y: float,
    z: float,
    dx: float,
    dy: float,
    dz: float,
    reach: float,
    leaf_threshold: float,
    bare: float,
    only_blocked: bool,
) -> tuple[int, float, int, int, int]:
    """Follow a ray to the first thing in its way.

    Args:
        gsd, relief, owner, fine, coarse, things, block_start, block_things, trees: Tables of
            :class:`~cvsegguide.synth.street.world.World`.
        noise: Table of solid noise.
        x, y, z: Origin: column and row in cells, absolute height in metres.
        dx, dy, dz: Unit direction in metres, ``x`` east, ``y`` south (as rows run), ``z`` up.
        reach: Length in metres at which to give up.
        leaf_threshold: Canopy cells whose leaf share lies above are opaque; negative makes
            crowns solid.
        bare: See :func:`is_leaf`.
        only_blocked: Stop at whatever comes first (shadow rays).

    Returns:
        ``(kind, distance in metres, row, col, index)``: the cell that was hit; ``index`` is the
        thing's row, or for :data:`SIDE` 0 for a side that faces east or west, 1 north or south.
    """
    height, width = relief.shape[:2]
    sx = dx / gsd
    sy = dy / gsd
    flat = math.sqrt(dx * dx + dy * dy)
    # Steps are bounded by the exit of a cell or block; a zero speed never exits.
    ix = 1.0 / sx if abs(sx) > 1e-12 else 1e30
    iy = 1.0 / sy if abs(sy) > 1e-12 else 1e30
    right = 1 if sx > -1e-12 else 0
    down = 1 if sy > -1e-12 else 0
    cols = coarse.shape[1]

    best = reach
    kind = NOTHING
    index = -1
    t = 0.0
    last = -1
    side = 0
    clear = False
    while t < best:
        at = t + _NUDGE
        px = x + sx * at
        py = y + sy * at
        c = math.floor(px)
        r = math.floor(py)
        if c < 0 or r < 0 or c >= width or r >= height:
            break
        z0 = z + dz * t
        br = r >> COARSE_BITS
        bc = c >> COARSE_BITS
        block = br * cols + bc
        tx = ((bc + right) * COARSE - x) * ix
        ty = ((br + down) * COARSE - y) * iy
        leave = min(tx, ty)
        z1 = z + dz * leave
        if block != last:
            last = block
            low = min(z0, z1)
            for i in range(block_start[block], block_start[block + 1]):
                k = block_things[i]
                if low > things[k, 7]:
                    continue
                rx = (things[k, 0] - x) * gsd
                ry = (things[k, 1] - y) * gsd
                size = things[k, 8]
                if abs(rx * dy - ry * dx) > size * flat or rx * dx + ry * dy < -size * flat:
                    continue
                hit = hit_thing(things, k, -rx, -ry, z, dx, dy, dz, best)
                if hit < best:
                    best = hit
                    kind = THING
                    index = k
            if only_blocked and kind == THING:
                return kind, best, r, c, index
            if min(z0, z1) > coarse[br, bc, 0] and (
                clear or min(z0, z1) > coarse[br, bc, 2] or max(z0, z1) < coarse[br, bc, 1]
            ):
                side = 0 if tx < ty else 1
                t = max(leave, t + _NUDGE)
                continue
            top = coarse[br, bc, 0]
            if (
                dz < 0
                and z0 > top
                and (min(z0, z1) > coarse[br, bc, 2] or max(z0, z1) < coarse[br, bc, 1])
            ):
                # Down to the highest column of the block in one step.
                t = max(t, (top - z) / dz - _NUDGE)
                z0 = z + dz * t
                c = math.floor(x + sx * (t + _NUDGE))
                r = math.floor(y + sy * (t + _NUDGE))
                if r >> COARSE_BITS != br or c >> COARSE_BITS != bc:
                    continue
        fr = r >> FINE_BITS
        fc = c >> FINE_BITS
        tx = ((fc + right) * FINE - x) * ix
        ty = ((fr + down) * FINE - y) * iy
        leave = min(tx, ty)
        z1 = z + dz * leave
        low = min(z0, z1)
        high = max(z0, z1)
        if low > fine[fr, fc, 0] and (clear or low > fine[fr, fc, 2] or high < fine[fr, fc, 1]):
            side = 0 if tx < ty else 1
            t = max(leave, t + _NUDGE)
            continue
        if dz < 0 and z0 > fine[fr, fc, 0] and (low > fine[fr, fc, 2] or high < fine[fr, fc, 1]):
            t = max(t, (fine[fr, fc, 0] - z) / dz - _NUDGE)
            c = math.floor(x + sx * (t + _NUDGE))
            r = math.floor(y + sy * (t + _NUDGE))
            if r >> FINE_BITS != fr or c >> FINE_BITS != fc:
                continue
        # Cell by cell to the edge of the fine block.
        inner = (fr + 1) * FINE if down else fr * FINE - 1
        outer = (fc + 1) * FINE if right else fc * FINE - 1
        while r != inner and c != outer and r < height and c < width:
            tx = (c + right - x) * ix
            ty = (r + down - y) * iy
            leave = max(min(tx, ty), t)
            z0 = z + dz * t
            z1 = z + dz * leave
            if t >= best:
                break
            low = min(z0, z1)
            top = relief[r, c, SOLID_Z]
            stop = best
            hit_kind = NOTHING
            if z0 < top:
                stop = t
                hit_kind = SIDE
            elif low < top:
                stop = t if dz >= 0 else min(max((top - z) / dz, t), leave)
                hit_kind = TOP
            if low < relief[r, c, CANOPY_HIGH] and max(z0, z1) > relief[r, c, CANOPY_LOW]:
                enter = t
                if dz > 0 and z0 < relief[r, c, CANOPY_LOW]:
                    enter = (relief[r, c, CANOPY_LOW] - z) / dz
                elif dz < 0 and z0 > relief[r, c, CANOPY_HIGH]:
                    enter = (relief[r, c, CANOPY_HIGH] - z) / dz
                if enter >= stop or clear:
                    opaque = False
                elif leaf_threshold < 0:
                    opaque = True
                elif only_blocked:
                    # Light that finds a gap where it meets a crown goes all the way through.
                    k = owner[r, c, BY_TREE]
                    up = z + dz * enter - trees[k, 2]
                    clump = noise[
                        np.int64(up * 3.0 + trees[k, 7] + 256.0) & 63,
                        np.int64((r - trees[k, 1]) * gsd * 3.0 + 256.0) & 63,
                        np.int64((c - trees[k, 0]) * gsd * 3.0 + 256.0) & 63,
                    ]
                    gaps = 0.0 if trees[k, 5] == CONIFER else bare
                    opaque = clump > 255.0 * (0.6 * leaf_threshold + 0.7 * gaps)
                    clear = not opaque
                else:
                    up = z + dz * enter
                    opaque = is_leaf(gsd, owner, trees, noise, r, c, up, leaf_threshold, bare)
                if opaque:
                    stop = enter
                    hit_kind = LEAF
            if hit_kind != NOTHING and stop < best:
                return hit_kind, stop, r, c, side
            t = leave
            if tx < ty:
                c += 1 if right else -1
                side = 0
            else:
                r += 1 if down else -1
                side = 1
    return kind, best, -1, -1, index
