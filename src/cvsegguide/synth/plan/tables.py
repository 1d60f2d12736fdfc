"""Columns of the plan's tables and the ids that they hold.

The generators append rows to float64 tables (:class:`Tables`); the painters read them. Coordinates
are world metres.
"""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F64, I64, internal

# --- cells: a block and the halves of the streets around it, in plan metres -------------------
A0, A1, B0, B1 = 0, 1, 2, 3
HA0, HA1, HB0, HB1 = 4, 5, 6, 7  # half widths of the roadways on the four sides
SIDEWALK, ORIENT, KIND, KEY = 8, 9, 10, 11
MA0, MA1, MB0, MB1 = 12, 13, 14, 15  # 1 where the side is an avenue
LA0, LA1, LB0, LB1 = 16, 17, 18, 19  # keys of the streets on the sides
ALLEY, CROSS0, CROSS1, DISTRICT = 20, 21, 22, 23
CELL_COLUMNS = 24

# --- kinds of blocks -----------------------------------------------------------------------------
ROW, DETACHED, APARTMENT, INDUSTRY, PARK, SCHOOL, PARKING, SITE = range(8)

# --- shapes: oriented rectangles and ellipses that are painted in order ----------------------
OP, X, Y, EX, EY, HU, HV, CLASS, MATERIAL, TONE, ID, HEIGHT = range(12)
ROOF, RISE, USE, AGE, FUNCTION, FORM = range(12, 18)
SHAPE_COLUMNS = 18
PAINT, MARK, BUILDING, ON_ROOF = range(4)  # OP
RECTANGLE, ELLIPSE, BLOB = range(3)  # FORM
FLAT, GABLE, HIP, SHED, SAWTOOTH, VAULT = range(6)  # ROOF

TREE_COLUMNS = 8  # x, y, trunk radius, crown radius, base, top, species, key
OBJECT_COLUMNS = 11  # x, y, azimuth, length, width, height, kind, red, green, blue, when
ALWAYS, OVERHEAD_ONLY, STREET_ONLY = range(3)  # when an object is there
CAMERA_COLUMNS = 3  # x, y, azimuth

# --- materials ------------------------------------------------------------------------------------
(
    NOTHING, ASPHALT, LOT_ASPHALT, SLABS, CONCRETE, PAVERS, GRAVEL, SOIL, LAWN, MEADOW, TURF, COURT,
    POOL, WATERBODY, BALLAST, STEEL, DECK, CLAY, PLANTING,
) = range(19)  # fmt: skip
MEMBRANE, TAR, ROOF_GRAVEL, SHINGLE, TILE, METAL, GREEN_ROOF, EQUIPMENT, SKYLIGHT, SOLAR, COPING = (
    range(32, 43)
)
MATERIALS = 48

# --- land use, function --------------------------------------------------------------------------
USE_NONE, USE_STREET, USE_HOUSES, USE_FLATS, USE_SHOPS, USE_INDUSTRY, USE_PARK, USE_SCHOOL = range(
    8
)
USE_PARKING, USE_VACANT, USE_TRANSPORT, USE_WATER = range(8, 12)


class Tables(NamedTuple):
    """What the generators fill; ``filled`` holds how many rows were wanted in each."""

    shapes: F64
    trees: F64
    objects: F64
    cameras: F64
    filled: I64


def make_tables(shapes: int, trees: int, objects: int, cameras: int) -> Tables:
    """Empty tables of these capacities."""
    return Tables(
        np.zeros((shapes, SHAPE_COLUMNS)),
        np.zeros((trees, TREE_COLUMNS)),
        np.zeros((objects, OBJECT_COLUMNS)),
        np.zeros((cameras, CAMERA_COLUMNS)),
        np.zeros(4, np.int64),
    )


class Frame(NamedTuple):
    """A lot's own frame: origin at its front, s along the street, t into the lot.

    ``scale_s`` and ``scale_t`` are world metres per plan metre along the two.
    """

    x: float
    y: float
    sx: float
    sy: float
    tx: float
    ty: float
    scale_s: float
    scale_t: float


@internal
def add_shape(
    tables: Tables,
    frame: Frame,
    op: int,
    s: float,
    t: float,
    half_s: float,
    half_t: float,
    landcover: int,
    material: int,
    tone: float,
    identity: int,
    height: float,
    roof: int,
    rise: float,
    form: int,
) -> int:
    """Append a shape centred at (s, t) of a frame; returns its row, -1 when the table is full."""
    n = tables.filled[0]
    tables.filled[0] += 1
    if n >= tables.shapes.shape[0]:
        return -1
    row = tables.shapes[n]
    row[OP] = op
    row[X] = frame.x + s * frame.sx + t * frame.tx
    row[Y] = frame.y + s * frame.sy + t * frame.ty
    row[EX] = frame.sx
    row[EY] = frame.sy
    row[HU] = half_s
    row[HV] = half_t
    row[CLASS] = landcover
    row[MATERIAL] = material
    row[TONE] = min(max(tone, 0.0), 255.0)
    row[ID] = identity
    row[HEIGHT] = height
    row[ROOF] = roof
    row[RISE] = rise
    row[USE] = 0
    row[AGE] = 0
    row[FUNCTION] = 0
    row[FORM] = form
    return int(n)


@internal
def add_tree(
    tables: Tables, x: float, y: float, crown: float, top: float, species: int, identity: int
) -> None:
    """Append a tree; trunk and crown base follow from its size."""
    n = tables.filled[1]
    tables.filled[1] += 1
    if n >= tables.trees.shape[0]:
        return
    row = tables.trees[n]
    row[0] = x
    row[1] = y
    row[2] = 0.05 + 0.045 * crown
    row[3] = crown
    row[4] = top * 0.28 if species != 3 else top * 0.1
    row[5] = top
    row[6] = species
    row[7] = identity


@internal
def add_object(
    tables: Tables,
    x: float,
    y: float,
    azimuth: float,
    length: float,
    width: float,
    height: float,
    kind: int,
    color: int,
    when: int,
) -> None:
    """Append a vehicle or a piece of furniture; ``color`` is 0xRRGGBB."""
    n = tables.filled[2]
    tables.filled[2] += 1
    if n >= tables.objects.shape[0]:
        return
    row = tables.objects[n]
    row[0] = x
    row[1] = y
    row[2] = azimuth
    row[3] = length
    row[4] = width
    row[5] = height
    row[6] = kind
    row[7] = (color >> 16) & 255
    row[8] = (color >> 8) & 255
    row[9] = color & 255
    row[10] = when


@internal
def add_camera(tables: Tables, x: float, y: float, azimuth: float) -> None:
    """Append a camera position."""
    n = tables.filled[3]
    tables.filled[3] += 1
    if n >= tables.cameras.shape[0]:
        return
    tables.cameras[n, 0] = x
    tables.cameras[n, 1] = y
    tables.cameras[n, 2] = azimuth
