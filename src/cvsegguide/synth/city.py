"""SynthCity: a procedural city of any size, made window by window.

A city is a function of its seed and of world coordinates. Any window of it can be made at any
time, in any process; where windows overlap they agree exactly.
"""

from functools import cached_property

import numpy as np

from cvsegguide.errors import InputError
from cvsegguide.synth.compiled import F32, F64, U8
from cvsegguide.synth.noise import shifted, texture
from cvsegguide.synth.plan.blocks import fill_blocks
from cvsegguide.synth.plan.fields import Plan
from cvsegguide.synth.plan.ground import paint_ground, smooth_fields
from cvsegguide.synth.plan.network import NUMBERS, cells_in
from cvsegguide.synth.plan.paint import paint_shapes
from cvsegguide.synth.plan.streets import fill_streets
from cvsegguide.synth.plan.tables import (
    CELL_COLUMNS,
    OVERHEAD_ONLY,
    STREET_ONLY,
    Arrays,
    Tables,
    as_arrays,
)
from cvsegguide.synth.scene import Objects, Scene, Trees
from cvsegguide.synth.styles import CityStyle, PhotoStyle
from cvsegguide.synth.vegetation import paint_crowns

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
    numbers = np.array(
        [
            *style.avenue_pitch, style.strip, style.block, style.street_half, style.avenue_half,
            style.sidewalk, style.trees, style.occupancy, style.green, style.alleys, style.aligned,
            style.roundabouts, style.parks, style.traffic, 0.0,
        ]
    )  # fmt: skip
    assert len(numbers) == NUMBERS
    rotation = np.radians(style.rotation)
    return Plan(
        int(seed), float(np.cos(rotation)), float(np.sin(rotation)), warp, terrain, corridors,
        bends, np.array(style.districts), numbers,
    )  # fmt: skip


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
            raise InputError(f"seed: {seed} is negative")
        if not gsd > 0:
            raise InputError(f"gsd: {gsd} is not a positive number of metres per pixel")
        self.seed = int(seed)
        self.gsd = float(gsd)
        self.style = CityStyle.draw(seed) if style is None else style
        self.plan = make_plan(self.seed, self.style)

    @cached_property
    def _clumps(self) -> F32:
        return shifted(texture(17, 509, (28, 60, 120), 0.75), self.seed + 17)

    @cached_property
    def _grain(self) -> F32:
        return shifted(texture(18, 641, (9, 22, 60, 150), 0.7), self.seed + 18)

    def tables(self, row0: int, col0: int, height: int, width: int) -> tuple[F64, Arrays]:
        """Cells and filled tables of everything that may reach into a window of pixels."""
        rows = np.linspace(row0 * self.gsd - REACH, (row0 + height) * self.gsd + REACH, 9)
        cols = np.linspace(col0 * self.gsd - REACH, (col0 + width) * self.gsd + REACH, 9)
        x, y = np.meshgrid(cols, rows)
        plan = self.plan
        a = plan.cosine * x + plan.sine * y
        b = plan.cosine * y - plan.sine * x
        for kx, ky, phase, wave_a, wave_b in plan.warp:
            wave = np.sin(kx * x + ky * y + phase)
            a = a + wave_a * wave
            b = b + wave_b * wave
        slack = 3.0
        low, high = (a.min() - slack, b.min() - slack), (a.max() + slack, b.max() + slack)
        cells = cells_in(plan, float(low[0]), float(high[0]), float(low[1]), float(high[1]))
        tables = Tables([], [], [], [])
        fill_blocks(plan, cells, tables)
        fill_streets(plan, cells, tables)
        return np.array(cells, np.float64).reshape(len(cells), CELL_COLUMNS), as_arrays(tables)

    def overhead(
        self, row0: int, col0: int, height: int, width: int, style: PhotoStyle | None = None
    ) -> U8:
        """The photograph ``(height, width, 3)`` of a window, exact: a margin is made around it.

        Callers that need the scene too make it once with
        :data:`~cvsegguide.synth.overhead.render.MARGIN` pixels around and pass the window to
        :func:`~cvsegguide.synth.overhead.render.render_overhead`.
        """
        from cvsegguide.synth.overhead.render import MARGIN, render_overhead

        scene = self.scene(row0 - MARGIN, col0 - MARGIN, height + 2 * MARGIN, width + 2 * MARGIN)
        return render_overhead(scene, style, (MARGIN, MARGIN + height, MARGIN, MARGIN + width))

    def scene(self, row0: int, col0: int, height: int, width: int) -> Scene:
        """The window whose first pixel is (row0, col0) of the world; exact up to its edges.

        Trees and objects that reach into the window are listed even where their centre lies
        outside, so coordinates may be negative; ``cameras`` lie inside.
        """
        if height < 1 or width < 1:
            raise InputError(f"a scene of {height} x {width} pixels is empty")
        shape = (height, width)
        gsd = self.gsd
        cells, tables = self.tables(row0, col0, height, width)
        ground, zone, material, tone, markings, use, age, species = (
            np.zeros(shape, np.uint8) for _ in range(8)
        )
        elevation, roofs, base, top = (np.zeros(shape, np.float32) for _ in range(4))
        building_id = np.zeros(shape, np.int32)
        function = np.zeros(shape, np.uint16)
        fields = smooth_fields(self.plan, row0, col0, height, width, gsd)
        paint_ground(
            self.plan, cells, fields, row0, col0, gsd, self._grain, ground, zone, material, tone,
            markings, use, elevation,
        )  # fmt: skip
        paint_shapes(
            tables.shapes, row0, col0, gsd, zone, ground, material, tone, markings, use,
            age, function, building_id, roofs,
        )  # fmt: skip
        trees = tables.trees
        trees = trees[
            _touching(trees[:, 0], trees[:, 1], 1.3 * trees[:, 3], row0, col0, shape, gsd)
        ]
        paint_crowns(trees, row0, col0, gsd, self._clumps, base, top, species, roofs)
        landcover = np.where(top > 0, np.uint8(1), ground)
        things = tables.objects
        things = things[_touching(things[:, 0], things[:, 1], things[:, 3], row0, col0, shape, gsd)]
        cameras = tables.cameras
        cameras = cameras[
            _touching(cameras[:, 0], cameras[:, 1], 0.0 * cameras[:, 0], row0, col0, shape, gsd)
        ]
        cameras = np.stack(
            [cameras[:, 1] / gsd - row0, cameras[:, 0] / gsd - col0, cameras[:, 2]], axis=1
        )
        inside = (
            (cameras[:, 0] >= 0)
            & (cameras[:, 0] < height)
            & (cameras[:, 1] >= 0)
            & (cameras[:, 1] < width)
        )
        cameras = cameras[inside]
        on_road = ground[cameras[:, 0].astype(int), cameras[:, 1].astype(int)] == 6
        return Scene(
            gsd=gsd,
            elevation=elevation,
            ground=ground,
            landcover=landcover,
            building_id=building_id,
            building_height=roofs,
            canopy_base=base,
            canopy_top=top,
            trees=Trees(
                row=trees[:, 1] / gsd - row0,
                col=trees[:, 0] / gsd - col0,
                trunk_radius=trees[:, 2].astype(np.float32),
                crown_radius=trees[:, 3].astype(np.float32),
                crown_base=trees[:, 4].astype(np.float32),
                crown_top=trees[:, 5].astype(np.float32),
                species=trees[:, 6].astype(np.uint8),
            ),
            overhead_objects=_objects(things[things[:, 10] != STREET_ONLY], row0, col0, gsd),
            street_objects=_objects(things[things[:, 10] != OVERHEAD_ONLY], row0, col0, gsd),
            markings=markings,
            cameras=cameras[on_road],
            seed=self.seed,
            labels={
                "landuse": use,
                "age": age,
                "function": function,
                "material": material,
                "tone": tone,
                "species": species,
            },
            style={"city": self.style.record()},
            origin=(row0, col0),
        )


def _touching(
    x: F64, y: F64, reach: F64, row0: int, col0: int, shape: tuple[int, int], gsd: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of the discs touch a window."""
    return (
        (x + reach >= col0 * gsd)
        & (x - reach <= (col0 + shape[1]) * gsd)
        & (y + reach >= row0 * gsd)
        & (y - reach <= (row0 + shape[0]) * gsd)
    )


def _objects(table: F64, row0: int, col0: int, gsd: float) -> Objects:
    return Objects(
        row=table[:, 1] / gsd - row0,
        col=table[:, 0] / gsd - col0,
        azimuth=table[:, 2].copy(),
        length=table[:, 3].astype(np.float32),
        width=table[:, 4].astype(np.float32),
        height=table[:, 5].astype(np.float32),
        kind=table[:, 6].astype(np.uint8),
        color=table[:, 7:10].astype(np.uint8),
    )


def make_city(
    seed: int, height: int = 1024, width: int = 1024, row0: int = 0, col0: int = 0
) -> Scene:
    """A window of the city with this seed; see :class:`City` for more than one."""
    return City(seed).scene(row0, col0, height, width)
