"""Overhead imagery of any size under one frame: a raster, or a folder of map tiles.

Whatever it comes from is read by windows at the resolution of a model, in *map pixels* of
:attr:`Mosaic.gsd` metres that count from the top-left corner. Rotated rasters are warped first.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference, parse_tile_name
from cvsegguide.geo.slippy import tile_bounds, tile_gsd
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.io.location import check_given_bounds
from cvsegguide.io.rasters import Overhead, Raster, open_raster, read_overhead
from cvsegguide.io.resampling import resample as resize
from cvsegguide.tracking.belief import Box

SAME = 0.02
"""Imagery whose pixels differ by less than this from the wanted size is taken as it is."""

_TILE_FOLDERS = ("", "images", "overhead", "overhead/images")
_OPEN_TILES = 64
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


class Mosaic:
    """Imagery that is read by windows in map pixels.

    Args:
        name: For messages.
        size: ``(H, W)`` of the imagery in its own pixels.
        pixel: ``(height, width)`` of its pixels in metres.
        gsd: Metres per map pixel that are wanted.
        reference: Where it lies, or None.

    Attributes:
        shape: ``(H, W)`` in map pixels.
        gsd: Metres per map pixel: as wanted, or the imagery's own where that is as good as that.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        pixel: tuple[float, float],
        gsd: float,
        reference: GeoReference | None,
    ) -> None:
        self.name = name
        self.size = size
        self.reference = reference
        if all(abs(side / gsd - 1) < SAME for side in pixel):
            self.gsd = math.sqrt(pixel[0] * pixel[1])
            self._scale = (1.0, 1.0)
        else:
            self.gsd = gsd
            self._scale = (gsd / pixel[0], gsd / pixel[1])
        self.shape = (
            max(1, round(size[0] / self._scale[0])),
            max(1, round(size[1] / self._scale[1])),
        )

    @property
    def up_azimuth(self) -> float:
        """True azimuth of the map's up at its centre, in degrees."""
        return 0.0 if self.reference is None else self.reference.up_azimuth

    def cells(self, pixels: int) -> Box:
        """All whole cells of ``pixels`` map pixels a side."""
        return Box(0, 0, max(1, self.shape[0] // pixels), max(1, self.shape[1] // pixels))

    def own_pixels(self, row: float, col: float) -> tuple[float, float]:
        """Map pixels to the imagery's own."""
        return row * self._scale[0], col * self._scale[1]

    def map_pixels(self, row: float, col: float) -> tuple[float, float]:
        """The imagery's own pixels to map pixels."""
        return row / self._scale[0], col / self._scale[1]

    def lonlat(self, row: float, col: float) -> tuple[float, float] | None:
        """Longitude and latitude of a place in map pixels; None where that is not known."""
        if self.reference is None:
            return None
        lon, lat = self.reference.rowcol_to_lonlat(*self.own_pixels(row, col))
        return float(lon), float(lat)

    def locate(self, lon: float, lat: float) -> tuple[float, float]:
        """Map pixels of a longitude and latitude.

        Raises:
            InputError: The imagery is not georeferenced.
        """
        if self.reference is None:
            raise InputError(
                f"{self.name}: has no georeference, so that longitude and latitude mean nothing"
            )
        row, col = self.reference.lonlat_to_rowcol(lon, lat)
        return self.map_pixels(float(row), float(col))

    def read(
        self, top: int, left: int, height: int, width: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A window in map pixels, of which any part may lie outside.

        Returns:
            ``(h, w, 3)`` uint8, and ``(h, w)`` bool: False where there is no data.
        """
        image = np.zeros((height, width, 3), np.uint8)
        valid = np.zeros((height, width), bool)
        rows = slice(max(0, -top), min(height, self.shape[0] - top))
        cols = slice(max(0, -left), min(width, self.shape[1] - left))
        if rows.stop <= rows.start or cols.stop <= cols.start:
            return image, valid
        inner = (top + rows.start, left + cols.start, top + rows.stop, left + cols.stop)
        if self._scale == (1.0, 1.0):
            image[rows, cols], valid[rows, cols] = self.read_own(*inner)
            return image, valid
        # The part in its own pixels, with what the filter needs around it.
        box = [edge * self._scale[i % 2] for i, edge in enumerate(inner)]
        spare = [math.ceil(2 * max(1.0, scale)) for scale in self._scale]
        first = [max(0, math.floor(box[i]) - spare[i]) for i in (0, 1)]
        last = [min(self.size[i], math.ceil(box[2 + i]) + spare[i]) for i in (0, 1)]
        source, known = self.read_own(first[0], first[1], last[0], last[1])
        shifted = tuple(
            min(max(edge - first[i % 2], 0.0), float(last[i % 2] - first[i % 2]))
            for i, edge in enumerate(box)
        )
        size = (rows.stop - rows.start, cols.stop - cols.start)
        image[rows, cols] = resize(source, size, shifted)  # type: ignore[arg-type]
        mask = np.where(known, np.uint8(255), np.uint8(0))
        valid[rows, cols] = resize(mask, size, shifted) >= 128  # type: ignore[arg-type]
        return image, valid

    def read_own(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A window that lies inside, in the imagery's own pixels."""
        raise NotImplementedError


class RasterMosaic(Mosaic):
    """One raster."""

    def __init__(self, raster: Raster | Overhead, gsd: float) -> None:
        pixel = raster.pixel_size
        if pixel is None:
            raise InputError(
                f"{raster.name}: its resolution is unknown, and a track is in metres; pass `gsd` "
                "or `bounds`"
            )
        super().__init__(raster.name, raster.shape, pixel, gsd, raster.reference)
        self._raster = raster

    def read_own(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        if isinstance(self._raster, Overhead):
            window = np.s_[top:bottom, left:right]
            return self._raster.image[window], self._raster.valid[window]
        return self._raster.read(top, left, bottom, right)


class TileMosaic(Mosaic):
    """A folder of slippy tiles ``z/x/y.jpg``; places without a tile have no data."""

    def __init__(self, folder: Path, gsd: float) -> None:
        zoom, files = _find_tiles(folder, gsd)
        side = _tile_side(next(iter(files.values())))
        columns, rows = [x for x, _ in files], [y for _, y in files]
        self._side = side
        self._files = files
        self._corner = (min(columns), min(rows))
        size = (
            (max(rows) - min(rows) + 1) * side,
            (max(columns) - min(columns) + 1) * side,
        )
        corner = GeoReference.from_tile(zoom, *self._corner, side, side)
        reference = GeoReference(corner.crs, corner.transform, *size)
        pixel = reference.gsd
        super().__init__(str(folder), size, (pixel, pixel), gsd, reference)
        self._tile = lru_cache(_OPEN_TILES)(self._read_tile)

    def read_own(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        image = np.zeros((bottom - top, right - left, 3), np.uint8)
        valid = np.zeros(image.shape[:2], bool)
        side = self._side
        for y in range(top // side, (bottom - 1) // side + 1):
            for x in range(left // side, (right - 1) // side + 1):
                tile = self._tile(self._corner[0] + x, self._corner[1] + y)
                if tile is None:
                    continue
                up, down = max(top, y * side), min(bottom, (y + 1) * side)
                west, east = max(left, x * side), min(right, (x + 1) * side)
                target = np.s_[up - top : down - top, west - left : east - left]
                image[target] = tile[
                    up - y * side : down - y * side, west - x * side : east - x * side
                ]
                valid[target] = True
        return image, valid

    def _read_tile(self, x: int, y: int) -> NDArray[np.uint8] | None:
        path = self._files.get((x, y))
        if path is None:
            return None
        tile = read_image(path)
        if tile.shape != (self._side, self._side, 3):
            raise InputError(
                f"{path}: is {tile.shape[1]} x {tile.shape[0]} pixels, but other tiles of the "
                f"folder are {self._side} x {self._side}"
            )
        return tile


@contextmanager
def open_mosaic(
    source: ImageLike,
    gsd: float,
    bounds: tuple[float, float, float, float] | None = None,
    own_gsd: float | None = None,
) -> Iterator[Mosaic]:
    """Open overhead imagery for reading at a model's resolution.

    Args:
        source: A raster (path, PIL image or uint8 array ``(H, W, 3)``, see
            :mod:`cvsegguide.io.rasters`), or a folder of map tiles: one that holds ``z/x/y.jpg``,
            or a Brooklyn & Queens city, whose tiles lie in ``overhead/images``.
        gsd: Metres per map pixel that are wanted.
        bounds, own_gsd: Where a raster lies and its metres per pixel, when it does not say.

    Raises:
        InputError: It cannot be read, or its resolution is unknown.
    """
    if isinstance(source, str | PathLike) and Path(fspath(source)).is_dir():
        if bounds is not None or own_gsd is not None:
            raise InputError(
                f"{fspath(source)}: map tiles know their place; `bounds` and `gsd` are for rasters"
            )
        yield TileMosaic(Path(fspath(source)), gsd)
        return
    with open_raster(source, bounds, own_gsd) as raster:
        if bounds is not None:
            check_given_bounds(raster)
        if raster.reference is None or _north_up(raster.reference):
            yield RasterMosaic(raster, gsd)
            return
    yield RasterMosaic(read_overhead(source, bounds, own_gsd), gsd)


def _north_up(reference: GeoReference) -> bool:
    a, b, _, d, e, _ = reference.transform
    skewed = abs(b) * reference.height > 0.1 * abs(a) or abs(d) * reference.width > 0.1 * abs(e)
    return a > 0 and e < 0 and not skewed


def _find_tiles(folder: Path, gsd: float) -> tuple[int, dict[tuple[int, int], Path]]:
    """The zoom nearest to a resolution and its tiles ``(x, y)``."""
    for name in _TILE_FOLDERS:
        zooms: dict[int, dict[tuple[int, int], Path]] = {}
        root = folder / name
        for path in sorted(root.glob("[0-9]*/[0-9]*/[0-9]*.*")):
            tile = parse_tile_name(path)
            if tile is not None and path.suffix.lower() in _IMAGES:
                zooms.setdefault(tile[0], {})[tile[1], tile[2]] = path
        if zooms:
            near = min(zooms, key=lambda zoom: abs(math.log(_zoom_gsd(zoom, zooms[zoom]) / gsd)))
            return near, zooms[near]
    inside = sorted(
        path.name for path in folder.iterdir() if (path / "overhead" / "images").is_dir()
    )
    hint = f"; did you mean {folder / inside[0]}?" if inside else ""
    raise InputError(f"{folder}: holds no map tiles z/x/y.jpg{hint}")


def _zoom_gsd(zoom: int, tiles: dict[tuple[int, int], Path]) -> float:
    _, y = next(iter(tiles))
    return tile_gsd(tile_bounds(zoom, 0, y).center[1], zoom)


def _tile_side(path: Path) -> int:
    tile = read_image(path)
    if tile.shape[0] != tile.shape[1]:
        raise InputError(f"{path}: a map tile is square, got {tile.shape[1]} x {tile.shape[0]}")
    return int(tile.shape[0])
