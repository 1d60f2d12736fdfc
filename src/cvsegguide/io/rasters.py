"""Overhead images and rasters: georeferenced or plain, read whole or by windows.

:mod:`cvsegguide.io.location` says how it is decided where an image lies, and on which grid.

**Values.** 8-bit data are taken as they are, palettes are expanded, one band is grey, of four or
more bands red, green and blue are taken where the file names them, else the first three; an alpha
band, nodata and NaN become the mask. Floats in [0, 1] are scaled to 8 bits. Everything else
(16-bit, wider floats) has no natural brightness: the error says how to choose one with
``gdal_translate -ot Byte -scale MIN MAX``.
"""

import contextlib
import math
import shlex
import warnings
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import Bounds, GeoReference
from cvsegguide.io.images import ImageLike, check_file, read_image_and_alpha, reason
from cvsegguide.io.location import is_north_up, locate, reference_of_file
from cvsegguide.io.resampling import warp_north_up

MAX_PIXELS = 178_956_970
"""Images that are held in memory whole may have this many pixels (Pillow's own limit)."""

_PLAIN_DRIVERS = {"PNG", "JPEG", "BMP", "GIF", "WEBP", "JPEGXL", "PNM"}


class Raster:
    """An overhead image that is read by windows.

    Attributes:
        name: For messages.
        shape: ``(H, W)``.
        reference: Where it lies, or None; it may be rotated.
        gsd: Metres per pixel at the centre, or None.
    """

    def __init__(
        self, name: str, shape: tuple[int, int], reference: GeoReference | None, gsd: float | None
    ) -> None:
        self.name = name
        self.shape = shape
        self.reference = reference
        self.gsd = gsd

    def read(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The window's image ``(h, w, 3)`` and mask ``(h, w)``; it must lie inside."""
        raise NotImplementedError

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """``(height, width)`` of a pixel in metres on the ground, or None."""
        if self.reference is not None:
            return self.reference.pixel_size
        return None if self.gsd is None else (self.gsd, self.gsd)


class Overhead(Raster):
    """An overhead image in memory.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB.
        valid: ``(H, W)`` bool, False where there is no data.
        name, shape, reference, gsd: As of every :class:`Raster`.
    """

    def __init__(
        self,
        image: NDArray[np.uint8],
        valid: NDArray[np.bool_],
        reference: GeoReference | None,
        gsd: float | None,
        name: str,
    ) -> None:
        super().__init__(name, (image.shape[0], image.shape[1]), reference, gsd)
        self.image = image
        self.valid = valid

    def read(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """See :meth:`Raster.read`."""
        window = np.s_[top:bottom, left:right]
        return self.image[window], self.valid[window]


def read_overhead(
    source: ImageLike,
    bounds: tuple[float, float, float, float] | None = None,
    gsd: float | None = None,
    name: str = "overhead image",
    driver: str | None = None,
    max_pixels: int | None = None,
) -> Overhead:
    """Read an overhead image whole; the module's text says how.

    Args:
        source: Path of any raster that GDAL reads, PIL image, or uint8 array ``(H, W, 3)``.
        bounds: ``(west, south, east, north)`` in degrees.
        gsd: Metres per pixel.
        name: What to call an image without a path.
        driver: The one of GDAL's drivers that may read a file (``"GTiff"``), any by default. Files
            of strangers want one: some formats are descriptions that lead to other files and to
            the network.
        max_pixels: As stored, and again when turned north up, which may take many more; by default
            :data:`MAX_PIXELS`.

    Raises:
        InputError: It cannot be used; the message says why.
        ConfigurationError: ``bounds`` and ``gsd`` contradict each other or the file.
    """
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    with open_raster(source, bounds, gsd, name, driver) as raster:
        height, width = raster.shape
        if height * width > max_pixels:
            raise InputError(
                f"{raster.name}: {height * width / 1e6:.0f} megapixels are too many for one "
                "localisation; cut out the area in question (gdal_translate -projwin)"
            )
        image, valid = raster.read(0, 0, height, width)
        reference = raster.reference
        if reference is not None and not is_north_up(reference):
            image, valid, reference = warp_north_up(
                raster.name, image, valid, reference, max_pixels
            )
        if not valid.any():
            raise InputError(f"{raster.name}: holds no valid pixel (all nodata)")
        size = reference.gsd if reference is not None else raster.gsd
        return Overhead(image, valid, reference, size, raster.name)


class _FileRaster(Raster):
    def __init__(
        self, name: str, dataset: Any, reference: GeoReference | None, gsd: float | None
    ) -> None:
        from rasterio.enums import MaskFlags

        super().__init__(name, (dataset.height, dataset.width), reference, gsd)
        self._dataset = dataset
        self._bands, self._palette = _choose_bands(dataset, name)
        self._float = _check_values(dataset, self._bands, name)
        self._everywhere = all(flags == [MaskFlags.all_valid] for flags in dataset.mask_flag_enums)

    def read(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        from rasterio.windows import Window

        window = Window(left, top, right - left, bottom - top)
        try:
            # Laid out pixel by pixel, as pictures are, so that nothing is turned afterwards.
            kind = np.result_type(*(self._dataset.dtypes[band - 1] for band in self._bands))
            pixels = np.empty((bottom - top, right - left, len(self._bands)), kind)
            values = pixels.transpose(2, 0, 1)
            self._dataset.read(self._bands, window=window, out=values)
            if self._everywhere:
                valid = np.ones((bottom - top, right - left), bool)
            else:
                valid = self._dataset.dataset_mask(window=window) >= 128
        except Exception as error:  # GDAL's errors on damaged data are of many kinds
            raise InputError(
                f"{self.name}: damaged or truncated raster ({reason(error)})"
            ) from None
        if self._float:
            finite = np.isfinite(values).all(axis=0)
            valid &= finite
            values = np.where(finite, values, 0.0)
            values = np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
        if self._palette is not None:
            colors = self._palette[values[0]]
            valid &= colors[..., 3] >= 128
            return np.ascontiguousarray(colors[..., :3]), valid
        if len(values) == 1:
            values = np.repeat(values, 3, axis=0)
        return np.ascontiguousarray(values.transpose(1, 2, 0)), valid


@contextlib.contextmanager
def open_raster(
    source: ImageLike,
    bounds: tuple[float, float, float, float] | None = None,
    gsd: float | None = None,
    name: str = "overhead image",
    driver: str | None = None,
) -> Iterator[Raster]:
    """Open an overhead image for reading by windows; arguments as :func:`read_overhead`.

    Plain pictures (PNG, JPEG, ...) of up to :data:`MAX_PIXELS` are read whole, with their EXIF
    orientation; larger ones by windows, as they are stored.
    """
    if bounds is not None:
        if len(bounds) != 4:
            raise InputError(f"four numbers are wanted, got {bounds}", parameter="bounds")
        bounds = Bounds(*(float(value) for value in bounds)).validated()
    if gsd is not None and not (math.isfinite(gsd) and gsd > 0):
        raise InputError(f"metres per pixel must be positive, got {gsd}", parameter="gsd")
    if not isinstance(source, str | PathLike):
        image, valid = _read_picture(source, name)
        yield Overhead(image, valid, *locate(name, image.shape[:2], bounds, gsd), name)
        return
    path = Path(fspath(source))
    check_file(path)
    with _open_dataset(path, driver) as dataset:
        if dataset is None or (
            dataset.driver in _PLAIN_DRIVERS
            and (dataset.crs is None or dataset.transform.is_identity)
            and dataset.height * dataset.width <= MAX_PIXELS
        ):
            image, valid = _read_picture(path, str(path))
            located = locate(str(path), image.shape[:2], bounds, gsd, path=path)
            yield Overhead(image, valid, *located, str(path))
            return
        reference = reference_of_file(dataset)
        located = locate(str(path), dataset.shape, bounds, gsd, reference, path=path)
        yield _FileRaster(str(path), dataset, *located)


def _read_picture(source: ImageLike, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A plain picture, and where its alpha shows it."""
    image, alpha = read_image_and_alpha(source, name)
    return image, np.ones(image.shape[:2], bool) if alpha is None else alpha >= 128


@contextlib.contextmanager
def _open_dataset(path: Path, driver: str | None = None) -> Iterator[Any]:
    """The data set of rasterio, or None when GDAL does not know the format."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = rasterio.open(path, driver=driver)
        except RasterioError:
            dataset = None
    if dataset is None:
        yield None
        return
    with dataset:
        if dataset.count == 0:
            raise InputError(f"{path}: holds no image (a container of sub-datasets?)")
        yield dataset


def _choose_bands(dataset: Any, name: str) -> tuple[list[int], NDArray[np.uint8] | None]:
    """Indexes of the bands that make the picture, and the palette when there is one."""
    from rasterio.enums import ColorInterp

    meanings = list(dataset.colorinterp)
    visible = [i + 1 for i, meaning in enumerate(meanings) if meaning != ColorInterp.alpha]
    if ColorInterp.palette in meanings:
        band = meanings.index(ColorInterp.palette) + 1
        palette = np.zeros((256, 4), np.uint8)
        for index, color in dataset.colormap(band).items():
            if 0 <= index < 256:
                palette[index] = color
        return [band], palette
    named = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(meaning in meanings for meaning in named):
        return [meanings.index(meaning) + 1 for meaning in named], None
    if len(visible) == 1:
        return visible, None
    if len(visible) >= 3:
        return visible[:3], None
    raise InputError(
        f"{name}: has {len(visible)} bands besides alpha; an image has one (grey) or at least "
        "three (red, green, blue)"
    )


def _check_values(dataset: Any, bands: list[int], name: str) -> bool:
    """Whether the values are floats in [0, 1]; raise when they are neither that nor 8-bit."""
    kinds = {dataset.dtypes[band - 1] for band in bands}
    if kinds == {"uint8"}:
        return False
    advice = f"rescale it first: gdal_translate -ot Byte -scale MIN MAX {shlex.quote(name)} out.tif"
    kind = ", ".join(sorted(kinds))
    if not kinds <= {"float32", "float64"}:
        raise InputError(f"{name}: holds {kind} values, not 8-bit; {advice}")
    scale = max(1.0, max(dataset.shape) / 1024)
    out = tuple(max(1, int(side / scale)) for side in dataset.shape)
    try:
        values = dataset.read(bands, out_shape=(len(bands), *out), masked=True)
    except Exception as error:
        raise InputError(f"{name}: damaged or truncated raster ({reason(error)})") from None
    finite = np.ma.masked_invalid(values).compressed()
    if not finite.size:
        raise InputError(f"{name}: holds no valid pixel (all nodata or NaN)")
    low, high = float(finite.min()), float(finite.max())
    if low < -1e-3 or high > 1.001:
        raise InputError(
            f"{name}: holds {kind} values from {low:g} to {high:g}, not in [0, 1]; {advice}"
        )
    return True


def read_band(source: str | PathLike[str]) -> NDArray[Any]:
    """A raster as it is stored: its only band ``(H, W)``, or all of them ``(bands, H, W)``."""
    path = Path(source)
    check_file(path)
    with _open_dataset(path) as dataset:
        if dataset is None:
            raise InputError(f"{path}: not a raster in a format that can be read")
        try:
            values: NDArray[Any] = dataset.read(1) if dataset.count == 1 else dataset.read()
        except Exception as error:
            raise InputError(f"{path}: damaged or truncated raster ({reason(error)})") from None
    return values


def read_landcover(
    source: str | PathLike[str] | NDArray[np.uint8], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Read class ids ``(H, W)`` uint8: the first band of a raster, the indexes of a palette.

    Raises:
        InputError: It is no single 8-bit band, or its size is not ``shape``.
    """
    if isinstance(source, np.ndarray):
        name, ids = "land cover", source
    else:
        name, ids = fspath(source), read_band(source)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise InputError(
            f"{name}: land cover is one band of 8-bit class ids, got {ids.dtype} of shape "
            f"{' x '.join(map(str, ids.shape))}"
        )
    if ids.shape != tuple(shape):
        raise InputError(
            f"{name}: its size {ids.shape[0]} x {ids.shape[1]} is not that of the overhead image, "
            f"{shape[0]} x {shape[1]}"
        )
    return np.ascontiguousarray(ids)
