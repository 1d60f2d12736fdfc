"""Pictures and labels of data sets, decoded no larger than they are needed.

JPEG is a cosine transform of 8 x 8 blocks; a decoder can leave out the high frequencies and yield
1/2, 1/4 or 1/8 of the size at a fraction of the time (Pillow's ``draft``). The rest of the way is
an antialiased resize. Every failure is a :class:`BrokenFileError` that names the file.
"""

import zipfile
from collections.abc import Collection
from os import PathLike, fspath
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from torch import Tensor

from cvsegguide.data.broken import BrokenFileError
from cvsegguide.errors import InputError
from cvsegguide.io.images import read_image, reason
from cvsegguide.io.resampling import resample

Path = str | PathLike[str]
Scalar = TypeVar("Scalar", bound=np.generic)

_ORIENTATION = 0x0112

MAX_SIZE = 1 << 28
"""Pixels of a label, and bytes to which a sparse array may unpack: memory stays bounded."""


def decode_rgb(
    path: Path, size: tuple[int, int] | None = None, rows: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.uint8]:
    """Decode a picture, cut a band of rows, and resize it (antialiased).

    Args:
        path: File.
        size: ``(h, w)`` of the result; None keeps the file's resolution.
        rows: First and last row of the band as fractions of the height.

    Returns:
        ``(h, w, 3)`` uint8 RGB, EXIF orientation applied.

    Raises:
        BrokenFileError: The file is missing, truncated or no picture.
    """
    try:
        pixels = _read_reduced(path, size, rows)
    except Exception:  # the careful reader decides, and says what is wrong
        try:
            pixels = read_image(path)
        except InputError as error:
            name = fspath(path)
            raise BrokenFileError(name, str(error).removeprefix(f"{name}: ")) from None
    height, width = pixels.shape[:2]
    top, bottom = rows[0] * height, rows[1] * height
    if size is None:
        return pixels[round(top) : round(bottom)]
    return resample(pixels, size, (top, 0.0, bottom, float(width)))


def _read_reduced(
    path: Path, size: tuple[int, int] | None, rows: tuple[float, float]
) -> NDArray[np.uint8]:
    """An upright JPEG at least as large as it is needed; whatever is none raises an error."""
    with Image.open(path) as image:
        if image.format != "JPEG" or image.getexif().get(_ORIENTATION, 1) != 1:
            raise ValueError("is no upright JPEG")
        if size is not None:
            image.draft("RGB", (size[1], int(size[0] / max(rows[1] - rows[0], 1e-6))))
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def picture_size(path: Path) -> tuple[int, int]:
    """``(height, width)`` of a picture, upright, from its header alone.

    Raises:
        BrokenFileError: As :func:`decode_rgb`.
    """
    try:
        with Image.open(path) as image:
            return upright_size(image)
    except Exception as error:
        raise BrokenFileError(path, reason(error)) from None


def upright_size(image: Image.Image) -> tuple[int, int]:
    """``(height, width)`` of an opened picture, its EXIF orientation applied."""
    turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (image.width, image.height) if turned else (image.height, image.width)


def decode_street(
    path: Path, fov: float, size: tuple[int, int] | None, extent: float | None
) -> NDArray[np.uint8]:
    """Decode a street view at one angular resolution, cropped about the horizon.

    Args:
        path: Equirectangular picture with square pixels, centred on the horizon.
        fov: Its horizontal extent in degrees.
        size: ``(h, w)`` that a full circle would have: a view of 90 degrees becomes ``w / 4``
            columns wide. None keeps the file's resolution.
        extent: Vertical extent to keep in degrees; None keeps all. A file that shows less is
            kept whole.

    Returns:
        ``(h', w', 3)`` uint8; its vertical extent is ``fov * h' / w'``.

    Raises:
        BrokenFileError: The file is missing, truncated or no picture.
    """
    height, width = picture_size(path)
    kept, margin = _band(height, width, fov, extent)
    rows = (margin, 1 - margin) if margin > 1e-9 else (0.0, 1.0)
    return decode_rgb(path, None if size is None else _street_size(kept, fov, size), rows)


def _street_size(kept: float, fov: float, size: tuple[int, int]) -> tuple[int, int]:
    """``(h', w')`` that a view of ``kept`` by ``fov`` degrees takes where a circle has ``size``."""
    height = size[0]
    if kept * size[1] / 360 < height - 0.5:  # shows less; even, so that the horizon can be centred
        height = max(2, 2 * round(kept * size[1] / 720))
    return height, max(1, round(fov * size[1] / 360))


def _band(height: int, width: int, fov: float, extent: float | None) -> tuple[float, float]:
    """Vertical degrees that are kept of a view, and the share of its rows cut off above (below)."""
    vertical = fov * height / width
    kept = vertical if extent is None else min(extent, vertical)
    return kept, (1 - kept / vertical) / 2


def _read_label(path: Path, modes: Collection[str], fault: str) -> NDArray[Any]:
    """The pixels ``(H, W)`` of a label in one of Pillow's modes, ``"I"`` of 16 or 32 bits."""
    try:
        with Image.open(path) as image:
            if image.mode.partition(";")[0] not in modes:
                raise ValueError(f"{fault} (its pixels are {image.mode})")
            if image.width * image.height > MAX_SIZE:
                raise ValueError(f"{image.width} x {image.height} pixels are too many for a label")
            return np.array(image)
    except Exception as error:
        raise BrokenFileError(path, reason(error)) from None


