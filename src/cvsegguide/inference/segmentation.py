"""Land cover of rasters of any size, in bounded memory and without seams.

The raster is seen at the model's resolution on one fixed lattice of overlapping windows; their
scores are blended with weights that fall towards each window's border. Work goes down panels, from
one row of windows to the next: rows that no later window reaches are finished and written, so that
what is held is one row of windows of a panel, whatever the raster's size. A window is computed
once; only those on the border of two panels are computed twice, one in 34 for rasters wider than a
panel. Reading runs one row of windows ahead of the network and writing behind it, each in a thread
of its own.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import cvsegguide
from cvsegguide.errors import InputError
from cvsegguide.inference.windows import batches, taper, to_bytes, window_starts
from cvsegguide.io.geotiff import create_geotiff
from cvsegguide.io.rasters import Raster, resample
from cvsegguide.landcover import ClassScheme
from cvsegguide.models.base import LocalizationModel
from cvsegguide.progress import track

OVERLAP = 1 / 32
"""Part of a window that it shares with the next. What is shared is computed twice, or four times:
a part x costs 1 / (1 - x)^2 of the time. docs/performance.md says what classes lose by it."""

PANEL = 8192
"""Width of a panel in pixels of the raster or of the model, whichever are more."""

_TILE = 256
"""Rows and columns are written by multiples of it, the output's own tiles."""

_MARGIN = 8

_BORDER = 16

_CACHE = 32
"""Megabytes that GDAL may keep of what it reads and writes (a twentieth of memory otherwise): a
few rows of a panel's tiles. With more, it would compress in the end what it can behind the
network."""


def landcover_ids(
    scores: Tensor, channels: Sequence[str], scheme: ClassScheme
) -> NDArray[np.uint8]:
    """Scores ``(C, H, W)`` to the class ids that stand for each pixel's best channel."""
    return _named(_best(scores).cpu().numpy(), _names(channels, scheme))


def _best(scores: Tensor) -> Tensor:
    """Each pixel's best channel ``(H, W)`` uint8."""
    # Faster on the CPU than argmax, several times.
    return scores.max(dim=0).indices.to(torch.uint8)


def _names(channels: Sequence[str], scheme: ClassScheme) -> bytes:
    """The class id of each channel, of 256."""
    ids = [scheme.channels.get(name, i + 1) for i, name in enumerate(channels)]
    return bytes(ids).ljust(256, b"\0")


def _named(best: NDArray[np.uint8], names: bytes) -> NDArray[np.uint8]:
    """Class ids of channels, writeable."""
    # Bytes for bytes: a third of what looking up by index takes.
    found = bytearray(best.tobytes()).translate(names)
    return np.frombuffer(found, np.uint8).reshape(best.shape)


def segment_array(
    model: LocalizationModel,
    raster: Raster,
    device: torch.device,
    scheme: ClassScheme,
    batch_size: int = 4,
    panel: int = PANEL,
    overlap: float = OVERLAP,
) -> NDArray[np.uint8]:
    """Class ids ``(H, W)`` of a raster, 0 where it has no data."""
    result = np.zeros(raster.shape, np.uint8)

    def keep(part: NDArray[np.uint8], top: int, left: int) -> None:
        result[top : top + part.shape[0], left : left + part.shape[1]] = part

    _Work(model, raster, device, scheme, batch_size, panel, overlap).run(keep)
    return result


def segment_file(
    model: LocalizationModel,
    raster: Raster,
    path: str | PathLike[str],
    device: torch.device,
    scheme: ClassScheme,
    batch_size: int = 4,
    panel: int = PANEL,
    overlap: float = OVERLAP,
) -> None:
    """Write the class ids of a raster as a tiled, compressed GeoTIFF with a colour table.

    Size, coordinate system and transform are the raster's own. The file appears when it is whole.
    """
    import rasterio

    from cvsegguide.inference.result import class_tags

    work = _Work(model, raster, device, scheme, batch_size, panel, overlap)
    tags = {"SOFTWARE": f"cvsegguide {cvsegguide.__version__}", **class_tags(scheme)}
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
        ) as writer,
    ):
        work.run(writer.write)


@dataclass(frozen=True)
class _Panel:
    """Columns ``begin`` to ``end`` of the raster.

    Attributes:
        low, high: Columns of the model's grid that they lean on.
        starts: First columns of the windows that reach into those.
    """

    begin: int
    end: int
    low: int
    high: int
    starts: list[int]


