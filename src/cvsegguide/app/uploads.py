"""Files of strangers become files of our own, or a sentence about what is wrong with them.

What a file is, is told by its first bytes, never by its name. Of GDAL's drivers only GeoTIFF's may
touch it, of Pillow's decoders only a few: others read descriptions that lead to other files or to
the network. Its size in pixels is known before anything is decoded. What was read is written anew,
and only that is used from then on.
"""

import contextlib
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.app.settings import Limits
from cvsegguide.app.wording import for_page
from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference
from cvsegguide.io.images import read_image
from cvsegguide.io.rasters import Overhead, read_overhead

PREVIEW_SIDE = 1600
"""Pictures are shown with at most so many pixels a side."""

STREET_WIDTH = 4096
"""Street views are kept with at most so many columns: models look at far fewer."""

_FORMATS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "BMP": (b"BM",),
}
Decoded = TypeVar("Decoded")

_READABLE = "GeoTIFF, TIFF, PNG, JPEG, WebP and BMP can be read"
_MOST_BANDS = 16


@dataclass(frozen=True)
class Upload:
    """A picture that was let in.

    Attributes:
        id: Unguessable.
        kind: ``"overhead"`` or ``"street"``.
        name: What its owner calls it.
        path: Our copy: a GeoTIFF, or for street views an array of NumPy.
        preview: JPEG for the page.
        height, width: In pixels; of a street view as it was uploaded.
        gsd: Metres per pixel, or None.
        reference: Where it lies, or None.
        size: Bytes of both files.
        truth: For examples: where the camera stood, ``(row, col)`` of the overhead image.
    """

    id: str
    kind: str
    name: str
    path: Path
    preview: Path
    height: int
    width: int
    gsd: float | None = None
    reference: GeoReference | None = None
    size: int = 0
    truth: tuple[float, float] | None = field(default=None, repr=False)

    def describe(self) -> dict[str, Any]:
        """For the page."""
        system = None if self.reference is None else self.reference.crs
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "height": self.height,
            "width": self.width,
            "gsd": self.gsd,
            "crs": "own system" if system is not None and len(system) > 20 else system,
            "bounds": None if self.reference is None else list(self.reference.bounds),
        }


def image_format(path: Path) -> str | None:
    """The format that a file's first bytes tell, by Pillow's name, if it is one that we read."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    for name, beginnings in _FORMATS.items():
        if head.startswith(beginnings):
            return name
    return None


def accept_overhead(path: Path, name: str, limits: Limits) -> Upload:
    """Read an overhead image and write it anew beside ``path``, which is removed.

    Args:
        path: What was uploaded, under a name of ours in a folder of its own.
        name: What its owner calls it, for messages.
        limits: How large it may be.

    Raises:
        InputError: It cannot be used; the message is for the page.
    """
    with _own_words(path, name):
        aerial = _read_aerial(path, limits)
        copy = path.parent / f"overhead-{secrets.token_hex(4)}.tif"
        _write_overhead(copy, aerial)
        preview = _write_preview(copy.with_suffix(".jpg"), aerial.image)
    return Upload(
        id=secrets.token_urlsafe(16),
        kind="overhead",
        name=name,
        path=copy,
        preview=preview,
        height=aerial.shape[0],
        width=aerial.shape[1],
        gsd=aerial.gsd,
        reference=aerial.reference,
        size=copy.stat().st_size + preview.stat().st_size,
    )


def accept_street(path: Path, name: str, limits: Limits) -> Upload:
    """The same for a street view; see :func:`accept_overhead`."""
    with _own_words(path, name):
        found = _known_format(path)
        if found == "TIFF":
            _check_tiff(path, limits.street_pixels, limits.decoded_bytes)
        view = _read_picture(path, found, limits.street_pixels, read_image)
        height, width = view.shape[:2]
        if min(height, width) < 8:
            raise InputError(f"{path}: {width} x {height} pixels are too few")
        if width > STREET_WIDTH:
            size = (STREET_WIDTH, max(1, round(height * STREET_WIDTH / width)))
            view = np.asarray(Image.fromarray(view).resize(size, Image.Resampling.BOX))
        copy = path.parent / f"street-{secrets.token_hex(4)}.npy"
        np.save(copy, view, allow_pickle=False)
        preview = _write_preview(copy.with_suffix(".jpg"), view)
    return Upload(
        id=secrets.token_urlsafe(16),
        kind="street",
        name=name,
        path=copy,
        preview=preview,
        height=height,
        width=width,
        size=copy.stat().st_size + preview.stat().st_size,
    )


def read_street(upload: Upload) -> NDArray[np.uint8]:
    """The pixels ``(h, w, 3)`` of a street view that was let in."""
    return np.asarray(np.load(upload.path, allow_pickle=False), np.uint8)


@contextlib.contextmanager
def _own_words(path: Path, name: str) -> Iterator[None]:
    """Errors name the file as its owner does; the file itself is gone in any case."""
    try:
        yield
    except InputError as error:
        raise type(error)(for_page(str(error), {path: name})) from None
    except MemoryError:
        raise InputError(f"{name}: too large for this machine's memory") from None
    finally:
        path.unlink(missing_ok=True)


def _known_format(path: Path) -> str:
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    found = image_format(path)
    if found is None:
        raise InputError(f"{path}: not a picture ({_READABLE})")
    return found


def _read_aerial(path: Path, limits: Limits) -> Overhead:
    found = _known_format(path)
    if found != "TIFF":
        return _read_picture(path, found, limits.overhead_pixels, read_overhead)
    _check_tiff(path, limits.overhead_pixels, limits.decoded_bytes)
    return read_overhead(path, driver="GTiff", max_pixels=limits.overhead_pixels)


def _check_tiff(path: Path, pixels: int, decoded: int) -> None:
    """Refuse what a TIFF declares to be too large, before anything of it is decoded.

    Bands that nobody looks at are decoded with those beside them, a whole block at a time, and
    blocks may be larger than the image.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path, driver="GTiff") as dataset:
                height, width, bands = dataset.height, dataset.width, dataset.count
                blocks, kinds = dataset.block_shapes, dataset.dtypes
        except RasterioError:
            raise InputError(f"{path}: damaged, or no TIFF that GDAL reads") from None
    _check_pixels(path, height, width, pixels)
    if bands > _MOST_BANDS:
        raise InputError(f"{path}: {bands} bands; more than {_MOST_BANDS} are not read here")
    depth = sum(_bytes_of(kind) for kind in kinds)
    area = max(height * width, *(down * across for down, across in blocks))
    if area * depth > decoded:
        raise InputError(
            f"{path}: {bands} bands of {kinds[0]} decode to {area * depth / 1e6:.0f} MB; at most "
            f"{decoded / 1e6:.0f} MB are taken here, so keep red, green and blue as 8-bit values"
        )