def decode_ids(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode a raster of class ids (grey or palette, 8 bits), resized to the nearest id.

    Raises:
        BrokenFileError: The file is missing or truncated, has colours instead of ids, or ids
            above 255.
    """
    values = _read_label(path, ("1", "L", "P", "I"), "holds no class ids")
    if values.itemsize > 1 and (values.min() < 0 or values.max() > 255):
        raise BrokenFileError(path, f"class id {values.max()} does not lie in 0..255")
    return nearest(values.astype(np.uint8, copy=False), size)


def decode_unit(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Decode a grey picture of 8 or 16 bits as float32 in [0, 1], resized bilinearly.

    Raises:
        BrokenFileError: The file is missing, truncated, or in colour.
    """
    pixels = _read_label(path, ("L", "I"), "is no grey picture")
    values = pixels.astype(np.float32) / np.float32(255 if pixels.dtype == np.uint8 else 65535)
    if size is not None and values.shape != size:
        picture = Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        values = np.array(picture, dtype=np.float32)
    return values


def decode_range(
    path: Path, street: Path, fov: float, size: tuple[int, int] | None, extent: float | None
) -> NDArray[np.float32]:
    """Decode the depth of a street view as distances along the ground.

    Args:
        path: Grey picture of 16 bits with the extent of the street view: centimetres from the
            camera along the ray, 0 where there is nothing (sky). It may have other pixels than the
            street view, of the same proportions.
        street: The street view's own file, of which the size alone is read.
        fov, size, extent: As in :func:`decode_street`.

    Returns:
        ``(h' / 2, w' / 4)`` float32 metres of every second row and fourth column of what
        :func:`decode_street` gives (0 where there is nothing). The camera is taken as level, which
        at 5 degrees of tilt is wrong by less than 9 %.

    Raises:
        BrokenFileError: The file is missing, truncated, not of 16 bits, or of other proportions
            than the street view.
    """
    values = _read_label(path, ("I",), "holds no depth").astype(np.float32) / np.float32(100)
    height, width = values.shape
    high, wide = picture_size(street)
    if 2 * abs(height * wide - width * high) > wide:  # more than half a row
        raise BrokenFileError(
            path,
            f"is {width} x {height} pixels, other proportions than the {wide} x {high} of its "
            "street view",
        )
    kept, margin = _band(height, width, fov, extent)
    cut = round(height * margin)
    values = values[cut : height - cut]
    rows = len(values)
    elevation = np.radians((0.5 - (np.arange(rows, dtype=np.float32) + 0.5) / rows) * kept)
    full = (rows, width) if size is None else _street_size(kept, fov, size)
    return nearest(values * np.cos(elevation)[:, None], (full[0] // 2, full[1] // 4))


def read_sparse(path: Path) -> NDArray[np.float32]:
    """Read a two-dimensional sparse array in coordinate format as a dense float32 array.

    Both writers of such ``.npz`` files are understood: ``scipy.sparse.save_npz`` (entries ``row``,
    ``col``, ``data``, ``shape``) and ``sparse.save_npz`` (``coords``, ``data``, ``shape``,
    ``fill_value``). Entries at the same place are added, as both libraries do.

    Raises:
        BrokenFileError: The file is missing, damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as entries:
            if sum(entry.file_size for entry in entries.zip.infolist()) > MAX_SIZE:
                raise ValueError("unpacks to an array that is too large")
            rows, cols = (
                entries["coords"] if "coords" in entries else (entries["row"], entries["col"])
            )
            height, width = map(int, entries["shape"])
            if not 0 < height * width <= MAX_SIZE:
                raise ValueError(f"shape {height} x {width} is no raster's")
            data = np.asarray(entries["data"], dtype=np.float32)
            dense = sparse.coo_array((data, (rows, cols)), shape=(height, width)).toarray()
            if entries.get("fill_value"):
                untouched = np.ones(dense.shape, bool)
                untouched[rows, cols] = False
                dense[untouched] = entries["fill_value"]
    except KeyError as error:
        missing = str(error).strip("'\"").split(" ")[0]
        raise BrokenFileError(path, f"no sparse array: it has no entry '{missing}'") from None
    except (OSError, ValueError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BrokenFileError(path, f"no sparse array ({reason(error)})") from None
    return np.asarray(dense)


def nearest(values: NDArray[Scalar], size: tuple[int, int] | None) -> NDArray[Scalar]:
    """Resize ``(H, W)`` to the nearest pixel centre."""
    if size is None or values.shape == size:
        return values
    rows = ((np.arange(size[0]) + 0.5) * (values.shape[0] / size[0])).astype(np.intp)
    cols = ((np.arange(size[1]) + 0.5) * (values.shape[1] / size[1])).astype(np.intp)
    return np.asarray(values[rows[:, None], cols])


def rgb_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """``(h, w, 3)`` uint8 to ``(3, h, w)`` float32 in [0, 1]."""
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return planes.to(torch.float32).div_(255)
