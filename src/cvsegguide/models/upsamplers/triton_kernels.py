# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# mypy: disable-error-code="import-untyped,import-not-found,no-untyped-def"
"""Triton kernels of the joint bilateral upsampler, for CUDA, without gradients.

A result leans on 7 x 7 pixels of the map enlarged bicubically, and so on 7 x 7 pixels of the map
itself, the same for each 2 x 2 results. :func:`fold` brings the window weights back through the
enlargement, once; :func:`enlarge` then reads the low-resolution map and writes every result once.

A tile of results is a product of a banded matrix (results by low-resolution pixels of the tile's
neighbourhood) with the neighbourhood's channels, on the matrix units. Their float32 mode keeps ten
bits, so that float32 operands are split into two bfloat16 parts each, and three of the four
products of parts are summed in float32: relative errors near 1e-5.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from cvsegguide.models.upsamplers.joint_bilateral import bicubic, mirrored_windows

LARGEST_RADIUS = 4
"""Of a window that the kernels take."""

_TALL, _WIDE = 2, 8
"""Low-resolution pixels of a tile of results."""

_CHANNELS = 64
"""Channels that are made at a time, at most."""


def reach_of(radius: int) -> int:
    """Low-resolution pixels that a window of results leans on in either direction."""
    return radius // 2 + 2


def folded_sides(radius: int) -> tuple[int, int]:
    """Side of the window on the low-resolution map, and the room that it takes in memory."""
    side = 2 * reach_of(radius) + 1
    return side, triton.next_power_of_2(side)


@lru_cache(maxsize=64)
def _taps(length: int, radius: int, device: torch.device) -> Tensor:
    """``(2 length, diameter, room)``: how each place of a result's window leans on the map.

    Entry ``k`` of the last axis is the low-resolution pixel ``result // 2 - reach + k``; those
    beyond the border have no weight.
    """
    reach, (side, room) = reach_of(radius), folded_sides(radius)
    size = 2 * length
    with torch.inference_mode(False), torch.no_grad():
        large = F.pad(bicubic(length), (reach, reach + room - side))
        place = mirrored_windows(size, radius)
        own = torch.arange(size)[:, None] // 2 + torch.arange(room)
        weights = large[place].gather(2, own[:, None, :].expand(-1, place.shape[1], -1))
        weights[..., side:] = 0.0
        return weights.float().contiguous().to(device)


INTERPRETED = bool(triton.knobs.runtime.interpret)
"""Whether Triton's interpreter runs the kernels, whose products know no bfloat16."""


@triton.jit
def _dot(left, right, total, EMULATE: tl.constexpr):
    if EMULATE:
        total = tl.dot(left.to(tl.float32), right.to(tl.float32), total, input_precision="ieee")
    else:
        total = tl.dot(left, right, total)
    return total


@triton.jit
def _product(left, right, total, SPLIT: tl.constexpr, EMULATE: tl.constexpr):
    """``total + left @ right``; float32 operands in two parts each where ``SPLIT``."""
    if SPLIT:
        left_high = left.to(tl.bfloat16)
        left_low = (left - left_high.to(tl.float32)).to(tl.bfloat16)
        right_high = right.to(tl.bfloat16)
        right_low = (right - right_high.to(tl.float32)).to(tl.bfloat16)
        total = _dot(left_low, right_high, total, EMULATE)
        total = _dot(left_high, right_low, total, EMULATE)
        total = _dot(left_high, right_high, total, EMULATE)
    else:
        total = _dot(left, right, total, EMULATE)
    return total


