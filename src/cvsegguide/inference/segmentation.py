"""Land cover of rasters of any size, in bounded memory and without seams.

The raster is seen at the model's resolution on one lattice of overlapping windows. A pixel has the
class that the window says whose middle is nearest: a network sees least at its border, which is cut
away. Work goes from one row of windows to the next, by parts of a row where the raster is wide, so
that what is held does not grow with the raster.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise, product
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from cvsegguide import __version__
from cvsegguide.errors import InputError
from cvsegguide.inference.network import Network, class_ids_of_channels
from cvsegguide.inference.result import class_tags
from cvsegguide.inference.windows import batches, resample_scores, window_starts
from cvsegguide.io.geotiff import create_geotiff
from cvsegguide.io.rasters import Raster
from cvsegguide.io.resampling import resample
from cvsegguide.landcover import ClassScheme
from cvsegguide.progress import track

OVERLAP = 1 / 32
"""Part of a window that it shares with the next. What is shared is computed twice, or four times:
a part x costs 1 / (1 - x)^2 of the time."""

WIDTH = 8192
"""Columns of the raster, or of the model's grid, whichever are more, that are read at a time."""

_BORDER = 16
"""Pixels of a window that its border counts as, where the side of windows is chosen."""

_UNKNOWN = 127
"""What a network sees where there are no data: a constant, so that all windows see the same."""

_FILTER = 8
"""Pixels around a part that a resampling may reach, times the step where that is above one."""

_CACHE = 32
"""Megabytes that GDAL may keep of what it reads and writes."""

AHEAD = 8
"""Groups of windows that are segmented, or wait to be written, at most."""


def segment_array(
    network: Network, raster: Raster, scheme: ClassScheme, batch_size: int = 4
) -> NDArray[np.uint8]:
    """Class ids ``(H, W)`` of a raster, 0 where it has no data."""
    result = np.zeros(raster.shape, np.uint8)
    for ids, top, left in _segment(network, raster, scheme, batch_size):
        result[top : top + ids.shape[0], left : left + ids.shape[1]] = ids
    return result


def segment_file(
    network: Network,
    raster: Raster,
    path: str | PathLike[str],
    scheme: ClassScheme,
    batch_size: int = 4,
) -> None:
    """Write the class ids of a raster as a cloud-optimised GeoTIFF with a colour table.

    Size, coordinate system and transform are the raster's own. The file appears when it is whole.
    """
    import rasterio

    tags = {"SOFTWARE": f"cvsegguide {__version__}", **class_tags(scheme)}
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE),
        create_geotiff(
            path,
            raster.shape,
            "uint8",
            raster.reference,
            nodata=0,
            palette=scheme.palette,
            description="land cover",
            tags=tags,
        ) as write,
    ):
        for ids, top, left in _segment(network, raster, scheme, batch_size):
            write(ids, top, left)


@dataclass(frozen=True)
class _Axis:
    """Windows along an axis.

    Attributes:
        size: Pixels of the model's grid.
        step: Raster pixels per pixel of the model's grid.
        side: Of a window, on the model's grid.
        starts: First pixels of the windows on the model's grid.
        cuts: Raster pixels at which one window takes over from the last, and both ends.
    """

    size: int
    step: float
    side: int
    starts: list[int]
    cuts: list[int]

    def own(self, number: int) -> slice:
        """Raster pixels whose class a window says."""
        return slice(self.cuts[number], self.cuts[number + 1])

    def stretch(self, first: int, last: int) -> "_Stretch":
        """What windows ``first`` to ``last`` see."""
        start, end = self.starts[first], self.starts[last] + self.side
        stop = min(end, self.size)
        reach = 0 if self.step == 1 else math.ceil(_FILTER * max(1.0, self.step))
        low = max(0, math.floor(start * self.step) - reach)
        high = min(self.cuts[-1], math.ceil(stop * self.step) + reach)
        edges = (start * self.step - low, stop * self.step - low)
        return _Stretch(low, high, edges, stop - start, end - stop)


@dataclass(frozen=True)
class _Stretch:
    """A part of an axis.

    Attributes:
        low, high: Raster pixels to read: those under it, and some around for the filter.
        edges: Where it begins and ends in them.
        size: Its pixels on the model's grid.
        beyond: Pixels of the last window that lie beyond the raster.
    """

    low: int
    high: int
    edges: tuple[float, float]
    size: int
    beyond: int


def _axis(length: int, size: int, side: int) -> _Axis:
    starts = window_starts(size, side, OVERLAP)
    step = length / size
    middles = [round((before + side + after) / 2 * step) for before, after in pairwise(starts)]
    return _Axis(size, step, side, starts, [0, *middles, length])


@dataclass(frozen=True)
class _Part:
    """What was read for some windows of a row.

    Attributes:
        row: Number of the row of windows.
        first: Number of the first window in it.
        image: ``(h, w, 3)`` on the model's grid, from the first window's first pixel on.
        masks: Of each window, by number, where the pixels that are its own have data.
    """

    row: int
    first: int
    image: NDArray[np.uint8]
    masks: dict[int, NDArray[np.bool_]]


