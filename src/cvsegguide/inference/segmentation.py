"""Land cover of rasters of any size, in bounded memory and without seams.

The raster is seen at the model's resolution on one fixed lattice of overlapping windows; their
scores are blended with weights that fall towards each window's border. The output is made in
square blocks. A block computes every window that reaches into it, so that it holds what it would
hold if the raster were one block; windows on the border of two blocks are computed twice, which
costs about (1 + 256 / 2048)^2, a quarter, for rasters of many blocks, and nothing for smaller ones.
"""

import math
from collections.abc import Sequence
from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import cvsegguide
from cvsegguide.errors import InputError
from cvsegguide.inference.windows import Blender, Window, batches, to_tensor, window_starts
from cvsegguide.io.geotiff import create_geotiff
from cvsegguide.io.rasters import Raster, resample
from cvsegguide.landcover import ClassScheme
from cvsegguide.models.base import LocalizationModel
from cvsegguide.progress import track

OVERLAP = 0.25
"""Part of a window that it shares with the next."""

BLOCK = 2048
"""Side of a block in pixels of the raster or of the model, whichever are more; a multiple of the
output's own tiles."""

_MARGIN = 8

_CACHE = 128
"""Megabytes that GDAL may keep of what it reads and writes (a twentieth of memory otherwise)."""


def landcover_ids(
    scores: Tensor, channels: Sequence[str], scheme: ClassScheme
) -> NDArray[np.uint8]:
    """Scores ``(C, H, W)`` to the class ids that stand for each pixel's best channel."""
    ids = np.array(
        [scheme.channels.get(name, i + 1) for i, name in enumerate(channels)], dtype=np.uint8
    )
    # Faster on the CPU than argmax, several times.
    best = scores.max(dim=0).indices
    return np.asarray(ids[best.cpu().numpy()])


def segment_array(
    model: LocalizationModel,
    raster: Raster,
    device: torch.device,
    scheme: ClassScheme,
    batch_size: int = 4,
    block: int = BLOCK,
) -> NDArray[np.uint8]:
    """Class ids ``(H, W)`` of a raster, 0 where it has no data."""
    result = np.zeros(raster.shape, np.uint8)
    work = _Work(model, raster, device, scheme, batch_size, block)
    for top, left in track(work.blocks, "segmenting"):
        part = work.block(top, left)
        result[top : top + part.shape[0], left : left + part.shape[1]] = part
    return result


def segment_file(
    model: LocalizationModel,
    raster: Raster,
    path: str | PathLike[str],
    device: torch.device,
    scheme: ClassScheme,
    batch_size: int = 4,
    block: int = BLOCK,
) -> None:
    """Write the class ids of a raster as a tiled, compressed GeoTIFF with a colour table.

    Size, coordinate system and transform are the raster's own. The file appears when it is whole.
    """
    import rasterio

    from cvsegguide.inference.result import class_tags

    work = _Work(model, raster, device, scheme, batch_size, block)
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
        for top, left in track(work.blocks, "segmenting"):
            writer.write(work.block(top, left), top, left)


