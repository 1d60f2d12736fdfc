"""What a frame says of every state: a network's scores on the grid of a belief."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cvsegguide.geo.panorama import canvas_of_picture
from cvsegguide.inference.windows import Blender, lattice, to_tensor
from cvsegguide.io.resampling import fill
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.geometric.overhead import CELL
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.blocks import Blocks, cells_of
from cvsegguide.tracking.mosaic import Mosaic


@dataclass(frozen=True)
class Query:
    """The arguments of :meth:`Likelihood.scores`."""

    view: NDArray[np.uint8]
    fov: float
    box: Box
    headings: NDArray[np.float64]
    heading: float | None


class Likelihood(ABC):
    """Scores of states for a street view.

    Attributes:
        knows_headings: Whether the scores tell headings apart.
        extent: All cells of the map.
        cell: Side of a cell in metres.
    """

    knows_headings: bool
    extent: Box
    cell: float

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
        return self._answer(Query(view, fov, box, headings, heading))

    @abstractmethod
    def known(self, box: Box) -> Tensor:
        """``(h, w)`` bool: cells of a window that have data."""

    @abstractmethod
    def _answer(self, query: Query) -> Tensor:
        """What :meth:`scores` returns."""


class JointLikelihood(Likelihood):
    """Position and heading by a network that matches geometry.

    Args:
        model: Searches headings.
        mosaic: The imagery.
        memory: Megabytes of overhead features that are kept.
    """

    knows_headings = True

    def __init__(self, model: Any, mosaic: Mosaic, device: torch.device, memory: float) -> None:
        self.model = model
        self.device = device
        self.blocks = Blocks(model, mosaic, device, memory)
        self.extent = self.blocks.extent
        self.cell = mosaic.gsd * CELL

    def _answer(self, query: Query) -> Tensor:
        box = query.box
        street = _canvas(self.model, query, 0.0, self.device)
        wide = box.grown(self.model.joint_radius).within(self.extent)
        tile, known = self.blocks.features(wide)
        inner = (
            slice(box.top - wide.top, box.bottom - wide.top),
            slice(box.left - wide.left, box.right - wide.left),
        )
        turns = torch.tensor(query.headings, dtype=torch.float32, device=self.device)
        scores = self.model.joint(tile, street, turns, known)[0][:, *inner]
        return scores.masked_fill(~known[inner], -torch.inf)

    def known(self, box: Box) -> Tensor:
        return self.blocks.features(box)[1]


class PositionLikelihood(Likelihood):
    """Position alone, by any network: the street view is turned by the heading believed in.

    Args:
        model: The network.
        mosaic: The imagery.
    """

    knows_headings = False

    def __init__(self, model: LocalizationModel, mosaic: Mosaic, device: torch.device) -> None:
        self.model = model
        self.mosaic = mosaic
        self.device = device
        self.extent = cells_of(mosaic)
        self.cell = mosaic.gsd * CELL

    def _answer(self, query: Query) -> Tensor:
        box = query.box
        street = _canvas(self.model, query, query.heading or 0.0, self.device)
        tile = self.model.overhead_size
        # Windows reach beyond the box by a quarter, as cameras stand anywhere in a tile.
        inner = (box.shape[0] * CELL, box.shape[1] * CELL)
        spare = (tile[0] // 4, tile[1] // 4)
        size = (
            max(tile[0], inner[0] + 2 * spare[0]),
            max(tile[1], inner[1] + 2 * spare[1]),
        )
        top = box.top * CELL - (size[0] - inner[0]) // 2
        left = box.left * CELL - (size[1] - inner[1]) // 2
        image, valid = self.mosaic.read(top, left, *size)
        image = fill(image, valid)
        heat: Blender | None = None
        for window in lattice(size, tile, 0.5):
            down, right = window.top + tile[0], window.left + tile[1]
            part = to_tensor(image[window.top : down, window.left : right], self.device)
            heatmap = self.model(part, street).heatmap[0]
            heat = heat or Blender(1, size, tile, self.device)
            heat.add(heatmap, window.top, window.left)
        assert heat is not None
        scores = self.model.log_posterior(Prediction(None, heat.result()[None]))
        above, before = box.top * CELL - top, box.left * CELL - left
        scores = scores[:, above : above + inner[0], before : before + inner[1]].float()
        pooled = functional.avg_pool2d((scores - scores.max()).exp()[None], CELL)[0].log()
        return pooled.masked_fill(~self.known(box), -torch.inf)

    def known(self, box: Box) -> Tensor:
        height, width = box.shape
        _, valid = self.mosaic.read(box.top * CELL, box.left * CELL, height * CELL, width * CELL)
        share = valid.reshape(height, CELL, width, CELL).mean(axis=(1, 3))
        return torch.from_numpy(share >= 0.5).to(self.device)


class Remembering(Likelihood):
    """A likelihood that computes no picture twice for the same states.

    For several runs over the same pictures. Of each picture the last answers are kept, and windows
    and headings inside them are cut out; a network matches every place with its own surroundings,
    whatever the window.

    Args:
        likelihood: What is asked; one that knows no headings is asked each time, as its answers
            depend on the heading that is believed in.
        answers: How many are kept of each picture.

    Attributes:
        asked: How often ``likelihood`` was.
    """

    def __init__(self, likelihood: Likelihood, answers: int = 2) -> None:
        self.likelihood = likelihood
        self.answers = answers
        self.asked = 0
        self.knows_headings = likelihood.knows_headings
        self.extent = likelihood.extent
        self.cell = likelihood.cell
        self._kept: dict[Any, list[tuple[Box, NDArray[np.float64], Tensor]]] = {}

    def _answer(self, query: Query) -> Tensor:
        view, box, headings = query.view, query.box, query.headings
        kept = self._kept.setdefault((view.shape, view.tobytes(), query.fov), [])
        for known, turns, answer in kept:
            off = (headings[:, None] - turns + 180.0) % 360.0 - 180.0
            which = np.abs(off).argmin(axis=1)
            if box.within(known) == box and np.abs(off).min(axis=1).max() < 1e-6:
                rows = slice(box.top - known.top, box.bottom - known.top)
                cols = slice(box.left - known.left, box.right - known.left)
                return answer[torch.from_numpy(which), rows, cols]
        self.asked += 1
        answer = self.likelihood.scores(view, query.fov, box, headings, query.heading)
        if self.knows_headings:
            kept.append((box, headings, answer))
            del kept[: -self.answers]
        return answer

    def known(self, box: Box) -> Tensor:
        return self.likelihood.known(box)


def choose_likelihood(
    model: LocalizationModel, mosaic: Mosaic, device: torch.device, memory: float
) -> Likelihood:
    """Position and heading where the network can tell headings apart, else position alone."""
    if model.searches_headings:
        return JointLikelihood(model, mosaic, device, memory)
    return PositionLikelihood(model, mosaic, device)


def tempered(scores: Tensor, temper: float, doubt: float) -> Tensor:
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


def _canvas(model: LocalizationModel, query: Query, heading: float, device: torch.device) -> Tensor:
    """``(1, 3, h, w)``: the street view as ``model`` takes it, turned by ``heading`` degrees."""
    view, fov = query.view, query.fov
    canvas = canvas_of_picture(view, heading, fov, model.street_size, model.street_extent)
    return torch.from_numpy(canvas).to(device)
