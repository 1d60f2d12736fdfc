"""Colours and textures of materials as seen from the air.

Colours are given as sRGB and turned into linear reflectances. The four stops of a material are
the colours between which a surface's tone (0 to 255) chooses.
"""

import csv
from pathlib import Path

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32

_TABLE = Path(__file__).with_name("materials.csv")
"""Of each material four stops, 0xRRGGBB, and the amplitudes of its grain: fine, medium and coarse
noise relative to its brightness, and coarse noise on its hue."""

_LEAVES = {
    # summer, then autumn, of species 0 to 5 (broad, maple, locust, conifer, purple, shrub)
    "summer": (0x46552C, 0x3F4F29, 0x5C6A34, 0x2F4030, 0x4A3338, 0x47562C),
    "autumn": (0x77602F, 0x80482C, 0x8A7A3A, 0x303F2F, 0x553234, 0x59552F),
    "leaf-off": (0x6E6258, 0x70655C, 0x74685C, 0x32402F, 0x6A5C54, 0x5C5444),
}

FACADES = (0x6E4436, 0x7E5240, 0x8A6A54, 0xA08E78, 0xB0A698, 0x9A9690, 0xC0B8AA, 0x6C6460)
SHINGLE_HUES = (
    *(0x5A5858, 0x73706E, 0x8A8782, 0x4A4646, 0x6A5448, 0x82553F, 0x8A4A40, 0x5F6B60, 0x9A968E),
    0x746A62,
)
METAL_HUES = (0x8E9498, 0xA8ACAC, 0xB8B8B2, 0x7A8084, 0x7E6A62, 0x747C74, 0xC8C8C2, 0x8A8478)


def linear(colors: object) -> F32:
    """sRGB 0xRRGGBB (any shape) to linear light ``(..., 3)`` float32 in [0, 1]."""
    packed = np.asarray(colors, dtype=np.int64)
    parts = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1) / 255.0
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


def materials() -> tuple[F32, F32]:
    """Linear reflectances of the stops ``(MATERIALS, 4, 3)``, amplitudes of grain ``(..., 4)``."""
    stops = np.full((ids.MATERIALS, 4), 0x808080, dtype=np.int64)
    grain = np.zeros((ids.MATERIALS, 4), dtype=np.float32)
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        for name, *fields in list(csv.reader(lines))[1:]:
            row = getattr(ids, name)
            stops[row] = [int(field, 16) for field in fields[:4]]
            grain[row] = [float(field) for field in fields[4:]]
    return linear(stops), grain


def redraw(
    colors: F32, grains: F32, facades: F32, shingles: F32, metals: F32, seed: int
) -> tuple[F32, F32, F32, F32, F32]:
    """Tables of materials that look like nothing known, but each like itself.

    A third of the materials take the colours of another one; each is made lighter or darker and
    tinted, its tones drawn apart or together, its grain made stronger or weaker.

    Args:
        colors, grains: As of :func:`materials`.
        facades, shingles, metals: ``(N, 3)`` linear reflectances.
        seed: Chooses among such tables.
    """
    random = np.random.default_rng([seed, 4])
    number = len(colors)
    lent = np.where(random.random(number) < 0.35, random.integers(0, number, number), range(number))
    middle = colors[lent].mean(axis=1, keepdims=True)
    spread = random.uniform(0.5, 2.5, (number, 1, 1))
    light = np.exp(
        random.normal(0.0, 0.5, (number, 1, 1)) + random.normal(0.0, 0.15, (number, 1, 3))
    )
    stops = (middle + spread * (colors[lent] - middle)) * light
    rough = grains * np.exp(random.uniform(-1.0, 1.0, (number, 1)))

    def tinted(table: F32) -> F32:
        gains = np.exp(random.normal(0.0, 0.4, (1, 3)) + random.normal(0.0, 0.3, (len(table), 1)))
        return _reflectances(table * gains)

    return (
        _reflectances(stops),
        rough.astype(np.float32),
        tinted(facades),
        tinted(shingles),
        tinted(metals),
    )


def _reflectances(values: "np.ndarray[tuple[int, ...], np.dtype[np.floating]]") -> F32:
    limited: F32 = np.clip(values, 0.008, 0.92).astype(np.float32)
    return limited


def leaves(season: str) -> F32:
    """``(8, 3)`` linear reflectances of crowns by species."""
    colors = list(_LEAVES[season])
    return linear(colors + colors[:2])


CLASS_MATERIAL = np.array(
    [
        *(ids.CONCRETE, ids.PLANTING, ids.LAWN, ids.SOIL, ids.WATERBODY),
        *(ids.MEMBRANE, ids.ASPHALT, ids.CONCRETE, ids.BALLAST),
    ],
    dtype=np.uint8,
)
"""Material of a land-cover class where a scene carries no material raster."""