class _Work:
    """The lattice of windows over one raster."""

    def __init__(
        self,
        model: LocalizationModel,
        raster: Raster,
        device: torch.device,
        scheme: ClassScheme,
        batch_size: int,
        panel: int,
        overlap: float,
    ) -> None:
        self._model = model
        self._raster = raster
        self._device = device
        self._scheme = scheme
        pixel = raster.pixel_size
        scale = (1.0, 1.0) if pixel is None else (pixel[0] / model.gsd, pixel[1] / model.gsd)
        if all(0.95 < factor < 1.05 for factor in scale):
            scale = (1.0, 1.0)  # not worth a resampling
        if max(scale) > 64 or min(scale) < 1 / 64:
            raise InputError(
                f"{raster.name}: its {raster.gsd:.3g} m/px are too far from the model's "
                f"{model.gsd:.3g} m/px; is its resolution right?"
            )
        # The raster's size at the model's resolution, and raster pixels per model pixel.
        self._size = tuple(
            max(1, round(side * factor)) for side, factor in zip(raster.shape, scale, strict=True)
        )
        self._step = tuple(side / size for side, size in zip(raster.shape, self._size, strict=True))
        self._tile, self._batch_size = windows(model, self._size, batch_size, overlap)
        self._rows, columns = (
            window_starts(size, tile, overlap)
            for size, tile in zip(self._size, self._tile, strict=True)
        )
        finer = max(1.0, 1 / self._step[1])
        width = max(_TILE, int(panel / finer) // _TILE * _TILE)
        self._panels = [
            self._panel(begin, min(begin + width, raster.shape[1]), columns)
            for begin in range(0, raster.shape[1], width)
        ]
        # For each channel, which lie side by side in what convolutions give.
        weight = taper(self._tile).to(device)[..., None].expand(-1, -1, len(model.channels))
        self._taper = weight.contiguous().permute(2, 0, 1)
        self._names = _names(model.channels, scheme)

    def _panel(self, begin: int, end: int, columns: Sequence[int]) -> _Panel:
        step, size = self._step[1], self._size[1]
        low = max(0, math.floor(begin / step - 1))
        high = min(size, math.ceil(end / step + 1))
        starts = [s for s in columns if s < high and s + self._tile[1] > low]
        return _Panel(begin, end, low, high, starts)

    def run(self, write: Callable[[NDArray[np.uint8], int, int], None]) -> None:
        """Compute everything; ``write(ids, top, left)`` is called in a thread, in order."""
        todo = [(panel, row) for panel in self._panels for row in self._rows]
        with (
            ThreadPoolExecutor(1, "reading") as reader,
            ThreadPoolExecutor(1, "writing") as writer,
        ):
            pending: list[Future[None]] = []

            def read(index: int) -> Future[_Part] | None:
                if index >= len(todo):
                    return None
                panel, row = todo[index]
                origin = (row, panel.starts[0])
                end = (row + self._tile[0], panel.starts[-1] + self._tile[1])
                return reader.submit(self._image, origin, end)

            ahead = read(0)
            rows: _Rows | None = None
            for index, (panel, row) in enumerate(track(todo, "segmenting")):
                assert ahead is not None
                part = ahead.result()
                ahead = read(index + 1)
                if rows is None or rows.panel is not panel:
                    rows = _Rows(self, panel)
                rows.keep(part)
                with torch.inference_mode():
                    self._segment(rows, row, part.image, part.seen)
                    last = row == self._rows[-1]
                    following = self._size[0] if last else self._rows[self._rows.index(row) + 1]
                    for top, ids in rows.finish(following, last):
                        if len(pending) > 1:
                            pending.pop(0).result()
                        pending.append(writer.submit(write, ids, top, panel.begin))
            for future in pending:
                future.result()

    def _segment(
        self, rows: "_Rows", top: int, image: NDArray[np.uint8], seen: NDArray[np.bool_]
    ) -> None:
        """Pass one row of windows through the network."""
        panel, width = rows.panel, self._tile[1]
        slices = [
            (start, slice(start - panel.starts[0], start - panel.starts[0] + width))
            for start in panel.starts
        ]
        # A window without data has no pixel that anyone will see.
        wanted = [(start, part) for start, part in slices if seen[part].any()]
        for group in batches(wanted, self._batch_size):
            tensor = self._batch([image[:, part] for _, part in group])
            for scores, (start, _) in zip(self._model.segment(tensor), group, strict=True):
                rows.add(scores.float(), top, start, self._taper)

    def _batch(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Images ``(H, W, 3)`` as the network takes them."""
        if self._device.type != "cpu":
            return torch.cat([to_bytes(image) for image in images]).to(self._device) / 255.0
        # Channels side by side, as they come.
        batch = torch.empty(len(images), *images[0].shape)
        for image, target in zip(images, batch, strict=True):
            target.copy_(to_bytes(image)[0].permute(1, 2, 0))
        return batch.div_(255.0).permute(0, 3, 1, 2)

    def _image(self, begin: tuple[int, int], end: tuple[int, int]) -> "_Part":
        """The model's grid from ``begin`` to ``end``, as it would be cut from the whole."""
        stop = tuple(min(e, s) for e, s in zip(end, self._size, strict=True))
        # Pixels of the raster under it, and some around, for the filter.
        exact = [(b * step, s * step) for b, s, step in zip(begin, stop, self._step, strict=True)]
        resampled = self._step != (1.0, 1.0)
        reach = [math.ceil(_MARGIN * max(1.0, step)) if resampled else 0 for step in self._step]
        low = [max(0, math.floor(e[0]) - r) for e, r in zip(exact, reach, strict=True)]
        high = [
            min(side, math.ceil(e[1]) + r)
            for e, r, side in zip(exact, reach, self._raster.shape, strict=True)
        ]
        image, valid = self._raster.read(low[0], low[1], high[0], high[1])
        whole = bool(valid.all())
        if not whole:
            # A constant, not a local mean, so that neighbouring windows see the same.
            image = np.where(valid[..., None], image, np.uint8(127))
        size = (stop[0] - begin[0], stop[1] - begin[1])
        if resampled:
            box = (
                exact[0][0] - low[0],
                exact[1][0] - low[1],
                exact[0][1] - low[0],
                exact[1][1] - low[1],
            )
            image = resample(np.ascontiguousarray(image), size, box)
        pad = (end[0] - stop[0], end[1] - stop[1])
        if any(pad):
            image = np.pad(
                image, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="constant", constant_values=127
            )
        seen = np.ones(image.shape[1], bool)
        if not whole:
            columns = np.concatenate(([0], np.cumsum(valid.any(axis=0))))
            edges = np.arange(image.shape[1] + 1) * self._step[1] + begin[1] * self._step[1]
            edges -= low[1]
            # Whatever the filter of a column reaches.
            first = np.clip(np.floor(edges[:-1]) - reach[1], 0, len(columns) - 1).astype(int)
            final = np.clip(np.ceil(edges[1:]) + reach[1], 0, len(columns) - 1).astype(int)
            seen = columns[final] > columns[first]
        return _Part(image, seen, None if whole else valid, (low[0], low[1]), high[0])


@dataclass(frozen=True)
class _Part:
    """What was read for one row of windows.

    Attributes:
        image: ``(h, w, 3)`` on the model's grid.
        seen: For each of its columns whether anything in it has data.
        valid: Where the raster has data, None for everywhere.
        origin: First row and column of ``valid`` on the raster.
        bottom: The raster's row behind the last.
    """

    image: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    valid: NDArray[np.bool_] | None
    origin: tuple[int, int]
    bottom: int


class _Rows:
    """What is known of one panel from the row of windows at work on.

    At the model's own resolution a pixel that lies in one window alone has its class at once; only
    the strips that windows share are blended. At another resolution all scores are, since those
    between them are wanted.
    """

    def __init__(self, work: _Work, panel: _Panel) -> None:
        self.panel = panel
        self._work = work
        shape = (work._tile[0], panel.high - panel.low)
        device = work._device
        channels = len(work._model.channels)
        self._total = torch.zeros((*shape, channels), device=device).permute(2, 0, 1)
        self._weight = torch.zeros(shape, device=device)
        self._direct = work._step == (1.0, 1.0)
        self._row = 0
        # Channels, or blended scores, that are final but not yet given out, from row `_first` on.
        self._ids = np.zeros(shape, np.uint8)
        self._final = self._ids[:0]
        self._done = self._total[:, :0]
        self._first = 0
        self._written = 0
        self._valid: list[_Part] = []

    def keep(self, part: _Part) -> None:
        """Remember where there are data."""
        self._valid = [known for known in self._valid if known.bottom > self._written]
        self._valid.append(part)

    def add(self, scores: Tensor, top: int, left: int, weight: Tensor) -> None:
        """Add a window of the row at ``top``; what lies beside the panel is cut off."""
        assert top == self._work._rows[self._row]
        begin = left - self.panel.low
        if not self._direct:
            self._blend(scores, begin, weight, slice(None), slice(None))
            return
        height, width = scores.shape[1:]
        upper, lower = alone(self._work._rows, self._row, height)
        first, last = alone(self.panel.starts, self.panel.starts.index(left), width)
        for rows, cols in (
            (slice(0, upper), slice(0, width)),
            (slice(lower, height), slice(0, width)),
            (slice(upper, lower), slice(0, first)),
            (slice(upper, lower), slice(last, width)),
        ):
            if rows.stop > rows.start and cols.stop > cols.start:
                self._blend(scores, begin, weight, rows, cols)
        cut = slice(max(first, -begin), min(last, self._ids.shape[1] - begin))
        if lower > upper and cut.stop > cut.start:
            target = slice(begin + cut.start, begin + cut.stop)
            self._settle(scores[:, upper:lower, cut], slice(upper, lower), target)

    def _blend(self, scores: Tensor, begin: int, weight: Tensor, rows: slice, cols: slice) -> None:
        width = self._weight.shape[1]
        start, stop, _ = cols.indices(scores.shape[2])
        cut = slice(max(start, -begin), min(stop, width - begin))
        if cut.stop <= cut.start:
            return
        target = slice(begin + cut.start, begin + cut.stop)
        self._total[:, rows, target].addcmul_(scores[:, rows, cut], weight[:, rows, cut])
        if not self._direct:  # else the largest score is the largest without it
            self._weight[rows, target] += weight[0, rows, cut]

    def _settle(self, scores: Tensor, rows: slice, columns: slice) -> None:
        """The best channel of scores that are final."""
        torch.from_numpy(self._ids)[rows, columns] = _best(scores).cpu()

    def finish(self, following: int, last: bool) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Class ids of the raster's rows that no window from row ``following`` on reaches.

        Yields:
            Their first row, and ``(rows, columns of the panel)``.
        """
        work = self._work
        step, height = work._step[0], work._raster.shape[0]
        count = following - work._rows[self._row]
        if self._direct:
            self._settle_shared(count)
            self._final = np.concatenate((self._final, self._ids[:count]))
            self._ids = np.concatenate((self._ids[count:], np.zeros_like(self._ids[:count])))
        else:
            done = self._total[:, :count] / self._weight[:count].clamp_min(1e-12)
            self._done = torch.cat((self._done, done), dim=1)
            self._total[:, :count].zero_()
            self._weight[:count].zero_()
            _move_up(self._weight, count, 0)
        _move_up(self._total, count, 1)
        self._row += 1
        ready = height if last else math.floor((following - 0.5) * step - 0.5) + 1
        if not last:
            ready = ready // _TILE * _TILE
        while self._written < ready:
            end = min(self._written + _TILE, ready)
            yield self._written, self._masked(self._between(self._written, end), self._written)
            self._written = end
        keep = max(0, math.floor((self._written + 0.5) / step - 0.5) - self._first)
        self._done = self._done[:, keep:].clone()
        self._final = self._final[keep:]
        self._first += keep

    def _settle_shared(self, count: int) -> None:
        """Settle pixels in the first ``count`` rows that lie in several windows; clear them."""
        work, starts = self._work, self.panel.starts
        upper, lower = alone(work._rows, self._row, work._tile[0])
        upper, lower = min(upper, count), min(lower, count)
        for rows in (slice(0, upper), slice(max(upper, lower), count)):
            if rows.stop > rows.start:
                self._clear(rows, slice(0, self._ids.shape[1]))
        reach = self._ids.shape[1]
        position = 0
        for index, start in enumerate([*starts, self.panel.high]):
            if index < len(starts):
                first, final = alone(starts, index, work._tile[1])
                begin, end = start + first - self.panel.low, start + final - self.panel.low
            else:
                begin = end = reach
            begin = min(max(begin, 0), reach)
            if lower > upper and begin > position:
                self._clear(slice(upper, lower), slice(position, begin))
            position = max(position, min(max(end, 0), reach))

    def _clear(self, rows: slice, columns: slice) -> None:
        blended = self._total[:, rows, columns]
        self._settle(blended, rows, columns)
        blended.zero_()

    def _between(self, begin: int, end: int) -> NDArray[np.uint8]:
        """Classes of the raster's rows from ``begin`` to ``end``, on the panel's columns."""
        work, panel = self._work, self.panel
        if self._direct:
            rows = slice(begin - self._first, end - self._first)
            best = self._final[rows, panel.begin - panel.low : panel.end - panel.low]
            return _named(best, work._names)
        scores = _interpolate(self._done, 1, begin, end, work._step[0], self._first)
        scores = _interpolate(scores, 2, panel.begin, panel.end, work._step[1], panel.low)
        return _named(_best(scores).cpu().numpy(), work._names)

    def _masked(self, ids: NDArray[np.uint8], top: int) -> NDArray[np.uint8]:
        """``ids`` from row ``top`` on, 0 where the raster has no data."""
        for part in self._valid:
            first = part.origin[0]
            low, high = max(top, first), min(top + len(ids), part.bottom)
            if part.valid is None or high <= low:
                continue
            begin = self.panel.begin - part.origin[1]
            seen = part.valid[low - first : high - first, begin : begin + ids.shape[1]]
            ids[low - top : high - top] *= seen
        return ids


def windows(
    model: LocalizationModel,
    size: Sequence[int],
    batch_size: int = 4,
    overlap: float = OVERLAP,
) -> tuple[tuple[int, int], int]:
    """Height and width of the windows over an image, and how many go through the network at once.

    A network that takes any size sees windows of up to twice the side of a tile, and fewer borders,
    beside which it sees least. Of the sides that it takes, that which is least work; a border
    counts as :data:`_BORDER` pixels of it.

    Args:
        model: Whose ``overhead_size`` and ``any_size`` count.
        size: ``(H, W)`` of the image at the model's resolution.
        batch_size: Tiles of ``overhead_size`` at once.
        overlap: Least part of a window that it shares with the next.
    """

    def best(length: int, side: int) -> int:
        step = model.any_size
        sides = [side] if step is None else [side, *range(side // step * step, 2 * side + 1, step)]
        sides = [each for each in sides if each >= side]
        return min(sides, key=lambda s: len(window_starts(length, s, overlap)) * (s + _BORDER))

    height, width = (best(*axis) for axis in zip(size, model.overhead_size, strict=True))
    at_once = round(batch_size * math.prod(model.overhead_size) / (height * width))
    return (height, width), max(1, at_once)


def alone(starts: Sequence[int], index: int, length: int) -> tuple[int, int]:
    """The part of a window, from its first pixel, that no other window along the axis reaches."""
    begin = starts[index - 1] + length - starts[index] if index else 0
    end = starts[index + 1] - starts[index] if index + 1 < len(starts) else length
    begin = min(max(begin, 0), length)
    return begin, max(begin, min(end, length))


def _move_up(rows: Tensor, count: int, axis: int) -> None:
    """Move what lies behind the first ``count`` rows, which are zero, to their place."""
    tail = rows.narrow(axis, count, rows.shape[axis] - count)
    kept = tail.clone()
    tail.zero_()
    rows.narrow(axis, 0, tail.shape[axis]).copy_(kept)


def _interpolate(
    scores: Tensor, axis: int, begin: int, end: int, step: float, first: int
) -> Tensor:
    """Linear interpolation of scores along an axis at the centres of raster pixels."""
    length = scores.shape[axis]
    if step == 1.0:
        return scores.narrow(axis, begin - first, end - begin)
    position = (torch.arange(begin, end, dtype=torch.float64) + 0.5) / step - 0.5 - first
    position = position.clamp(0, length - 1)
    lower = position.floor().long()
    weight = (position - lower).to(scores.dtype).to(scores.device)
    lower = lower.to(scores.device)
    upper = (lower + 1).clamp_max(length - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    weight = weight.view(shape)
    return torch.lerp(scores.index_select(axis, lower), scores.index_select(axis, upper), weight)
