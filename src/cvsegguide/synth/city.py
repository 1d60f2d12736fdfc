"""SynthCity: a procedural city of any size, made window by window.

A city is a function of its seed and of world coordinates. Any window of it can be made at any
time, in any process; where windows overlap they agree exactly.
"""

from functools import cached_property

import numpy as np

from cvsegguide.errors import InputError
from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, U8
from cvsegguide.synth.noise import shift, texture
from cvsegguide.synth.overhead.render import MARGIN, render_overhead
from cvsegguide.synth.plan.blocks import fill_blocks
from cvsegguide.synth.plan.fields import Plan, to_plan
from cvsegguide.synth.plan.ground import paint_ground, smooth_fields
from cvsegguide.synth.plan.network import NUMBERS, cells_in
from cvsegguide.synth.plan.paint import paint_shapes
from cvsegguide.synth.plan.rasters import empty_rasters
from cvsegguide.synth.plan.streets import fill_streets
from cvsegguide.synth.plan.tables import CELL_COLUMNS, Tables
from cvsegguide.synth.scene import Objects, Scene, Trees
from cvsegguide.synth.styles import CityStyle, PhotoStyle
from cvsegguide.synth.vegetation import raise_crowns

GSD = 0.2262
"""Metres per pixel at zoom 19 in New York."""

REACH = 45.0
"""Metres by which what a block draws may reach beyond its cell."""


def make_plan(seed: int, style: CityStyle) -> Plan:
    """The numbers of a city, from its seed and style."""
    random = np.random.default_rng([seed, 3])
    uniform = random.uniform

    def waves(lengths: list[float], slope: float, columns: int) -> F64:
        rows = []
        for length in lengths:
            angle = uniform(0.0, 2.0 * np.pi)
            number = 2.0 * np.pi / length
            row = [number * np.cos(angle), number * np.sin(angle), uniform(0.0, 2.0 * np.pi)]
            for _ in range(columns):
                row.append(slope / number * uniform(0.5, 1.0) * random.choice([-1.0, 1.0]))
            rows.append(row)
        return np.array(rows)

    long = [2100.0, 1700.0, 1300.0]
    short = [620.0, 480.0, 390.0]
    warp = np.concatenate(
        [waves(long, 0.085 * style.curvature, 2), waves(short, 0.038 * style.curvature, 2)]
    )
    terrain = waves([950.0, 640.0, 410.0, 260.0], 0.007 * style.relief, 1)
    angles = np.radians(style.rotation + uniform(12.0, 78.0, size=3))
    spacing = (style.rail_spacing, style.water_spacing, style.diagonal_spacing)
    widths = ((4.4, 8.8), (6.0, 20.0), (7.0, 9.5))
    corridors = np.array(
        [
            [np.cos(a), np.sin(a), s, uniform(0.0, 1.0), *w]
            for a, s, w in zip(angles, spacing, widths, strict=True)
        ]
    )
    bends = np.stack(
        [
            waves([2300.0, 1500.0, 900.0], 0.10, 1),
            waves([1600.0, 700.0, 330.0], 0.17, 1),
            waves([2600.0, 1900.0, 1400.0], 0.07, 1),
        ]
    )
    numbers = [*style.avenue_pitch, *(getattr(style, name) for name in NUMBERS[2:])]
    rotation = np.radians(style.rotation)
    return Plan(
        seed=int(seed),
        cosine=float(np.cos(rotation)),
        sine=float(np.sin(rotation)),
        warp=warp,
        terrain=terrain,
        corridors=corridors,
        bends=bends,
        districts=np.array(style.districts),
        numbers=np.array(numbers),
    )


