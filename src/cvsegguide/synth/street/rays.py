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
from cvsegguide.synth.street.noise import LEAF_STEPS
from cvsegguide.synth.street.things import hit_thing
from cvsegguide.synth.street.world import (
    BY_TREE,
    CANOPY_HIGH,
    CANOPY_LOW,
    MIDDLE,
    PER_HALF,
    PER_RADIUS,
    SHEDS,
    SHIFT,
    SHIFT_Z,
    SOLID_Z,
)

NOTHING, TOP, SIDE, LEAF, THING = range(5)
"""What a ray ended on: nothing, a column from above, a column's side, a crown, a thing."""

FINE_BITS = 3
FINE = 1 << FINE_BITS
COARSE_BITS = 5
_NUDGE = 1e-6


@inlined
def is_leaf(
    crowns: F32, noise: U8, k: int, r: int, c: int, z: float, threshold: float, bare: float
) -> bool:
    """Whether a canopy cell of tree ``k`` is leaf at one height: noise that thins out at the rim.

    ``noise`` is the table of leaves; ``bare`` (0 to 1) turns crowns into branches.
    """
    threshold += 0.55 * bare * crowns[k, SHEDS]
    # From the trunk, so that a tree looks the same in every window of the city.
    x = (c - crowns[k, 0]) * crowns[k, PER_RADIUS]
    y = (r - crowns[k, 1]) * crowns[k, PER_RADIUS]
    up = (z - crowns[k, MIDDLE]) * crowns[k, PER_HALF]
    # Thick inside, thin at the rim, nothing in the corners of the volume.
    threshold += 0.65 * max(0.0, x * x + y * y + up * up - 0.52)
    return bool(_leaf_share(crowns, noise, k, r, c, z) > 255.0 * threshold)


@inlined
def _leaf_share(crowns: F32, noise: U8, k: int, r: int, c: int, z: float) -> int:
    shift = np.int64(crowns[k, SHIFT])
    return int(
        noise[
            (r + (shift >> 5)) & 31,
            (c + shift) & 31,
            np.int64(z * LEAF_STEPS + crowns[k, SHIFT_Z]) & 63,
        ]
    )


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
    block_bounds: F32,
    crowns: F32,
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
        gsd, relief, owner, fine, coarse, things, block_start, block_things, block_bounds, crowns:
            Tables of :class:`~cvsegguide.synth.street.world.World`.
        noise: Table of leaves.
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
    step_x = abs(ix)
    step_y = abs(iy)
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
                if low > block_bounds[i, 2]:
                    continue
                rx = (block_bounds[i, 0] - x) * gsd
                ry = (block_bounds[i, 1] - y) * gsd
                size = block_bounds[i, 3] * flat
                if abs(rx * dy - ry * dx) > size or rx * dx + ry * dy < -size:
                    continue
                k = block_things[i]
                rx = (things[k, 0] - x) * gsd
                ry = (things[k, 1] - y) * gsd
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
        tx = (c + right - x) * ix
        ty = (r + down - y) * iy
        while r != inner and c != outer and r < height and c < width:
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
                    share = _leaf_share(crowns, noise, k, r, c, z + dz * enter)
                    gaps = bare * crowns[k, SHEDS]
                    opaque = share > 255.0 * (0.2 + 0.36 * leaf_threshold + 0.42 * gaps)
                    clear = not opaque
                else:
                    k = owner[r, c, BY_TREE]
                    up = z + dz * enter
                    opaque = is_leaf(crowns, noise, k, r, c, up, leaf_threshold, bare)
                if opaque:
                    stop = enter
                    hit_kind = LEAF
            if hit_kind != NOTHING and stop < best:
                return hit_kind, stop, r, c, side
            t = leave
            if tx < ty:
                c += 1 if right else -1
                tx += step_x
                side = 0
            else:
                r += 1 if down else -1
                ty += step_y
                side = 1
    return kind, best, -1, -1, index
