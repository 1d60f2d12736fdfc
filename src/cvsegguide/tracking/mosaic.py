"""Overhead imagery of any size under one frame: a raster, or a folder of map tiles.

Whatever it comes from is read by windows at the resolution of a model, in *map pixels* of
:attr:`Mosaic.gsd` metres that count from the top-left corner. Rotated rasters are warped first.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference, parse_tile_name
from cvsegguide.geo.slippy import tile_bounds, tile_gsd
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.io.location import check_given_bounds, is_north_up
from cvsegguide.io.rasters import Raster, open_raster, read_overhead
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
        raster: The imagery, north up.
        gsd: Metres per map pixel that are wanted.

    Attributes:
        name: For messages.
        reference: Where it lies, or None.
        shape: ``(H, W)`` in map pixels.
        gsd: Metres per map pixel: as wanted, or the imagery's own where that is as good as that.

    Raises:
        InputError: Its resolution is unknown.
    """

    def __init__(self, raster: Raster, gsd: float) -> None:
        pixel = raster.pixel_size
        if pixel is None:
            raise InputError(
                f"{raster.name}: its resolution is unknown, and a track is in metres; pass `gsd` "
                "or `bounds`"
            )
        self.name = raster.name
        self.reference = raster.reference
        self._raster = raster
        self.gsd, self._scale = gsd, (gsd / pixel[0], gsd / pixel[1])
        if all(abs(side / gsd - 1) < SAME for side in pixel):
            self.gsd, self._scale = math.sqrt(pixel[0] * pixel[1]), (1.0, 1.0)
        height, width = self.map_pixels(*raster.shape)
        self.shape = max(1, round(height)), max(1, round(width))

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
        # The part in its own pixels, with what the filter needs around it.
        scale = np.array(self._scale)
        begin = np.array([top + rows.start, left + cols.start]) * scale
        end = np.array([top + rows.stop, left + cols.stop]) * scale
        spare = np.where(scale == 1, 0, np.ceil(2 * np.maximum(1.0, scale)))
        first = np.maximum(0, np.floor(begin) - spare).astype(int)
        last = np.minimum(self._raster.shape, np.ceil(end) + spare).astype(int)
        source, known = self._raster.read(*first.tolist(), *last.tolist())
        up, west, down, east = np.clip([begin, end] - first, 0, last - first).ravel().tolist()
        size = (rows.stop - rows.start, cols.stop - cols.start)
        image[rows, cols] = resize(source, size, (up, west, down, east))
        mask = np.where(known, np.uint8(255), np.uint8(0))
        valid[rows, cols] = resize(mask, size, (up, west, down, east)) >= 128
        return image, valid


class TileFolder(Raster):
    """A folder of slippy tiles ``z/x/y.jpg``; places without a tile have no data.

    Args:
        folder: Where they lie.
        gsd: Metres per pixel that are wanted: the nearest zoom is taken.
    """

    def __init__(self, folder: Path, gsd: float) -> None:
        zoom, self._files = _find_tiles(folder, gsd)
        columns, rows = zip(*self._files, strict=True)
        self._corner = min(columns), min(rows)
        self._side = side = len(read_image(next(iter(self._files.values()))))
        shape = (max(rows) - min(rows) + 1) * side, (max(columns) - min(columns) + 1) * side
        corner = GeoReference.from_tile(zoom, *self._corner, side, side)
        reference = GeoReference(corner.crs, corner.transform, *shape)
        super().__init__(str(folder), shape, reference, reference.gsd)
        self._tile = lru_cache(_OPEN_TILES)(self._read_tile)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """``(height, width)`` of a pixel in metres on the ground: square in Mercator's."""
        assert self.gsd is not None
        return self.gsd, self.gsd

    def read(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """See :meth:`~cvsegguide.io.rasters.Raster.read`."""
        side = self._side
        rows = range(top // side, (bottom - 1) // side + 1)
        cols = range(left // side, (right - 1) // side + 1)
        image = np.zeros((len(rows) * side, len(cols) * side, 3), np.uint8)
        valid = np.zeros(image.shape[:2], bool)
        for i, j in product(range(len(rows)), range(len(cols))):
            tile = self._tile(self._corner[0] + cols[j], self._corner[1] + rows[i])
            if tile is not None:
                place = np.s_[i * side : (i + 1) * side, j * side : (j + 1) * side]
                image[place], valid[place] = tile, True
        up, west = rows[0] * side, cols[0] * side
        window = np.s_[top - up : bottom - up, left - west : right - west]
        return image[window], valid[window]

    def _read_tile(self, x: int, y: int) -> NDArray[np.uint8] | None:
        path = self._files.get((x, y))
        if path is None:
            return None
        tile = read_image(path)
        if tile.shape != (self._side, self._side, 3):
            raise InputError(
                f"{path}: is {tile.shape[1]} x {tile.shape[0]} pixels, but the folder's tiles are "
                f"squares of {self._side}"
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
        yield Mosaic(TileFolder(Path(fspath(source)), gsd), gsd)
        return
    with open_raster(source, bounds, own_gsd) as raster:
        if bounds is not None:
            check_given_bounds(raster)
        if raster.reference is None or is_north_up(raster.reference):
            yield Mosaic(raster, gsd)
            return
    yield Mosaic(read_overhead(source, bounds, own_gsd), gsd)


def _find_tiles(folder: Path, gsd: float) -> tuple[int, dict[tuple[int, int], Path]]:
    """The zoom nearest to a resolution and its tiles ``(x, y)``."""

    def misfit(zoom: int) -> float:
        y = min(y for _, y in zooms[zoom])
        return abs(math.log(tile_gsd(tile_bounds(zoom, 0, y).center[1], zoom) / gsd))

    for name in _TILE_FOLDERS:
        zooms: dict[int, dict[tuple[int, int], Path]] = {}
        for path in sorted((folder / name).glob("[0-9]*/[0-9]*/[0-9]*.*")):
            tile = parse_tile_name(path)
            if tile is not None and path.suffix.lower() in _IMAGES:
                zooms.setdefault(tile[0], {})[tile[1], tile[2]] = path
        if zooms:
            nearest = min(zooms, key=misfit)
            return nearest, zooms[nearest]
    cities = sorted(folder.glob("*/overhead/images"))
    hint = f"; did you mean {cities[0].parents[1]}?" if cities else ""
    raise InputError(f"{folder}: holds no map tiles z/x/y.jpg{hint}")
