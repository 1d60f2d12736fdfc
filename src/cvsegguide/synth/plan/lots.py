"""A lot being drawn: its frame, its random stream, and the brushes of the templates."""

import math
from random import Random

from cvsegguide.synth import ids
from cvsegguide.synth.plan.fields import Plan, clear_of_corridors, frame_at, lot_is_clear
from cvsegguide.synth.plan.network import GREEN, TREES
from cvsegguide.synth.plan.tables import FORM, USE, Cell, Frame, Tables, block_span

CAR_COLORS = (
    *(0xE6E6E4, 0xDCDCDA, 0xEEEEEA, 0x141416, 0x1C1C20, 0x26262A, 0x585A5E, 0x6A6C70, 0xA4A8AC),
    *(0xB8BABC, 0x24344E, 0x1E4070, 0x7C1620, 0xA01C22, 0x5A4A3A, 0x24402C, 0x8A8474, 0x9C7A20),
)

_SPECIES = ((0.5, 0, 2.5, 1.0), (0.74, 1, 2.4, 1.0), (0.84, 2, 2.8, 1.0), (0.91, 3, 4.2, 0.6))
"""Of trees in yards: cumulative share, species, height per crown radius, factor on the crown."""

_PLANT: tuple[tuple[float, int, tuple[float, float], float, float, tuple[float, ...]], ...] = (
    (0.40, ids.EQUIPMENT, (0.18, 0.4), 1.8, 0.0, (0.4, 1.2)),  # vent or chimney
    (0.62, ids.SKYLIGHT, (0.35, 0.7), 1.6, 0.0, (0.3,)),  # skylight or hatch
    (0.85, ids.EQUIPMENT, (0.4, 0.9), 2.0, 120.0, (0.6, 1.5)),  # air conditioner
)
"""What stands on roofs: cumulative share, material, half its width, most length per width, darkest
tone, height."""

Row = list[float]

Place = tuple[float, float, float, float]
"""Middle (s, t) of a rectangle, and half its sides."""


