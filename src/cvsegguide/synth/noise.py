"""Hashes, random streams and noise that are functions of world coordinates.

Everything a city draws comes from here. A value depends on the seed and on integers (indices of
blocks, pixels) alone, never on the window that is being made, so that neighbouring windows agree.
The mixing function is SplitMix64 (Steele, Lea and Flood 2014).
"""

import numpy as np

from cvsegguide.synth.compiled import F32, I64, compiled, inlined

_C1 = -4658895280553007687  # 0xBF58476D1CE4E5B9 as a signed integer
_C2 = -7723592293110705685  # 0x94D049BB133111EB
_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15
KEY_MASK = (1 << 52) - 1
"""Keys are cut to 52 bits so that they survive in float64 tables."""


@inlined
def mix(value: int) -> int:
    """SplitMix64's finaliser on a signed 64-bit integer."""
    x = np.int64(value)
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _C1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _C2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@inlined
def key(a: int, b: int, c: int, d: int) -> int:
    """A 52-bit hash of four integers."""
    h = mix(np.int64(a) + _GOLDEN)
    h = mix(h ^ (np.int64(b) * _C1 + _GOLDEN))
    h = mix(h ^ (np.int64(c) * _C2 + _GOLDEN))
    h = mix(h ^ (np.int64(d) + _GOLDEN))
    return h & KEY_MASK


@inlined
def unit(hashed: int, salt: int) -> float:
    """A uniform number in [0, 1) from a hash and a small integer."""
    return float((mix(np.int64(hashed) + np.int64(salt) * _GOLDEN) >> 11) & KEY_MASK) / 4503599627370496.0


@compiled
def start(seed: int) -> I64:
    """A random stream: one 64-bit state."""
    state = np.empty(1, np.int64)
    state[0] = mix(np.int64(seed))
    return state


@inlined
def draw(state: I64) -> float:
    """Next uniform number in [0, 1) of a stream."""
    state[0] += _GOLDEN
    return float((mix(state[0]) >> 11) & KEY_MASK) / 4503599627370496.0


@inlined
def between(state: I64, low: float, high: float) -> float:
    """Next uniform number in [low, high)."""
    return low + (high - low) * draw(state)


def texture(seed: int, size: int, octaves: tuple[int, ...], decay: float = 0.6) -> F32:
    """Periodic band-limited noise ``(size, size)`` float32, mean 0 and standard deviation 1.

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
    return (total / total.std()).astype(np.float32)
