"""Hashes (the numbers of :mod:`.noise`) and random streams in plain Python, not compiled.

The plan of a city (which house stands on which lot) is drawn by the interpreter: compiling so much
branching code took most of a minute on a fresh machine, and a tile's plan takes it 10 ms.
"""

from random import Random

_MASK = (1 << 64) - 1
_C1 = 0xBF58476D1CE4E5B9
_C2 = 0x94D049BB133111EB
_GOLDEN = 0x9E3779B97F4A7C15
_UNIT = 1.0 / 4503599627370496.0

Stream = Random
"""A random stream. Python promises the same numbers of ``random()`` in all its versions."""

draw = Random.random
"""Next uniform number in [0, 1) of a stream."""


def mix(value: int) -> int:
    """SplitMix64's finaliser, as :func:`.noise.mix`."""
    x = ((value ^ (value >> 30)) * _C1) & _MASK
    x = ((x ^ (x >> 27)) * _C2) & _MASK
    return x ^ (x >> 31)


def key(a: int, b: int, c: int, d: int) -> int:
    """A 52-bit hash of four integers, as :func:`.noise.key`."""
    h = mix((a + _GOLDEN) & _MASK)
    h = mix(h ^ ((b * _C1 + _GOLDEN) & _MASK))
    h = mix(h ^ ((c * _C2 + _GOLDEN) & _MASK))
    return mix(h ^ ((d + _GOLDEN) & _MASK)) >> 12


def unit(hashed: int, salt: int) -> float:
    """A uniform number in [0, 1) from a hash and a small integer, as :func:`.noise.unit`."""
    return (mix((hashed + salt * _GOLDEN) & _MASK) >> 12) * _UNIT


def start(seed: int) -> Stream:
    """A random stream."""
    return Random(mix(seed & _MASK))


def between(state: Stream, low: float, high: float) -> float:
    """Next uniform number in [low, high)."""
    return low + (high - low) * state.random()
