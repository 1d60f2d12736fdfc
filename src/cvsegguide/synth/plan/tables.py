"""Columns of the plan's tables.

The generators append rows to lists (:class:`Tables`); the painters read them as float64 arrays.
Coordinates are world metres, those of cells plan metres.
"""

from typing import NamedTuple

import numpy as np

from cvsegguide.synth.compiled import F64

EDGE, HALF, AVENUE, LINE = 0, 4, 12, 16
"""Columns of cells, four each for the sides a-low, a-high, b-low, b-high: edges of the cell (the
middle lines of the streets), half widths of the roadways, 1 where the side is an avenue, keys of
the streets. A cell is a block and the halves of the streets around it."""

SIDEWALK, ORIENT, KIND, KEY = 8, 9, 10, 11
ALLEY, CROSS_LOW, CROSS_HIGH, DISTRICT = 20, 21, 22, 23
CELL_COLUMNS = 24
"""Columns of cells: width of the sidewalk, axis of the long sides, kind, hash, half width of the
alley, whether the streets across run through at the ends, district."""

OP, X, Y, EX, EY, HU, HV, CLASS, MATERIAL, TONE, ID, HEIGHT = range(12)
ROOF, RISE, USE, AGE, FUNCTION, FORM = range(12, 18)
"""Columns of shapes: oriented rectangles and ellipses that are painted in order."""

COLUMNS = {"shapes": 18, "trees": 8, "objects": 11, "cameras": 3}
"""Widths of the tables. Trees: x, y, trunk radius, crown radius, base, top, species, key. Objects:
x, y, azimuth, length, width, height, kind, red, green, blue, when. Cameras: x, y, azimuth."""

Cell = list[float]
"""A row of the cells, numbers in the columns above."""


class Tables(NamedTuple):
    """What the generators append rows to."""

    shapes: list[list[float]]
    trees: list[list[float]]
    objects: list[list[float]]
    cameras: list[list[float]]

    def array(self, name: str) -> F64:
        """A filled table ``(N, columns)``, as the painters read it."""
        rows = getattr(self, name)
        return np.array(rows, np.float64).reshape(len(rows), COLUMNS[name])

    def add_tree(
        self, x: float, y: float, crown: float, top: float, species: int, identity: int
    ) -> None:
        """Append a tree; trunk and crown base follow from its size."""
        base = top * 0.28 if species != 3 else top * 0.1
        self.trees.append([x, y, 0.05 + 0.045 * crown, crown, base, top, species, identity])

    def add_object(
        self,
        place: tuple[float, float, float],
        size: tuple[float, float, float],
        kind: int,
        color: int,
        when: int,
    ) -> None:
        """Append a vehicle or a piece of furniture.

        Args:
            place: World x, y, and the azimuth of the long side.
            size: Length, width, height.
            kind, when: See :mod:`~cvsegguide.synth.ids`.
            color: 0xRRGGBB.
        """
        red, green, blue = (color >> 16) & 255, (color >> 8) & 255, color & 255
        self.objects.append([*place, *size, kind, red, green, blue, when])


def block_span(cell: Cell, axis: int) -> tuple[float, float]:
    """Where a block begins and ends between its sidewalks, along a plan axis."""
    low = cell[EDGE + 2 * axis] + cell[HALF + 2 * axis] + cell[SIDEWALK]
    return low, cell[EDGE + 2 * axis + 1] - cell[HALF + 2 * axis + 1] - cell[SIDEWALK]


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

    def point(self, s: float, t: float) -> tuple[float, float]:
        """World coordinates of a point of the lot."""
        return self.x + s * self.sx + t * self.tx, self.y + s * self.sy + t * self.ty

    def moved(self, s: float, t: float) -> "Frame":
        """The frame with its origin at (s, t)."""
        x, y = self.point(s, t)
        return self._replace(x=x, y=y)
