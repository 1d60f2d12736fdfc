"""How each building looks from the street, drawn from its id: materials, grids, shop fronts."""

from collections.abc import Callable

import numpy as np

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, I64
from cvsegguide.synth.street import columns as of

_PALETTES = {
    of.PLASTER: (0xD6CDBA, 0xE8E2D6, 0xC4AA8C, 0xAAA096, 0xE1C8A0),
    of.BRICK: (0x864838, 0x965C46, 0x703E34, 0xAA785A, 0x786458, 0xBAA082),
    of.SIDING: (0xE2E0D6, 0xB4C0C6, 0xCEC0A0, 0x96A08C, 0x788496, 0xBE9682),
    of.STONE: (0xB0A696, 0x968E84, 0xC4BCAE, 0x807468),
    of.CURTAIN_WALL: (0x5C6C7C, 0x46545C, 0x788084, 0x685C50),
}
"""Colours of walls by material, 0xRRGGBB."""
_ROOFS = (0x54504E, 0x70584A, 0x464A50, 0x807A74, 0x603E36)
_SHOPS = (0x96221E, 0x183C78, 0x1C5C3C, 0xD2AA28, 0x28282C, 0xB4B4B0, 0x782864, 0xC85A1E)


def building_looks(
    numbers: I64, frames: F32, height: F64, seed: int, function: I64 | None = None
) -> F32:
    """Draw the table of looks.

    Args:
        numbers: ``(K,)`` ids of the buildings; row 0 stands for "none".
        frames: ``(K, 8)`` axes and extents in metres.
        height: ``(K,)`` mean height in metres.
        seed: Of the scene. A building looks the same in every window of the city.
        function: ``(K,)`` function of each building as in a scene's labels (0 = unknown, a shed):
            shops have shop fronts, some flats have shops below them, halls have ribbons of
            windows. None draws it all.

    Returns:
        ``(K, of.LOOKS)`` float32; :data:`BASE` is left 0 for the caller to fill.
    """
    draw = _stream(numbers, seed)
    extent = np.minimum(frames[:, 5] - frames[:, 4], frames[:, 7] - frames[:, 6])
    tall, small = height > 24, (height < 10.5) & (extent < 14)
    looks = np.zeros((len(numbers), of.LOOKS), np.float32)

    p = draw()
    material = np.where(p < 0.42, of.BRICK, np.where(p < 0.72, of.PLASTER, of.STONE))
    material = np.where(
        small, np.where(p < 0.4, of.BRICK, np.where(p < 0.8, of.SIDING, of.PLASTER)), material
    )
    material = np.where(
        tall, np.where(p < 0.3, of.CURTAIN_WALL, np.where(p < 0.62, of.STONE, of.BRICK)), material
    )
    looks[:, of.MATERIAL] = material
    wall = np.zeros((len(numbers), 3))
    choice, shade = draw(), 0.72 + 0.5 * draw()
    tint = 1.0 + 0.12 * (np.stack([draw(), draw(), draw()], 1) - 0.5)
    for kind, palette in _PALETTES.items():
        colors = _choose(palette, choice)
        wall[material == kind] = colors[material == kind]
    # Now and then any colour at all: what a city paints is not ours to guess.
    odd = draw() < 0.12
    wall[odd] = np.stack([draw(), draw(), draw()], 1)[odd] ** 1.6 * 0.6 + 0.03
    looks[:, of.WALL : of.WALL + 3] = np.clip(wall * shade[:, None] * tint, 0.01, 0.9)
    light_trim = draw() < 0.6
    trim = np.where(light_trim[:, None], 0.62, looks[:, of.WALL : of.WALL + 3] * 0.45)
    looks[:, of.TRIM : of.TRIM + 3] = trim * (0.8 + 0.3 * draw())[:, None]
    looks[:, of.ROOF : of.ROOF + 3] = _choose(_ROOFS, draw())
    looks[:, of.SHOP_COLOR : of.SHOP_COLOR + 3] = _choose(_SHOPS, draw())

    looks[:, of.FLOOR] = np.where(tall, 3.2 + 0.8 * draw(), 2.8 + 0.7 * draw())
    p = draw()
    if function is None:
        shop = (p < np.where(small, 0.06, np.where(height < 5, 0.3, 0.42))) & (height > 3.2)
    else:
        shop = (function == ids.SHOPS) | ((function == ids.FLATS) & (p < 0.2) & (height > 6.0))
    looks[:, of.SHOP] = shop
    looks[:, of.GROUND_FLOOR] = looks[:, of.FLOOR] + np.where(
        shop, 0.5 + 0.9 * draw(), 0.4 * draw()
    )
    looks[:, of.BAY] = np.where(tall, 1.5 + 2.2 * draw(), 1.9 + 1.7 * draw())
    looks[:, of.WINDOW_WIDTH] = 0.34 + 0.3 * draw()
    looks[:, of.WINDOW_HEIGHT] = 0.44 + 0.2 * draw()
    glass = material == of.CURTAIN_WALL
    looks[glass, of.WINDOW_WIDTH], looks[glass, of.WINDOW_HEIGHT] = 0.92, 0.86
    ribbon = (draw() < 0.2) & (height > 9) & ~glass
    if function is not None:
        hall = function == ids.HALL
        ribbon = (ribbon & (function != ids.ROW_HOUSE) & (function != ids.DETACHED_HOUSE)) | hall
        looks[hall, of.FLOOR] = 1.35 * looks[hall, of.FLOOR]
        looks[hall, of.WINDOW_HEIGHT] = 0.3
    looks[ribbon, of.WINDOW_WIDTH] = 0.95
    looks[:, of.DOOR] = draw()
    looks[:, of.CORNICE] = np.where(draw() < 0.65, 0.25 + 0.6 * draw(), 0.1)
    looks[:, of.GLASS] = 0.02 + 0.08 * draw()
    looks[:, of.CURTAIN] = draw() * 0.7
    looks[:, of.LOOK_SEED] = np.floor(draw() * 60000)
    looks[:, of.ESCAPE] = (material == of.BRICK) & (height > 11) & (height < 24) & (draw() < 0.4)
    looks[:, of.FRAME : of.FRAME + 8] = frames
    return looks


def _choose(palette: tuple[int, ...], choice: F64) -> F64:
    """Linear colours ``(K, 3)`` by numbers in [0, 1)."""
    packed = np.array(palette)
    colors = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1) / 255.0
    return np.asarray((colors**2.2)[(choice * len(palette)).astype(int)])


def _stream(numbers: I64, seed: int) -> Callable[[], F64]:
    """Even numbers in [0, 1), one per id and call, the same in every window (SplitMix64)."""
    with np.errstate(over="ignore"):
        start = np.uint64(seed & 0xFFFFFFFF) * np.uint64(0xD1B54A32D192ED03)
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = (numbers.astype(np.uint64) * golden) ^ start

    def draw() -> F64:
        nonlocal state
        state = state + golden
        value = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value = value ^ (value >> np.uint64(31))
        return np.asarray((value >> np.uint64(11)).astype(np.float64) / 9007199254740992.0)

    return draw
