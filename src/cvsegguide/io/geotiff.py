"""GeoTIFFs of one band, written by windows: either whole or not there.

The files are cloud-optimised (COG, OGC 21-026): tiles, overviews down to one tile, everything in
the order in which a reader over a network wants it, and statistics. A desktop GIS opens even large
ones at once, with the right colours and stretch.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference
from cvsegguide.io.atomic import atomic_path, temporary_path
from cvsegguide.io.images import reason

SIDE = 256
"""Of a tile in pixels."""


Write = Callable[..., None]
"""``write(band, top=0, left=0)``: ``(h, w)`` values with their top-left corner there."""


@contextmanager
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
) -> Iterator[Write]:
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

    Yields:
        A function that writes ``(h, w)`` values with their top-left corner at ``(top, left)``.

    Raises:
        InputError: It cannot be written.
    """
    import rasterio
    from affine import Affine
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window

    path = Path(path)
    plain_path = path.with_name(f"{path.stem}-part{path.suffix}")
    profile: dict[str, Any] = {"height": shape[0], "width": shape[1], "dtype": dtype, "count": 1}
    profile |= {"nodata": nodata, "tiled": True, "blockxsize": SIDE, "blockysize": SIDE}
    if reference is not None:
        profile |= {"crs": reference.crs, "transform": Affine(*reference.transform)}
    with (
        atomic_path(path) as temporary,
        temporary_path(plain_path) as plain,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(
                plain, "w", driver="GTiff", bigtiff="IF_SAFER", **profile
            ) as dataset:
                if palette is not None:
                    colors = {i: (*map(int, color), 255) for i, color in enumerate(palette)}
                    dataset.write_colormap(1, colors)
                dataset.set_band_description(1, description)
                dataset.update_tags(**(tags or {}))

                def write(band: NDArray[np.generic], top: int = 0, left: int = 0) -> None:
                    window = Window(left, top, band.shape[1], band.shape[0])
                    dataset.write(band, 1, window=window)

                yield write
            _check_whole(plain)
            _order(plain, temporary, dtype, "average" if palette is None else "mode")
            _check_whole(temporary)
        except (RasterioError, OSError) as error:
            raise InputError(f"{path}: cannot be written ({reason(error)})") from None


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
    **options: Any,
) -> None:
    """Write ``(H, W)`` values whole; options as of :func:`create_geotiff`."""
    shape = band.shape[0], band.shape[1]
    with create_geotiff(path, shape, str(band.dtype), reference, **options) as write:
        write(band)
