"""What is known of a panel of a large raster while windows over it come, row by row."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.inference.scores import Scores, best_channel, named

TILE = 256
"""Rows and columns are written by multiples of it, the output's own tiles."""


@dataclass(frozen=True)
class Panel:
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


@dataclass(frozen=True)
class ScoredWindow:
    """What the network says of a window.

    Attributes:
        left: Its first column on the model's grid.
        scores: Of its pixels.
        best: Class channels ``(h, w)`` of those that lie in no other window, where that is known.
    """

    left: int
    scores: Scores
    best: NDArray[np.uint8] | None


@dataclass(frozen=True)
class WindowGrid:
    """Where windows lie over a raster.

    Attributes:
        shape: ``(H, W)`` of the raster.
        step: Its pixels per pixel of the model's grid, down and across.
        tile: ``(h, w)`` of a window.
        rows: First rows of the windows on the model's grid.
        channels: How many scores a pixel has.
        names: The class id of each channel.
        taper: ``(channels, h, w)`` weights of a window's pixels, channels side by side as in what
            convolutions give.
    """

    shape: tuple[int, int]
    step: tuple[float, float]
    tile: tuple[int, int]
    rows: list[int]
    channels: int
    names: bytes
    taper: Tensor

    @property
    def direct(self) -> bool:
        """Whether the model's grid is the raster's own."""
        return self.step == (1.0, 1.0)

    def alone(self, panel: Panel, row: int, left: int) -> tuple[slice, slice]:
        """Rows and columns of a window that no other reaches: of row ``row``, from ``left`` on."""
        down = alone(self.rows, row, self.tile[0])
        across = alone(panel.starts, panel.starts.index(left), self.tile[1])
        return slice(*down), slice(*across)


@dataclass(frozen=True)
class RowImage:
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


class PanelRows:
    """What is known of one panel from the row of windows at work on.

    At the model's own resolution a pixel that lies in one window alone has its class at once; only
    the strips that windows share are blended. At another resolution all scores are, since those
    between them are wanted.
    """

    def __init__(self, grid: WindowGrid, panel: Panel) -> None:
        self.panel = panel
        self._grid = grid
        shape = (grid.tile[0], panel.high - panel.low)
        self._total = grid.taper.new_zeros((*shape, grid.channels)).permute(2, 0, 1)
        self._weight = grid.taper.new_zeros(shape)
        self._row = 0
        # Channels, or blended scores, that are final but not yet given out, from row `_first` on.
        self._ids = np.zeros(shape, np.uint8)
        self._final = self._ids[:0]
        self._done = self._total[:, :0]
        self._first = 0
        self._written = 0
        self._valid: list[RowImage] = []

    def keep(self, part: RowImage) -> None:
        """Remember where there are data."""
        self._valid = [known for known in self._valid if known.bottom > self._written]
        self._valid.append(part)

    def add(self, window: ScoredWindow) -> None:
        """Add a window of the row at work on; what lies beside the panel is cut off."""
        grid, scores = self._grid, window.scores
        begin = window.left - self.panel.low
        height, width = scores.shape
        if not grid.direct:
            self._blend(scores, begin, slice(0, height), slice(0, width))
            return
        inner = grid.alone(self.panel, self._row, window.left)
        (upper, lower), (first, last) = ((each.start, each.stop) for each in inner)
        for rows, cols in (
            (slice(0, upper), slice(0, width)),
            (slice(lower, height), slice(0, width)),
            (slice(upper, lower), slice(0, first)),
            (slice(upper, lower), slice(last, width)),
        ):
            if rows.stop > rows.start and cols.stop > cols.start:
                self._blend(scores, begin, rows, cols)
        cut = slice(max(first, -begin), min(last, self._ids.shape[1] - begin))
        if window.best is not None and cut.stop > cut.start:
            target = slice(begin + cut.start, begin + cut.stop)
            self._ids[upper:lower, target] = window.best[:, cut.start - first : cut.stop - first]

    def _blend(self, scores: Scores, begin: int, rows: slice, cols: slice) -> None:
        weight = self._grid.taper
        width = self._weight.shape[1]
        cut = slice(max(cols.start, -begin), min(cols.stop, width - begin))
        if cut.stop <= cut.start:
            return
        target = slice(begin + cut.start, begin + cut.stop)
        self._total[:, rows, target].addcmul_(scores.part(rows, cut), weight[:, rows, cut])
        if not self._grid.direct:  # else the largest score is the largest without it
            self._weight[rows, target] += weight[0, rows, cut]

    def finish(self, following: int, last: bool) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Class ids of the raster's rows that no window from row ``following`` on reaches.

        Yields:
            Their first row, and ``(rows, columns of the panel)``.
        """
        grid = self._grid
        step, height = grid.step[0], grid.shape[0]
        count = following - grid.rows[self._row]
        if grid.direct:
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
            ready = ready // TILE * TILE
        while self._written < ready:
            end = min(self._written + TILE, ready)
            yield self._written, self._masked(self._between(self._written, end), self._written)
            self._written = end
        keep = max(0, math.floor((self._written + 0.5) / step - 0.5) - self._first)
        self._done = self._done[:, keep:].clone()
        self._final = self._final[keep:]
        self._first += keep

    def _settle_shared(self, count: int) -> None:
        """Settle pixels in the first ``count`` rows that lie in several windows; clear them."""
        grid, starts = self._grid, self.panel.starts
        upper, lower = alone(grid.rows, self._row, grid.tile[0])
        upper, lower = min(upper, count), min(lower, count)
        for rows in (slice(0, upper), slice(max(upper, lower), count)):
            if rows.stop > rows.start:
                self._clear(rows, slice(0, self._ids.shape[1]))
        reach = self._ids.shape[1]
        position = 0
        for index, start in enumerate([*starts, self.panel.high]):
            if index < len(starts):
                first, final = alone(starts, index, grid.tile[1])
                begin, end = start + first - self.panel.low, start + final - self.panel.low
            else:
                begin = end = reach
            begin = min(max(begin, 0), reach)
            if lower > upper and begin > position:
                self._clear(slice(upper, lower), slice(position, begin))
            position = max(position, min(max(end, 0), reach))

    def _clear(self, rows: slice, columns: slice) -> None:
        blended = self._total[:, rows, columns]
        torch.from_numpy(self._ids)[rows, columns] = best_channel(blended).cpu()
        blended.zero_()

    def _between(self, begin: int, end: int) -> NDArray[np.uint8]:
        """Classes of the raster's rows from ``begin`` to ``end``, on the panel's columns."""
        grid, panel = self._grid, self.panel
        if grid.direct:
            rows = slice(begin - self._first, end - self._first)
            best = self._final[rows, panel.begin - panel.low : panel.end - panel.low]
            return named(best, grid.names)
        scores = _interpolate(self._done, 1, begin, end, grid.step[0], self._first)
        scores = _interpolate(scores, 2, panel.begin, panel.end, grid.step[1], panel.low)
        return named(best_channel(scores).cpu().numpy(), grid.names)

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
