"""The overhead branch over a mosaic of any size: block by block, each once, in bounded memory."""

from collections import OrderedDict
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from cvsegguide.inference.torch_network import to_tensor
from cvsegguide.io.resampling import fill
from cvsegguide.models.base import LocalizationModel
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.mosaic import Mosaic

HALO = 32
"""Pixels of a window on every side that only give context: a network sees least at its border."""


class EncodedMosaic:
    """What a network's overhead branch says of a mosaic.

    The mosaic is cut into blocks; each is encoded as the middle of a window of the size that the
    network was trained with, at most once while it is in memory, and blocks are put together to
    maps without borders.

    Args:
        model: The network, which searches headings.
        mosaic: The imagery.
        device: Where it computes.
        memory: Megabytes that blocks may take; those not used for longest go first.

    Attributes:
        extent: All cells of the mosaic.
        encoded: Number of windows that passed the network.
    """

    def __init__(
        self, model: LocalizationModel, mosaic: Mosaic, device: torch.device, memory: float
    ) -> None:
        self.model = model
        self.mosaic = mosaic
        self.device = device
        self.extent = mosaic.cells(model.cell)
        self.encoded = 0
        self._limit = memory * 1e6
        self._halo = max(1, HALO // model.cell)
        height, width = (side // model.cell - 2 * self._halo for side in model.overhead_size)
        self._side = max(1, height), max(1, width)
        self._blocks: OrderedDict[tuple[int, int], tuple[Any, Tensor]] = OrderedDict()

    def tile(self, box: Box) -> tuple[Any, Tensor]:
        """The encoded window of cells, and which of the cells have data.

        Args:
            box: Inside :attr:`extent`.

        Returns:
            As :meth:`~cvsegguide.models.base.LocalizationModel.encode_tile` gives it for one tile,
            and ``(h, w)`` bool.
        """
        height, width = self._side
        rows = range(box.top // height, (box.bottom - 1) // height + 1)
        cols = range(box.left // width, (box.right - 1) // width + 1)
        lines = [[self._block(i, j) for j in cols] for i in rows]
        whole = Box(rows[0] * height, cols[0] * width, rows.stop * height, cols.stop * width)
        inner = box.relative_to(whole)

        def join(parts: list[list[Tensor]]) -> Tensor:
            whole = torch.cat([torch.cat(line, dim=-1) for line in parts], dim=-2)
            return _cut(whole, inner, parts[0][0].shape[-2] / height)

        known = join([[valid for _, valid in line] for line in lines])
        first = lines[0][0][0]
        parts = {
            name: join([[getattr(tile, name) for tile, _ in line] for line in lines])
            for name in _tensors(first)
        }
        return replace(first, **parts), known

    def _block(self, i: int, j: int) -> tuple[Any, Tensor]:
        if (i, j) not in self._blocks:
            self._blocks[i, j] = block = self._encode(i, j)
            tensors = [*_tensors(block[0]).values(), block[1]]  # all blocks are of one size
            size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            while len(self._blocks) > max(1, self._limit // size):
                self._blocks.popitem(last=False)
        self._blocks.move_to_end((i, j))
        return self._blocks[i, j]

    def _encode(self, i: int, j: int) -> tuple[Any, Tensor]:
        height, width = self._side
        cell, halo = self.model.cell, self._halo
        size = self.model.overhead_size
        top, left = (i * height - halo) * cell, (j * width - halo) * cell
        image, valid = self.mosaic.read(top, left, *size)
        tile = self.model.encode_tile(to_tensor(fill(image, valid), self.device))
        self.encoded += 1
        inner = Box(halo, halo, halo + height, halo + width)
        known = known_cells(torch.from_numpy(valid).to(self.device), cell)
        parts = {
            name: _cut(value, inner, value.shape[-2] * cell / size[0]).contiguous().clone()
            for name, value in _tensors(tile).items()
        }
        return replace(tile, **parts), _cut(known, inner, 1.0)


def known_cells(valid: Tensor, cell: int) -> Tensor:
    """Which cells have data in at least half of their pixels.

    Args:
        valid: ``(H, W)`` bool.
        cell: Pixels a side of a cell.

    Returns:
        ``(H / cell, W / cell)`` bool.
    """
    height, width = (side // cell for side in valid.shape)
    whole = valid[: height * cell, : width * cell].view(height, cell, width, cell)
    return whole.float().mean(dim=(1, 3)) >= 0.5


def _tensors(tile: Any) -> dict[str, Tensor]:
    """The tensors of an encoded tile, by name."""
    values = {entry.name: getattr(tile, entry.name) for entry in fields(tile)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _cut(values: Tensor, box: Box, scale: float) -> Tensor:
    """A window of cells of a map that has ``scale`` values a side of a cell."""
    top, left, bottom, right = (
        round(edge * scale) for edge in (box.top, box.left, box.bottom, box.right)
    )
    return values[..., top:bottom, left:right]
