"""Hashes and noise: where every irregularity of the street view comes from.

Two tables of periodic noise are made once per process from a fixed seed; scenes and pictures
look into them at offsets of their own, which is several times faster than computing noise for
each ray.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.street.kernel import typed

PLANE = 256
"""Side of the table of plane noise."""
CUBE = 32, 64
"""Sides of the table of leaves: rows and columns of 0.226 m, heights of half as much."""

LEAF_STEPS = 64 / (32 * 0.2262)
"""Entries of the table of leaves per metre of height."""


@cache
def plane_noise() -> NDArray[np.float32]:
    """``(256, 256)`` periodic fractal noise, evenly spread over [0, 1]."""
    return _even(_spectral((PLANE, PLANE), exponent=1.0, lowest=2.0)).astype(np.float32)


@cache
def leaf_noise() -> NDArray[np.uint8]:
    """``(32, 32, 64)`` periodic share of leaf in 0..255: clumps of about a metre, twigs in them.

    Small enough to stay in the cache nearest to the processor.
    """
    shape = (CUBE[0], CUBE[0], CUBE[1])
    clumps = _even(_spectral(shape, exponent=2.1, lowest=2.5))
    twigs = _even(_spectral(shape, exponent=2.1, lowest=8.0, seed=20240209))
    return ((0.6 * clumps + 0.4 * twigs) * 255.999).astype(np.uint8)


def _spectral(
    shape: tuple[int, ...], exponent: float, lowest: float, seed: int = 20240208
) -> NDArray[np.float64]:
    axes = [np.fft.fftfreq(size) * size for size in shape]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    amplitude = np.where(radius > 0, 1.0 / np.maximum(radius, lowest) ** exponent, 0.0)
    white = np.fft.fftn(np.random.default_rng(seed).standard_normal(shape))
    return np.asarray(np.fft.ifftn(white * amplitude).real)


def _even(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks = np.empty(values.size)
    ranks[np.argsort(values, axis=None, kind="stable")] = np.arange(values.size)
    return ((ranks + 0.5) / values.size).reshape(values.shape)


@typed("float64(int64, int64, int64)")
def hash_unit(first: int, second: int, third: int) -> float:
    """Three integers to an even number in [0, 1)."""
    value = (
        np.uint64(first) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(second) * np.uint64(0xD1B54A32D192ED03)
        + np.uint64(third) * np.uint64(0x8CB92BA72F3D8DD7)
    )
    value = (value ^ (value >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(32))
    return np.float64(value >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@typed("float64(float32[:, ::1], float64, float64)")
def plane(table: NDArray[np.float32], x: float, y: float) -> float:
    """Plane noise at a point, periodic with 256, interpolated."""
    fx = np.floor(x)
    fy = np.floor(y)
    u = x - fx
    v = y - fy
    c0 = np.int64(fx) & 255
    r0 = np.int64(fy) & 255
    c1 = (c0 + 1) & 255
    r1 = (r0 + 1) & 255
    top = table[r0, c0] * (1.0 - u) + table[r0, c1] * u
    bottom = table[r1, c0] * (1.0 - u) + table[r1, c1] * u
    return float(top * (1.0 - v) + bottom * v)


@typed("float64(float64, float64, float64)")
def ramp(value: float, low: float, high: float) -> float:
    """0 below ``low``, 1 above ``high``, straight between."""
    return min(1.0, max(0.0, (value - low) / (high - low + 1e-9)))


@typed("float64(float64, float64, float64, float64)")
def band(value: float, low: float, high: float, blur: float) -> float:
    """Share of a pixel of width ``blur`` around ``value`` that lies between two edges."""
    half = 0.5 * blur + 1e-6
    above = min(1.0, max(0.0, (value - low + half) / (2.0 * half)))
    below = min(1.0, max(0.0, (high - value + half) / (2.0 * half)))
    return max(0.0, above + below - 1.0)
