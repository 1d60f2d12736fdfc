"""The street view on a model's canvas without PyTorch: one 8-bit view, in numpy.

The arithmetic is that of :mod:`cvsegguide.geo.panorama` step by step, so that a network meets the
same pixels in every runtime: PyTorch shrinks 8-bit pictures with weights rounded to 16-bit
integers, along columns first and rounded in between; so does this. A test compares the two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FULL_CIRCLE = 360.0
TOLERANCE = 1e-3


@dataclass(frozen=True)
class CanvasPlan:
    """What is done to a view of one size and field of view before it is turned.

    Attributes:
        fov: Horizontal extent in degrees, exactly 360 for a full panorama.
        full: Whether it wraps around.
        cut: Rows to leave away above and below, which lie beyond the canvas.
        upper: Elevation in degrees of the top edge of what is left.
        shrunk: ``(rows, columns)`` of what is left at the canvas's resolution, where that is
            coarser.
        aligned: Whether the result is the canvas when the view's centre looks north.
    """

    fov: float
    full: bool
    cut: int
    upper: float
    shrunk: tuple[int, int]
    aligned: bool

    @classmethod
    def of(
        cls,
        shape: Sequence[int],
        fov: float,
        size: tuple[int, int],
        extent: tuple[float, float],
    ) -> "CanvasPlan":
        """Plan for a view of ``shape`` ``(h, w)``, and a canvas of ``size`` and ``extent``."""
        vertical, horizontal = extent
        full = fov >= FULL_CIRCLE - TOLERANCE
        if full:
            fov = FULL_CIRCLE
        height, width = shape
        degrees_per_row = fov / width
        spare = max(0.0, (degrees_per_row * height - vertical) / 2)
        cut = int(spare / degrees_per_row + 1e-6)
        upper = degrees_per_row * height / 2 - cut * degrees_per_row
        height -= 2 * cut
        rows = max(1, round(height * degrees_per_row * size[0] / vertical))
        columns = max(1, round(fov * size[1] / horizontal))
        shrunk = (min(rows, height), min(columns, width))
        aligned = (
            full
            and abs(horizontal - FULL_CIRCLE) < TOLERANCE
            and shrunk == tuple(size)
            and abs(2 * upper - vertical) < TOLERANCE
        )
        return cls(fov, full, cut, upper, shrunk, aligned)


def padding(width: int, columns: int) -> int:
    """Target pixels to add on either side of a panorama before shrinking it to ``columns``.

    The filter reaches one target pixel beyond the edge; a whole number of target pixels that is a
    whole number of source pixels keeps their grid.
    """
    counts = range(1, columns + 1)
    return next((count for count in counts if count * width % columns == 0), columns)


def street_canvas_array(
    street: NDArray[np.uint8],
    heading: float,
    fov: float,
    size: tuple[int, int],
    extent: tuple[float, float],
) -> NDArray[np.float32]:
    """Put one street view on a canvas whose centre column looks north.

    Args:
        street: ``(h, w, 3)`` uint8, equirectangular, square pixels, centred on the horizon.
        heading: Azimuth of its centre column, degrees clockwise from north.
        fov: Its horizontal extent in degrees, in (0, 360].
        size: ``(H, W)`` of the canvas in pixels.
        extent: Degrees ``(vertical, horizontal)`` that the canvas spans.

    Returns:
        ``(3, H, W)`` float32 in [0, 1], zero where the view shows nothing.
    """
    if not 0.0 < fov <= FULL_CIRCLE + TOLERANCE:
        raise ValueError(f"fov must lie in (0, 360] degrees, got {fov}")
    # Headings and fields of view reach the other implementation as float32.
    heading, fov = float(np.float32(heading)), float(np.float32(fov))
    canvas_height, canvas_width = size
    vertical, horizontal = extent
    plan = CanvasPlan.of(street.shape[:2], fov, size, extent)
    fov, full, upper = plan.fov, plan.full, plan.upper
    if plan.cut:
        street = street[plan.cut : street.shape[0] - plan.cut]
    small = _shrink(street, *plan.shrunk, periodic=full)
    view = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / np.float32(255.0)
    height, width = view.shape[1:]
    if plan.aligned and heading % FULL_CIRCLE == 0:
        return view

    azimuth = (np.arange(canvas_width) + 0.5 - canvas_width / 2) * (horizontal / canvas_width)
    elevation = (canvas_height / 2 - np.arange(canvas_height) - 0.5) * (vertical / canvas_height)
    turn = (azimuth - heading + FULL_CIRCLE / 2) % FULL_CIRCLE - FULL_CIRCLE / 2
    x = turn * (width / fov) + width / 2
    y = (upper - elevation) * (height / (2 * upper))
    inside_x = np.ones(x.shape, bool) if full else np.abs(turn) <= fov / 2 + 1e-6
    inside_y = np.abs(elevation) <= upper + 1e-6
    if full:
        view = np.concatenate((view[..., -1:], view, view[..., :1]), axis=-1)
        x, width = x + 1, width + 2
    low, high, weight = _neighbours(x, width)
    view = view[..., low] * (1 - weight) + view[..., high] * weight
    low, high, weight = _neighbours(y, height)
    view = view[:, low] * (1 - weight[:, None]) + view[:, high] * weight[:, None]
    return np.asarray(view * (inside_y[:, None] & inside_x[None, :]), np.float32)


def _neighbours(
    position: NDArray[np.float64], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Pixels on either side of positions (pixel centres at +0.5), and the weight of the second."""
    # As grid_sample does: from [-1, 1] in float32, clamped to the outermost centres.
    relative = np.asarray(2 * position / length - 1, np.float32)
    index = (relative + np.float32(1)) * np.float32(length / 2) - np.float32(0.5)
    index = np.clip(index, np.float32(0), np.float32(length - 1))
    low = np.floor(index).astype(np.intp)
    return low, np.minimum(low + 1, length - 1), (index - low).astype(np.float32)


