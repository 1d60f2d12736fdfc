"""Columns and layers of the tables of :class:`~cvsegguide.synth.street.world.World`."""

FINE, COARSE = 8, 32
"""Sides of blocks in cells."""

GROUND_Z, SOLID_Z, CANOPY_LOW, CANOPY_HIGH = range(4)
"""Layers of ``relief``: absolute metres; everything below ``SOLID_Z`` is full; without canopy the
last two are +inf and -inf."""

GROUND, ROAD_SHARE, PAINT, CONTACT = range(4)
"""Layers of ``surface``: land-cover id, share of road within 3 x 3 cells (0..255), paint, darkness
below vehicles (0..255)."""

BY_BUILDING, BY_TREE = range(2)
"""Layers of ``owner``."""

X, Y, COS, SIN, LENGTH, WIDTH, LOW, HIGH, RADIUS, KIND, COLOR = range(11)
STANDS_ON, LOOK = 13, 14
"""Columns of ``things``: place in cells, direction of the long side, half sides in metres, absolute
heights, radius, kind, linear colour (3), land cover of the ground below, and a whole number drawn
from where the thing stands."""

TREE_LOW, TREE_HIGH, CROWN_RADIUS, SPECIES, HUE, CLUMPS = range(2, 8)
"""Columns of ``trees`` after x and y: absolute heights of the crown, its radius, species, hue and
offset in the noise."""

SHEDS, PER_RADIUS, MIDDLE, PER_HALF, SHIFT, SHIFT_Z = range(2, 8)
"""Columns of ``crowns``, after x and y of the trunk: 0 for conifers and 1 for others, radii per
cell, absolute height of the middle, half heights per metre, where the tree looks into the table of
leaves (columns, and 32 x rows; heights)."""

WALL, TRIM, ROOF, SHOP_COLOR = 0, 3, 6, 9
FLOOR, GROUND_FLOOR, BAY, WINDOW_WIDTH, WINDOW_HEIGHT = range(12, 17)
MATERIAL, SHOP, DOOR, CORNICE, GLASS, CURTAIN, LOOK_SEED, BASE, ESCAPE = range(17, 26)
FRAME, LOOKS = 26, 34
"""Columns of ``buildings``; colours are linear, lengths in metres. From FRAME on: centre x, y
(cells), cosine and sine of the main axis, and the extents umin, umax, vmin, vmax."""

PLASTER, BRICK, SIDING, STONE, CURTAIN_WALL = range(5)
"""Materials of walls."""
