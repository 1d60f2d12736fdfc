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

:func:`window_weights` compares keys within each window, without an array of windows.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from cvsegguide.models.upsamplers import blocks

LARGEST_RADIUS = 4
"""Of a window that the kernels take."""

FEW_CHANNELS = 8
"""Maps of up to so many channels are filtered pixel by pixel, without matrix products."""


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
        large = F.pad(blocks.bicubic(length), (reach, reach + room - side))
        place = blocks.mirrored_windows(size, radius)
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
def _fold(
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
def _weights_of_tile(
    weights,
    top,
    left,
    first,
    height,
    width,
    SIDE: tl.constexpr,
    ROOM: tl.constexpr,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """``(4 TALL WIDE, ROWS COLUMNS)`` weights of the tile's pixels in its results."""
    place = tl.arange(0, 4 * TALL * WIDE)
    down = place // (2 * WIDE)
    across = place % (2 * WIDE)
    y = 2 * top + down
    x = 2 * left + across
    other = tl.arange(0, ROWS * COLUMNS)
    p = (first + other // COLUMNS)[None, :] - (down // 2)[:, None]
    q = (other % COLUMNS)[None, :] - (across // 2)[:, None]
    known = (p >= 0) & (p < SIDE) & (q >= 0) & (q < SIDE)
    known = known & ((y < 2 * height) & (x < 2 * width))[:, None]
    line = y[:, None] * SIDE + p
    return tl.load(weights + (line * 2 * width + x[:, None]) * ROOM + q, mask=known, other=0.0)


@triton.jit
def _pixels_of_tile(
    source,
    top,
    left,
    first,
    channel,
    height,
    width,
    channels,
    REACH: tl.constexpr,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """``(ROWS COLUMNS, channels)`` low-resolution pixels that the tile's results lean on."""
    other = tl.arange(0, ROWS * COLUMNS)
    down = first + other // COLUMNS
    across = other % COLUMNS
    row = top + down - REACH
    col = left + across - REACH
    known = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    known = known & (down < TALL + 2 * REACH) & (across < WIDE + 2 * REACH)
    mask = known[:, None] & (channel < channels)[None, :]
    place = (row * width + col)[:, None] * channels + channel[None, :]
    return tl.load(source + place, mask=mask, other=0.0)


@triton.jit
def _store_tile(
    result,
    total,
    top,
    left,
    channel,
    height,
    width,
    channels,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
):
    place = tl.arange(0, 4 * TALL * WIDE)
    y = 2 * top + place // (2 * WIDE)
    x = 2 * left + place % (2 * WIDE)
    inside = (y < 2 * height) & (x < 2 * width)
    target = (y * 2 * width + x)[:, None] * channels + channel[None, :]
    mask = inside[:, None] & (channel < channels)[None, :]
    tl.store(result + target, total.to(result.dtype.element_ty), mask=mask)


@triton.jit
def _enlarge_by_rows(
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
    """A tile of results in ``CHANNELS`` channels, a few rows of low-resolution pixels at a time."""
    groups = tl.cdiv(channels, CHANNELS)
    tiles = tl.cdiv(width, WIDE)
    program = tl.program_id(0)
    image = tl.program_id(1).to(tl.int64)
    channel = (program % groups) * CHANNELS + tl.arange(0, CHANNELS)
    tile = program // groups
    top = (tile // tiles) * TALL
    left = (tile % tiles) * WIDE
    source += image * height * width * channels
    weights += image * 4 * height * width * SIDE * ROOM
    result += image * 4 * height * width * channels
    total = tl.zeros((4 * TALL * WIDE, CHANNELS), tl.float32)
    for first in range(0, TALL + 2 * REACH, ROWS):
        lean = _weights_of_tile(
            weights, top, left, first, height, width, SIDE, ROOM, TALL, WIDE, ROWS, COLUMNS
        )
        pixels = _pixels_of_tile(
            source,
            top,
            left,
            first,
            channel,
            height,
            width,
            channels,
            REACH,
            TALL,
            WIDE,
            ROWS,
            COLUMNS,
        )
        total = _product(lean, pixels, total, SPLIT, EMULATE)
    _store_tile(result, total, top, left, channel, height, width, channels, TALL, WIDE)


@triton.jit
def _enlarge_by_channels(
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
    """A tile of results in all channels, ``CHANNELS`` at a time, with weights that are kept."""
    tiles = tl.cdiv(width, WIDE)
    tile = tl.program_id(0)
    image = tl.program_id(1).to(tl.int64)
    top = (tile // tiles) * TALL
    left = (tile % tiles) * WIDE
    source += image * height * width * channels
    weights += image * 4 * height * width * SIDE * ROOM
    result += image * 4 * height * width * channels
    lean = _weights_of_tile(
        weights, top, left, 0, height, width, SIDE, ROOM, TALL, WIDE, ROWS, COLUMNS
    )
    for begin in range(0, channels, CHANNELS):
        channel = begin + tl.arange(0, CHANNELS)
        pixels = _pixels_of_tile(
            source,
            top,
            left,
            0,
            channel,
            height,
            width,
            channels,
            REACH,
            TALL,
            WIDE,
            ROWS,
            COLUMNS,
        )
        total = tl.zeros((4 * TALL * WIDE, CHANNELS), tl.float32)
        total = _product(lean, pixels, total, SPLIT, EMULATE)
        _store_tile(result, total, top, left, channel, height, width, channels, TALL, WIDE)


@triton.jit
def _enlarge_few(
    source,
    weights,
    result,
    height,
    width,
    channels,
    REACH: tl.constexpr,
    SIDE: tl.constexpr,
    ROOM: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """``PIXELS`` results of one row in one channel."""
    columns = tl.cdiv(2 * width, PIXELS)
    program = tl.program_id(0)
    y = program // columns
    image = (tl.program_id(1) // channels).to(tl.int64)
    channel = tl.program_id(1) % channels
    x = (program % columns) * PIXELS + tl.arange(0, PIXELS)
    across = tl.arange(0, ROOM)
    col = x[:, None] // 2 - REACH + across[None, :]
    inside = (x < 2 * width)[:, None] & (across < SIDE)[None, :]
    known = inside & (col >= 0) & (col < width)
    source += image * height * width * channels + channel
    weights += image * 4 * height * width * SIDE * ROOM
    total = tl.zeros((PIXELS, ROOM), tl.float32)
    for p in range(SIDE):
        row = y // 2 - REACH + p
        line = (y * SIDE + p) * 2 * width
        lean = tl.load(
            weights + (line + x[:, None]) * ROOM + across[None, :], mask=inside, other=0.0
        )
        pixel = tl.load(
            source + (row * width + col) * channels,
            mask=known & (row >= 0) & (row < height),
            other=0.0,
        )
        total += lean.to(tl.float32) * pixel.to(tl.float32)
    target = image * 4 * height * width * channels + (y * 2 * width + x) * channels + channel
    tl.store(result + target, tl.sum(total, axis=1).to(result.dtype.element_ty), mask=x < 2 * width)


@triton.jit
def _transposed(
    values,
    weights,
    result,
    height,
    width,
    REACH: tl.constexpr,
    SIDE: tl.constexpr,
    ROOM: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """What ``PIXELS`` low-resolution pixels of one row get back from the results."""
    columns = tl.cdiv(width, PIXELS)
    program = tl.program_id(0)
    row = program // columns
    image = tl.program_id(1).to(tl.int64)
    col = (program % columns) * PIXELS + tl.arange(0, PIXELS)
    values += image * 4 * height * width
    weights += image * 4 * height * width * SIDE * ROOM
    result += image * height * width
    total = tl.zeros((PIXELS,), tl.float32)
    for p in range(SIDE):
        for q in range(SIDE):
            above = row + REACH - p
            beside = col + REACH - q
            known = (col < width) & (above >= 0) & (above < height)
            known = known & (beside >= 0) & (beside < width)
            for part in range(4):
                y = 2 * above + part // 2
                x = 2 * beside + part % 2
                value = tl.load(values + y * 2 * width + x, mask=known, other=0.0)
                place = ((y * SIDE + p) * 2 * width + x) * ROOM + q
                weight = tl.load(weights + place, mask=known, other=0.0)
                total += value.to(tl.float32) * weight.to(tl.float32)
    tl.store(result + row * width + col, total.to(result.dtype.element_ty), mask=col < width)


@triton.jit
def _window_weights(
    keys,
    guidance,
    temperature,
    spatial,
    mix,
    colours,
    mix_bias,
    out,
    out_bias,
    vertical,
    horizontal,
    result,
    height,
    width,
    KEYS: tl.constexpr,
    KEYS_ROOM: tl.constexpr,
    GUIDANCE: tl.constexpr,
    RADIUS: tl.constexpr,
    ROOM: tl.constexpr,
    PIXELS: tl.constexpr,
    BESIDE: tl.constexpr,
    SIDE: tl.constexpr,
    ACROSS: tl.constexpr,
    ENTRIES: tl.constexpr,
    FOLDED: tl.constexpr,
    SPLIT: tl.constexpr,
    EMULATE: tl.constexpr,
):
    """Window weights of ``PIXELS`` pixels of one row; windows take ``ROOM`` places in memory.

    ``FOLDED``: brought back through the enlargement, as by :func:`fold`.
    """
    DIAMETER: tl.constexpr = 2 * RADIUS + 1
    columns = tl.cdiv(width, PIXELS)
    program = tl.program_id(0)
    y = program // columns
    image = tl.program_id(1).to(tl.int64)
    x = (program % columns) * PIXELS + tl.arange(0, PIXELS)
    inside = x < width
    keys += image * height * width * KEYS
    guidance += image * height * width * GUIDANCE
    result += image * height * width * (SIDE * ACROSS if FOLDED else DIAMETER * DIAMETER)
    key = tl.arange(0, KEYS_ROOM)
    place = tl.arange(0, ROOM)
    known = inside[:, None] & (key < KEYS)[None, :]
    own = tl.load(keys + (y * width + x)[:, None] * KEYS + key[None, :], mask=known, other=0.0)
    own = own.to(tl.float32) * tl.load(temperature)
    beside = tl.arange(0, BESIDE)
    col = tl.abs((program % columns) * PIXELS + beside - RADIUS)
    col = tl.where(col >= width, 2 * (width - 1) - col, col)
    met = (col >= 0)[None, :] & (key < KEYS)[:, None]
    similarity = tl.full((PIXELS, ROOM), float("-inf"), tl.float32)
    # a row of the window lies on a diagonal of the product of the row's keys with those above
    band = tl.arange(0, PIXELS)[:, None] + (place % DIAMETER)[None, :]
    for down in range(DIAMETER):
        row = tl.abs(y + down - RADIUS)
        row = tl.where(row >= height, 2 * (height - 1) - row, row)
        other = tl.load(
            keys + (row * width + col)[None, :] * KEYS + key[:, None], mask=met, other=0.0
        )
        every = tl.zeros((PIXELS, BESIDE), tl.float32)
        every = _product(own, other.to(tl.float32), every, SPLIT, EMULATE)
        found = tl.gather(every, band, 1)
        similarity = tl.where((place // DIAMETER == down)[None, :], found, similarity)
    near = tl.load(spatial + place)
    share = tl.exp(similarity - tl.max(similarity, axis=1)[:, None])
    share = share / tl.sum(share, axis=1)[:, None] * near[None, :]
    share = share / tl.maximum(tl.sum(share, axis=1), 1e-7)[:, None]
    square = place[:, None] * ROOM + place[None, :]
    hidden = tl.zeros((PIXELS, ROOM), tl.float32) + tl.load(mix_bias + place)[None, :]
    hidden = _product(share, tl.load(mix + square), hidden, SPLIT, EMULATE)
    for channel in range(GUIDANCE):
        colour = tl.load(guidance + (y * width + x) * GUIDANCE + channel, mask=inside, other=0.0)
        weight = tl.load(colours + channel * ROOM + place)
        hidden += colour.to(tl.float32)[:, None] * weight[None, :]
    hidden = 0.5 * hidden * (1.0 + tl.erf(hidden * 0.7071067811865476))
    fixed = tl.zeros((PIXELS, ROOM), tl.float32) + tl.load(out_bias + place)[None, :]
    fixed = _product(hidden, tl.load(out + square), fixed, SPLIT, EMULATE)
    total = share + 0.1 * fixed
    if FOLDED:
        total = tl.where((place < DIAMETER * DIAMETER)[None, :], total, 0.0)
        entry = tl.arange(0, ENTRIES)
        # down the columns: entry (p, c) of the product belongs to row p and the window's column c
        lean = tl.load(
            vertical
            + (y * DIAMETER + place // DIAMETER)[:, None] * ACROSS
            + (entry // ACROSS)[None],
            mask=(place % DIAMETER)[:, None] == (entry % ACROSS)[None, :],
            other=0.0,
        )
        lean = tl.where((place < DIAMETER * DIAMETER)[:, None], lean, 0.0)
        part = tl.zeros((PIXELS, ENTRIES), tl.float32)
        part = _product(total, lean, part, SPLIT, EMULATE)
        whole = tl.zeros((PIXELS, ENTRIES), tl.float32)
        used = inside[:, None] & (entry < SIDE * ACROSS)[None, :]
        for step in range(DIAMETER):
            own_part = tl.gather(
                part,
                tl.broadcast_to((entry // ACROSS * ACROSS + step)[None, :], (PIXELS, ENTRIES)),
                1,
            )
            across = tl.load(
                horizontal + (x * DIAMETER + step)[:, None] * ACROSS + (entry % ACROSS)[None, :],
                mask=used,
                other=0.0,
            )
            whole += own_part * across
        line = y * SIDE + entry // ACROSS
        at = (line[None, :] * width + x[:, None]) * ACROSS + (entry % ACROSS)[None, :]
        tl.store(result + at, whole.to(result.dtype.element_ty), mask=used)
    else:
        target = (place[None, :] * height + y) * width + x[:, None]
        mask = inside[:, None] & (place < DIAMETER * DIAMETER)[None, :]
        tl.store(result + target, total.to(result.dtype.element_ty), mask=mask)


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
        _fold[(height * triton.cdiv(width, pixels), batch)](
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


def enlarge(
    source: Tensor, folded: Tensor, radius: int, tuning: dict[str, Any] | None = None
) -> Tensor:
    """One step: twice the size, every result with its own window.

    Args:
        source: ``(B, h, w, C)``.
        folded: From :func:`fold`, ``(B, 2 h, side, 2 w, room)``, of the type of ``source``.
        radius: Half side of the window in results.
        tuning: Which way the work is divided; see :func:`tuning_of`.

    Returns:
        ``(B, 2 h, 2 w, C)``.
    """
    batch, height, width, channels = source.shape
    side, room = folded_sides(radius)
    source = source.contiguous()
    result = torch.empty(
        (batch, 2 * height, 2 * width, channels), device=source.device, dtype=source.dtype
    )
    shape = {"REACH": reach_of(radius), "SIDE": side, "ROOM": room}
    if channels <= FEW_CHANNELS:
        pixels = 64
        grid = (2 * height * triton.cdiv(2 * width, pixels), batch * channels)
        with torch.cuda.device_of(source):
            _enlarge_few[grid](
                source, folded, result, height, width, channels, PIXELS=pixels, **shape
            )
        return result
    chosen = {**tuning_of(source.dtype, radius), **(tuning or {})}
    by_channels = chosen.pop("by_channels")
    tall, wide, group = chosen["TALL"], chosen["WIDE"], chosen["CHANNELS"]
    chosen["COLUMNS"] = triton.next_power_of_2(wide + side - 1)
    tiles = triton.cdiv(height, tall) * triton.cdiv(width, wide)
    if by_channels:
        chosen["ROWS"] = triton.next_power_of_2(tall + side - 1)
        run, programs = _enlarge_by_channels, tiles
    else:
        run, programs = _enlarge_by_rows, tiles * triton.cdiv(channels, group)
    split = source.dtype == torch.float32
    flags = {"SPLIT": split, "EMULATE": INTERPRETED}
    with torch.cuda.device_of(source):
        run[(programs, batch)](
            source, folded, result, height, width, channels, **flags, **shape, **chosen
        )
    return result


def transposed(values: Tensor, folded: Tensor, radius: int) -> Tensor:
    """The transpose of :func:`enlarge` for one channel: ``(B, 2 h, 2 w)`` to ``(B, h, w)``."""
    batch, height, width = values.shape[0], values.shape[1] // 2, values.shape[2] // 2
    side, room = folded_sides(radius)
    result = values.new_empty(batch, height, width)
    pixels = 64
    with torch.cuda.device_of(values):
        _transposed[(height * triton.cdiv(width, pixels), batch)](
            values.contiguous(),
            folded,
            result,
            height,
            width,
            REACH=reach_of(radius),
            SIDE=side,
            ROOM=room,
            PIXELS=pixels,
        )
    return result


def tuning_of(dtype: torch.dtype, radius: int) -> dict[str, Any]:
    """How :func:`enlarge` divides its work.

    Returns:
        ``by_channels``: keep a tile's weights and go through the channels; else keep the channels
        and go through the low-resolution rows, ``ROWS`` at a time. ``TALL, WIDE``: low-resolution
        pixels of a tile. ``CHANNELS`` at a time.
    """
    return {
        "by_channels": True,
        "TALL": 2,
        "WIDE": 8,
        "CHANNELS": 64,
        "num_warps": 4,
        "num_stages": 1,
    }


def window_weights(
    keys: Tensor,
    guidance: Tensor,
    temperature: Tensor,
    spatial: Tensor,
    first: tuple[Tensor, Tensor | None],
    last: tuple[Tensor, Tensor | None],
    radius: int,
    dtype: torch.dtype = torch.float32,
    folded: bool = False,
) -> Tensor:
    """Window weights from keys: the range kernel, the spatial one, and what is learned on top.

    Args:
        keys: ``(B, H, W, K)``.
        guidance: ``(B, H, W, G)``.
        temperature: One number, what scalar products of keys are multiplied with.
        spatial: ``(d^2,)`` weights of the window's places.
        first: Weight ``(d^2, d^2 + G)`` and bias of the first layer.
        last: Weight ``(d^2, d^2)`` and bias of the second layer.
        radius: Half side of the window.
        dtype: Of the result.
        folded: Bring them back through the enlargement; H and W are even.

    Returns:
        ``(B, d^2, H, W)``, or what :func:`fold` makes of it.
    """
    batch, height, width, count = keys.shape
    window = (2 * radius + 1) ** 2
    room = max(16, triton.next_power_of_2(window))

    def square(weight: Tensor) -> Tensor:
        return F.pad(weight.float().T, (0, room - window, 0, room - window)).contiguous()

    def line(values: Tensor | None) -> Tensor:
        if values is None:
            return keys.new_zeros(room, dtype=torch.float32)
        return F.pad(values.float(), (0, room - window)).contiguous()

    mix = first[0]
    colours = F.pad(mix[:, window:].float().T, (0, room - window)).contiguous()
    side, across = folded_sides(radius)
    shape = (batch, height, side, width, across) if folded else (batch, window, height, width)
    result = torch.empty(shape, device=keys.device, dtype=dtype)
    taps = [keys, keys]
    if folded:
        taps = [_taps(length // 2, radius, keys.device) for length in (height, width)]
    pixels = 32
    with torch.cuda.device_of(keys):
        _window_weights[(height * triton.cdiv(width, pixels), batch)](
            keys.contiguous(),
            guidance.contiguous(),
            temperature.float(),
            line(spatial),
            square(mix[:, :window]),
            colours,
            line(first[1]),
            square(last[0]),
            line(last[1]),
            *taps,
            result,
            height,
            width,
            KEYS=count,
            KEYS_ROOM=max(16, triton.next_power_of_2(count)),
            GUIDANCE=guidance.shape[3],
            RADIUS=radius,
            ROOM=room,
            PIXELS=pixels,
            BESIDE=triton.next_power_of_2(pixels + 2 * radius),
            SIDE=side,
            ACROSS=across,
            ENTRIES=triton.next_power_of_2(side * across),
            FOLDED=folded,
            SPLIT=True,
            EMULATE=INTERPRETED,
        )
    return result