def _bytes_of(kind: str) -> int:
    """Of one value; NumPy does not know all of GDAL's kinds."""
    try:
        return int(np.dtype(kind).itemsize)
    except TypeError:
        return 16


def _read_picture(
    path: Path, found: str, most: int, read: Callable[[Image.Image], Decoded]
) -> Decoded:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=[found]) as image:
                _check_pixels(path, image.height, image.width, most)
                return read(image)
        except InputError:
            raise
        except Image.DecompressionBombError:
            raise InputError(
                f"{path}: far too many pixels; at most {most / 1e6:g} megapixels are taken here"
            ) from None
        except Exception as error:  # a decoder may fail in any way on a damaged file
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
            if str(path) in reason:  # "cannot identify image file PATH"
                reason = f"no {found} inside"
            raise InputError(f"{path}: damaged or truncated image ({reason})") from None


def _check_pixels(path: Path, height: int, width: int, most: int) -> None:
    if height * width > most:
        raise InputError(
            f"{path}: {width} x {height} pixels are {height * width / 1e6:.3g} megapixels; at most "
            f"{most / 1e6:g} are taken here, so cut out the area in question or shrink it"
        )


def _write_overhead(path: Path, aerial: Overhead) -> None:
    """RGBA, lossless, with its place."""
    import rasterio
    from affine import Affine
    from rasterio.enums import ColorInterp
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    height, width = aerial.shape
    options: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 4,
        "dtype": "uint8",
        "photometric": "RGB",
        "tiled": True,
        "compress": "deflate",
        "zlevel": 1,
    }
    if aerial.reference is not None:
        reference = aerial.reference
        options |= {"crs": reference.crs, "transform": Affine(*reference.transform)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path, "w", **options) as dataset:
                dataset.write(np.ascontiguousarray(aerial.image.transpose(2, 0, 1)), [1, 2, 3])
                dataset.write(np.where(aerial.valid, np.uint8(255), np.uint8(0)), 4)
                dataset.colorinterp = (
                    ColorInterp.red,
                    ColorInterp.green,
                    ColorInterp.blue,
                    ColorInterp.alpha,
                )
        except (RasterioError, OSError) as error:
            raise InputError(f"the picture could not be kept ({str(error)[:120]})") from None


def _write_preview(path: Path, picture: NDArray[np.uint8]) -> Path:
    shown = Image.fromarray(picture)
    shown.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    shown.save(path, "JPEG", quality=88)
    return path