def _shrink(image: NDArray[np.uint8], rows: int, columns: int, periodic: bool) -> NDArray[np.uint8]:
    """Antialiased resize to a smaller or equal size, wrapping in the columns when periodic."""
    height, width = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    pad = 0
    if periodic and columns < width:
        pad = padding(width, columns)
        source = pad * width // columns
        image = np.concatenate((image[:, -source:], image, image[:, :source]), axis=1)
    if columns + 2 * pad != image.shape[1]:
        turned = np.ascontiguousarray(image.transpose(1, 0, 2))
        image = np.ascontiguousarray(_resized(turned, columns + 2 * pad).transpose(1, 0, 2))
    if rows != height:
        image = _resized(image, rows)
    return image[:, pad : pad + columns]


def _resized(image: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Rows resampled to ``count`` with an antialiasing triangle filter in 16-bit weights."""
    first, weights, precision = _filter(image.shape[0], count)
    result = np.empty((count, *image.shape[1:]), np.uint8)
    taps = weights.shape[1]
    flat = image.reshape(len(image), -1)
    for index in range(count):  # row by row: what a row is summed from stays in cache
        lines = flat[first[index] : first[index] + taps]
        total = weights[index, : len(lines)] @ lines
        total = (total + (1 << (precision - 1))) >> precision
        result[index] = np.clip(total, 0, 255).reshape(image.shape[1:])
    return result


def _filter(length: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.int32], int]:
    """First source row, integer weights ``(count, taps)`` and their binary places."""
    scale = length / count
    support = max(1.0, scale)
    centre = scale * (np.arange(count) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.intp), 0)
    last = np.minimum((centre + support + 0.5).astype(np.intp), length)
    offset = np.arange(math.ceil(support) * 2 + 1)
    distance = (offset + first[:, None] - centre[:, None] + 0.5) / support
    weights = np.maximum(1.0 - np.abs(distance), 0.0)
    weights[offset[None, :] >= (last - first)[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    largest = float(weights.max())
    precision = 0
    while precision < 22 and int(0.5 + largest * (1 << (precision + 1))) < 1 << 15:
        precision += 1
    taps = int((last - first).max())
    return first, (0.5 + weights[:, :taps] * (1 << precision)).astype(np.int32), precision
