"""Compiled convolutions by channel, with the norms and the clipping before and behind them.

Maps are as in :mod:`cvsegguide.models.geometric.kernels`, with images and rows before the places:
``(B, H, N, L)``. Of the padded map a ring of rows is kept, so that what a row is made of stays in
the cache.
"""

import numpy as np

from cvsegguide.models.geometric.halves import as_in, float_of
from cvsegguide.models.geometric.kernels import affine, gradient_through, moments, quick
from cvsegguide.models.geometric.maps import Map
from cvsegguide.synth.compiled import F32, F64

_RING = 8
"""Rows that are kept of a padded map: more than the largest kernel and stride reach."""


@quick
def _filtered(
    ring: F32, weight: F32, size: int, top: int, step: int, channels: int, out: F32
) -> None:
    """One row ``(N, L)`` of a convolution of the padded rows from ``top``."""
    blocks, length = out.shape
    for ki in range(size):
        source = ring[(top + ki) % _RING]
        base = ki * size
        w0, w1, w2 = weight[base], weight[base + 1], weight[base + 2]
        if size == 3:
            for j in range(blocks):
                at = j * length * step
                b0, b1 = source[at : at + length], source[at + channels : at + channels + length]
                b2 = source[at + 2 * channels : at + 2 * channels + length]
                target = out[j]
                if ki == 0:
                    for c in range(length):
                        target[c] = b0[c] * w0[c] + b1[c] * w1[c] + b2[c] * w2[c]
                else:
                    for c in range(length):
                        target[c] += b0[c] * w0[c] + b1[c] * w1[c] + b2[c] * w2[c]
        else:
            w3, w4 = weight[base + 3], weight[base + 4]
            for j in range(blocks):
                at = j * length * step
                b0, b1 = source[at : at + length], source[at + channels : at + channels + length]
                b2 = source[at + 2 * channels : at + 2 * channels + length]
                b3 = source[at + 3 * channels : at + 3 * channels + length]
                b4 = source[at + 4 * channels : at + 4 * channels + length]
                target = out[j]
                if ki == 0:
                    for c in range(length):
                        near = b0[c] * w0[c] + b1[c] * w1[c] + b2[c] * w2[c]
                        target[c] = near + b3[c] * w3[c] + b4[c] * w4[c]
                else:
                    for c in range(length):
                        near = b0[c] * w0[c] + b1[c] * w1[c] + b2[c] * w2[c]
                        target[c] += near + b3[c] * w3[c] + b4[c] * w4[c]


@quick
def _clipped_row(
    image: Map, row: int, norm: F32, bounds: F32, margin: int, ring: F32, at: int
) -> None:
    """Put the clipped norm of a row of ``(H, N, L)``, or zeros beyond it, into the ring."""
    line = ring[at % _RING]
    if 0 <= row < image.shape[0]:
        blocks, length = image.shape[1], image.shape[2]
        inner = line[margin : margin + blocks * length].reshape(blocks, length)
        affine(image[row], norm, bounds, inner)
    else:
        line[:] = 0


@quick
def depthwise(
    y: Map,
    norm: F32,
    bounds: F32,
    weight: F32,
    size: int,
    step: int,
    before: int,
    channels: int,
    about: F32,
    out: Map,
    sums: F64,
) -> None:
    """A convolution by channel of the clipped norm of ``y``, and the moments of the result.

    Args:
        y: ``(B, H, N, L)``.
        norm, bounds: Of ``y``.
        weight: ``(size * size, L)``.
        size: Side of the kernel, 3 or 5.
        step: Stride, 1 or 2; with 2, L is the number of channels.
        before: Rows and columns of zeros before the map.
        channels: C.
        about, sums: Of :func:`~cvsegguide.models.geometric.kernels.moments`.
        out: ``(B, H / step, N / step, L)``.
    """
    count, _, blocks, length = y.shape
    rows = out.shape[1]
    margin = before * channels
    ring = np.zeros((_RING, blocks * length + size * channels), np.float32)
    line = np.zeros((out.shape[2], length), np.float32)
    for index in range(count):
        done = 0
        for i in range(rows):
            until = i * step + size
            for row in range(done, until):
                _clipped_row(y[index], row - before, norm, bounds, margin, ring, row)
            done = until
            _filtered(ring, weight, size, i * step, step, channels, line)
            for j in range(line.shape[0]):
                source, target = line[j], out[index, i, j]
                for c in range(length):
                    target[c] = as_in(target[c], source[c])
            moments(line, about, sums)


@quick
def _correlated(
    ring: F32, gradient: F32, size: int, top: int, step: int, channels: int, to_weight: F32
) -> None:
    """Add to ``(size * size, L)`` what a row ``(N, L)`` of gradients gives the weights."""
    blocks, length = gradient.shape
    whole = blocks - blocks % 4
    ahead = length * step
    for ki in range(size):
        source = ring[(top + ki) % _RING]
        for kj in range(size):
            target = to_weight[ki * size + kj]
            for j in range(0, whole, 4):
                at = j * ahead + kj * channels
                b0, b1 = source[at : at + length], source[at + ahead : at + ahead + length]
                at += 2 * ahead
                b2, b3 = source[at : at + length], source[at + ahead : at + ahead + length]
                g0, g1, g2, g3 = gradient[j], gradient[j + 1], gradient[j + 2], gradient[j + 3]
                for c in range(length):
                    target[c] += b0[c] * g0[c] + b1[c] * g1[c] + b2[c] * g2[c] + b3[c] * g3[c]
            for j in range(whole, blocks):
                at = j * ahead + kj * channels
                b0, g0 = source[at : at + length], gradient[j]
                for c in range(length):
                    target[c] += b0[c] * g0[c]


