"""How each building looks from the street, drawn from its id: materials, grids, shop fronts."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WALL, TRIM, ROOF, SHOP_COLOR = 0, 3, 6, 9
FLOOR, GROUND_FLOOR, BAY = 12, 13, 14
WINDOW_WIDTH, WINDOW_HEIGHT = 15, 16
MATERIAL, SHOP, DOOR, CORNICE, GLASS, CURTAIN, LOOK_SEED, BASE, ESCAPE = range(17, 26)
FRAME = 26
LOOKS = 34
"""Columns of the table of buildings; colours are linear, lengths in metres. From FRAME on: centre
x, y (cells), cosine and sine of the main axis, and the extents umin, umax, vmin, vmax."""

PLASTER, BRICK, SIDING, STONE, CURTAIN_WALL = range(5)
"""Materials."""

ROW_HOUSE, DETACHED_HOUSE, FLATS, SHOPS, INDUSTRY = range(2, 7)
"""Values of the label ``function`` that show."""

_PALETTES: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((214, 205, 186), (232, 226, 214), (196, 170, 140), (170, 160, 150), (225, 200, 160)),
    ((134, 72, 56), (150, 92, 70), (112, 62, 52), (170, 120, 90), (120, 100, 88), (186, 160, 130)),
    ((226, 224, 214), (180, 192, 198), (206, 192, 160), (150, 160, 140), (120, 132, 150),
     (190, 150, 130)),
    ((176, 166, 150), (150, 142, 132), (196, 188, 174), (128, 116, 104)),
    ((92, 108, 124), (70, 84, 92), (120, 128, 132), (104, 92, 80)),
)  # fmt: skip
_ROOFS = ((84, 80, 78), (112, 88, 74), (70, 74, 80), (128, 122, 116), (96, 62, 54))
_SHOPS = (
    (150, 34, 30), (24, 60, 120), (28, 92, 60), (210, 170, 40), (40, 40, 44), (180, 180, 176),
    (120, 40, 100), (200, 90, 30),
)  # fmt: skip


def building_looks(
    ids: NDArray[np.int64],
    frames: Floats,
    height: NDArray[np.float64],
    seed: int,
    function: NDArray[np.int64] | None = None,
) -> Floats:
    """Draw the table of looks.

    Args:
        ids: ``(K,)`` ids of the buildings; row 0 stands for "none".
        frames: ``(K, 8)`` axes and extents in metres.
        height: ``(K,)`` mean height in metres.
        seed: Of the scene. A building looks the same in every window of the city.
        function: ``(K,)`` function of each building as in a scene's labels (0 = unknown, a shed):
            shops have shop fronts, some flats have shops below them, halls have ribbons of
            windows. None draws it all.

    Returns:
        ``(K, LOOKS)`` float32; :data:`BASE` is left 0 for the caller to fill.
    """
    draw = _Draws(ids, seed)
    extent = np.minimum(frames[:, 5] - frames[:, 4], frames[:, 7] - frames[:, 6])
    tall, small = height > 24, (height < 10.5) & (extent < 14)
    looks = np.zeros((len(ids), LOOKS), np.float32)

    p = draw()
    material = np.where(p < 0.42, BRICK, np.where(p < 0.72, PLASTER, STONE))
    material = np.where(
        small, np.where(p < 0.4, BRICK, np.where(p < 0.8, SIDING, PLASTER)), material
    )
    material = np.where(
        tall, np.where(p < 0.3, CURTAIN_WALL, np.where(p < 0.62, STONE, BRICK)), material
    )
    looks[:, MATERIAL] = material
    wall = np.zeros((len(ids), 3))
    choice, shade = draw(), 0.72 + 0.5 * draw()
    tint = 1.0 + 0.12 * (np.stack([draw(), draw(), draw()], 1) - 0.5)
    for kind, palette in enumerate(_PALETTES):
        colors = _linear(palette)[(choice * len(palette)).astype(int)]
        wall[material == kind] = colors[material == kind]
    # Now and then any colour at all: what a city paints is not ours to guess.
    odd = draw() < 0.12
    wall[odd] = np.stack([draw(), draw(), draw()], 1)[odd] ** 1.6 * 0.6 + 0.03
    looks[:, WALL : WALL + 3] = np.clip(wall * shade[:, None] * tint, 0.01, 0.9)
    light_trim = draw() < 0.6
    trim = np.where(light_trim[:, None], 0.62, looks[:, WALL : WALL + 3] * 0.45)
    looks[:, TRIM : TRIM + 3] = trim * (0.8 + 0.3 * draw())[:, None]
    looks[:, ROOF : ROOF + 3] = _linear(_ROOFS)[(draw() * len(_ROOFS)).astype(int)]
    looks[:, SHOP_COLOR : SHOP_COLOR + 3] = _linear(_SHOPS)[(draw() * len(_SHOPS)).astype(int)]

    looks[:, FLOOR] = np.where(tall, 3.2 + 0.8 * draw(), 2.8 + 0.7 * draw())
    p = draw()
    if function is None:
        shop = (p < np.where(small, 0.06, np.where(height < 5, 0.3, 0.42))) & (height > 3.2)
    else:
        shop = (function == SHOPS) | ((function == FLATS) & (p < 0.2) & (height > 6.0))
    looks[:, SHOP] = shop
    looks[:, GROUND_FLOOR] = looks[:, FLOOR] + np.where(shop, 0.5 + 0.9 * draw(), 0.4 * draw())
    looks[:, BAY] = np.where(tall, 1.5 + 2.2 * draw(), 1.9 + 1.7 * draw())
    looks[:, WINDOW_WIDTH] = 0.34 + 0.3 * draw()
    looks[:, WINDOW_HEIGHT] = 0.44 + 0.2 * draw()
    glass = material == CURTAIN_WALL
    looks[glass, WINDOW_WIDTH], looks[glass, WINDOW_HEIGHT] = 0.92, 0.86
    ribbon = (draw() < 0.2) & (height > 9) & ~glass
    if function is not None:
        hall = function == INDUSTRY
        ribbon = (ribbon & (function != ROW_HOUSE) & (function != DETACHED_HOUSE)) | hall
        looks[hall, FLOOR] = 1.35 * looks[hall, FLOOR]
        looks[hall, WINDOW_HEIGHT] = 0.3
    looks[ribbon, WINDOW_WIDTH] = 0.95
    looks[:, DOOR] = draw()
    looks[:, CORNICE] = np.where(draw() < 0.65, 0.25 + 0.6 * draw(), 0.1)
    looks[:, GLASS] = 0.02 + 0.08 * draw()
    looks[:, CURTAIN] = draw() * 0.7
    looks[:, LOOK_SEED] = np.floor(draw() * 60000)
    looks[:, ESCAPE] = (material == BRICK) & (height > 11) & (height < 24) & (draw() < 0.4)
    looks[:, FRAME : FRAME + 8] = frames
    return looks


def _linear(colors: tuple[tuple[int, int, int], ...]) -> NDArray[np.float64]:
    return np.asarray((np.array(colors) / 255.0) ** 2.2)


class _Draws:
    """Even numbers in [0, 1), one per id and call, the same in every window (SplitMix64)."""

    def __init__(self, ids: NDArray[np.int64], seed: int) -> None:
        with np.errstate(over="ignore"):
            self._state = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            self._state ^= np.uint64(seed & 0xFFFFFFFF) * np.uint64(0xD1B54A32D192ED03)

    def __call__(self) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):
            self._state = self._state + np.uint64(0x9E3779B97F4A7C15)
            value = self._state
            value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            value = value ^ (value >> np.uint64(31))
        return np.asarray((value >> np.uint64(11)).astype(np.float64) / 9007199254740992.0)