def front(plan: Plan, cell: Cell, side: int, s: float) -> Frame:
    """The frame on the inner edge of a block's sidewalk; sides a-low, a-high, b-low, b-high."""
    edge = block_span(cell, side // 2)[side % 2]
    return frame_at(plan, edge, s, 1 if side < 2 else 0, -1.0 if side % 2 else 1.0)


def azimuth_of(x: float, y: float) -> float:
    """Degrees clockwise from north of a direction in world coordinates (y to the south)."""
    return math.degrees(math.atan2(x, -y)) % 360.0


class Lot:
    """A lot, or a whole block, in its own frame.

    ``s`` runs along the street from ``-half`` to ``half``, ``t`` into the lot from 0 at the
    sidewalk to ``depth``, in world metres.

    Attributes:
        plan, tables: The city's numbers, and where rows are appended.
        frame: Origin in the middle of the front.
        width, half, depth: World metres; ``half`` is half the width.
        identity: Id of the building on the lot.
        draw, uniform: Next number of the lot's random stream, in [0, 1) or between two.
    """

    def __init__(
        self,
        plan: Plan,
        tables: Tables,
        random: Random,
        frame: Frame,
        width: float,
        depth: float,
        identity: int = 0,
    ) -> None:
        self.plan, self.tables, self.frame, self.identity = plan, tables, frame, identity
        self.width, self.half, self.depth = width, width / 2, depth
        self.random, self.draw, self.uniform = random, random.random, random.uniform

    def either(self, share: float, one: int, other: int) -> int:
        """One of two with a probability."""
        return one if self.draw() < share else other

    def sign(self) -> float:
        """1 or -1."""
        return 1.0 if self.draw() < 0.5 else -1.0

    def is_clear(self, s: float, t: float, width: float, depth: float) -> bool:
        """Whether no corridor crosses a part of the lot whose front has its middle at (s, t)."""
        return lot_is_clear(self.plan, self.frame.moved(s, t), width, depth)

    def _shape(
        self,
        what: tuple[int, int, int, float],
        place: Place,
        building: tuple[int, float, int, float] = (0, 0.0, 0, 0.0),
        form: int = ids.RECTANGLE,
        frame: Frame | None = None,
    ) -> Row:
        operation, landcover, material, tone = what
        s, t, half_s, half_t = place
        x, y, sx, sy, tx, ty, _, _ = frame or self.frame
        center = x + s * sx + t * tx, y + s * sy + t * ty
        tone = min(max(tone, 0.0), 255.0)
        row: Row = [operation, *center, sx, sy, half_s, half_t, landcover, material, tone]
        row += [*building, 0, 0, 0, form]
        self.tables.shapes.append(row)
        return row

    def paint(
        self,
        place: Place,
        landcover: int,
        material: int,
        tone: float,
        form: int = ids.RECTANGLE,
        frame: Frame | None = None,
    ) -> Row:
        """Paint the ground of a form; returns its row."""
        what = ids.PAINT, landcover, material, tone
        return self._shape(what, place, form=form, frame=frame)

    def paint_whole(
        self, landcover: int, material: int, tone: float, use: int, beyond: float = 0.0
    ) -> None:
        """Paint the lot's own ground, ``beyond`` its sides, and label its use."""
        middle = self.depth / 2
        place = 0.0, middle, self.half + beyond, middle
        row = self.paint(place, landcover, material, tone)
        row[USE] = use

    def paint_yard(self, green: float, use: int) -> None:
        """Paint the lot's own ground as lawn, with this probability, as soil or as pavement."""
        u = self.draw()
        tone = self.uniform(30, 225)
        green *= self.plan.numbers[GREEN]
        if u < green:
            self.paint_whole(ids.GRASS, ids.LAWN, tone, use, 0.15)
        elif u < green + 0.03:
            self.paint_whole(ids.BARE, ids.SOIL, tone, use, 0.15)
        elif u < green + (1 - green) * 0.7:
            self.paint_whole(ids.PAVED, ids.CONCRETE, tone, use, 0.15)
        else:
            self.paint_whole(ids.PAVED, ids.PAVERS, tone, use, 0.15)

    def mark(self, place: Place) -> None:
        """Paint a white marking."""
        self._shape((ids.MARK, 0, 0, 1.0), place)

    def mass(
        self,
        place: Place,
        material: int,
        tone: float,
        height: float,
        roof: int,
        rise: float,
        label: tuple[int, int, int] = (0, 0, 0),
        part: int = 0,
    ) -> None:
        """Raise a rectangular part of a building.

        Args:
            place: Where.
            material, tone: Of the roof.
            height, roof, rise: Metres at the eaves, form, metres above the eaves.
            label: Use, age and function.
            part: Number of an outbuilding, 0 is the building itself.
        """
        what = ids.BUILDING, ids.HOUSE, material, tone
        building = self.identity + part, height, roof, rise
        self._shape(what, place, building)[USE:FORM] = label

    def fixture(
        self,
        place: Place,
        material: int,
        tone: float,
        height: float,
    ) -> None:
        """Put a box on the building's roof; height above the ground, 0 for paint on the roof."""
        what = ids.ON_ROOF, ids.HOUSE, material, tone
        self._shape(what, place, (self.identity, height, ids.FLAT, 0.0))

    def roof_plant(self, place: Place, height: float, amount: float) -> None:
        """Bulkheads, air conditioners, skylights and vents on a flat roof."""
        draw, uniform = self.draw, self.uniform
        s, t, half_s, half_t = place
        area = 4.0 * half_s * half_t
        if half_s < 1.6 or half_t < 1.6:
            return
        if area > 160.0 and draw() < 0.8:  # stair or lift bulkhead
            hs, ht = uniform(1.2, 2.2), uniform(1.5, 3)
            ds = uniform(-0.5, 0.5) * (half_s - hs)
            dt = uniform(-0.6, 0.6) * (half_t - ht)
            self.fixture((s + ds, t + dt, hs, ht), ids.EQUIPMENT, uniform(60, 200), height + 2.7)
        number = int(area * amount * uniform(0.5, 1.4) / 34.0 + draw())
        for _ in range(min(number, 40)):
            u = draw()
            ds = s + uniform(-0.85, 0.85) * (half_s - 0.5)
            dt = t + uniform(-0.85, 0.85) * (half_t - 0.5)
            if u >= 0.85:  # a stain or a patch of another coating
                size = uniform(0.5, 2.2), uniform(0.5, 2.5)
                self.fixture((ds, dt, *size), ids.NOTHING, uniform(78, 178), 0.0)
                continue
            _, material, sizes, longest, darkest, rise = next(row for row in _PLANT if u < row[0])
            half = uniform(*sizes)
            size = half, half * uniform(1, longest)
            tone = uniform(darkest, 255)
            rises = uniform(*rise) if len(rise) == 2 else rise[0]
            self.fixture((ds, dt, *size), material, tone, height + rises)

    def tree(self, s: float, t: float, size: float) -> None:
        """A tree, unless the city's trees are too few or a corridor is there."""
        u = self.draw()
        crown = size * self.uniform(0.75, 1.7)
        kind = self.draw()
        color = int(self.draw() * 1e6)
        if u > self.plan.numbers[TREES]:
            return
        x, y = self.frame.point(s, t)
        if not clear_of_corridors(self.plan, x, y, -2.0):
            return
        species, tall, narrow = 4, 2.0, 0.75
        for share, *numbers in _SPECIES:
            if kind < share:
                species, tall, narrow = int(numbers[0]), *numbers[1:]
                break
        crown *= narrow
        top = min(max(crown * tall * (0.85 + 0.3 * (color % 97) / 97.0), 2.6), 23.0)
        self.tables.add_tree(x, y, crown, top, species, color)

    def shrub(self, s: float, t: float) -> None:
        """A bush: a crown that begins near the ground."""
        x, y = self.frame.point(s, t)
        crown = self.uniform(0.6, 1.3)
        color = int(self.draw() * 1e6)
        if clear_of_corridors(self.plan, x, y, -3.0):
            self.tables.add_tree(x, y, crown, crown * 1.7, ids.SHRUB, color)

    def grove(self, s: float, t: float, radius: float, number: int) -> None:
        """Trees in a circle."""
        for _ in range(number):
            angle = self.uniform(0, 6.2832)
            off = radius * math.sqrt(self.draw())
            self.tree(s + off * math.cos(angle), t + off * math.sin(angle), 4.2)

    def parking(self, s0: float, s1: float, t0: float, t1: float, occupancy: float) -> None:
        """A parking lot: asphalt, stalls in rows along s, cars."""
        tone = self.uniform(40, 220)
        middle, length = (s0 + s1) / 2, (t1 - t0) / 2
        self.paint((middle, (t0 + t1) / 2, (s1 - s0) / 2, length), ids.PAVED, ids.LOT_ASPHALT, tone)
        azimuth = azimuth_of(self.frame.tx, self.frame.ty)
        stall = 2.65
        number = int((s1 - s0 - 1.5) / stall)
        if number < 2:
            return
        t = t0 + 0.8
        row = 0
        while t + 5.2 < t1:
            left = middle - number * stall / 2
            for n in range(number + 1):
                self.mark((left + n * stall, t + 2.5, 0.07, 2.5))
                if n < number:
                    x, y = self.frame.point(left + (n + 0.5) * stall, t + 2.6)
                    place_cars(self.tables, self.random, x, y, azimuth, occupancy)
            t += 5.1 + 6.3 if row % 2 == 0 else 5.1
            row += 1


def add_car(tables: Tables, random: Random, x: float, y: float, azimuth: float, when: int) -> None:
    """A car or a van of random make at a place."""
    draw, uniform = random.random, random.uniform
    color = CAR_COLORS[int(draw() * len(CAR_COLORS))]
    turn = 180.0 if draw() < 0.5 else 0.0
    along = uniform(-0.35, 0.35)
    x += along * math.sin(math.radians(azimuth))
    y -= along * math.cos(math.radians(azimuth))
    place = x, y, (azimuth + turn + uniform(-1.5, 1.5)) % 360.0
    if draw() < 0.09:
        size = uniform(5, 6.4), uniform(1.95, 2.2), uniform(2, 2.7)
        tables.add_object(place, size, ids.VAN, 0xE4E4E0 if draw() < 0.7 else color, when)
    else:
        size = uniform(3.9, 5.1), uniform(1.7, 1.95), uniform(1.4, 1.8)
        tables.add_object(place, size, ids.CAR, color, when)


def place_cars(
    tables: Tables, random: Random, x: float, y: float, azimuth: float, occupancy: float
) -> None:
    """A parking place as it was at the two times: other cars, some still there."""
    now, later, stays = random.random(), random.random(), random.random()
    if now < occupancy and stays < 0.22:
        add_car(tables, random, x, y, azimuth, ids.ALWAYS)
        return
    if now < occupancy:
        add_car(tables, random, x, y, azimuth, ids.OVERHEAD_ONLY)
    if later < occupancy:
        add_car(tables, random, x, y, azimuth, ids.STREET_ONLY)
