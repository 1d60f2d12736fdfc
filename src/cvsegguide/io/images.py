"""Pictures from outside: any mode, any orientation, and every way of being unusable."""

import contextlib
import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cvsegguide.errors import InputError

ImageLike: TypeAlias = str | PathLike[str] | Image.Image | NDArray[np.uint8]
"""A path, a PIL image, or a uint8 array ``(H, W, 3)``."""


def read_image(source: ImageLike, name: str = "image") -> NDArray[np.uint8]:
    """Read a picture as 8-bit RGB.

    The EXIF orientation is applied. Grey, palette, CMYK and other colour models are converted.
    16-bit pictures are scaled from their full range (``value / 257``). Transparent pixels are
    blended with black. Of an animation the first frame is taken.

    Args:
        source: Path, PIL image, or uint8 array ``(H, W, 3)``; arrays ``(H, W)``, ``(H, W, 1)``
            and ``(H, W, 4)`` are taken as grey and RGBA.
        name: What to call an image without a path in an error message.

    Returns:
        ``(H, W, 3)`` uint8, contiguous.

    Raises:
        InputError: The file is missing, a folder, empty, truncated, no picture, larger than
            :data:`PIL.Image.MAX_IMAGE_PIXELS` allows (twice that number), or holds
            floating-point or 32-bit values; or the array is no uint8 picture.
    """
    rgb, alpha = read_image_and_alpha(source, name)
    if alpha is not None and int(alpha.min(initial=255)) < 255:
        weight = alpha[..., None].astype(np.uint16)
        rgb = ((rgb.astype(np.uint16) * weight + 127) // 255).astype(np.uint8)
    return rgb


def read_image_and_alpha(
    source: ImageLike, name: str = "image"
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """:func:`read_image` without blending: ``(H, W, 3)`` and the alpha ``(H, W)``, if any."""
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if isinstance(source, Image.Image):
        return _from_pil(source, getattr(source, "filename", "") or name)
    if not isinstance(source, str | PathLike):
        raise InputError(
            f"{name}: expected a path, a PIL image or a uint8 array, got {type(source).__name__}"
        )
    path = Path(fspath(source))
    check_file(path)
    with warnings.catch_warnings():
        # Pictures up to twice the limit are accepted; beyond, Pillow raises.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                return _from_pil(image, str(path))
        except InputError:
            raise
        except Image.DecompressionBombError:
            limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
            raise InputError(
                f"{path}: larger than {limit} megapixels; cut or shrink it first"
            ) from None
        except UnidentifiedImageError:
            raise InputError(f"{path}: not an image in a format that can be read") from None
        except Exception as error:  # a decoder may fail in any way on a damaged file
            raise InputError(f"{path}: damaged or truncated image ({reason(error)})") from None


def check_file(path: Path) -> None:
    """Raise :class:`InputError` unless ``path`` is a readable file with something in it."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a file")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.stat().st_size == 0 and path.is_file():
            raise InputError(f"{path}: the file is empty")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None


def _from_array(
    array: NDArray[np.uint8], name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    shape = " x ".join(map(str, array.shape))
    if array.dtype != np.uint8:
        raise InputError(f"{name}: expected a uint8 array (H, W, 3), got {array.dtype}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(f"{name}: expected a uint8 array (H, W, 3), got {shape}")
    if array.size == 0:
        raise InputError(f"{name}: the array is empty ({shape})")
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 else None
    rgb = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3]
    return np.ascontiguousarray(rgb), alpha


def _from_pil(image: Image.Image, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    if image.width == 0 or image.height == 0:
        raise InputError(f"{name}: the image has no pixels")
    try:
        image.load()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name}: damaged or truncated image ({reason(error)})") from None
    with contextlib.suppress(Exception):  # damaged EXIF: the pixels are good all the same
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        wide = np.asarray(image)
        if wide.dtype.itemsize > 2 and (wide.min() < 0 or wide.max() > 65535):
            raise InputError(
                f"{name}: holds 32-bit values; convert it to 8 bits first "
                "(gdal_translate -ot Byte -scale MIN MAX)"
            )
        grey = ((wide.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), None
    if image.mode == "F":
        raise InputError(
            f"{name}: holds floating-point values; convert it to 8 bits first "
            "(gdal_translate -ot Byte -scale MIN MAX)"
        )
    transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    if transparent:
        rgba = np.asarray(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return np.array(image.convert("RGB")), None


def reason(error: BaseException) -> str:
    """Why a file could not be read, in a line: what another library said, or the project."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a format that can be read"
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return (str(text).strip() or type(error).__name__).splitlines()[0][:160]
