"""Manifest: anybody's own data, a table with a row a pair.

The table is a CSV file with a header, or (Geo)Parquet. Paths in it are relative to the table.
Columns (those in brackets may be absent, and single cells of theirs empty):

=======================  ===========================================================================
``overhead``             overhead image: any raster that GDAL reads
``street``               street view: equirectangular, centred on the horizon, square pixels
``lon``, ``lat``         position of the camera in degrees, WGS84; or, in GeoParquet, the geometry
                         column of points; or
``row``, ``col``         position in pixels of the overhead file; wins over lon, lat
[``heading``]            azimuth of the street view's centre column, degrees clockwise from true
                         north; 0 when absent
[``fov``]                horizontal extent of the street view in degrees; 360 when absent
[``gsd``]                metres per pixel of the overhead file
[``west``, ``south``,    bounds of the overhead image in degrees, WGS84: all four or none
``east``, ``north``]
[``landcover``]          raster of class ids on the overhead image's grid
[``split``]              any word: ``train``, ``val``, ``test``
[``id``]                 unique name; by default the path of the street view without its suffix, and
                         ``#row`` behind it where a street view is in several rows
=======================  ===========================================================================

Where the position is what one wants to know, ``positions: optional`` lets rows lack it; their
samples have the row and column NaN, and only ``cvsegguide predict`` takes them.

An overhead image is placed by its bounds in the table, else by its own georeference (GeoTIFF), else
by a slippy name ``z/x/y.ext``; without any of these, ``row``, ``col`` and ``gsd`` must be given
(:mod:`cvsegguide.io.rasters` states the rules). Where up in the raster is not true north (a
projected system), headings are turned to count from up.

``docs/data.md`` has a worked example.
"""

import math
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cvsegguide.data.broken import BrokenFileError
from cvsegguide.data.dataset import CrossViewDataset, packed
from cvsegguide.data.decode import decode_ids, picture_size, rgb_tensor
from cvsegguide.data.manifest_table import (
    check_cells,
    is_square,
    place_of,
    read_table,
    unique_names,
)
from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError, DatasetError, InputError
from cvsegguide.geo import Bounds, wrap_degrees
from cvsegguide.io.rasters import Overhead, filled, read_overhead, resampled_mask
from cvsegguide.landcover import NO_CHANNEL, NYC, ClassScheme

SIGMA_METRES = 64 * 0.2262
"""Width of the published sightline target on the ground (64 px at Queens)."""