@quick
def _spread(gradient: F32, weight: F32, size: int, top: int, ring: F32) -> None:
    """Add to the padded rows from ``top`` what a row of gradients gives the map, stride 2.

    ``gradient`` is ``(w + 4, C)``, its first and last two pixels zero.
    """
    width, channels = gradient.shape[0] - 4, gradient.shape[1]
    for ki in range(size):
        target = ring[(top + ki) % _RING]
        base = ki * size
        w0, w1, w2 = weight[base], weight[base + 1], weight[base + 2]
        if size == 3:
            for m in range(width + 1):
                g0, g1 = gradient[m + 2], gradient[m + 1]
                at = 2 * m * channels
                even = target[at : at + channels]
                odd = target[at + channels : at + 2 * channels]
                for c in range(channels):
                    even[c] += g0[c] * w0[c] + g1[c] * w2[c]
                for c in range(channels):
                    odd[c] += g0[c] * w1[c]
        else:
            w3, w4 = weight[base + 3], weight[base + 4]
            for m in range(width + 2):
                g0, g1, g2 = gradient[m + 2], gradient[m + 1], gradient[m]
                at = 2 * m * channels
                even = target[at : at + channels]
                odd = target[at + channels : at + 2 * channels]
                for c in range(channels):
                    even[c] += g0[c] * w0[c] + g1[c] * w2[c] + g2[c] * w4[c]
                for c in range(channels):
                    odd[c] += g0[c] * w1[c] + g1[c] * w3[c]


@quick
def _before_clipping(
    gradient: F32, y: Map, norm: F32, bounds: F32, out: Map, part: F32, sums: F64
) -> None:
    """``out``: ``gradient`` where nothing is clipped; its sums; ``part`` is room, ``(2, L)``."""
    blocks, length = y.shape
    low, high = bounds[0], bounds[1]
    scale, shift, mean = norm[0], norm[1], norm[2]
    zero = np.float32(0)
    first, second = part[0], part[1]
    first[:] = 0
    second[:] = 0
    for j in range(blocks):
        values, row, target = y[j], gradient[j], out[j]
        for c in range(length):
            here = float_of(values[c])
            value = here * scale[c] + shift[c]
            inside = (value > low) & (value < high)
            one = row[c] if inside else zero
            target[c] = as_in(target[c], one)
            first[c] += one
            second[c] += one * (here - mean[c])
    for c in range(length):
        sums[0, c] += first[c]
        sums[1, c] += second[c]


@quick
def depthwise_gradient(
    gradient: Map,
    out: Map,
    out_norm: F32,
    out_bounds: F32,
    factors: F32,
    y: Map,
    norm: F32,
    bounds: F32,
    weight: F32,
    flipped: F32,
    size: int,
    step: int,
    before: int,
    channels: int,
    to_weight: F32,
    to_y: Map,
    sums: F64,
) -> None:
    """The gradient of :func:`depthwise`, with the norm and the clipping behind and before it.

    Args:
        gradient: Of the clipped norm of ``out``, ``(B, H / step, N / step, L)``.
        out: What :func:`depthwise` gave.
        out_norm, out_bounds, factors: Of its
            :func:`~cvsegguide.models.geometric.kernels.gradient_through`.
        y, norm, bounds, weight, size, step, before, channels: As for :func:`depthwise`.
        flipped: ``weight`` in the opposite order.
        to_weight: ``(size * size, L)``, is added to.
        to_y: ``(B, H, N, L)``, gets the gradient before the clipping of the norm of ``y``.
        sums: Of that, as of :func:`~cvsegguide.models.geometric.kernels.gradient_sums`.
    """
    count, height, blocks, length = y.shape
    rows, columns = out.shape[1], out.shape[2]
    wide = blocks * length + size * channels
    ring = np.zeros((_RING, wide), np.float32)
    # stride 1: gradients with a border, gathered; else: what they are spread to
    other = np.zeros((_RING, wide), np.float32)
    after = size - 1 - before
    margin = before * channels
    line = np.zeros((columns + 4, length), np.float32)
    result = np.zeros((blocks, length), np.float32)
    part = np.zeros((2, length), np.float32)
    for index in range(count):
        done, begun, finished = 0, 0, 0
        if step == 1:
            other[:] = 0
        for i in range(rows + before if step == 1 else rows):
            if i < rows:
                until = i * step + size
                for row in range(done, until):
                    _clipped_row(y[index], row - before, norm, bounds, margin, ring, row)
                done = until
                if step == 1:
                    inner = other[(i + after) % _RING][after * channels :]
                    target = inner[: columns * length].reshape(columns, length)
                else:
                    target = line[2 : columns + 2]
                gradient_through(
                    gradient[index, i], out[index, i], out_norm, out_bounds, factors, target
                )
                _correlated(ring, target, size, i * step, step, channels, to_weight)
            else:
                other[(i + after) % _RING] = 0
            if step != 1:
                for row in range(begun, i * step + size):
                    other[row % _RING] = 0
                begun = i * step + size
                _spread(line, weight, size, i * step, other)
            # rows of the map that no further gradient reaches
            ready = height if i == rows - 1 and step != 1 else (i + 1) * step - before
            for row in range(finished, ready):
                if step == 1:
                    _filtered(other, flipped, size, row, 1, channels, result)
                    inner = result.reshape(-1)
                else:
                    inner = other[(row + before) % _RING][margin:]
                _before_clipping(
                    inner[: blocks * length].reshape(blocks, length),
                    y[index, row],
                    norm,
                    bounds,
                    to_y[index, row],
                    part,
                    sums,
                )
            finished = max(finished, ready)
