"""Colours and textures of materials as seen from the air.

Colours are given as sRGB and turned into linear reflectances. The four stops of a material are
the colours between which a surface's tone (0 to 255) chooses.
"""

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32

_STOPS: dict[int, tuple[int, int, int, int]] = {
    ids.NOTHING: (0x808080, 0x808080, 0x808080, 0x808080),
    ids.ASPHALT: (0x4E4A48, 0x625D58, 0x746E67, 0x8C857B),
    ids.LOT_ASPHALT: (0x474442, 0x5E5955, 0x756E67, 0x8E877C),
    ids.SLABS: (0x8C8070, 0xA69985, 0xB8AB96, 0xCCC2B0),
    ids.CONCRETE: (0x867A6A, 0xA09280, 0xB4A792, 0xCDC4B4),
    ids.PAVERS: (0x84604E, 0xA07C64, 0x98877A, 0xB4A08A),
    ids.GRAVEL: (0x7A7064, 0x918574, 0xA89B88, 0xBDB2A0),
    ids.SOIL: (0x705A42, 0x8E7354, 0xA98D69, 0xC0A983),
    ids.LAWN: (0x4A5430, 0x5A6538, 0x6A7140, 0x837F50),
    ids.MEADOW: (0x4C5432, 0x656641, 0x7D7650, 0x96895F),
    ids.TURF: (0x4A5832, 0x566338, 0x656E3E, 0x7A7A49),
    ids.COURT: (0x3F6A4C, 0x4B6488, 0x8A4A3C, 0x6C7276),
    ids.POOL: (0x3C8C9A, 0x48A2B0, 0x5AB4C0, 0x7CC4CC),
    ids.WATERBODY: (0x2F3B36, 0x37463F, 0x404E4A, 0x4A5448),
    ids.BALLAST: (0x5E5248, 0x6F6258, 0x7E7266, 0x8F8376),
    ids.STEEL: (0x6A5B50, 0x7E7066, 0x948A82, 0xA8A29C),
    ids.DECK: (0x6A5844, 0x857058, 0x9A8870, 0xA89C88),
    ids.CLAY: (0x9A6E4C, 0xAD8159, 0xBA916A, 0xC7A47E),
    ids.PLANTING: (0x333E22, 0x414C2A, 0x4F5831, 0x5E6238),
    ids.MEMBRANE: (0x5C5A58, 0x8C8A86, 0xB6B4B0, 0xF0EFEC),
    ids.TAR: (0x2F2A29, 0x453E3B, 0x5A504A, 0x6E645C),
    ids.ROOF_GRAVEL: (0x6C6660, 0x857D74, 0x9B9388, 0xB4AC9F),
    ids.SHINGLE: (0x4C4A4C, 0x6E6C6C, 0x5E4C42, 0x8B8780),
    ids.TILE: (0x8C4636, 0xA8553C, 0xB96648, 0x9A5A4A),
    ids.METAL: (0x6C7478, 0x8B9296, 0xA8ADAE, 0xC4C6C4),
    ids.GREEN_ROOF: (0x4C5436, 0x5C633C, 0x726A46, 0x84744E),
    ids.EQUIPMENT: (0x3C3A3A, 0x727272, 0xA2A3A2, 0xDADBD8),
    ids.SKYLIGHT: (0x39424A, 0x68737A, 0xA4ADAE, 0xD8DCDA),
    ids.SOLAR: (0x1B2230, 0x222A3A, 0x2A3346, 0x323C50),
    ids.COPING: (0x6A6158, 0x988F86, 0xC0BAB2, 0xE6E3DE),
}

_GRAIN: dict[int, tuple[float, float, float, float]] = {
    # relative amplitudes of fine, medium, coarse noise, and of coarse noise on hue
    ids.ASPHALT: (0.045, 0.035, 0.06, 0.01),
    ids.LOT_ASPHALT: (0.05, 0.07, 0.10, 0.015),
    ids.SLABS: (0.05, 0.05, 0.06, 0.02),
    ids.CONCRETE: (0.06, 0.09, 0.09, 0.03),
    ids.PAVERS: (0.12, 0.07, 0.07, 0.03),
    ids.GRAVEL: (0.13, 0.08, 0.08, 0.02),
    ids.SOIL: (0.10, 0.15, 0.16, 0.05),
    ids.LAWN: (0.10, 0.13, 0.17, 0.10),
    ids.MEADOW: (0.18, 0.20, 0.20, 0.12),
    ids.TURF: (0.06, 0.06, 0.09, 0.06),
    ids.COURT: (0.02, 0.03, 0.05, 0.01),
    ids.POOL: (0.03, 0.06, 0.04, 0.02),
    ids.WATERBODY: (0.03, 0.05, 0.10, 0.03),
    ids.BALLAST: (0.15, 0.08, 0.10, 0.02),
    ids.STEEL: (0.05, 0.03, 0.05, 0.0),
    ids.DECK: (0.07, 0.05, 0.05, 0.02),
    ids.CLAY: (0.06, 0.08, 0.10, 0.02),
    ids.PLANTING: (0.32, 0.28, 0.12, 0.10),
    ids.MEMBRANE: (0.035, 0.09, 0.09, 0.02),
    ids.TAR: (0.05, 0.12, 0.14, 0.03),
    ids.ROOF_GRAVEL: (0.12, 0.07, 0.09, 0.02),
    ids.SHINGLE: (0.09, 0.06, 0.05, 0.02),
    ids.TILE: (0.11, 0.07, 0.05, 0.02),
    ids.METAL: (0.03, 0.06, 0.08, 0.02),
    ids.GREEN_ROOF: (0.16, 0.16, 0.14, 0.1),
    ids.EQUIPMENT: (0.10, 0.05, 0.0, 0.0),
    ids.SKYLIGHT: (0.08, 0.05, 0.0, 0.0),
    ids.SOLAR: (0.04, 0.0, 0.0, 0.0),
    ids.COPING: (0.05, 0.05, 0.05, 0.0),
}

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


def palette() -> F32:
    """``(MATERIALS, 4, 3)`` linear reflectances of the tone stops."""
    table = np.full((ids.MATERIALS, 4), 0x808080, dtype=np.int64)
    for material, stops in _STOPS.items():
        table[material] = stops
    return linear(table)


def grain() -> F32:
    """``(MATERIALS, 4)`` noise amplitudes: fine, medium, coarse, hue."""
    table = np.zeros((ids.MATERIALS, 4), dtype=np.float32)
    for material, row in _GRAIN.items():
        table[material] = row
    return table


def redraw(
    colors: F32, grains: F32, facades: F32, shingles: F32, metals: F32, seed: int
) -> tuple[F32, F32, F32, F32, F32]:
    """Tables of materials that look like nothing known, but each like itself.

    A third of the materials take the colours of another one; each is made lighter or darker and
    tinted, its tones drawn apart or together, its grain made stronger or weaker.

    Args:
        colors, grains: As of :func:`palette` and :func:`grain`.
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
