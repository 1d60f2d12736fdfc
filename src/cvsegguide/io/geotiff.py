"""GeoTIFFs of one band, written by windows: either whole or not there.

The files are cloud-optimised (COG, OGC 21-026): tiles, overviews down to one tile, everything in
the order in which a reader over a network wants it, and statistics. A desktop GIS opens even large
ones at once, with the right colours and stretch.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference
from cvsegguide.io.atomic import atomic_path

SIDE = 256
"""Of a tile in pixels."""


class RasterWriter:
    """A GeoTIFF that is being written by windows; made by :func:`create_geotiff`."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def write(self, band: NDArray[np.generic], top: int = 0, left: int = 0) -> None:
        """Write ``(h, w)`` values with their top-left corner at ``(top, left)``."""
        from rasterio.windows import Window

        height, width = band.shape
        self._dataset.write(band, 1, window=Window(left, top, width, height))


@contextlib.contextmanager
def create_geotiff(
    path: str | PathLike[str],
    shape: tuple[int, int],
    dtype: str,
    reference: GeoReference | None = None,
    *,
    nodata: float | None = None,
    palette: NDArray[np.uint8] | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> Iterator[RasterWriter]:
    """Create a cloud-optimised GeoTIFF of one band that appears when the block succeeds.

    It is written by windows into a plain file, of which GDAL's COG driver makes the other: tiles of
    256 pixels, overviews of the most frequent class or of the mean, exact statistics of the valid
    pixels. What is not written has no data.

    Args:
        path: Where it goes.
        shape: ``(H, W)``.
        dtype: ``"uint8"`` or ``"float32"``.
        reference: Coordinate system and transform; without it the file is a plain TIFF.
        nodata: The value that means no data.
        palette: ``(256, 3)`` colours of uint8 values, which are classes then.
        description: Of the band.
        tags: Metadata of the file.

    Raises:
        InputError: It cannot be written.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    path = Path(path)
    with (
        atomic_path(path) as temporary,
        _passing(path.with_name(f"{path.stem}-part{path.suffix}")) as plain,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            options = _options(shape, dtype, reference, nodata)
            with rasterio.open(plain, "w", **options, bigtiff="IF_SAFER") as dataset:
                _describe(dataset, palette, description, tags)
                yield RasterWriter(dataset)
            _check_whole(plain)
            _order(plain, temporary, dtype, "average" if palette is None else "mode")
            _check_whole(temporary)
        except (RasterioError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise InputError(f"{path}: cannot be written ({reason})") from None


def _options(
    shape: tuple[int, int], dtype: str, reference: GeoReference | None, nodata: float | None
) -> dict[str, Any]:
    """What GDAL is told of a plain file."""
    from affine import Affine

    options: dict[str, Any] = {
        "driver": "GTiff",
        "height": shape[0],
        "width": shape[1],
        "count": 1,
        "dtype": dtype,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": SIDE,
        "blockysize": SIDE,
    }
    if reference is not None:
        options |= {"crs": reference.crs, "transform": Affine(*reference.transform)}
    return options


def _describe(
    dataset: Any,
    palette: NDArray[np.uint8] | None,
    description: str,
    tags: Mapping[str, str] | None,
) -> None:
    if palette is not None:
        dataset.write_colormap(1, {i: (*map(int, color), 255) for i, color in enumerate(palette)})
    if description:
        dataset.set_band_description(1, description)
    dataset.update_tags(**(tags or {}))


def _order(source: Path, target: Path, dtype: str, overviews: str) -> None:
    """Copy a plain GeoTIFF into a cloud-optimised one; raise OSError when that fails."""
    from rasterio.shutil import copy

    try:
        copy(
            source,
            target,
            driver="COG",
            blocksize=SIDE,
            compress="deflate",
            predictor="floating_point" if dtype.startswith("float") else "no",
            overview_resampling=overviews,
            statistics="yes",
            bigtiff="if_safer",
            num_threads="all_cpus",
        )
    except Exception as error:  # GDAL's own errors share no public base
        raise OSError(str(error)) from None


@contextlib.contextmanager
def _passing(path: Path) -> Iterator[Path]:
    """A temporary path that is gone when the block ends."""
    with contextlib.suppress(_Passed), atomic_path(path) as temporary:
        yield temporary
        raise _Passed


class _Passed(Exception):
    """Ends a block whose file is not kept."""


def _check_whole(path: Path) -> None:
    """Raise OSError unless every block of a GeoTIFF lies within the file.

    What GDAL fails to write while it closes a file, as on a full disk, it does not report.
    """
    import rasterio

    length = path.stat().st_size
    with rasterio.open(path) as dataset:
        rows, cols = (-(-side // SIDE) for side in dataset.shape)
        for row in range(rows):
            for col in range(cols):
                start, size = (
                    int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", 1) or 0)
                    for what in ("OFFSET", "SIZE")
                )
                if start == 0 or size == 0 or start + size > length:
                    raise OSError("the file is not whole; is the disk full?")


def write_geotiff(
    path: str | PathLike[str],
    band: NDArray[np.generic],
    reference: GeoReference | None = None,
    *,
    nodata: float | None = None,
    palette: NDArray[np.uint8] | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write ``(H, W)`` values whole; see :func:`create_geotiff`."""
    with create_geotiff(
        path,
        (band.shape[0], band.shape[1]),
        str(band.dtype),
        reference,
        nodata=nodata,
        palette=palette,
        description=description,
        tags=tags,
    ) as writer:
        writer.write(band)
