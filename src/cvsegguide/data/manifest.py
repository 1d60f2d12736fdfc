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

An overhead image is placed by its bounds in the table, else by its own georeference (GeoTIFF), else
by a slippy name ``z/x/y.ext``; without any of these, ``row``, ``col`` and ``gsd`` must be given
(:mod:`cvsegguide.io.rasters` states the rules). Where up in the raster is not true north (a
projected system), headings are turned to count from up.

``docs/data.md`` has a worked example.
"""

import json
import math
import struct
from collections import Counter
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cvsegguide.data.base import CrossViewDataset, packed
from cvsegguide.data.broken import BrokenFileError
from cvsegguide.data.decode import decode_ids, picture_size, rgb_tensor
from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError, DatasetError, InputError
from cvsegguide.geo import Bounds, wrap_degrees
from cvsegguide.io.rasters import Overhead, read_overhead
from cvsegguide.landcover import NO_CHANNEL, NYC, ClassScheme

REQUIRED = ("overhead", "street")
NUMBERS = ("lon", "lat", "row", "col", "heading", "fov", "gsd", "west", "south", "east", "north")
WORDS = ("landcover", "split", "id")

SIGMA_METRES = 64 * 0.2262
"""Width of the published sightline target on the ground (64 px at Queens)."""

LIMITS = {
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
    "fov": (0.01, 360.0),
    "gsd": (1e-6, 1e6),
}
"""Smallest and largest number in a column."""

ASPECT = 0.02
"""Resizing may stretch one side of a pixel against the other by this much."""


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
    ) -> None:
        super().__init__(overhead_size, street_size, street_extent)
        self.path = Path(path)
        self.sightlines = sightlines
        self.sigma = sigma
        self._lookup = None if scheme is None else _to_nyc(scheme)
        words, numbers = _read_table(self.path)
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
        _check(self.path, words, numbers, rows)
        names = _names(self.path, words, rows)

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
                        f"{self.path}: row {self._rows[0]}, column '{column}': "
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
        overhead = tile.image
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
        if landcover is None or not self.sightlines:
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
        return DatasetError(f"{self.path}: row {self._rows[index]}, column '{column}': {fault}")


def _read_table(path: Path) -> tuple[dict[str, list[str]], dict[str, NDArray[np.float64]]]:
    """Columns of words, and columns of numbers with NaN in empty cells."""
    frame = read_frame(path)
    for column in REQUIRED:
        if column not in frame:
            raise DatasetError(
                f"{path}: has no column '{column}' (it has: {', '.join(map(str, frame))})"
            )
    words = {
        column: ["" if is_empty(cell) else str(cell).strip() for cell in frame[column]]
        for column in (*REQUIRED, *WORDS)
        if column in frame
    }
    numbers = {
        column: _numbers(path, column, list(frame[column])) for column in NUMBERS if column in frame
    }
    return words, numbers


def read_frame(path: Path) -> dict[str, list[Any]]:
    import pandas

    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            table = pandas.read_csv(
                path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
            )
            return {str(name).strip(): list(table[name]) for name in table}
        if suffix in (".parquet", ".geoparquet", ".pq"):
            return _read_parquet(path)
    except DatasetError:
        raise
    except Exception as error:  # a parser may fail in any way on what is no table
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else repr(error)
        raise DatasetError(f"{path}: not a readable table ({reason})") from None
    raise DatasetError(f"{path}: a manifest is a .csv or .parquet file, not '{path.suffix}'")


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    described = (table.schema.metadata or {}).get(b"geo")
    if described is not None and "lon" not in columns:
        geo = json.loads(described)
        name = geo["primary_column"]
        points = [_point(path, row, cell) for row, cell in enumerate(columns[name], 1)]
        lon, lat = _to_wgs84(geo["columns"][name].get("crs"), points)
        columns["lon"], columns["lat"] = lon, lat
    return columns


def _point(path: Path, row: int, cell: bytes | None) -> tuple[float, float]:
    """``(x, y)`` of a point in well-known binary (OGC 06-103r4, with or without z, m, SRID)."""
    if cell is None:
        return math.nan, math.nan
    try:
        order = "<" if cell[0] == 1 else ">"
        (kind,) = struct.unpack_from(order + "I", cell, 1)
        start = 9 if kind & 0x20000000 else 5
        if (kind & 0xFFFF) % 1000 != 1:
            raise DatasetError(f"{path}: row {row}, column 'geometry': is no point")
        x, y = struct.unpack_from(order + "2d", cell, start)
        return float(x), float(y)
    except (struct.error, IndexError, TypeError):
        raise DatasetError(
            f"{path}: row {row}, column 'geometry': is no well-known binary"
        ) from None


def _to_wgs84(
    crs: dict[str, Any] | None, points: list[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    identity = (crs or {}).get("id", {})
    if crs is None or str(identity.get("code")) in ("4326", "CRS84"):
        return xs, ys
    from rasterio.crs import CRS
    from rasterio.warp import transform

    name = f"{identity['authority']}:{identity['code']}" if identity else json.dumps(crs)
    lon, lat = transform(CRS.from_user_input(name), CRS.from_epsg(4326), xs, ys)
    return list(lon), list(lat)


def is_empty(cell: Any) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _numbers(path: Path, column: str, cells: list[Any]) -> NDArray[np.float64]:
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if is_empty(cell):
            continue
        try:
            values[row] = float(cell)
        except (TypeError, ValueError):
            raise _bad(path, row, column, f"'{str(cell)[:40]}' is no number") from None
        if not math.isfinite(values[row]):
            raise _bad(path, row, column, f"'{str(cell)[:40]}' is not finite")
    return values


def _check(
    path: Path,
    words: dict[str, list[str]],
    numbers: dict[str, NDArray[np.float64]],
    rows: NDArray[np.intp],
) -> None:
    """Every rule that needs no picture, so that a run does not fail after an hour."""

    def column(name: str) -> NDArray[np.float64]:
        return numbers.get(name, np.full(len(words["overhead"]), np.nan))

    for name in REQUIRED:
        for row in rows:
            if not words[name][row]:
                raise _bad(path, row, name, "is empty")
    for name, (low, high) in LIMITS.items():
        values = column(name)[rows]
        wrong = (values < low) | (values > high)
        if wrong.any():
            row = rows[int(np.flatnonzero(wrong)[0])]
            raise _bad(path, row, name, f"{column(name)[row]:g} lies outside {low:g}..{high:g}")
    groups = (("lon", "lat"), ("row", "col"), ("west", "south", "east", "north"))
    for group in groups:
        missing = np.isnan(np.stack([column(name)[rows] for name in group]))
        partly = missing.any(axis=0) & ~missing.all(axis=0)
        if partly.any():
            first = int(np.flatnonzero(partly)[0])
            name = group[int(np.flatnonzero(missing[:, first])[0])]
            raise _bad(path, rows[first], name, f"is empty, but {' and '.join(group)} go together")
    nowhere = np.isnan(column("lon")[rows]) & np.isnan(column("row")[rows])
    if nowhere.any():
        row = rows[int(np.flatnonzero(nowhere)[0])]
        raise _bad(path, row, "lon", "the camera has no position: give lon, lat or row, col")
    for row in rows:
        sides = [column(name)[row] for name in groups[2]]
        if not math.isnan(sides[0]):
            try:
                Bounds(*map(float, sides)).validated()
            except InputError as error:
                raise _bad(path, row, "west", str(error)) from None


def _names(path: Path, words: dict[str, list[str]], rows: NDArray[np.intp]) -> list[str]:
    """The id of every row of the table; those of ``rows`` are unique."""
    names = row_names(words)
    seen: dict[str, int] = {}
    for row in rows:
        name = names[row]
        if name in seen:
            raise _bad(path, row, "id", f"'{name[:80]}' is the name of row {seen[name]} too")
        seen[name] = int(row) + 1
    return names


def row_names(words: dict[str, list[str]]) -> list[str]:
    """The id of each row of a table: as given, or made from the path of the street view."""
    views = Counter(words["street"])
    given = words.get("id", [""] * len(words["street"]))
    names = []
    for row, (name, view) in enumerate(zip(given, words["street"], strict=True), 1):
        repeated = f"#{row}" if views[view] > 1 else ""
        made = str(PurePath(view).with_suffix("")) if PurePath(view).name else view
        names.append(name or made + repeated)
    return names


def is_square(pixel: tuple[float, float], shape: tuple[int, int]) -> bool:
    """Whether an image is a square on the ground, and so can be resized to one.

    Args:
        pixel: ``(height, width)`` of a pixel in metres.
        shape: ``(H, W)``.
    """
    return abs((pixel[0] * shape[0]) / (pixel[1] * shape[1]) - 1) <= ASPECT


def _bad(path: Path, row: int, column: str, fault: str) -> DatasetError:
    return DatasetError(f"{path}: row {row + 1}, column '{column}': {fault}")


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