class _Work:
    """The lattice of windows over one raster."""

    def __init__(
        self,
        model: LocalizationModel,
        raster: Raster,
        device: torch.device,
        scheme: ClassScheme,
        batch_size: int,
        block: int,
    ) -> None:
        self._model = model
        self._raster = raster
        self._device = device
        self._scheme = scheme
        self._batch_size = batch_size
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
        self._tile = model.overhead_size
        self._starts = tuple(
            window_starts(size, tile, OVERLAP)
            for size, tile in zip(self._size, self._tile, strict=True)
        )
        finer = max(1.0, *(1 / step for step in self._step))
        side = max(256, int(block / finer) // 256 * 256)
        self._side = side
        self.blocks = [
            (top, left)
            for top in range(0, raster.shape[0], side)
            for left in range(0, raster.shape[1], side)
        ]

    def block(self, top: int, left: int) -> NDArray[np.uint8]:
        """Class ids of the block whose top-left pixel is ``(top, left)``."""
        begin = (top, left)
        end = tuple(min(b + self._side, s) for b, s in zip(begin, self._raster.shape, strict=True))
        _, valid = self._raster.read(top, left, end[0], end[1])
        if not valid.any():
            return np.zeros(valid.shape, np.uint8)
        scores, first = self._scores(begin, end)
        for axis in (0, 1):
            scores = _interpolate(
                scores, axis + 1, begin[axis], end[axis], self._step[axis], first[axis]
            )
        ids = landcover_ids(scores, self._model.channels, self._scheme)
        return np.where(valid, ids, 0).astype(np.uint8)

    def _scores(
        self, begin: tuple[int, ...], end: tuple[int, ...]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Blended scores of the part of the model's grid that the block's pixels lean on.

        Returns:
            ``(C, h, w)`` and the ``(row, col)`` of its first pixel on the model's grid.
        """
        low, high, starts = [], [], []
        for axis in (0, 1):
            step, size = self._step[axis], self._size[axis]
            low.append(max(0, math.floor(begin[axis] / step - 1)))
            high.append(min(size, math.ceil(end[axis] / step + 1)))
            reach = self._tile[axis]
            starts.append(
                [s for s in self._starts[axis] if s < high[axis] and s + reach > low[axis]]
            )
        origin = (starts[0][0], starts[1][0])
        image = self._image(origin, (starts[0][-1] + self._tile[0], starts[1][-1] + self._tile[1]))
        windows = [Window(row, col) for row in starts[0] for col in starts[1]]
        blender = Blender(
            len(self._model.channels),
            (high[0] - low[0], high[1] - low[1]),
            self._tile,
            self._device,
        )
        with torch.inference_mode():
            for group in batches(windows, self._batch_size):
                tiles = [
                    image[
                        w.top - origin[0] : w.top - origin[0] + self._tile[0],
                        w.left - origin[1] : w.left - origin[1] + self._tile[1],
                    ]
                    for w in group
                ]
                tensor = torch.cat([to_tensor(tile, self._device) for tile in tiles])
                for scores, w in zip(self._model.segment(tensor), group, strict=True):
                    blender.add(scores, w.top - low[0], w.left - low[1])
        return blender.result(), (low[0], low[1])

    def _image(self, begin: tuple[int, int], end: tuple[int, int]) -> NDArray[np.uint8]:
        """The model's grid from ``begin`` to ``end``, as it would be cut from the whole."""
        stop = tuple(min(e, s) for e, s in zip(end, self._size, strict=True))
        # Pixels of the raster under it, and some around, for the filter.
        exact = [(b * step, s * step) for b, s, step in zip(begin, stop, self._step, strict=True)]
        reach = [math.ceil(_MARGIN * max(1.0, step)) for step in self._step]
        low = [max(0, math.floor(e[0]) - r) for e, r in zip(exact, reach, strict=True)]
        high = [
            min(side, math.ceil(e[1]) + r)
            for e, r, side in zip(exact, reach, self._raster.shape, strict=True)
        ]
        image, valid = self._raster.read(low[0], low[1], high[0], high[1])
        if not valid.all():
            # A constant, not a local mean, so that neighbouring blocks see the same.
            image = np.where(valid[..., None], image, np.uint8(127))
        size = (stop[0] - begin[0], stop[1] - begin[1])
        if self._step != (1.0, 1.0):
            box = (
                exact[0][0] - low[0],
                exact[1][0] - low[1],
                exact[0][1] - low[0],
                exact[1][1] - low[1],
            )
            image = resample(np.ascontiguousarray(image), size, box)
        else:
            image = image[begin[0] - low[0] :, begin[1] - low[1] :][: size[0], : size[1]]
        pad = (end[0] - stop[0], end[1] - stop[1])
        if any(pad):
            image = np.pad(
                image, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="constant", constant_values=127
            )
        return image


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
