"""What a frame says of every state: a network's scores on the grid of a belief."""

from abc import ABC, abstractmethod

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
from cvsegguide.tracking.encoding import EncodedMosaic, known_cells
from cvsegguide.tracking.mosaic import Mosaic

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

    Args:
        model, mosaic, device: As for :class:`Likelihood`.
        memory: Megabytes of encoded overhead imagery that are kept.
    """

    knows_headings = True

    def __init__(
        self, model: LocalizationModel, mosaic: Mosaic, device: torch.device, memory: float
    ) -> None:
        super().__init__(model, mosaic, device, model.cell)
        self.overhead = EncodedMosaic(model, mosaic, device, memory)

    def match(self, street: Tensor, box: Box, headings: NDArray[np.float64]) -> Tensor:
        """See :meth:`Likelihood.match`."""
        wide = box.grow(self.model.joint_radius).within(self.extent)
        tile, known = self.overhead.tile(wide)
        turns = torch.tensor(headings, dtype=torch.float32, device=self.device)
        scores = self.model.joint(tile, street, turns, known)[0]
        return scores.masked_fill(~known, -torch.inf)[:, *box.slices(wide)]

    def known(self, box: Box) -> Tensor:
        """See :meth:`Likelihood.known`."""
        return self.overhead.tile(box)[1]


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
