"""Overhead images and rasters: georeferenced or plain, read whole or by windows.

**Where an overhead image lies** is decided in this order, the first that is there wins:

1. ``bounds`` given by the caller. They replace whatever the file says: whoever passes them knows
   that the file is wrong or silent.
2. The file's own coordinate system and transform, or ground control points that make one.
3. A file name that ends in ``z/x/y.ext``: a slippy-map tile in Web Mercator.
4. Nothing: positions are in pixels, and longitude and latitude are unknown.

A ``gsd`` given by the caller must agree with 1 and 2 to 5 % (a contradiction is an error); it
overrides the name of 3, which may be a coincidence; without any of them it is all there is.

**Grid.** Images whose rows run west to east and whose columns run north to south in their own
coordinate system keep their own grid, whatever the shape of their pixels on the ground
(:attr:`~cvsegguide.geo.GeoReference.pixel_size` has both sides, ``gsd`` is the geometric mean at
the centre). Rotated, sheared or flipped rasters are warped to a north-up grid in the same system.
Up in a projected system may differ from true north by a few degrees (meridian convergence):
:attr:`~cvsegguide.geo.GeoReference.up_azimuth` says by how much, and localisation subtracts it
from the heading.

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
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.errors import ConfigurationError, InferenceWarning, InputError
from cvsegguide.geo import Bounds, GeoReference, parse_tile_name
from cvsegguide.io.images import ImageLike, check_file, read_image_and_alpha

MAX_PIXELS = 178_956_970
"""Images that are held in memory whole may have this many pixels (Pillow's own limit)."""

MAX_ASPECT = 1.5
"""Bounds given by the caller may make one side of a pixel this much longer than the other on the
ground. Files may be of any shape: they know their own."""

_BLOCK = 1024
"""Rows of blocks up to which windows are read by whole rows of them."""

_PLAIN_DRIVERS = {"PNG", "JPEG", "BMP", "GIF", "WEBP", "JPEGXL", "PNM"}


@dataclass(frozen=True)
class Overhead:
    """An overhead image in memory.

    Attributes:
        image: ``(H, W, 3)`` uint8, RGB, north up.
        valid: ``(H, W)`` bool, False where there is no data.
        reference: Where it lies, or None.
        gsd: Metres per pixel at the centre, or None.
        name: For messages.
    """

    image: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    reference: GeoReference | None
    gsd: float | None
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        """``(H, W)``."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """``(height, width)`` of a pixel in metres on the ground, or None."""
        if self.reference is not None:
            return self.reference.pixel_size
        return None if self.gsd is None else (self.gsd, self.gsd)


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
        if reference is not None and not _is_north_up(reference):
            image, valid, reference = _warp_north_up(
                raster.name, image, valid, reference, max_pixels
            )
        if not valid.any():
            raise InputError(f"{raster.name}: holds no valid pixel (all nodata)")
        size = reference.gsd if reference is not None else raster.gsd
        return Overhead(image, valid, reference, size, raster.name)


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


class _ArrayRaster(Raster):
    def __init__(
        self,
        name: str,
        image: NDArray[np.uint8],
        alpha: NDArray[np.uint8] | None,
        reference: GeoReference | None,
        gsd: float | None,
    ) -> None:
        super().__init__(name, (image.shape[0], image.shape[1]), reference, gsd)
        self._image = image
        self._valid = np.ones(self.shape, bool) if alpha is None else alpha >= 128

    def read(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        window = np.s_[top:bottom, left:right]
        return self._image[window], self._valid[window]


class _FileRaster(Raster):
    def __init__(
        self, name: str, dataset: Any, reference: GeoReference | None, gsd: float | None
    ) -> None:
        from rasterio.enums import MaskFlags

        super().__init__(name, (dataset.height, dataset.width), reference, gsd)
        self._dataset = dataset
        self._bands, self._palette = _choose_bands(dataset, name)
        self._float = _check_values(dataset, self._bands, name)
        self._plain = (
            len(self._bands) == 3
            and self._palette is None
            and all(dataset.dtypes[band - 1] == "uint8" for band in self._bands)
        )
        self._everywhere = all(flags == [MaskFlags.all_valid] for flags in dataset.mask_flag_enums)
        self._rows = max(shape[0] for shape in dataset.block_shapes)
        self._known: tuple[int, int, NDArray[np.uint8]] | None = None

    def read(
        self, top: int, left: int, bottom: int, right: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        from rasterio.windows import Window

        window = Window(left, top, right - left, bottom - top)
        try:
            if self._plain and self._everywhere and self._rows <= _BLOCK:
                image = self._by_blocks(top, left, bottom, right)
            elif self._plain:
                image = self._pixels(top, left, bottom, right)
            else:
                values = self._dataset.read(self._bands, window=window)
            if self._everywhere:
                valid = np.ones((bottom - top, right - left), bool)
            else:
                valid = self._dataset.dataset_mask(window=window) >= 128
        except Exception as error:  # GDAL's errors on damaged data are of many kinds
            raise InputError(
                f"{self.name}: damaged or truncated raster ({_reason(error)})"
            ) from None
        if self._plain:
            return image, valid
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

    def _pixels(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Pixel by pixel at once, rather than band by band and turned."""
        from rasterio.windows import Window

        image = np.empty((bottom - top, right - left, 3), np.uint8)
        window = Window(left, top, right - left, bottom - top)
        self._dataset.read(self._bands, window=window, out=image.transpose(2, 0, 1))
        return image

    def _by_blocks(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """The same by whole rows of blocks: what is over is kept for windows further down.

        GDAL unpacks those into place, others into its cache first, for half as much time again.
        """
        height, side = self.shape[0], self._rows
        first, end = top // side * side, min(-(-bottom // side) * side, height)
        known, self._known = self._known, None
        if (
            known is not None
            and known[0] <= top < known[0] + len(known[2])
            and (known[1], known[2].shape[1]) == (left, right - left)
        ):
            first, image = top, known[2][top - known[0] :]
            if top + len(image) < end:
                below = self._pixels(top + len(image), left, end, right)
                image = np.concatenate((image, below))
        else:
            image = self._pixels(first, left, end, right)
        if bottom < height:
            self._known = first, left, image
        return image[top - first : bottom - first]


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
            raise InputError(f"--bounds: west, south, east and north are wanted, got {bounds}")
        bounds = Bounds(*(float(value) for value in bounds)).validated("--bounds")
    if gsd is not None and not (math.isfinite(gsd) and gsd > 0):
        raise InputError(f"--gsd: metres per pixel must be positive, got {gsd}")
    if not isinstance(source, str | PathLike):
        image, alpha = read_image_and_alpha(source, name)
        yield _ArrayRaster(name, image, alpha, *_locate(name, image.shape[:2], bounds, gsd))
        return
    path = Path(fspath(source))
    check_file(path)
    with _opened(path, driver) as dataset:
        if dataset is None or (
            dataset.driver in _PLAIN_DRIVERS
            and (dataset.crs is None or dataset.transform.is_identity)
            and dataset.height * dataset.width <= MAX_PIXELS
        ):
            image, alpha = read_image_and_alpha(path)
            located = _locate(str(path), image.shape[:2], bounds, gsd, path=path)
            yield _ArrayRaster(str(path), image, alpha, *located)
            return
        reference = _file_reference(dataset)
        located = _locate(
            str(path), (dataset.height, dataset.width), bounds, gsd, reference, path=path
        )
        yield _FileRaster(str(path), dataset, *located)


@contextlib.contextmanager
def _opened(path: Path, driver: str | None = None) -> Iterator[Any]:
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


def _file_reference(dataset: Any) -> GeoReference | None:
    system, affine = dataset.crs, dataset.transform
    points, points_system = dataset.gcps
    if len(points) >= 3 and points_system is not None:
        system, affine = points_system, _fitted(dataset.name, points)
    if system is None or affine.is_identity:
        return None
    transform = tuple(float(value) for value in affine)[:6]
    if abs(affine.determinant) < 1e-30 or not all(map(math.isfinite, transform)):
        raise InputError(f"{dataset.name}: its geotransform is degenerate: {transform}")
    code = system.to_epsg()
    crs = f"EPSG:{code}" if code else system.to_wkt()
    return GeoReference(crs, transform, dataset.height, dataset.width)  # type: ignore[arg-type]


def _fitted(name: str, points: Any) -> Any:
    """The affine transform through ground control points; they must agree with one."""
    from rasterio.transform import from_gcps

    affine = from_gcps(points)
    if abs(affine.determinant) < 1e-30:
        raise InputError(f"{name}: its ground control points lie on a line")
    a, b, c, d, e, f = tuple(~affine)[:6]
    misses = [
        math.hypot(
            a * point.x + b * point.y + c - point.col, d * point.x + e * point.y + f - point.row
        )
        for point in points
    ]
    if max(misses) > 1.0:
        raise InputError(
            f"{name}: its ground control points miss a straight grid by up to {max(misses):.0f} "
            f"pixels; warp it first: gdalwarp {shlex.quote(name)} out.tif"
        )
    return affine


def _locate(
    name: str,
    shape: tuple[int, ...],
    bounds: Bounds | None,
    gsd: float | None,
    reference: GeoReference | None = None,
    path: Path | None = None,
) -> tuple[GeoReference | None, float | None]:
    """Decide between what the caller, the file and its name say."""
    height, width = shape[:2]
    origin = "the file's georeference"
    if bounds is not None:
        reference = GeoReference.from_bounds(bounds, height, width)
        origin = "--bounds"
    if reference is not None:
        try:
            described = reference.gsd
            extent = reference.bounds
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        if not math.isfinite(described) or not all(map(math.isfinite, extent)):
            raise InputError(f"{name}: its georeference lies outside the globe")
        if gsd is not None and not 0.95 < gsd / described < 1.05:
            raise ConfigurationError(
                f"{name}: --gsd {gsd:g} contradicts {origin}, which gives {described:.4g} m/px"
            )
        return reference, described
    tile = parse_tile_name(path.absolute()) if path is not None else None
    if tile is not None:
        reference = GeoReference.from_tile(*tile, height, width)
        if gsd is None or 0.95 < gsd / reference.gsd < 1.05:
            return reference, reference.gsd
        message = (
            f"{name}: --gsd {gsd:g} is not that of map tile {'/'.join(map(str, tile))}, as it is "
            f"called, {reference.gsd:.4g} m/px: it is taken for no map tile, and has no place"
        )
        warnings.warn(message, InferenceWarning, stacklevel=2)
    return None, gsd


def check_given_bounds(image: Overhead | Raster) -> None:
    """Refuse bounds that make pixels far from square, as latitude before longitude does.

    Args:
        image: Opened with bounds from the caller.

    Raises:
        InputError: One side of its pixels is more than :data:`MAX_ASPECT` times the other.
    """
    down, across = image.pixel_size or (1.0, 1.0)
    ratio = max(down / across, across / down)
    if ratio > MAX_ASPECT:
        raise InputError(
            f"{image.name}: --bounds make its pixels {ratio:.1f} : 1 on the ground; the order is "
            "WEST SOUTH EAST NORTH, so that longitude comes before latitude"
        )


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
        raise InputError(f"{name}: damaged or truncated raster ({_reason(error)})") from None
    finite = np.ma.masked_invalid(values).compressed()
    if not finite.size:
        raise InputError(f"{name}: holds no valid pixel (all nodata or NaN)")
    low, high = float(finite.min()), float(finite.max())
    if low < -1e-3 or high > 1.001:
        raise InputError(
            f"{name}: holds {kind} values from {low:g} to {high:g}, not in [0, 1]; {advice}"
        )
    return True


def _is_north_up(reference: GeoReference) -> bool:
    a, b, _, d, e, _ = reference.transform
    # A skew that moves the far corner by less than a tenth of a pixel does not matter.
    slack_x, slack_y = abs(b) * reference.height, abs(d) * reference.width
    return a > 0 and e < 0 and slack_x < 0.1 * abs(a) and slack_y < 0.1 * abs(e)


def _warp_north_up(
    name: str,
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    reference: GeoReference,
    max_pixels: int,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], GeoReference]:
    """Resample onto a north-up grid in the same system, pixels as large as the original's."""
    from affine import Affine
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    a, b, c, d, e, f = reference.transform
    height, width = reference.height, reference.width
    xs = [c, c + a * width, c + b * height, c + a * width + b * height]
    ys = [f, f + d * width, f + e * height, f + d * width + e * height]
    left, right, bottom, top = min(xs), max(xs), min(ys), max(ys)
    step_x = step_y = math.sqrt(abs(a * e - b * d))
    # A unit may be of different length on the ground along x and y (degrees).
    middle = (1e-6, 0.0, (left + right) / 2, 0.0, -1e-6, (bottom + top) / 2)
    metres_y, metres_x = GeoReference(reference.crs, middle, 1, 1).pixel_size
    if not 0.99 < metres_y / metres_x < 1.01:
        stretch = math.sqrt(metres_y / metres_x)
        step_x, step_y = step_x * stretch, step_y / stretch
    out_width = max(1, math.ceil((right - left) / step_x - 1e-6))
    out_height = max(1, math.ceil((top - bottom) / step_y - 1e-6))
    if out_width * out_height > max_pixels:
        raise InputError(
            f"{name}: turned north up it has {out_width} x {out_height} pixels, more than the "
            f"{max_pixels / 1e6:g} megapixels that are taken; warp it first (gdalwarp)"
        )
    target = Affine(step_x, 0.0, left, 0.0, -step_y, top)
    options: dict[str, Any] = {
        "src_transform": Affine(a, b, c, d, e, f),
        "dst_transform": target,
        "src_crs": reference.crs,
        "dst_crs": reference.crs,
    }
    planes = np.zeros((3, out_height, out_width), np.uint8)
    reproject(
        np.ascontiguousarray(image.transpose(2, 0, 1)),
        planes,
        resampling=Resampling.bilinear,
        **options,
    )
    mask = np.zeros((out_height, out_width), np.uint8)
    reproject(valid.astype(np.uint8), mask, resampling=Resampling.nearest, **options)
    transform = (step_x, 0.0, left, 0.0, -step_y, top)
    warped = GeoReference(reference.crs, transform, out_height, out_width)
    return np.ascontiguousarray(planes.transpose(1, 2, 0)), mask.astype(bool), warped


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
        path = Path(fspath(source))
        name = str(path)
        check_file(path)
        with _opened(path) as dataset:
            if dataset is None:
                raise InputError(f"{name}: not a raster in a format that can be read")
            try:
                ids = dataset.read(1) if dataset.count == 1 else dataset.read()
            except Exception as error:
                raise InputError(
                    f"{name}: damaged or truncated raster ({_reason(error)})"
                ) from None
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


def resample(
    image: NDArray[np.uint8],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
    nearest: bool = False,
) -> NDArray[np.uint8]:
    """Antialiased resize of ``(H, W)`` or ``(H, W, 3)`` uint8 to ``size``.

    Args:
        image: What to resize.
        size: ``(h, w)`` of the result.
        box: ``(top, left, bottom, right)`` in pixels of ``image``, fractions allowed: the part
            that fills the result. The filter may reach beyond it, into the rest of ``image``.
        nearest: Take the nearest pixel (for class ids) instead of the antialiased average.
    """
    height, width = image.shape[:2]
    if box is None:
        box = (0.0, 0.0, float(height), float(width))
    if box == (0.0, 0.0, float(height), float(width)) and size == (height, width):
        return image
    top, left, bottom, right = box
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    resized = Image.fromarray(image).resize(
        (size[1], size[0]), method, box=(left, top, right, bottom)
    )
    return np.asarray(resized)


def resampled_mask(valid: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """``(H, W)`` at ``size`` ``(h, w)``: where any data bear on a pixel."""
    return resample(np.where(valid, np.uint8(255), np.uint8(0)), size) > 0


def filled(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``image`` with the mean colour of its valid pixels where it has no data."""
    if valid.all():
        return image
    mean = image[valid].mean(axis=0) if valid.any() else np.full(3, 127.0)
    return np.where(valid[..., None], image, np.rint(mean).astype(np.uint8))


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:160]
