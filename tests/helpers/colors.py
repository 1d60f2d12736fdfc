"""A world whose answers follow from arithmetic: colours say where a pixel lies.

Overhead, red is the row of the cell and green its column; a street view is of one colour: the
camera's cell in red and green, and its heading in blue (256 steps a turn). A network that compares
colours knows everything; what it says of a picture is as good as the picture's colour.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from cvsegguide.geo import GeoReference
from cvsegguide.landcover import NYC
from cvsegguide.models.base import LocalizationModel, Prediction
from helpers.files import write_raster

GSD = 0.5
CELL = 2.0
CELLS = 120
"""Cells a side of the world."""

UTM = GeoReference(
    "EPSG:32618", (GSD, 0.0, 590_000.0, 0.0, -GSD, 4_510_000.0), 4 * CELLS, 4 * CELLS
)


@dataclass
class ColorTile:
    """Red and green ``(B, 2, h, w)``: the row and column of each cell."""

    colors: Tensor


class ColorNetwork(LocalizationModel):
    """Compares colours.

    Args:
        sharpness: Log-likelihood falls by a half at so many cells (and headings of 1/256 turn,
            eight times as many).
        period: Rows look alike every so many cells; 0: never.
        gsd: Metres per pixel of overhead images.
    """

    searches_headings = True
    cell = 4
    joint_radius = 3

    def __init__(self, sharpness: float = 1.5, period: int = 0, gsd: float = GSD) -> None:
        super().__init__()
        self.overhead_size = (128, 128)
        self.street_size = (8, 32)
        self.street_extent = (90.0, 360.0)
        self.gsd = gsd
        self.guidance = "none"
        self.channels = tuple(NYC.channels)
        self.sharpness = sharpness
        self.period = period
        self.passed = 0
        self.streets: list[Tensor] = []

    def encode_tile(self, overhead: Tensor, landcover: Tensor | None = None) -> ColorTile:
        self.passed += len(overhead)
        return ColorTile((functional.avg_pool2d(overhead, 4) * 255)[:, :2])

    def match_tile(
        self, tile: ColorTile, street: Tensor, headings: Tensor | None = None
    ) -> Prediction:
        overhead = tile.colors.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3) / 255
        prediction: Prediction = self(overhead, street, None, headings)
        return prediction

    def joint(
        self, tile: ColorTile, street: Tensor, headings: Tensor, known: Tensor | None = None
    ) -> Tensor:
        self.streets.append(street)
        around = street.amax(dim=(2, 3)) * 255
        down = tile.colors[:, 0] - around[:, 0, None, None]
        if self.period:
            down = (down + self.period / 2) % self.period - self.period / 2
        right = tile.colors[:, 1] - around[:, 1, None, None]
        turn = (headings / 360 * 256 - around[:, 2] + 128) % 256 - 128
        squares = (down**2 + right**2)[:, None] + (turn[None, :, None, None] / 8) ** 2
        return -squares / (2 * self.sharpness**2)

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        colors, around = overhead[:, :2] * 255, street.amax(dim=(2, 3)) * 255
        turns = around[:, 2:] / 256 * 360 if headings is None else headings
        squares = (colors - around[:, :2, None, None]).square().sum(dim=1, keepdim=True)
        turn = (turns / 360 * 256 - around[:, 2:] + 128) % 256 - 128
        scores = -(squares + (turn / 8).square()[:, :, None, None]) / (2 * self.sharpness**2)
        heatmap = scores.logsumexp(dim=1, keepdim=True)
        if headings is None:
            return Prediction(None, heatmap)
        log = scores.flatten(2).logsumexp(dim=2).log_softmax(dim=1)
        return Prediction(None, heatmap, headings[log.argmax(dim=1)], log)

    def segment(self, overhead: Tensor) -> Tensor:
        return overhead.new_zeros(len(overhead), 8, *overhead.shape[2:])

    def config(self) -> dict[str, Any]:
        return {"sharpness": self.sharpness, "period": self.period, "gsd": self.gsd}


class FlatNetwork(ColorNetwork):
    """The same without a way to tell headings apart."""

    searches_headings = False


def overhead_image(cells: int = CELLS) -> NDArray[np.uint8]:
    """``(4 * cells, 4 * cells, 3)``: red is the row of the cell, green the column."""
    image = np.zeros((4 * cells, 4 * cells, 3), np.uint8)
    image[..., 0] = (np.arange(4 * cells) // 4)[:, None]
    image[..., 1] = np.arange(4 * cells) // 4
    return image


def street_image(row: float, col: float, heading: float) -> NDArray[np.uint8]:
    """The street view at a place in cells, where cell 3 begins at 3.0."""
    color = (math.floor(row), math.floor(col), round(heading / 360 * 256) % 256)
    return np.full((8, 16, 3), [max(1, value) for value in color], np.uint8)


def drive(
    row: float, col: float, heading: float, steps: list[tuple[float, float]]
) -> list[tuple[float, float, float]]:
    """Poses ``(row, col, heading)`` in cells after each ``(metres ahead, degrees)``."""
    poses = [(row, col, heading)]
    for ahead, turn in steps:
        angle = math.radians(heading)
        row -= ahead * math.cos(angle) / CELL
        col += ahead * math.sin(angle) / CELL
        heading = (heading + turn) % 360
        poses.append((row, col, heading))
    return poses


def write_overhead(path: Path, reference: GeoReference | None = UTM) -> Path:
    """The world as a GeoTIFF (or a plain picture)."""
    place: dict[str, Any] = {"crs": None, "transform": None}
    if reference is not None:
        place = {"crs": reference.crs, "transform": Affine(*reference.transform)}
    write_raster(path, overhead_image().transpose(2, 0, 1), photometric="RGB", **place)
    return path


def write_tiles(folder: Path, side: int, corner: tuple[int, int] = (154_400, 197_000)) -> None:
    """A world of ``side`` x ``side`` map tiles of 64 cells each, in ``folder/19/x/y.png``."""
    image = overhead_image(64 * side)
    for i in range(side):
        for j in range(side):
            path = folder / "19" / str(corner[0] + j) / f"{corner[1] + i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[256 * i :, 256 * j :][:256, :256]).save(path)
