"""Walking a ray through the height field: grid traversal with empty blocks passed in one step.

The solid world is a field of columns: every cell is full from below up to ``SOLID_Z``. Canopies
are cells that are partly full between two heights. Things are boxes and cylinders of their own
(:mod:`~cvsegguide.synth.street.things`). Traversal after Amanatides & Woo, "A fast voxel
traversal algorithm for ray tracing" (Eurographics 1987); the blocks are maximum mipmaps of two
levels as in Tevs, Ihrke & Seidel (I3D 2008).
"""

import math
from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F32, U8, inlined
from cvsegguide.synth.noise import LEAF_STEPS
from cvsegguide.synth.street import columns as of
from cvsegguide.synth.street.columns import COARSE, FINE
from cvsegguide.synth.street.things import hit_thing
from cvsegguide.synth.street.world import World

NOTHING, TOP, SIDE, LEAF, THING = range(5)
"""What a ray ended on: nothing, a column from above, a column's side, a crown, a thing."""

COARSE_BITS, FINE_BITS = 5, 3
_NUDGE = 1e-6


class Ray(NamedTuple):
    """A ray, and what of the picture's style it meets crowns with."""

    x: float  # x, y, z: origin: column and row in cells, absolute height in metres
    y: float
    z: float
    # dx, dy, dz: unit direction in metres, ``x`` east, ``y`` south (as rows run), ``z`` up
    dx: float
    dy: float
    dz: float
    reach: float  # length in metres at which to give up
    # canopy cells whose leaf share lies above are opaque; negative: crowns are solid
    threshold: float
    bare: float  # 0 to 1, turns crowns into branches
    only_blocked: bool  # stop at whatever comes first (shadow rays)


@inlined
def _leaf_share(crown: F32, leaves: U8, r: int, c: int, z: float) -> int:
    """From the trunk, so that a tree looks the same in every window of the city."""
    shift = np.int64(crown[of.SHIFT])
    up = np.int64(z * LEAF_STEPS + crown[of.SHIFT_Z]) & 63
    return int(leaves[(r + (shift >> 5)) & 31, (c + shift) & 31, up])


@inlined
def _is_leaf(crown: F32, leaves: U8, ray: Ray, r: int, c: int, z: float) -> bool:
    """Whether a canopy cell is leaf at one height: noise that thins out at the rim."""
    threshold = ray.threshold + 0.55 * ray.bare * crown[of.SHEDS]
    x = (c - crown[of.X]) * crown[of.PER_RADIUS]
    y = (r - crown[of.Y]) * crown[of.PER_RADIUS]
    up = (z - crown[of.MIDDLE]) * crown[of.PER_HALF]
    # Thick inside, thin at the rim, nothing in the corners of the volume.
    threshold += 0.65 * max(0.0, x * x + y * y + up * up - 0.52)
    return bool(_leaf_share(crown, leaves, r, c, z) > 255.0 * threshold)


@inlined
def _nearest_thing(
    world: World, ray: Ray, block: int, low: float, flat: float, best: float
) -> tuple[float, int]:
    """Distance to the nearest thing of a block that is nearer than ``best``, and its row or -1.

    ``low`` is the ray's least height in the block, ``flat`` the length of its level part.
    """
    bounds = world.block_bounds
    index = -1
    for i in range(world.block_start[block], world.block_start[block + 1]):
        if low > bounds[i, 2]:
            continue
        rx = (bounds[i, 0] - ray.x) * world.gsd
        ry = (bounds[i, 1] - ray.y) * world.gsd
        size = bounds[i, 3] * flat
        if abs(rx * ray.dy - ry * ray.dx) > size or rx * ray.dx + ry * ray.dy < -size:
            continue
        thing = world.things[world.block_things[i]]
        rx = (thing[of.X] - ray.x) * world.gsd
        ry = (thing[of.Y] - ray.y) * world.gsd
        hit = hit_thing(thing, (-rx, -ry, ray.z), (ray.dx, ray.dy, ray.dz))
        if hit < best:
            best = hit
            index = world.block_things[i]
    return best, index


@inlined
def _hit_cell(
    world: World,
    leaves: U8,
    ray: Ray,
    r: int,
    c: int,
    t: float,
    leave: float,
    best: float,
    clear: bool,
) -> tuple[int, float, bool]:
    """What a ray meets between entering a cell at ``t`` and leaving it.

    Returns:
        What, how far away, and whether crowns let the ray through from now on.
    """
    z, dz = ray.z, ray.dz
    z0 = z + dz * t
    z1 = z + dz * leave
    low = min(z0, z1)
    top = world.relief[r, c, of.SOLID_Z]
    stop = best
    kind = NOTHING
    if z0 < top:
        stop = t
        kind = SIDE
    elif low < top:
        stop = t if dz >= 0 else min(max((top - z) / dz, t), leave)
        kind = TOP
    canopy_low, canopy_high = world.relief[r, c, of.CANOPY_LOW], world.relief[r, c, of.CANOPY_HIGH]
    if low < canopy_high and max(z0, z1) > canopy_low:
        enter = t
        if dz > 0 and z0 < canopy_low:
            enter = (canopy_low - z) / dz
        elif dz < 0 and z0 > canopy_high:
            enter = (canopy_high - z) / dz
        if enter < stop and not clear:
            crown = world.crowns[world.owner[r, c, of.BY_TREE]]
            if ray.threshold < 0:
                opaque = True
            elif ray.only_blocked:
                # Light that finds a gap where it meets a crown goes all the way through.
                share = _leaf_share(crown, leaves, r, c, z + dz * enter)
                gaps = ray.bare * crown[of.SHEDS]
                opaque = share > 255.0 * (0.2 + 0.36 * ray.threshold + 0.42 * gaps)
                clear = not opaque
            else:
                opaque = _is_leaf(crown, leaves, ray, r, c, z + dz * enter)
            if opaque:
                stop = enter
                kind = LEAF
    return kind, stop, clear


