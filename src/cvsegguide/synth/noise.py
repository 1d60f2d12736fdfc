"""Hashes, random streams and noise that are functions of world coordinates.

Everything a city draws comes from here. A value depends on the seed and on integers (indices of
blocks, pixels) alone, never on the window that is being made, so that neighbouring windows agree.
The mixing function is SplitMix64 (Steele, Lea and Flood 2014).
"""

from functools import cache

import numpy as np

from cvsegguide.synth.compiled import F32, inlined

# Unsigned throughout: overflow of signed integers is undefined to the compiler, which did use that.
_C1 = np.uint64(0xBF58476D1CE4E5B9)
_C2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_UNIT = 1.0 / 4503599627370496.0


@inlined("uint64(uint64)")
def mix(value: np.uint64) -> np.uint64:
    """SplitMix64's finaliser."""
    x = (value ^ (value >> _S30)) * _C1
    x = (x ^ (x >> _S27)) * _C2
    return x ^ (x >> _S31)


@inlined("int64(int64, int64, int64, int64)")
def key(a: int, b: int, c: int, d: int) -> int:
    """A 52-bit hash of four integers: 52 bits survive in float64 tables."""
    h = mix(np.uint64(a) + _GOLDEN)
    h = mix(h ^ (np.uint64(b) * _C1 + _GOLDEN))
    h = mix(h ^ (np.uint64(c) * _C2 + _GOLDEN))
    h = mix(h ^ (np.uint64(d) + _GOLDEN))
    return np.int64(h >> _S12)  # type: ignore[return-value]


@inlined("float64(int64, int64)")
def unit(hashed: int, salt: int) -> float:
    """A uniform number in [0, 1) from a hash and a small integer."""
    return float(mix(np.uint64(hashed) + np.uint64(salt) * _GOLDEN) >> _S12) * _UNIT


def shifted(values: F32, seed: int) -> F32:
    """A periodic texture moved to where a seed has it: a city's own look at a hundredth of the cost
    of a texture of its own.
    """
    down, right = np.random.default_rng([seed, len(values)]).integers(len(values), size=2)
    return np.roll(values, (int(down), int(right)), (0, 1))


@cache
def texture(seed: int, size: int, octaves: tuple[int, ...], decay: float = 0.6) -> F32:
    """Periodic band-limited noise ``(size, size)`` float32, mean 0 and standard deviation 1.

    Kept for the next call: do not write to it.

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
