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
from cvsegguide.errors import CheckpointError, InputError
from cvsegguide.inference.panels import TILE, Panel, PanelRows, RowImage, ScoredWindow, WindowGrid
from cvsegguide.inference.scores import Scores, class_names
from cvsegguide.inference.windows import batches, taper, to_bytes, window_starts
from cvsegguide.io.geotiff import create_geotiff
from cvsegguide.io.rasters import Raster
from cvsegguide.io.resampling import resample
from cvsegguide.landcover import ClassScheme
from cvsegguide.models.base import LocalizationModel
from cvsegguide.progress import track

OVERLAP = 1 / 32
"""Part of a window that it shares with the next. What is shared is computed twice, or four times:
a part x costs 1 / (1 - x)^2 of the time. docs/performance.md says what classes lose by it."""

PANEL = 8192
"""Width of a panel in pixels of the raster or of the model, whichever are more."""

_MARGIN = 8

_BORDER = 16

_CACHE = 32
"""Megabytes that GDAL may keep of what it reads and writes (a twentieth of memory otherwise): a
few rows of a panel's tiles. With more, it would compress in the end what it can behind the
network."""


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
        step = tuple(side / size for side, size in zip(raster.shape, self._size, strict=True))
        tile, self._batch_size = windows(model, self._size, batch_size, overlap)
        rows, columns = (
            window_starts(*axis, overlap) for axis in zip(self._size, tile, strict=True)
        )
        weight = (
            torch.from_numpy(taper(tile)).to(device)[..., None].expand(-1, -1, len(model.channels))
        )
        self._grid = WindowGrid(
            (raster.shape[0], raster.shape[1]),
            (step[0], step[1]),
            tile,
            rows,
            len(model.channels),
            class_names(model.channels, scheme),
            weight.contiguous().permute(2, 0, 1),
        )
        finer = max(1.0, 1 / step[1])
        width = max(TILE, int(panel / finer) // TILE * TILE)
        self._panels = [
            self._panel(begin, min(begin + width, raster.shape[1]), columns)
            for begin in range(0, raster.shape[1], width)
        ]

    def _panel(self, begin: int, end: int, columns: Sequence[int]) -> Panel:
        step, size = self._grid.step[1], self._size[1]
        low = max(0, math.floor(begin / step - 1))
        high = min(size, math.ceil(end / step + 1))
        starts = [s for s in columns if s < high and s + self._grid.tile[1] > low]
        return Panel(begin, end, low, high, starts)

    @torch.inference_mode()
    def run(self, write: Callable[[NDArray[np.uint8], int, int], None]) -> None:
        """Compute everything; ``write(ids, top, left)`` is called in a thread, in order."""
        with (
            ThreadPoolExecutor(1, "reading") as reader,
            ThreadPoolExecutor(1, "writing") as writer,
        ):
            pending: list[Future[None]] = []
            rows: PanelRows | None = None
            for job in self._jobs(reader):
                if rows is None or rows.panel is not job.panel:
                    rows = PanelRows(self._grid, job.panel)
                if job.first:
                    rows.keep(job.part)
                for window in self._segment(job):
                    rows.add(window)
                if not job.last:
                    continue
                end = job.row + 1 == len(self._grid.rows)
                following = self._size[0] if end else self._grid.rows[job.row + 1]
                for top, ids in rows.finish(following, end):
                    if len(pending) > 1:
                        pending.pop(0).result()
                    pending.append(writer.submit(write, ids, top, job.panel.begin))
            for future in pending:
                future.result()

    def _jobs(self, reader: ThreadPoolExecutor) -> Iterator["_Job"]:
        """Groups of windows in order, one without any for rows that have none; read as drawn."""
        todo = [(panel, row) for panel in self._panels for row in range(len(self._grid.rows))]

        def read(index: int) -> Future[RowImage] | None:
            if index >= len(todo):
                return None
            panel, row = todo[index]
            origin = (self._grid.rows[row], panel.starts[0])
            end = (origin[0] + self._grid.tile[0], panel.starts[-1] + self._grid.tile[1])
            return reader.submit(self._image, origin, end)

        width = self._grid.tile[1]
        ahead = read(0)
        for index, (panel, row) in enumerate(track(todo, "segmenting")):
            assert ahead is not None
            part = ahead.result()
            ahead = read(index + 1)
            columns = [start - panel.starts[0] for start in panel.starts]
            # A window without data has no pixel that anyone will see.
            wanted = [left for left in columns if part.seen[left : left + width].any()]
            groups = list(batches(wanted, self._batch_size)) or [[]]
            for number, group in enumerate(groups):
                yield _Job(panel, row, part, group, number == 0, number + 1 == len(groups))

    def _segment(self, job: "_Job") -> list[ScoredWindow]:
        """Pass a group of windows through the network."""
        if not job.lefts:
            return []
        width, grid = self._grid.tile[1], self._grid
        tensor = self._batch([job.part.image[:, left : left + width] for left in job.lefts])
        found = []
        for scores, left in zip(self._scores(tensor), job.lefts, strict=True):
            start, best = left + job.panel.starts[0], None
            if grid.direct:
                best = scores.best(*grid.alone(job.panel, job.row, start)).numpy()
            found.append(ScoredWindow(start, scores, best))
        return found

    def _scores(self, windows: Tensor) -> list[Scores]:
        """What the network says of a batch of windows."""
        found = self._model.segment(windows)
        if not bool(found.sum(dtype=torch.float32).isfinite()):
            raise CheckpointError(
                "the model's scores of land cover are not numbers; its weights are damaged"
            )
        return [Scores(values.float()) for values in found]

    def _batch(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Images ``(H, W, 3)`` as the network takes them."""
        if self._device.type != "cpu":
            return torch.cat([to_bytes(image) for image in images]).to(self._device) / 255.0
        # Channels side by side, as they come.
        batch = torch.empty(len(images), *images[0].shape)
        for image, target in zip(images, batch, strict=True):
            target.copy_(to_bytes(image)[0].permute(1, 2, 0))
        return batch.div_(255.0).permute(0, 3, 1, 2)

    def _image(self, begin: tuple[int, int], end: tuple[int, int]) -> RowImage:
        """The model's grid from ``begin`` to ``end``, as it would be cut from the whole."""
        stop = tuple(min(e, s) for e, s in zip(end, self._size, strict=True))
        # Pixels of the raster under it, and some around, for the filter.
        steps, resampled = self._grid.step, not self._grid.direct
        exact = [(b * step, s * step) for b, s, step in zip(begin, stop, steps, strict=True)]
        reach = [math.ceil(_MARGIN * max(1.0, step)) if resampled else 0 for step in steps]
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
            edges = np.arange(image.shape[1] + 1) * steps[1] + begin[1] * steps[1]
            edges -= low[1]
            # Whatever the filter of a column reaches.
            first = np.clip(np.floor(edges[:-1]) - reach[1], 0, len(columns) - 1).astype(int)
            final = np.clip(np.ceil(edges[1:]) + reach[1], 0, len(columns) - 1).astype(int)
            seen = columns[final] > columns[first]
        return RowImage(image, seen, None if whole else valid, (low[0], low[1]), high[0])


@dataclass(frozen=True)
class _Job:
    """Windows of a row that go through the network at once.

    Attributes:
        panel, row: Where: a panel, and which row of windows of it.
        part: What was read for the row.
        lefts: First columns of the windows in the part's image.
        first, last: Whether it is the row's first, and its last.
    """

    panel: Panel
    row: int
    part: RowImage
    lefts: Sequence[int]
    first: bool
    last: bool


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
