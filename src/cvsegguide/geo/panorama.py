"""Street views on the canvas that a model sees: shrunk, turned to north, black where unseen.

Training and inference, with PyTorch and without it, all pass here, so that a model meets the same
pixels everywhere. The arithmetic is written once, for numpy arrays and for tensors; only the resize
is each library's own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.geo.filling import filled_up_and_down

FULL_CIRCLE = 360.0
TOLERANCE = 1e-3


def street_canvas(
    street: Any, heading: Any, fov: Any, size: tuple[int, int], extent: tuple[float, float]
) -> Any:
    """Put street views on a canvas of fixed size and extent whose centre column looks north.

    Rows and columns are independent of each other (both images are equirectangular and centred on
    the horizon): a view is first shrunk with an area-correct (antialiased triangle) filter where
    the canvas is coarser than the view, then turned and placed by linear interpolation. A full
    panorama wraps around at 360 degrees in both steps. Columns that a view does not show are 0;
    rows above and below it are filled (:func:`~cvsegguide.geo.filling.filled_up_and_down`).

    Args:
        street: ``(B, 3, h, w)`` equirectangular views with square pixels, centred on the horizon,
            a tensor or a numpy array: view i spans ``fov[i]`` by ``fov[i] * h / w`` degrees. A
            tensor holds floats in [0, 1] or uint8, an array uint8; bytes are shrunk as such and
            then scaled to [0, 1].
        heading: ``(B,)`` azimuth of each view's centre column, degrees clockwise from north.
        fov: ``(B,)`` horizontal extent of each view in degrees, in (0, 360].
        size: ``(H, W)`` of the canvas in pixels.
        extent: Degrees ``(vertical, horizontal)`` that the canvas spans, centred on horizon and
            north.

    Returns:
        ``(B, 3, H, W)`` floating point, of the same library.

    Raises:
        ValueError: ``fov`` lies outside (0, 360], or shapes do not agree.
    """
    headings, fovs = (
        np.array(values.tolist() if hasattr(values, "tolist") else values, np.float64)
        for values in (heading, fov)
    )
    if not len(headings) == len(fovs) == len(street):
        raise ValueError(f"heading and fov must have shape ({len(street)},)")
    if not ((fovs > 0) & (fovs <= FULL_CIRCLE + TOLERANCE)).all():
        raise ValueError(f"fov must lie in (0, 360] degrees, got {fovs.tolist()}")
    if (fovs == fovs[0]).all():
        return _canvas_of_one_fov(street, headings, float(fovs[0]), size, extent)
    canvas: Any = None
    for value in np.unique(fovs):
        members = np.flatnonzero(fovs == value)
        part = _canvas_of_one_fov(street[members], headings[members], float(value), size, extent)
        if canvas is None:
            canvas = _like(np.zeros((len(fovs), *part.shape[1:])), part)
        canvas[members] = part
    return canvas


def _canvas_of_one_fov(
    street: Any,
    heading: NDArray[np.float64],
    fov: float,
    size: tuple[int, int],
    extent: tuple[float, float],
) -> Any:
    full = fov >= FULL_CIRCLE - TOLERANCE
    if full:
        fov = FULL_CIRCLE
    vertical, horizontal = extent
    degrees_per_row = fov / street.shape[3]
    seen_vertical = degrees_per_row * street.shape[2]
    # Rows above and below that lie beyond the canvas as a whole.
    cut = int(max(0.0, (seen_vertical - vertical) / 2) / degrees_per_row + 1e-6)
    street = street[:, :, cut : street.shape[2] - cut]
    upper = seen_vertical / 2 - cut * degrees_per_row
    rows = max(1, round(street.shape[2] * degrees_per_row * size[0] / vertical))
    columns = max(1, round(fov * size[1] / horizontal))
    view = _shrink(street, min(rows, street.shape[2]), min(columns, street.shape[3]), full)
    height, width = view.shape[2:]
    covers = full and abs(horizontal - FULL_CIRCLE) < TOLERANCE and (height, width) == tuple(size)
    if covers and abs(2 * upper - vertical) < TOLERANCE and not (heading % FULL_CIRCLE).any():
        return view

    # Where each canvas pixel's centre looks, and where that lies in the view, in its pixels.
    azimuth = (np.arange(size[1]) + 0.5 - size[1] / 2) * (horizontal / size[1])
    elevation = (size[0] / 2 - np.arange(size[0]) - 0.5) * (vertical / size[0])
    turn = (azimuth - heading[:, None] + FULL_CIRCLE / 2) % FULL_CIRCLE - FULL_CIRCLE / 2
    x = turn * (width / fov) + width / 2
    y = (upper - elevation) * (height / (2 * upper))
    seen = np.abs(elevation)[:, None] <= upper + 1e-6
    if not full:
        seen = seen & (np.abs(turn) <= fov / 2 + 1e-6)[:, None, None]
    above, below, share = _neighbours(y, height, wraps=False)
    share = _like(share[:, None], view)
    view = view[:, :, above] * (1 - share) + view[:, :, below] * share
    left, right, share = _neighbours(x, width, wraps=full)
    share = _like(share[:, :, None, None], view)
    each = np.arange(len(view))[:, None]  # indices on both sides of slices: (B, W, 3, H)
    canvas = view[each, :, :, left] * (1 - share) + view[each, :, :, right] * share
    canvas = _library(view).moveaxis(canvas, 1, 3)
    canvas = canvas * _like(seen.reshape(-1, 1, *seen.shape[-2:]), view)
    return filled_up_and_down(canvas, vertical, seen_vertical)


def _library(array: Any) -> Any:
    """numpy or torch."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def _like(values: NDArray[Any], other: Any) -> Any:
    """Values as an array of the same library, type and device as another."""
    if isinstance(other, np.ndarray):
        return values.astype(other.dtype)
    return other.new_tensor(values)