@inlined
def _step(
    extremes: F32, z: float, dz: float, t: float, leave: float, clear: bool
) -> tuple[bool, float]:
    """Pass over a block in one step, or go down to its highest column.

    Returns:
        Whether the block is passed, and how far along the ray one is now.
    """
    z0, z1 = z + dz * t, z + dz * leave
    low, top = min(z0, z1), extremes[0]
    no_canopy = low > extremes[2] or max(z0, z1) < extremes[1]
    if low > top and (clear or no_canopy):
        return True, max(leave, t + _NUDGE)
    if dz < 0 and z0 > top and no_canopy:
        return False, max(t, (top - z) / dz - _NUDGE)
    return False, t


@inlined
def trace(world: World, leaves: U8, ray: Ray) -> tuple[int, float, int, int, int]:
    """Follow a ray to the first thing in its way.

    Args:
        world: Tables of the scene.
        leaves: Of :func:`~cvsegguide.synth.noise.leaf_noise`.
        ray: The ray.

    Returns:
        ``(kind, distance in metres, row, col, index)``: the cell that was hit; ``index`` is the
        thing's row, or for :data:`SIDE` 0 for a side that faces east or west, 1 north or south.
    """
    fine, coarse = world.fine, world.coarse
    x, y, z, dz = ray.x, ray.y, ray.z, ray.dz
    height, width = world.relief.shape[:2]
    sx = ray.dx / world.gsd
    sy = ray.dy / world.gsd
    flat = math.sqrt(ray.dx * ray.dx + ray.dy * ray.dy)
    # Steps are bounded by the exit of a cell or block; a zero speed never exits.
    ix = 1.0 / sx if abs(sx) > 1e-12 else 1e30
    iy = 1.0 / sy if abs(sy) > 1e-12 else 1e30
    right = 1 if sx > -1e-12 else 0
    down = 1 if sy > -1e-12 else 0
    step_x = abs(ix)
    step_y = abs(iy)

    best = ray.reach
    kind = NOTHING
    index = -1
    t = 0.0
    last = -1
    side = 0
    clear = False
    while t < best:
        at = t + _NUDGE
        c = math.floor(x + sx * at)
        r = math.floor(y + sy * at)
        if c < 0 or r < 0 or c >= width or r >= height:
            break
        br = r >> COARSE_BITS
        bc = c >> COARSE_BITS
        block = br * coarse.shape[1] + bc
        if block != last:
            last = block
            tx = ((bc + right) * COARSE - x) * ix
            ty = ((br + down) * COARSE - y) * iy
            leave = min(tx, ty)
            low = min(z + dz * t, z + dz * leave)
            best, found = _nearest_thing(world, ray, block, low, flat, best)
            if found >= 0:
                kind, index = THING, found
            if ray.only_blocked and kind == THING:
                return kind, best, r, c, index
            passed, t = _step(coarse[br, bc], z, dz, t, leave, clear)
            if passed:
                side = 0 if tx < ty else 1
                continue
            c = math.floor(x + sx * (t + _NUDGE))
            r = math.floor(y + sy * (t + _NUDGE))
            if r >> COARSE_BITS != br or c >> COARSE_BITS != bc:
                continue
        fr = r >> FINE_BITS
        fc = c >> FINE_BITS
        tx = ((fc + right) * FINE - x) * ix
        ty = ((fr + down) * FINE - y) * iy
        leave = min(tx, ty)
        passed, t = _step(fine[fr, fc], z, dz, t, leave, clear)
        if passed:
            side = 0 if tx < ty else 1
            continue
        c = math.floor(x + sx * (t + _NUDGE))
        r = math.floor(y + sy * (t + _NUDGE))
        if r >> FINE_BITS != fr or c >> FINE_BITS != fc:
            continue
        # Cell by cell to the edge of the fine block.
        inner = (fr + 1) * FINE if down else fr * FINE - 1
        outer = (fc + 1) * FINE if right else fc * FINE - 1
        tx = (c + right - x) * ix
        ty = (r + down - y) * iy
        while r != inner and c != outer and r < height and c < width and t < best:
            leave = max(min(tx, ty), t)
            hit, stop, clear = _hit_cell(world, leaves, ray, r, c, t, leave, best, clear)
            if hit != NOTHING and stop < best:
                return hit, stop, r, c, side
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