class Manifest(CrossViewDataset):
    """The pairs of a table, in its order.

    Args:
        path: The table, ``.csv`` or ``.parquet``.
        split: Only rows with this word in the column ``split``.
        scheme: TOML file of the class scheme of the land cover (see
            :class:`~cvsegguide.landcover.ClassScheme`); ids are folded through its guidance
            channels into those of New York City. None: they are New York's already.
        sightlines: Whether to draw the sightline target where there is land cover.
        sigma: Its width in metres.
        positions: Whether every row must say where the camera stood.
        overhead_size, street_size, street_extent: See :class:`CrossViewDataset`. With
            ``overhead_size`` None tiles must be equally large to be put into one batch.

    Raises:
        DatasetError: The table is missing, unreadable, or has a cell that cannot be used; the
            message names file, row (from 1, without the header) and column.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        split: str | None = None,
        scheme: str | PathLike[str] | None = None,
        sightlines: bool = True,
        sigma: float = SIGMA_METRES,
        overhead_size: int | None = 256,
        street_size: tuple[int, int] | None = (128, 512),
        street_extent: float | None = 90.0,
        positions: Literal["required", "optional"] = "required",
    ) -> None:
        super().__init__(overhead_size, street_size, street_extent)
        self.path = Path(path)
        self.sightlines = sightlines
        self.sigma = sigma
        self._lookup = None if scheme is None else _to_nyc(scheme)
        words, numbers = read_table(self.path)
        rows = np.arange(len(words["overhead"]))
        if split is not None:
            if "split" not in words:
                raise DatasetError(f"{self.path}: has no column 'split'")
            rows = np.flatnonzero(np.array(words["split"]) == split)
            if not len(rows):
                present = ", ".join(sorted(set(words["split"]) - {""})) or "none"
                raise DatasetError(
                    f"{self.path}: no row has the split '{split}' (there are: {present})"
                )
        check_cells(self.path, words, numbers, rows, positions == "required")
        names = unique_names(self.path, words, rows)

        self._rows = rows + 1
        self._ids = packed([names[row] for row in rows])
        self._words: dict[str, NDArray[np.bytes_]] = {
            column: packed([words[column][row] for row in rows])
            for column in ("overhead", "street", "landcover")
            if column in words
        }
        self._numbers = {column: values[rows] for column, values in numbers.items()}
        if len(rows):  # the commonest mistake: paths relative to somewhere else
            for column in ("overhead", "street"):
                if not self._file(column, 0).exists():
                    raise DatasetError(
                        f"{self.path}: {place_of(self.path, int(rows[0]))}, column '{column}': "
                        f"{self._file(column, 0)}: no such file"
                    )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        index = self._checked_index(index)
        tile = self._read_tile(index)
        height, width = tile.shape
        size = self._grid() or (height, width)
        down, across = size[0] / height, size[1] / width
        pixel = tile.pixel_size
        if pixel is None:
            raise self._fault(index, "gsd", "is empty, and the overhead image has no georeference")
        if self.overhead_size is not None and not is_square(pixel, (height, width)):
            raise self._fault(
                index,
                "overhead",
                f"{width} x {height} pixels of {pixel[1]:.3g} x {pixel[0]:.3g} m do not "
                "make a square; cut the image to a square or set overhead_size to null",
            )
        row, col = self._position(index, tile)
        fov = self._number("fov", index, 360.0)
        view = self._file("street", index)
        street_height, street_width = picture_size(view)
        if fov * street_height / street_width > 180.0 * (1 + 1e-3):
            raise self._fault(
                index,
                "fov",
                f"{fov:g} degrees over {street_width} x {street_height} pixels reach beyond "
                "the poles: the street view is not equirectangular, or its fov is smaller",
            )
        up = 0.0 if tile.reference is None else tile.reference.up_azimuth
        gsd = math.sqrt((pixel[0] / down) * (pixel[1] / across))
        overhead = filled(tile.image, tile.valid)
        if size != (height, width):
            picture = Image.fromarray(overhead)
            overhead = np.array(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
        landcover = self._landcover(index, size)
        row, col = row * down, col * across
        return Sample(
            id=self.sample_id(index),
            overhead=rgb_tensor(overhead),
            street=self._street(view, fov),
            landcover=landcover,
            row=row,
            col=col,
            heading=wrap_degrees(self._number("heading", index, 0.0) - up),
            fov=fov,
            gsd=gsd,
            bounds=None if tile.reference is None else tile.reference.bounds,
            sightline=self._sightline(landcover, row, col, gsd),
            reference=None if tile.reference is None else tile.reference.resized(*size),
            valid=None if tile.valid.all() else torch.from_numpy(resampled_mask(tile.valid, size)),
        )

    def sample_id(self, index: int) -> str:
        """The column ``id``, or the path of the street view without its suffix."""
        return str(self._ids[index].decode())

    def paths(self, index: int) -> tuple[Path, Path]:
        """Files of the overhead image and of the street view of a sample."""
        index = self._checked_index(index)
        return self._file("overhead", index), self._file("street", index)

    def _read_tile(self, index: int) -> Overhead:
        path = self._file("overhead", index)
        bounds = self._bounds(index)
        gsd = self._number("gsd", index, math.nan)
        try:
            return read_overhead(path, bounds, None if math.isnan(gsd) else gsd)
        except ConfigurationError as error:
            raise self._fault(index, "gsd" if bounds is None else "west", str(error)) from None
        except InputError as error:
            raise BrokenFileError(path, str(error).removeprefix(f"{path}: ")) from None

    def _position(self, index: int, tile: Overhead) -> tuple[float, float]:
        row = self._number("row", index, math.nan)
        col = self._number("col", index, math.nan)
        column = "row"
        if math.isnan(row):
            column = "lon"
            if math.isnan(self._number("lon", index, math.nan)):
                return math.nan, math.nan
            if tile.reference is None:
                raise self._fault(
                    index,
                    column,
                    "cannot be placed: the overhead image has no georeference, no bounds in the "
                    "table and no z/x/y name; give row and col instead",
                )
            rows, cols = tile.reference.lonlat_to_rowcol(
                self._numbers["lon"][index], self._numbers["lat"][index]
            )
            row, col = float(rows), float(cols)
        height, width = tile.shape
        if not (-1e-6 <= row <= height + 1e-6 and -1e-6 <= col <= width + 1e-6):
            raise self._fault(
                index,
                column,
                f"the camera lies outside the overhead image, at row {row:.1f}, column {col:.1f} "
                f"of {height} x {width}",
            )
        return row, col

    def _landcover(self, index: int, size: tuple[int, int]) -> Tensor | None:
        if "landcover" not in self._words or not self._words["landcover"][index]:
            return None
        ids = decode_ids(self._file("landcover", index), size)
        return torch.from_numpy(ids if self._lookup is None else self._lookup[ids])

    def _sightline(
        self, landcover: Tensor | None, row: float, col: float, gsd: float
    ) -> Tensor | None:
        if landcover is None or not self.sightlines or math.isnan(row):
            return None
        from cvsegguide.data.sightlines import sightline

        height, width = landcover.shape
        inside = min(row, height - 0.5), min(col, width - 0.5)
        return torch.from_numpy(sightline(landcover.numpy(), *inside, sigma=self.sigma / gsd))

    def _bounds(self, index: int) -> Bounds | None:
        if "west" not in self._numbers or np.isnan(self._numbers["west"][index]):
            return None
        return Bounds(
            *(float(self._numbers[side][index]) for side in ("west", "south", "east", "north"))
        )

    def _number(self, column: str, index: int, default: float) -> float:
        if column not in self._numbers:
            return default
        value = float(self._numbers[column][index])
        return default if math.isnan(value) else value

    def _file(self, column: str, index: int) -> Path:
        return self.path.parent / str(self._words[column][index].decode())

    def _fault(self, index: int, column: str, fault: str) -> DatasetError:
        place = place_of(self.path, int(self._rows[index]) - 1)
        return DatasetError(f"{self.path}: {place}, column '{column}': {fault}")


def _to_nyc(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """``(256,)`` lookup from the ids of a scheme to those of New York City, by guidance channel."""
    scheme = ClassScheme.from_file(path)
    for channel in scheme.channels:
        if channel not in NYC.channels:
            raise ConfigurationError(
                f"{path}: guidance channel '{channel}' is not one of the models' "
                f"({', '.join(NYC.channels)})"
            )
    ids = np.zeros(256, np.uint8)
    order = list(scheme.channels)
    for value, channel in enumerate(scheme.channel_lookup):
        if channel != NO_CHANNEL:
            ids[value] = NYC.channels[order[channel]]
    return ids