@triton.jit
def fold_kernel(
    kernel,
    vertical,
    horizontal,
    folded,
    height,
    width,
    DIAMETER: tl.constexpr,
    SIDE: tl.constexpr,
    ROOM: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """One row of ``PIXELS`` results: ``(DIAMETER^2)`` weights each to ``(SIDE, ROOM)``."""
    columns = tl.cdiv(width, PIXELS)
    program = tl.program_id(0)
    y = program // columns
    image = tl.program_id(1).to(tl.int64)
    x = (program % columns) * PIXELS + tl.arange(0, PIXELS)
    inside = x < width
    across = tl.arange(0, ROOM)
    kernel += image * DIAMETER * DIAMETER * height * width
    folded += image * height * SIDE * width * ROOM
    total = tl.zeros((PIXELS, ROOM, ROOM), tl.float32)
    for row in range(DIAMETER):
        part = tl.zeros((PIXELS, ROOM), tl.float32)
        for col in range(DIAMETER):
            place = (row * DIAMETER + col) * height + y
            weight = tl.load(kernel + place * width + x, mask=inside, other=0.0)
            lean = tl.load(
                horizontal + (x[:, None] * DIAMETER + col) * ROOM + across[None, :],
                mask=inside[:, None],
                other=0.0,
            )
            part += weight.to(tl.float32)[:, None] * lean
        down = tl.load(vertical + (y * DIAMETER + row) * ROOM + across)
        total += down[None, :, None] * part[:, None, :]
    line = y * SIDE + across
    place = (line[None, :, None] * width + x[:, None, None]) * ROOM + across[None, None, :]
    known = inside[:, None, None] & (across < SIDE)[None, :, None]
    known = known & (across >= 0)[None, None, :]
    tl.store(folded + place, total.to(folded.dtype.element_ty), mask=known)


@triton.jit
def enlarge_kernel(
    source,
    weights,
    result,
    height,
    width,
    channels,
    REACH: tl.constexpr,
    SIDE: tl.constexpr,
    ROOM: tl.constexpr,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
    SPLIT: tl.constexpr,
    EMULATE: tl.constexpr,
):
    """A tile of ``2 TALL x 2 WIDE`` results in all channels, ``CHANNELS`` at a time.

    Its weights stay; the neighbourhood of ``ROWS x COLUMNS`` low-resolution pixels is read once.
    """
    tiles = tl.cdiv(width, WIDE)
    top = (tl.program_id(0) // tiles) * TALL
    left = (tl.program_id(0) % tiles) * WIDE
    image = tl.program_id(1).to(tl.int64)
    source += image * height * width * channels
    weights += image * 4 * height * width * SIDE * ROOM
    result += image * 4 * height * width * channels
    # results of the tile, and low-resolution pixels of its neighbourhood
    place = tl.arange(0, 4 * TALL * WIDE)
    down, across = place // (2 * WIDE), place % (2 * WIDE)
    y, x = 2 * top + down, 2 * left + across
    inside = (y < 2 * height) & (x < 2 * width)
    near = tl.arange(0, ROWS * COLUMNS)
    row, col = top + near // COLUMNS - REACH, left + near % COLUMNS - REACH
    p = (near // COLUMNS)[None, :] - (down // 2)[:, None]
    q = (near % COLUMNS)[None, :] - (across // 2)[:, None]
    leans = (p >= 0) & (p < SIDE) & (q >= 0) & (q < SIDE) & inside[:, None]
    line = y[:, None] * SIDE + p
    lean = tl.load(weights + (line * 2 * width + x[:, None]) * ROOM + q, mask=leans, other=0.0)
    known = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    known = known & (near // COLUMNS < TALL + 2 * REACH) & (near % COLUMNS < WIDE + 2 * REACH)
    for begin in range(0, channels, CHANNELS):
        channel = begin + tl.arange(0, CHANNELS)
        there = (channel < channels)[None, :]
        pixels = tl.load(
            source + (row * width + col)[:, None] * channels + channel[None, :],
            mask=known[:, None] & there,
            other=0.0,
        )
        total = tl.zeros((4 * TALL * WIDE, CHANNELS), tl.float32)
        total = _product(lean, pixels, total, SPLIT, EMULATE)
        tl.store(
            result + (y * 2 * width + x)[:, None] * channels + channel[None, :],
            total.to(result.dtype.element_ty),
            mask=inside[:, None] & there,
        )


def fold(kernel: Tensor, radius: int, dtype: torch.dtype | None = None) -> Tensor:
    """Bring window weights back through the bicubic enlargement.

    Args:
        kernel: ``(B, diameter^2, 2 h, 2 w)``.
        radius: Half side of the window.
        dtype: Of the result; the kernel's unless given.

    Returns:
        ``(B, 2 h, side, 2 w, room)`` weights on the low-resolution map: entry ``(y, p, x, q)`` is
        that of the pixel ``(y // 2 - reach + p, x // 2 - reach + q)``; see :func:`folded_sides`.
    """
    batch, _, height, width = kernel.shape
    side, room = folded_sides(radius)
    kernel = kernel.contiguous()
    folded = torch.empty(
        (batch, height, side, width, room), device=kernel.device, dtype=dtype or kernel.dtype
    )
    pixels = 16
    with torch.cuda.device_of(kernel):
        fold_kernel[(height * triton.cdiv(width, pixels), batch)](
            kernel,
            _taps(height // 2, radius, kernel.device),
            _taps(width // 2, radius, kernel.device),
            folded,
            height,
            width,
            DIAMETER=2 * radius + 1,
            SIDE=side,
            ROOM=room,
            PIXELS=pixels,
        )
    return folded


def enlarge(source: Tensor, folded: Tensor, radius: int) -> Tensor:
    """One step: twice the size, every result with its own window.

    Args:
        source: ``(B, h, w, C)``.
        folded: From :func:`fold`, ``(B, 2 h, side, 2 w, room)``, of the type of ``source``.
        radius: Half side of the window in results.

    Returns:
        ``(B, 2 h, 2 w, C)``.
    """
    batch, height, width, channels = source.shape
    side, room = folded_sides(radius)
    source = source.contiguous()
    result = torch.empty(
        (batch, 2 * height, 2 * width, channels), device=source.device, dtype=source.dtype
    )
    tiles = triton.cdiv(height, _TALL) * triton.cdiv(width, _WIDE)
    with torch.cuda.device_of(source):
        enlarge_kernel[(tiles, batch)](
            source,
            folded,
            result,
            height,
            width,
            channels,
            REACH=reach_of(radius),
            SIDE=side,
            ROOM=room,
            TALL=_TALL,
            WIDE=_WIDE,
            ROWS=triton.next_power_of_2(_TALL + side - 1),
            COLUMNS=triton.next_power_of_2(_WIDE + side - 1),
            CHANNELS=min(_CHANNELS, max(16, triton.next_power_of_2(channels))),
            SPLIT=source.dtype == torch.float32,
            EMULATE=INTERPRETED,
            num_warps=4,
            num_stages=1,
        )
    return result