def _segment(
    network: Network, raster: Raster, scheme: ClassScheme, batch_size: int
) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
    """Class ids of parts of a raster, with their first row and column."""
    size = _size_on_grid(network, raster)
    tile, at_once = choose_windows(network, size, batch_size)
    down, across = map(_axis, raster.shape, size, tile)
    ids = class_ids_of_channels(network.channels, scheme)
    per_read = max(1, int(WIDTH / max(1.0, across.step) / across.side))
    groups = list(batches(range(len(across.starts)), per_read))
    todo = list(product(range(len(down.starts)), groups))

    def segment(part: _Part, group: Sequence[int]) -> list[tuple[NDArray[np.uint8], int, int]]:
        best = _best_channels(network, part, down, across, group)
        return [
            (ids[channels] * part.masks[column], down.cuts[part.row], across.cuts[column])
            for column, channels in zip(group, best, strict=True)
        ]

    waiting: deque[Future[list[tuple[NDArray[np.uint8], int, int]]]] = deque()
    with network.thread_pool() as pool:
        for row, columns in track(todo, "segmenting"):
            part = _read(raster, down, across, row, columns)
            wanted = [column for column, mask in part.masks.items() if mask.any()]
            for group in batches(wanted, at_once):
                waiting.append(pool.submit(segment, part, group))
                if len(waiting) > AHEAD:
                    yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _shift(pixels: slice, by: int) -> slice:
    return slice(pixels.start + by, pixels.stop + by)


def _best_channels(
    network: Network, part: _Part, down: _Axis, across: _Axis, columns: Sequence[int]
) -> Iterator[NDArray[np.uint8]]:
    """Of each window the best channels of the raster's pixels that are its own."""
    lefts = [across.starts[column] - across.starts[part.first] for column in columns]
    images = [part.image[:, left : left + across.side] for left in lefts]
    direct = down.step == across.step == 1
    found = network.best_channels(images) if direct else network.segment(images)
    rows, top = down.own(part.row), down.starts[part.row]
    for column, values in zip(columns, found, strict=True):
        own, left = across.own(column), across.starts[column]
        if direct:
            yield values[_shift(rows, -top), _shift(own, -left)]
            continue
        box = (
            rows.start / down.step - top,
            own.start / across.step - left,
            rows.stop / down.step - top,
            own.stop / across.step - left,
        )
        size = (rows.stop - rows.start, own.stop - own.start)
        yield resample_scores(values, size, box).argmax(axis=0).astype(np.uint8)


def _read(raster: Raster, down: _Axis, across: _Axis, row: int, columns: Sequence[int]) -> _Part:
    """The pixels under some windows of a row, on the model's grid."""
    tall, wide = down.stretch(row, row), across.stretch(columns[0], columns[-1])
    image, valid = raster.read(tall.low, wide.low, tall.high, wide.high)
    if not valid.all():
        image = np.where(valid[..., None], image, np.uint8(_UNKNOWN))
    (top, bottom), (left, right) = tall.edges, wide.edges
    box = (float(top), float(left), float(bottom), float(right))
    image = resample(np.ascontiguousarray(image), (tall.size, wide.size), box)
    if tall.beyond or wide.beyond:
        beyond = ((0, tall.beyond), (0, wide.beyond), (0, 0))
        image = np.pad(image, beyond, constant_values=_UNKNOWN)
    rows = _shift(down.own(row), -tall.low)
    masks = {column: valid[rows, _shift(across.own(column), -wide.low)] for column in columns}
    return _Part(row, columns[0], image, masks)


def _size_on_grid(network: Network, raster: Raster) -> tuple[int, int]:
    """``(H, W)`` of a raster at the model's resolution."""
    pixel = raster.pixel_size
    scale = (1.0, 1.0) if pixel is None else (pixel[0] / network.gsd, pixel[1] / network.gsd)
    if all(0.95 < factor < 1.05 for factor in scale):
        return raster.shape  # not worth a resampling
    if max(scale) > 64 or min(scale) < 1 / 64:
        raise InputError(
            f"{raster.name}: its {raster.gsd:.3g} m/px are too far from the model's "
            f"{network.gsd:.3g} m/px; is its resolution right?"
        )
    height, width = (max(1, round(side * by)) for side, by in zip(raster.shape, scale, strict=True))
    return height, width


def choose_windows(
    network: Network, size: tuple[int, int], batch_size: int = 4
) -> tuple[tuple[int, int], int]:
    """Height and width of the windows over an image, and how many go through the network at once.

    A network that takes any size sees windows of up to twice the side of a tile, and fewer borders.
    Of the sides that it takes, that which is least work; a border counts as :data:`_BORDER` pixels
    of it.

    Args:
        network: Whose ``overhead_size`` and ``any_size`` count.
        size: ``(H, W)`` of the image at the model's resolution.
        batch_size: Tiles of ``overhead_size`` at once.
    """

    def best(length: int, side: int) -> int:
        step = network.any_size
        if step is None:
            return side
        sides = range(-(-side // step) * step, 2 * side + 1, step)
        return min(sides, key=lambda s: len(window_starts(length, s, OVERLAP)) * (s + _BORDER))

    height, width = map(best, size, network.overhead_size)
    at_once = round(batch_size * math.prod(network.overhead_size) / (height * width))
    return (height, width), max(1, at_once)
