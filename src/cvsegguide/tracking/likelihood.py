"""What a frame says of every state: a network's scores on the grid of a belief."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cvsegguide.geo.panorama import canvas_of_picture
from cvsegguide.inference.torch_network import to_tensor
from cvsegguide.inference.windows import Blender, lattice
from cvsegguide.io.resampling import fill
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.mosaic import Mosaic

HALO = 32
"""Pixels on every side of a window that give context alone: a network sees least at its border."""

POSITION_CELL = 0.9
"""Metres a side of a cell, about, for networks that score single pixels."""


class Likelihood(ABC):
    """Scores of states for a street view.

    Args:
        model: The network.
        mosaic: The imagery.
        device: Where it computes.
        pixels: Pixels of the map a side of a cell.

    Attributes:
        knows_headings: Whether the scores tell headings apart.
        extent: All cells of the map.
        cell: Side of a cell in metres.
    """

    knows_headings: bool

    def __init__(
        self, model: LocalizationModel, mosaic: Mosaic, device: torch.device, pixels: int
    ) -> None:
        self.model = model
        self.mosaic = mosaic
        self.device = device
        self.pixels = pixels
        self.extent = mosaic.cells(pixels)
        self.cell = mosaic.gsd * pixels

    def scores(
        self,
        view: NDArray[np.uint8],
        fov: float,
        box: Box,
        headings: NDArray[np.float64],
        heading: float | None = None,
    ) -> Tensor:
        """Log-likelihoods, known up to one constant.

        Args:
            view: ``(h, w, 3)`` uint8, the street view.
            fov: Its horizontal extent in degrees.
            box: Window of the map.
            headings: ``(K,)`` degrees clockwise from the map's up.
            heading: The heading that is believed in, for networks that cannot tell.

        Returns:
            ``(K or 1, h, w)``, minus infinity where there is no data.
        """
        turn = 0.0 if self.knows_headings else heading or 0.0
        size, extent = self.model.street_size, self.model.street_extent
        canvas = torch.from_numpy(canvas_of_picture(view, turn, fov, size, extent))
        return self.match(canvas.to(self.device), box, headings)

    @abstractmethod
    def match(self, street: Tensor, box: Box, headings: NDArray[np.float64]) -> Tensor:
        """:meth:`scores` of a street view ``(1, 3, h, w)`` as the network takes it."""

    @abstractmethod
    def known(self, box: Box) -> Tensor:
        """``(h, w)`` bool: cells of a window that have data."""


class JointLikelihood(Likelihood):
    """Position and heading, by a network that searches headings.

    The mosaic is cut into blocks; each is encoded as the middle of a window of the size that the
    network was trained with, at most once while it is in memory, and blocks are put together to
    maps without borders.

    Args:
        model, mosaic, device: As for :class:`Likelihood`.
        memory: Megabytes that blocks may take; those not used for longest go first.

    Attributes:
        encoded: Number of windows that passed the network.
    """

    knows_headings = True

    def __init__(
        self, model: LocalizationModel, mosaic: Mosaic, device: torch.device, memory: float
    ) -> None:
        super().__init__(model, mosaic, device, model.cell)
        self.encoded = 0
        self._limit = memory * 1e6
        self._halo = max(1, HALO // model.cell)
        height, width = (side // model.cell - 2 * self._halo for side in model.overhead_size)
        self._side = max(1, height), max(1, width)
        self._blocks: OrderedDict[tuple[int, int], tuple[Any, Tensor]] = OrderedDict()

    def match(self, street: Tensor, box: Box, headings: NDArray[np.float64]) -> Tensor:
        """See :meth:`Likelihood.match`."""
        wide = box.grow(self.model.joint_radius).within(self.extent)
        tile, known = self.tile(wide)
        turns = torch.tensor(headings, dtype=torch.float32, device=self.device)
        scores = self.model.joint(tile, street, turns, known)[0]
        return scores.masked_fill(~known, -torch.inf)[:, *box.slices(wide)]

    def known(self, box: Box) -> Tensor:
        """See :meth:`Likelihood.known`."""
        return self.tile(box)[1]

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


class PositionLikelihood(Likelihood):
    """Position alone, by any network: the street view is turned by the heading believed in."""

    knows_headings = False

    def __init__(self, model: LocalizationModel, mosaic: Mosaic, device: torch.device) -> None:
        super().__init__(model, mosaic, device, max(1, round(POSITION_CELL / mosaic.gsd)))

    def match(self, street: Tensor, box: Box, headings: NDArray[np.float64]) -> Tensor:
        """See :meth:`Likelihood.match`."""
        tile, cell = self.model.overhead_size, self.pixels
        # Windows reach beyond the box by a quarter, as cameras stand anywhere in a tile.
        inner = (box.shape[0] * cell, box.shape[1] * cell)
        size = (
            max(tile[0], inner[0] + 2 * (tile[0] // 4)),
            max(tile[1], inner[1] + 2 * (tile[1] // 4)),
        )
        above, before = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        image = fill(*self.mosaic.read(box.top * cell - above, box.left * cell - before, *size))
        windows = lattice(size, tile, 0.5)
        heat = Blender(size, windows)
        for window in windows:
            part = to_tensor(image[window.rows, window.columns], self.device)
            heat.add(window, self.model(part, street).heatmap[0].float().cpu().numpy())
        heatmap = torch.from_numpy(heat.result()[None]).to(self.device)
        scores = self.model.log_posterior(Prediction(None, heatmap))
        scores = scores[:, above : above + inner[0], before : before + inner[1]].float()
        pooled = functional.avg_pool2d((scores - scores.max()).exp()[None], cell)[0].log()
        return pooled.masked_fill(~self.known(box), -torch.inf)

    def known(self, box: Box) -> Tensor:
        """See :meth:`Likelihood.known`."""
        edges = (box.top, box.left, *box.shape)
        _, valid = self.mosaic.read(*(edge * self.pixels for edge in edges))
        return known_cells(torch.from_numpy(valid).to(self.device), self.pixels)


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


def choose_likelihood(
    model: LocalizationModel, mosaic: Mosaic, device: torch.device, memory: float
) -> Likelihood:
    """Position and heading where the network searches headings, else position alone."""
    if model.searches_headings:
        return JointLikelihood(model, mosaic, device, memory)
    return PositionLikelihood(model, mosaic, device)


def temper_scores(scores: Tensor, temper: float, doubt: float) -> Tensor:
    """Scores to a likelihood that no single frame can carry too far.

    The posterior of the frame under a uniform prior over the states given, tempered, is mixed with
    a uniform one: ``(1 - doubt) * N * softmax(temper * scores) + doubt``. Its mean over the states
    is 1, and it is never below ``doubt``: a frame that is wrong divides the truth by that at most.

    Args:
        scores: ``(K, h, w)`` log-likelihoods; states of minus infinity stay at ``doubt``.
        temper: Power of the likelihood, below 1 for frames that are not independent or a network
            that is too sure.
        doubt: Probability that a frame tells nothing.
    """
    flat = torch.nan_to_num(scores.flatten() * temper, nan=-torch.inf, neginf=-torch.inf)
    possible = torch.isfinite(flat)
    count = int(possible.sum())
    if count == 0:
        return torch.ones_like(scores)
    share = flat.double().softmax(dim=0) * count
    return ((1 - doubt) * share + doubt).to(scores.dtype).view_as(scores)
