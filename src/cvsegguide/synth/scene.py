"""What the city maker hands to the renderers: rasters and objects of one place.

Both makers of scenes (the procedural city, and the rasters of a real place) fill the same
structure, and both renderers (overhead photograph, street view) read nothing else.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth import ids


def reduce_blocks(
    operation: np.ufunc,
    raster: NDArray[np.float32],
    side: int,
    start: tuple[int, int] = (0, 0),
) -> NDArray[np.float32]:
    """Sum or extreme of each block of ``side`` x ``side`` cells; those at the ends may be smaller.

    Args:
        operation: ``np.add``, ``np.maximum``, ...
        raster: ``(H, W)``.
        side: Of the blocks in cells.
        start: Row and column of the raster's first cell on the grid that the blocks divide.
    """
    for axis, first in enumerate(start):
        edges = np.arange(-(first % side), raster.shape[axis], side).clip(0)
        raster = operation.reduceat(raster, edges, axis=axis)
    return raster


class _Columns:
    """Columns of equal length."""

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """The rows of a mask."""
        return type(self)(*(column[keep] for column in vars(self).values()))


@dataclass
class Objects(_Columns):
    """Upright boxes that stand on the ground: vehicles and street furniture; N of them.

    Attributes:
        row, col: ``(N,)`` float64, centre in scene pixels (pixel centres at +0.5).
        azimuth: ``(N,)`` float64, direction of the long side, degrees clockwise from north.
        length, width, height: ``(N,)`` float32 metres.
        kind: ``(N,)`` uint8, CAR to FENCE of :mod:`~cvsegguide.synth.ids`.
        color: ``(N, 3)`` uint8.
    """

    row: NDArray[np.float64]
    col: NDArray[np.float64]
    azimuth: NDArray[np.float64]
    length: NDArray[np.float32]
    width: NDArray[np.float32]
    height: NDArray[np.float32]
    kind: NDArray[np.uint8]
    color: NDArray[np.uint8]

    @classmethod
    def from_table(cls, table: NDArray[np.float64]) -> "Objects":
        """Of rows with the attributes in their order, ``(N, 10)`` or wider."""
        row, col, azimuth, *sizes = (table[:, k].copy() for k in range(6))
        length, width, height = (size.astype(np.float32) for size in sizes)
        kind, color = table[:, 6].astype(np.uint8), table[:, 7:10].astype(np.uint8)
        return cls(row, col, azimuth, length, width, height, kind, color)


@dataclass
class Trees(_Columns):
    """Trees; N of them.

    Attributes:
        row, col: ``(N,)`` float64, trunk in scene pixels (pixel centres at +0.5).
        trunk_radius, crown_radius: ``(N,)`` float32 metres.
        crown_base, crown_top: ``(N,)`` float32 metres above the ground.
        species: ``(N,)`` uint8, chooses colour and shape.
    """

    row: NDArray[np.float64]
    col: NDArray[np.float64]
    trunk_radius: NDArray[np.float32]
    crown_radius: NDArray[np.float32]
    crown_base: NDArray[np.float32]
    crown_top: NDArray[np.float32]
    species: NDArray[np.uint8]

    @classmethod
    def from_table(cls, table: NDArray[np.float64]) -> "Trees":
        """Of rows with the attributes in their order, ``(N, 7)`` or wider."""
        row, col, *sizes, species = (table[:, k].copy() for k in range(7))
        trunk, crown, base, top = (size.astype(np.float32) for size in sizes)
        return cls(row, col, trunk, crown, base, top, species.astype(np.uint8))


@dataclass
class Scene:
    """One place on one north-up grid of ``(H, W)`` square pixels.

    Attributes:
        gsd: Metres per pixel.
        elevation: ``(H, W)`` float32, the bare ground in metres (not flat).
        ground: ``(H, W)`` uint8, land cover at the ground, under canopies (NYC ids, no 1).
        landcover: ``(H, W)`` uint8, land cover as seen from above (NYC ids, canopy overhanging).
        building_id: ``(H, W)`` int32, 0 outside buildings.
        building_height: ``(H, W)`` float32, roof above the ground in metres, 0 outside.
        canopy_base, canopy_top: ``(H, W)`` float32, metres above the ground; 0 without canopy.
        trees: The trees behind the canopy.
        overhead_objects: Vehicles and furniture when the overhead photograph was taken.
        street_objects: The same when the street views were taken: other cars, same furniture.
        markings: ``(H, W)`` uint8, paint on the ground: 0 none, 1 white, 2 yellow.
        labels: Further rasters ``(H, W)`` by name (``landuse``, ``age``, ``function``).
        cameras: ``(N, 3)`` float64, where a mapping car takes pictures: row, col, and the azimuth
            of the street in degrees.
        seed: Seed from which everything about appearance is drawn.
        origin: World pixel (row, col) of the scene's first pixel. Textures are anchored to the
            world, so that neighbouring windows agree.
    """

    gsd: float
    elevation: NDArray[np.float32]
    ground: NDArray[np.uint8]
    landcover: NDArray[np.uint8]
    building_id: NDArray[np.int32]
    building_height: NDArray[np.float32]
    canopy_base: NDArray[np.float32]
    canopy_top: NDArray[np.float32]
    trees: Trees
    overhead_objects: Objects
    street_objects: Objects
    markings: NDArray[np.uint8]
    cameras: NDArray[np.float64]
    seed: int
    labels: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    origin: tuple[int, int] = (0, 0)

    @classmethod
    def flat(cls, shape: tuple[int, int], gsd: float, ground: int = ids.ROAD) -> "Scene":
        """Level ground of one class with nothing on it."""
        height = [np.zeros(shape, np.float32) for _ in range(4)]
        cover = np.full(shape, ground, np.uint8)
        return cls(
            gsd=gsd,
            elevation=height[0],
            ground=cover,
            landcover=cover.copy(),
            building_id=np.zeros(shape, np.int32),
            building_height=height[1],
            canopy_base=height[2],
            canopy_top=height[3],
            trees=Trees.from_table(np.zeros((0, 7))),
            overhead_objects=Objects.from_table(np.zeros((0, 10))),
            street_objects=Objects.from_table(np.zeros((0, 10))),
            markings=np.zeros(shape, np.uint8),
            cameras=np.zeros((0, 3)),
            seed=0,
        )

    def contains(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of ``(N, 2 or more)`` rows and columns lie on the grid."""
        row, col = places[:, 0], places[:, 1]
        rows, cols = self.ground.shape
        return np.asarray((row >= 0) & (row < rows) & (col >= 0) & (col < cols))
