"""Columns of the plan's tables and the ids that they hold.

The generators append rows to lists (:class:`Tables`); the painters read them as float64 arrays.
Coordinates are world metres.
"""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F64

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


Cell = list[float]
"""A row of the cells, numbers in the columns above."""


class Tables(NamedTuple):
    """What the generators append rows to."""

    shapes: list[list[float]]
    trees: list[list[float]]
    objects: list[list[float]]
    cameras: list[list[float]]


class Arrays(NamedTuple):
    """Filled tables, as the painters read them."""

    shapes: F64
    trees: F64
    objects: F64
    cameras: F64


def as_arrays(tables: Tables) -> Arrays:
    """Tables as arrays ``(N, columns)``."""
    columns = SHAPE_COLUMNS, TREE_COLUMNS, OBJECT_COLUMNS, CAMERA_COLUMNS
    return Arrays(*(
        np.array(rows, np.float64).reshape(len(rows), count)
        for rows, count in zip(tables, columns, strict=True)
    ))  # fmt: skip


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
    """Append a shape centred at (s, t) of a frame; returns its row."""
    x, y, sx, sy, tx, ty, _, _ = frame
    tables.shapes.append([
        op, x + s * sx + t * tx, y + s * sy + t * ty, sx, sy, half_s, half_t, landcover, material,
        min(max(tone, 0.0), 255.0), identity, height, roof, rise, 0, 0, 0, form,
    ])  # fmt: skip
    return len(tables.shapes) - 1


def add_tree(
    tables: Tables, x: float, y: float, crown: float, top: float, species: int, identity: int
) -> None:
    """Append a tree; trunk and crown base follow from its size."""
    base = top * 0.28 if species != 3 else top * 0.1
    tables.trees.append([x, y, 0.05 + 0.045 * crown, crown, base, top, species, identity])


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
    red, green, blue = (color >> 16) & 255, (color >> 8) & 255, color & 255
    tables.objects.append([
        x, y, azimuth, length, width, height, kind, red, green, blue, when,
    ])  # fmt: skip


def add_camera(tables: Tables, x: float, y: float, azimuth: float) -> None:
    """Append a camera position."""
    tables.cameras.append([x, y, azimuth])