class City:
    """A city that goes on for ever in every direction.

    Args:
        seed: Any integer of at least 0; another seed is another city.
        style: How it is built; drawn from the seed when None.
        gsd: Metres per pixel.

    Raises:
        InputError: The seed is negative, or ``gsd`` is not positive.
    """

    def __init__(self, seed: int, style: CityStyle | None = None, gsd: float = GSD) -> None:
        if seed < 0:
            raise InputError(f"{seed} is negative", parameter="seed")
        if not gsd > 0:
            raise InputError(f"{gsd} is not a positive number of metres per pixel", parameter="gsd")
        self.seed = int(seed)
        self.gsd = float(gsd)
        self.style = CityStyle.draw(seed) if style is None else style
        self.plan = make_plan(self.seed, self.style)

    @cached_property
    def _clumps(self) -> F32:
        return shift(texture(17, 509, (28, 60, 120), 0.75), self.seed + 17)

    @cached_property
    def _grain(self) -> F32:
        return shift(texture(18, 641, (9, 22, 60, 150), 0.7), self.seed + 18)

    def tables(self, row0: int, col0: int, height: int, width: int) -> tuple[F64, Tables]:
        """Cells and filled tables of everything that may reach into a window of pixels."""
        rows = np.linspace(row0 * self.gsd - REACH, (row0 + height) * self.gsd + REACH, 9)
        cols = np.linspace(col0 * self.gsd - REACH, (col0 + width) * self.gsd + REACH, 9)
        plan, slack = self.plan, 3.0
        corners = np.array([to_plan(plan, x, y) for y in rows.tolist() for x in cols.tolist()])
        low, high = corners.min(axis=0) - slack, corners.max(axis=0) + slack
        cells = cells_in(
            plan, *(float(value) for pair in zip(low, high, strict=True) for value in pair)
        )
        tables = Tables([], [], [], [])
        fill_blocks(plan, cells, tables)
        fill_streets(plan, cells, tables)
        return np.array(cells, np.float64).reshape(len(cells), CELL_COLUMNS), tables

    def overhead(
        self, row0: int, col0: int, height: int, width: int, style: PhotoStyle | None = None
    ) -> U8:
        """The photograph ``(height, width, 3)`` of a window, exact: a margin is made around it.

        Callers that need the scene too make it once with
        :data:`~cvsegguide.synth.overhead.render.MARGIN` pixels around and pass the window to
        :func:`~cvsegguide.synth.overhead.render.render_overhead`.
        """
        scene = self.scene(row0 - MARGIN, col0 - MARGIN, height + 2 * MARGIN, width + 2 * MARGIN)
        return render_overhead(scene, style, (MARGIN, MARGIN + height, MARGIN, MARGIN + width))

    def scene(self, row0: int, col0: int, height: int, width: int) -> Scene:
        """The window whose first pixel is (row0, col0) of the world; exact up to its edges.

        Trees and objects that reach into the window are listed even where their centre lies
        outside, so coordinates may be negative; ``cameras`` lie inside.
        """
        if height < 1 or width < 1:
            raise InputError(f"a scene of {height} x {width} pixels is empty")
        gsd = self.gsd
        cells, tables = self.tables(row0, col0, height, width)
        rasters = empty_rasters(row0, col0, gsd, (height, width))
        fields = smooth_fields(self.plan, row0, col0, height, width, gsd)
        paint_ground(self.plan, cells, fields, self._grain, rasters)
        paint_shapes(tables.array("shapes"), rasters)

        def reaching(name: str, column: int | None, factor: float = 1.0) -> F64:
            """Rows of a table whose discs, of radii in a column, touch the window."""
            rows = tables.array(name)
            x, y = rows[:, 0], rows[:, 1]
            reach = 0.0 * x if column is None else factor * rows[:, column]
            touching = (x + reach >= col0 * gsd) & (x - reach <= (col0 + width) * gsd)
            touching &= (y + reach >= row0 * gsd) & (y - reach <= (row0 + height) * gsd)
            return rows[touching]

        def in_pixels(rows: F64) -> F64:
            """Row and column in the window for x and y."""
            place = np.stack([rows[:, 1] / gsd - row0, rows[:, 0] / gsd - col0], axis=1)
            return np.concatenate([place, rows[:, 2:]], axis=1)

        base, top = np.zeros((2, height, width), np.float32)
        species = np.zeros((height, width), np.uint8)
        trees = reaching("trees", 3, 1.3)
        raise_crowns(trees, self._clumps, rasters, base, top, species)
        things = in_pixels(reaching("objects", 3))
        when = things[:, 10]
        scene = Scene(
            gsd=gsd,
            elevation=rasters.elevation,
            ground=rasters.ground,
            landcover=np.where(top > 0, np.uint8(ids.CANOPY), rasters.ground),
            building_id=rasters.building_id,
            building_height=rasters.roof,
            canopy_base=base,
            canopy_top=top,
            trees=Trees.from_table(in_pixels(trees)),
            overhead_objects=Objects.from_table(things[when != ids.STREET_ONLY]),
            street_objects=Objects.from_table(things[when != ids.OVERHEAD_ONLY]),
            markings=rasters.markings,
            cameras=in_pixels(reaching("cameras", None)),
            seed=self.seed,
            labels={
                "landuse": rasters.use,
                "age": rasters.age,
                "function": rasters.function,
                "material": rasters.material,
                "tone": rasters.tone,
                "species": species,
            },
            origin=(row0, col0),
        )
        cameras = scene.cameras[scene.contains(scene.cameras)]
        on_road = scene.ground[cameras[:, 0].astype(int), cameras[:, 1].astype(int)] == ids.ROAD
        scene.cameras = cameras[on_road]
        return scene
