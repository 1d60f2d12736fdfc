"""Files for tests: rasters, tables of pairs, and files that mean harm."""

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import rasterio
from affine import Affine
from numpy.typing import ArrayLike
from PIL import Image

UTM = Affine(0.5, 0, 587000, 0, -0.5, 4511000)
"""Half a metre a pixel in EPSG:32618, in New York."""


def write_raster(
    path: Path | str,
    bands: ArrayLike,
    transform: Affine | None = UTM,
    crs: Any = "EPSG:32618",
    colors: Mapping[int, tuple[int, int, int, int]] | None = None,
    **options: Any,
) -> Path:
    """A GeoTIFF of ``(bands, h, w)``, with a colour table where ``colors`` is given."""
    values = np.asarray(bands)
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    place = {"crs": crs, "transform": transform, "driver": "GTiff"}
    with rasterio.open(path, "w", **shape, **place, **options) as dataset:
        dataset.write(values)
        if colors is not None:
            dataset.write_colormap(1, colors)
    return Path(path)


def write_picture(path: Path, width: int, height: int, color: Any = 0, mode: str = "RGB") -> None:
    """A picture of one colour, in a folder that is made when absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height), color).save(path)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV file whose columns are the names of all rows; what a row lacks is empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    cells = [[row.get(name, "") for name in names] for row in rows]
    pandas.DataFrame(cells, columns=list(names), dtype=object).to_csv(path, index=False)
    return path


def make_manifest(folder: Path, place: Mapping[str, Sequence[Any]], **cells: Any) -> Path:
    """``pairs.csv`` of three rows with tiles and land cover of 64 x 64, and whole panoramas.

    Args:
        folder: Gets the table and its pictures.
        place: Columns that say where the cameras stand.
        cells: In the place of the second row's.
    """
    rows: list[dict[str, Any]] = []
    for number in range(3):
        names = (f"tile{number}.png", f"view{number}.jpg", f"cover{number}.png")
        write_picture(folder / names[0], 64, 64)
        write_picture(folder / names[1], 64, 32)
        write_picture(folder / names[2], 64, 64, 5, "L")
        row = dict(zip(("overhead", "street", "landcover"), names, strict=True))
        rows.append(row | {name: column[number] for name, column in place.items()})
    rows[1] |= cells
    return write_table(folder / "pairs.csv", rows)


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    """A PNG file by hand; ``rows`` may be fewer than the header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


BOMB = png(60000, 60000, 8, 2, bytes(1000))
"""A picture that claims 60,000 x 60,000 pixels."""


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)