def _neighbours(
    position: NDArray[np.float64], length: int, wraps: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pixels on either side of positions (pixel centres at +0.5), and the weight of the second."""
    index = position - 0.5
    if not wraps:
        index = np.clip(index, 0, length - 1)
    low = np.floor(index).astype(np.intp)
    high = (low + 1) % length if wraps else np.minimum(low + 1, length - 1)
    return low % length, high, index - low


def _shrink(street: Any, rows: int, columns: int, periodic: bool) -> Any:
    """Antialiased resize to a smaller or equal size, wrapping in the columns when periodic."""
    height, width = street.shape[2:]
    if (rows, columns) == (height, width):
        return _as_float(street)
    if not (periodic and columns < width):
        return _as_float(_resize(street, rows, columns))
    # The filter reaches one target pixel beyond the edge; a whole number of target pixels that is
    # a whole number of source pixels keeps their grid.
    counts = range(1, columns + 1)
    pad = next((count for count in counts if count * width % columns == 0), columns)
    source = pad * width // columns
    parts = (street[..., -source:], street, street[..., :source])
    wrapped = _library(street).concatenate(parts, -1)
    return _as_float(_resize(wrapped, rows, columns + 2 * pad)[..., pad:-pad])


def _as_float(street: Any) -> Any:
    if isinstance(street, np.ndarray):
        return street.astype(np.float32) / np.float32(255.0)
    return street if street.is_floating_point() else street.float() / 255.0


def _resize(street: Any, rows: int, columns: int) -> Any:
    if isinstance(street, np.ndarray):
        pictures = [np.ascontiguousarray(view.transpose(1, 2, 0)) for view in street]
        small = [
            Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR)
            for picture in pictures
        ]
        return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in small])
    from torch.nn.functional import interpolate

    if street.device.type != "cpu":
        street = _as_float(street)  # PyTorch resizes bytes on the CPU alone
    return interpolate(
        street, size=(rows, columns), mode="bilinear", align_corners=False, antialias=True
    )


def canvas_of_picture(
    picture: NDArray[np.uint8],
    heading: float,
    fov: float,
    size: tuple[int, int],
    extent: Sequence[float],
) -> NDArray[np.float32]:
    """:func:`street_canvas` of one picture.

    Args:
        picture: ``(h, w, 3)`` uint8.
        heading, fov, size, extent: As of :func:`street_canvas`.

    Returns:
        ``(1, 3, H, W)`` float32.
    """
    canvas: NDArray[np.float32] = street_canvas(
        picture.transpose(2, 0, 1)[None], [heading], [fov], size, (extent[0], extent[1])
    )
    return canvas
