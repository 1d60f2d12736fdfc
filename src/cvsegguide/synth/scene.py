"""What the city maker hands to the renderers: rasters and objects of one place.

Both makers of scenes (the procedural city, and the rasters of a real place) fill the same
structure, and both renderers (overhead photograph, street view) read nothing else.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

CAR, VAN, BUS, LAMP, SIGN, HYDRANT, BOX, BENCH, POLE, FENCE = range(10)
"""Kinds of :attr:`Objects.kind`."""


@dataclass
class Objects:
    """Upright boxes that stand on the ground: vehicles and street furniture; N of them.

    Attributes:
        row, col: ``(N,)`` float64, centre in scene pixels (pixel centres at +0.5).
        azimuth: ``(N,)`` float64, direction of the long side, degrees clockwise from north.
        length, width, height: ``(N,)`` float32 metres.
        kind: ``(N,)`` uint8, one of the constants above.
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

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def empty(cls) -> "Objects":
        """No objects."""
        single = np.zeros(0, np.float32)
        double = np.zeros(0, np.float64)
        byte = np.zeros(0, np.uint8)
        return cls(double, double, double, single, single, single, byte, np.zeros((0, 3), np.uint8))


@dataclass
class Trees:
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

    def __len__(self) -> int:
        return len(self.row)


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
        style: Name and numbers of the photometric and district style, for the record.
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
    style: dict[str, object] = field(default_factory=dict)
    origin: tuple[int, int] = (0, 0)
