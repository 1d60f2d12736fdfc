"""The overhead branch over a mosaic of any size: block by block, each once, in bounded memory."""

from collections import OrderedDict
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from cvsegguide.inference.windows import to_tensor
from cvsegguide.io.resampling import fill
from cvsegguide.models.geometric.overhead import CELL
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.mosaic import Mosaic

HALO = 32
"""Pixels of a window on every side that only give context: a network sees least at its border."""


class Blocks:
    """What a network's overhead branch says of a mosaic.

    The mosaic is cut into blocks; each is encoded as the middle of a window of the size that the
    network was trained with, at most once while it is in memory, and blocks are put together to
    maps without borders.

    Args:
        model: Has ``encode_tile`` and ``overhead_size``.
        mosaic: The imagery.
        memory: Megabytes that blocks may take; those not used for longest go first.

    Attributes:
        extent: All cells of the mosaic.
        encoded: Number of windows that passed the network.
    """

    def __init__(self, model: Any, mosaic: Mosaic, device: torch.device, memory: float) -> None:
        self.model = model
        self.mosaic = mosaic
        self.device = device
        self.limit = memory * 1e6
        self.size = model.overhead_size
        self.side = tuple(max(CELL, side - 2 * HALO) // CELL for side in self.size)
        self.extent = cells_of(mosaic)
        self.encoded = 0
        self._blocks: OrderedDict[tuple[int, int], tuple[Any, Tensor]] = OrderedDict()
        self._bytes = 0.0

    def features(self, box: Box) -> tuple[Any, Tensor]:
        """The overhead features of a window of cells, and which of the cells have data.

        Args:
            box: Inside :attr:`extent`.

        Returns:
            Features of one map, as if the window had passed the network, and ``(h, w)`` bool.
        """
        height, width = self.side
        rows = range(box.top // height, (box.bottom - 1) // height + 1)
        cols = range(box.left // width, (box.right - 1) // width + 1)
        lines = [[self._block(i, j) for j in cols] for i in rows]
        inner = Box(
            box.top - rows[0] * height,
            box.left - cols[0] * width,
            box.bottom - rows[0] * height,
            box.right - cols[0] * width,
        )
        first = lines[0][0][0]
        joined = {
            name: _join(
                [[getattr(block, name) for block, _ in line] for line in lines], inner, height
            )
            for name in _names(first)
        }
        valid = _join([[known[None, None] for _, known in line] for line in lines], inner, height)
        return replace(first, **joined), valid[0, 0]

    def _block(self, i: int, j: int) -> tuple[Any, Tensor]:
        if (i, j) in self._blocks:
            self._blocks.move_to_end((i, j))
            return self._blocks[i, j]
        block = self._encode(i, j)
        self._blocks[i, j] = block
        self._bytes += _size(block)
        while self._bytes > self.limit and len(self._blocks) > 1:
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= _size(oldest)
        return block

    def _encode(self, i: int, j: int) -> tuple[Any, Tensor]:
        height, width = self.side
        image, valid = self.mosaic.read(
            i * height * CELL - HALO, j * width * CELL - HALO, *self.size
        )
        above = self.model.encode_tile(to_tensor(fill(image, valid), self.device))
        self.encoded += 1
        inner = Box(HALO // CELL, HALO // CELL, HALO // CELL + height, HALO // CELL + width)
        known = torch.from_numpy(valid).to(self.device)
        known = known.view(self.size[0] // CELL, CELL, self.size[1] // CELL, CELL)
        share = known.float().mean(dim=(1, 3))[_of(inner, 1)] >= 0.5
        cut = {}
        for name in _names(above):
            values = getattr(above, name)
            part = values[..., *_of(inner, values.shape[-2] * CELL // self.size[0])]
            cut[name] = part.contiguous().clone()
        return replace(above, **cut), share


def cells_of(mosaic: Mosaic) -> Box:
    """All whole cells of a mosaic."""
    return Box(0, 0, max(1, mosaic.shape[0] // CELL), max(1, mosaic.shape[1] // CELL))


def _of(box: Box, scale: int) -> tuple[slice, slice]:
    return (
        slice(box.top * scale, box.bottom * scale),
        slice(box.left * scale, box.right * scale),
    )


def _join(lines: list[list[Tensor]], inner: Box, cells: int) -> Tensor:
    """Blocks to one map, of which a window of cells is cut out."""
    whole = torch.cat([torch.cat(line, dim=-1) for line in lines], dim=-2)
    scale = lines[0][0].shape[-2] // cells
    return whole[..., *_of(inner, scale)]


def _names(tile: Any) -> list[str]:
    """Fields of an encoded tile that hold tensors."""
    return [entry.name for entry in fields(tile) if getattr(tile, entry.name) is not None]


def _size(block: tuple[Any, Tensor]) -> float:
    tensors = [getattr(block[0], name) for name in _names(block[0])] + [block[1]]
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))
