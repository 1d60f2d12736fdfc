"""Compiled loops for training on a CPU: batch norms, what is added, and clipping.

Maps lie channels-last. All of these are bound by memory: what PyTorch does in several calls, a pass
over the map for each, happens in one here. Every function works on the part of a map that it is
given and runs free of Python, so that threads can share a map.

A map is ``(P, L)``: places and channels, or with few channels several places side by side as one,
for which what there is by channel is repeated, so that loops are long. ``norm`` is ``(3, L)``: the
norm is ``y * norm[0] + norm[1]``, and ``norm[2]`` the mean of y. ``bounds`` is ``(2,)``: what the
result is clipped to. Sums are ``(2, L)`` and are added to.
"""

import numpy as np

from cvsegguide.models.geometric.halves import as_in, float_of
from cvsegguide.models.geometric.maps import Map
from cvsegguide.synth.compiled import F32, F64, I32, Kernel, cached

_BLOCK = 256
"""Places whose sums are taken in float32."""


def quick(function: Kernel) -> Kernel:
    """Compile; sums may be taken in another order, infinities and NaN stay what they are."""
    return cached(
        function, nogil=True, fastmath={"contract", "reassoc", "nsz"}, no_cfunc_wrapper=True
    )


@quick
def moments(y: Map, about: F32, sums: F64) -> None:
    """Sums over the places and of their squares, both relative to ``about`` ``(L,)``."""
    places, length = y.shape
    first = np.zeros(length, np.float32)
    second = np.zeros(length, np.float32)
    for begin in range(0, places, _BLOCK):
        first[:] = 0
        second[:] = 0
        for place in range(begin, min(begin + _BLOCK, places)):
            row = y[place]
            for c in range(length):
                value = float_of(row[c]) - about[c]
                first[c] += value
                second[c] += value * value
        for c in range(length):
            sums[0, c] += first[c]
            sums[1, c] += second[c]


@quick
def affine(y: Map, norm: F32, bounds: F32, out: Map) -> None:
    """``out``: the clipped norm of ``y``."""
    places, length = y.shape
    low, high = bounds[0], bounds[1]
    scale, shift = norm[0], norm[1]
    for place in range(places):
        source, target = y[place], out[place]
        for c in range(length):
            value = float_of(source[c]) * scale[c] + shift[c]
            value = low if value < low else value
            target[c] = as_in(target[c], high if value > high else value)


@quick
def affine_added(y: Map, norm: F32, added: Map, bounds: F32, out: Map) -> None:
    """``out``: the norm of ``y`` plus ``added``, clipped."""
    places, length = y.shape
    low, high = bounds[0], bounds[1]
    scale, shift = norm[0], norm[1]
    for place in range(places):
        source, more, target = y[place], added[place], out[place]
        for c in range(length):
            value = float_of(source[c]) * scale[c] + shift[c] + float_of(more[c])
            value = low if value < low else value
            target[c] = as_in(target[c], high if value > high else value)


@quick
def unclipped(gradient: Map, out: Map, bounds: F32, target: Map) -> None:
    """``target``: ``gradient`` where ``out`` lies between the bounds, elsewhere 0."""
    places, length = out.shape
    low, high = bounds[0], bounds[1]
    zero = np.float32(0)
    for place in range(places):
        row, values, result = gradient[place], out[place], target[place]
        for c in range(length):
            value = float_of(values[c])
            inside = (value > low) & (value < high)
            result[c] = as_in(result[c], float_of(row[c]) if inside else zero)


@quick
def gradient_sums(gradient: Map, y: Map, norm: F32, bounds: F32, sums: F64) -> None:
    """Sums of the gradient before the clipping, and of it times ``y`` less its mean."""
    places, length = y.shape
    low, high = bounds[0], bounds[1]
    scale, shift, mean = norm[0], norm[1], norm[2]
    zero = np.float32(0)
    first = np.zeros(length, np.float32)
    second = np.zeros(length, np.float32)
    for begin in range(0, places, _BLOCK):
        first[:] = 0
        second[:] = 0
        for place in range(begin, min(begin + _BLOCK, places)):
            row, values = gradient[place], y[place]
            for c in range(length):
                here = float_of(values[c])
                value = here * scale[c] + shift[c]
                inside = (value > low) & (value < high)
                one = float_of(row[c]) if inside else zero
                first[c] += one
                second[c] += one * (here - mean[c])
        for c in range(length):
            sums[0, c] += first[c]
            sums[1, c] += second[c]


@quick
def gradient_through(gradient: Map, y: Map, norm: F32, bounds: F32, factors: F32, out: Map) -> None:
    """``out = p * g + q + r * y``, g the gradient before the clipping; ``factors`` ``(3, L)``."""
    places, length = y.shape
    low, high = bounds[0], bounds[1]
    scale, shift = norm[0], norm[1]
    p, q, r = factors[0], factors[1], factors[2]
    zero = np.float32(0)
    for place in range(places):
        row, values, target = gradient[place], y[place], out[place]
        for c in range(length):
            here = float_of(values[c])
            value = here * scale[c] + shift[c]
            inside = (value > low) & (value < high)
            one = float_of(row[c]) if inside else zero
            target[c] = as_in(target[c], p[c] * one + q[c] + r[c] * here)


@quick
def gathered(source: F32, places: I32, shares: F32, out: F32) -> None:
    """Weighted sums of four places each.

    Args:
        source: ``(B, C, N)``.
        places, shares: ``(K, P, 4)`` which of the N, and their weights.
        out: ``(B, K, C, P)``.
    """
    for index in range(source.shape[0]):
        for number in range(places.shape[0]):
            at, of = places[number], shares[number]
            for c in range(source.shape[1]):
                values, target = source[index, c], out[index, number, c]
                for p in range(len(target)):
                    upper = values[at[p, 0]] * of[p, 0] + values[at[p, 1]] * of[p, 1]
                    lower = values[at[p, 2]] * of[p, 2] + values[at[p, 3]] * of[p, 3]
                    target[p] = upper + lower


@quick
def scattered(gradient: F32, places: I32, shares: F32, to_source: F32) -> None:
    """Add the gradient of :func:`gathered` to that of its source."""
    for index in range(to_source.shape[0]):
        for number in range(places.shape[0]):
            at, of = places[number], shares[number]
            for c in range(to_source.shape[1]):
                values, target = gradient[index, number, c], to_source[index, c]
                for p in range(len(values)):
                    value = values[p]
                    target[at[p, 0]] += value * of[p, 0]
                    target[at[p, 1]] += value * of[p, 1]
                    target[at[p, 2]] += value * of[p, 2]
                    target[at[p, 3]] += value * of[p, 3]
