"""Rasters on other grids: resized, turned north up, filled where there is nothing."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference

Pixels = NDArray[np.uint8]


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


def resample_mask(valid: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """``(H, W)`` at ``size`` ``(h, w)``: where any data bear on a pixel."""
    return resample(np.where(valid, np.uint8(255), np.uint8(0)), size) > 0


def fill(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``image`` with the mean colour of its valid pixels where it has no data."""
    if valid.all():
        return image
    mean = image[valid].mean(axis=0) if valid.any() else np.full(3, 127.0)
    return np.where(valid[..., None], image, np.rint(mean).astype(np.uint8))


def warp_north_up(
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
