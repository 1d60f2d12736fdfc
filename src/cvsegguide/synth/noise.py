"""Hashes, random streams, textures and tables of noise: all that a city draws comes from here.

A value depends on the seed and on integers (indices of blocks, pixels) alone, never on the window
that is being made, so that neighbouring windows agree. The mixing function is SplitMix64 (Steele,
Lea and Flood 2014). Scenes and pictures look into periodic tables at offsets of their own, which
is several times faster than computing noise for each ray.
"""

from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.compiled import F32, F64, U8, typed

# Unsigned throughout: overflow of signed integers is undefined to the compiler, which did use that.
_C1 = np.uint64(0xBF58476D1CE4E5B9)
_C2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_UNIT = 1.0 / 4503599627370496.0

LEAF_STEPS = 64 / (32 * 0.2262)
"""Entries of :func:`leaf_noise` per metre of height."""

# Python calls these three too, for the plan.


@typed("uint64(uint64)", forceinline=True, no_cpython_wrapper=False)
def mix(value: int | np.uint64) -> int:
    """SplitMix64's finaliser."""
    x = (np.uint64(value) ^ (np.uint64(value) >> _S30)) * _C1
    x = (x ^ (x >> _S27)) * _C2
    return int(x ^ (x >> _S31))


@typed("int64(int64, int64, int64, int64)", forceinline=True, no_cpython_wrapper=False)
def key(a: int, b: int, c: int, d: int) -> int:
    """A 52-bit hash of four integers: 52 bits survive in float64 tables."""
    h = np.uint64(mix(np.uint64(a) + _GOLDEN))
    h = np.uint64(mix(h ^ (np.uint64(b) * _C1 + _GOLDEN)))
    h = np.uint64(mix(h ^ (np.uint64(c) * _C2 + _GOLDEN)))
    h = np.uint64(mix(h ^ (np.uint64(d) + _GOLDEN)))
    return np.int64(h >> _S12)  # type: ignore[return-value]


@typed("float64(int64, int64)", forceinline=True, no_cpython_wrapper=False)
def unit(hashed: int, salt: int) -> float:
    """A uniform number in [0, 1) from a hash and a small integer."""
    return float(np.uint64(mix(np.uint64(hashed) + np.uint64(salt) * _GOLDEN)) >> _S12) * _UNIT


def random_stream(seed: int) -> Random:
    """A random stream. Python promises the same ``random()`` in all its versions."""
    return Random(mix(seed))


@typed("float64(int64, int64, int64)")
def hash_unit(first: int, second: int, third: int) -> float:
    """Three integers to an even number in [0, 1), in fewer steps than :func:`unit` of a key."""
    value = (
        np.uint64(first) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(second) * np.uint64(0xD1B54A32D192ED03)
        + np.uint64(third) * np.uint64(0x8CB92BA72F3D8DD7)
    )
    value = (value ^ (value >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(32))
    return np.float64(value >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def shift(values: F32, seed: int) -> F32:
    """A periodic texture moved to where a seed has it: a city's own look at a hundredth of the cost
    of a texture of its own.
    """
    down, right = np.random.default_rng([seed, len(values)]).integers(len(values), size=2)
    return np.roll(values, (int(down), int(right)), (0, 1))


@cache
def texture(seed: int, size: int, octaves: tuple[int, ...], decay: float = 0.6) -> F32:
    """Periodic band-limited noise ``(size, size)`` float32, mean 0 and standard deviation 1.

    Cached: do not write to it.

    Args:
        seed: Chooses the pattern.
        size: Period in pixels.
        octaves: Wavelengths in pixels, each given as the number of cells in one period.
        decay: Factor on the amplitude from one wavelength to the next finer one.
    """
    random = np.random.default_rng([seed, size])
    frequency = np.fft.fftfreq(size) * size
    radius = np.hypot(frequency[:, None], frequency[None, : size // 2 + 1])
    total = np.zeros((size, size))
    weight = 1.0
    for cells in octaves:
        spectrum = np.fft.rfft2(random.standard_normal((size, size)))
        spectrum = spectrum * np.exp(-(((radius - cells) / (0.45 * cells)) ** 2))
        band = np.fft.irfft2(spectrum, s=(size, size))
        total += weight * band / band.std()
        weight *= decay
    total -= total.mean()
    result: F32 = (total / total.std()).astype(np.float32)
    return result


@cache
def plane_noise() -> F32:
    """``(256, 256)`` periodic fractal noise, evenly spread over [0, 1]."""
    return _equalize(_fractal((256, 256), exponent=1.0, lowest=2.0)).astype(np.float32)


@cache
def leaf_noise() -> U8:
    """``(32, 32, 64)`` periodic share of leaf in 0..255: clumps of about a metre, twigs in them.

    Rows and columns of 0.226 m, heights of half as much: small enough to stay in the cache nearest
    to the processor.
    """
    clumps = _equalize(_fractal((32, 32, 64), exponent=2.1, lowest=2.5))
    twigs = _equalize(_fractal((32, 32, 64), exponent=2.1, lowest=8.0, seed=20240209))
    return ((0.6 * clumps + 0.4 * twigs) * 255.999).astype(np.uint8)


def _fractal(shape: tuple[int, ...], exponent: float, lowest: float, seed: int = 20240208) -> F64:
    """Periodic noise whose amplitude falls with the frequency above ``lowest``."""
    axes = [np.fft.fftfreq(size) * size for size in shape]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    amplitude = np.where(radius > 0, 1.0 / np.maximum(radius, lowest) ** exponent, 0.0)
    white = np.fft.fftn(np.random.default_rng(seed).standard_normal(shape))
    return np.asarray(np.fft.ifftn(white * amplitude).real)


def _equalize(values: F64) -> F64:
    ranks = np.empty(values.size)
    ranks[np.argsort(values, axis=None, kind="stable")] = np.arange(values.size)
    return ((ranks + 0.5) / values.size).reshape(values.shape)


@typed("float64(float32[:, ::1], float64, float64)")
def plane(table: NDArray[np.float32], x: float, y: float) -> float:
    """:func:`plane_noise` at a point, periodic with 256, interpolated."""
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
