"""What every localisation network has in common."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError

if TYPE_CHECKING:
    from cvsegguide.models.geometric.polar import PolarGrid


@dataclass
class Evidence:
    """What a network's score rests on, for losses that teach the parts (the geometric loss).

    Attributes:
        prior: ``(B, 1, h, w)`` scores of a camera standing there, from what is there.
        landcover: ``(B, K, h, w)`` scores of the overhead land cover, at any size.
        visibility: ``(B, 1, R, D)`` logits of the place in this direction and range being seen.
        street_landcover: ``(B, K, R, D)`` scores of the land cover that the street view shows.
        rows: ``(B, R, rows, D)``: for each range bin, the logarithm of the share of attention that
            each row of a column of the street view gets; or None.
        grid: The polar grid of R ranges and D directions.
    """

    prior: Tensor
    landcover: Tensor
    visibility: Tensor
    street_landcover: Tensor
    rows: Tensor | None
    grid: "PolarGrid"


@dataclass
class Prediction:
    """Output of a localisation network for B pairs.

    Attributes:
        landcover: ``(B, C, H, W)`` scores per guidance channel on the overhead grid, or None.
        heatmap: ``(B, 1, H, W)`` localisation scores on the overhead grid; where headings were
            searched, over all of them.
        heading: ``(B,)`` degrees by which the camera's heading differs from the one that the
            street canvas was made with, or None where the heading was taken as given.
        heading_log: ``(B, K)`` log-probabilities of the K rotations that were tried, or None.
        joint: ``(B, K, h, w)`` unnormalised log-probabilities of heading and place, while training
            with several headings; else None.
        evidence: What led to it, for losses; None for networks that have no such parts.
    """

    landcover: Tensor | None
    heatmap: Tensor
    heading: Tensor | None = None
    heading_log: Tensor | None = None
    joint: Tensor | None = None
    evidence: Evidence | None = None


@dataclass
class Tile:
    """What networks keep of overhead tiles that have no branch of their own for them.

    Attributes:
        overhead: ``(B, 3, H, W)``, as :meth:`LocalizationModel.forward` takes it.
        landcover: ``(B, H, W)`` or None.
    """

    overhead: Tensor
    landcover: Tensor | None = None


def check_choice(parameter: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        ConfigurationError: It is none.
    """
    if value not in choices:
        raise ConfigurationError(f"must be one of {', '.join(choices)}, got '{value}'", parameter)


def record_arguments(constructor: Callable[..., None], values: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a constructor in JSON types, for :meth:`LocalizationModel.config`.

    Args:
        constructor: Its ``__init__``.
        values: Its ``locals()``. ``pretrained`` is left out: saved weights need no others.
    """
    names = [*inspect.signature(constructor).parameters][1:]
    return {
        name: list(values[name]) if isinstance(values[name], tuple | list) else values[name]
        for name in names
        if name != "pretrained"
    }


class LocalizationModel(nn.Module):
    """A pure network from a pair of images to land cover and a localisation heatmap.

    Subclasses set the attributes below in their constructor and implement :meth:`forward`,
    :meth:`log_posterior`, :meth:`segment` and :meth:`config`. Training, inference, tracking and
    export know nothing else about them.

    Attributes:
        overhead_size: ``(H, W)`` of the overhead input in pixels.
        street_size: ``(h, w)`` of the street input in pixels.
        street_extent: Degrees ``(vertical, horizontal)`` that the street input spans.
        gsd: Metres per overhead pixel that the network was made for.
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.
        channels: Names of the land-cover channels of the output, in order.
        searches_headings: Whether :meth:`forward` can try rotations of the street view.
        density: Whether heatmaps are proportional to a probability density; else they hold logits.
        any_size: A number when overhead inputs may have any size of which it is a divisor, at
            ``gsd``; None where only tiles of ``overhead_size`` mean what was trained.
        default_loss: Name of the loss that it is trained with where none is named.
        cell: Overhead pixels a side of a cell of :meth:`joint`.
        joint_radius: Cells around a place on which a score of :meth:`joint` depends.
    """

    searches_headings: bool = False
    density: bool = False
    any_size: int | None = None
    default_loss: str = "posterior"
    cell: int = 1
    joint_radius: int = 0
    overhead_size: tuple[int, int]
    street_size: tuple[int, int]
    street_extent: tuple[float, float]
    gsd: float
    guidance: str
    channels: tuple[str, ...]

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        """Localise B street views in B overhead tiles.

        Args:
            overhead: ``(B, 3, H, W)`` float32 in [0, 1], RGB, north up.
            street: ``(B, 3, h, w)`` float32 in [0, 1], RGB, centre column looking north.
            landcover: ``(B, H, W)`` class ids 1..8, needed when ``guidance`` is ``"truth"``.
            headings: ``(K,)`` degrees: how far the camera's heading may lie further clockwise than
                the canvas was made with, each as probable. For networks that search headings
                (:attr:`searches_headings`); others are given None.
        """
        raise NotImplementedError

    def encode_tile(self, overhead: Tensor, landcover: Tensor | None = None) -> Any:
        """What does not depend on the street view; arguments as of :meth:`forward`.

        ``encode_tile(overhead[:1])``, then :meth:`match_tile` for each batch of street views,
        localises them all in one tile. By default nothing is computed ahead.

        Returns:
            A dataclass of tensors, or None, whose last two dimensions are rows and columns of the
            tile at some size.
        """
        return Tile(overhead, landcover)

    def match_tile(self, tile: Any, street: Tensor, headings: Tensor | None = None) -> Prediction:
        """Localise B street views, each in its tile of :meth:`encode_tile` or all in one.

        Args:
            tile: B tiles or one.
            street, headings: As in :meth:`forward`.
        """
        given = [
            None if part is None else part.expand(street.shape[0], *part.shape[1:])
            for part in (tile.overhead, tile.landcover)
        ]
        prediction: Prediction = self(given[0], street, given[1], headings)
        return prediction

    def joint(
        self, tile: Any, street: Tensor, headings: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """Scores of heading and place, for networks that search headings.

        Args:
            tile: B tiles or one, of :meth:`encode_tile`.
            street: ``(B, 3, h, w)``, as in :meth:`forward`.
            headings: ``(K,)`` degrees further clockwise than the canvas was made with.
            known: ``(H / cell, W / cell)`` bool, cells that have imagery; None: all.

        Returns:
            ``(B, K, H / cell, W / cell)`` unnormalised log-probabilities of the camera standing in
            the centre of a cell.
        """
        raise NotImplementedError(f"{type(self).__name__} has no scores of headings and places")

    def prepare_inference(self) -> "LocalizationModel":
        """The network as it is fastest where nothing is trained, in evaluation mode.

        By default itself; or a copy that gives the same answers and is not to be trained.
        """
        return self.eval()

    def prepare_export(self) -> nn.Module:
        """A copy in float32 on the CPU, in evaluation mode, that can be traced into a graph."""
        return copy.deepcopy(self).cpu().float().eval().requires_grad_(False)

    def segment(self, overhead: Tensor) -> Tensor:
        """Land-cover scores ``(B, C, H, W)`` of ``(B, 3, H, W)`` overhead tiles alone."""
        raise NotImplementedError

    def log_posterior(self, prediction: Prediction) -> Tensor:
        """Log-probability ``(B, H, W)`` of the camera standing in each overhead pixel.

        The softmax over all pixels of the heatmap times :meth:`inverse_temperature`, or, where it
        is a :attr:`density`, the heatmap divided by its sum. A network says which by these two:
        exported files do the same without PyTorch.
        """
        scores = prediction.heatmap[:, 0].float()
        if self.density:
            scores = scores.clamp_min(1e-12).log()
        else:
            scores = scores * self.inverse_temperature()
        return scores.flatten(1).log_softmax(dim=1).view_as(scores)

    def inverse_temperature(self) -> Tensor | float:
        """What the heatmap is multiplied with before the softmax."""
        return 1.0

    def compilable(self) -> list[nn.Module]:
        """Parts with one tensor program for every input of a size, for ``torch.compile``."""
        return []

    def sharpen(self, factor: float) -> None:
        """Multiply all log-probabilities, before they are normalised, by ``factor`` for good.

        What calibration changes (:mod:`cvsegguide.training.calibration`).

        Raises:
            ConfigurationError: The network has no such parameter.
        """
        raise ConfigurationError(f"{type(self).__name__} has no temperature to calibrate")

    def sharpen_search(self, factor: float) -> None:
        """As :meth:`sharpen`, for log-probabilities with several headings tried alone.

        Raises:
            ConfigurationError: The network has no such parameter.
        """
        raise ConfigurationError(f"{type(self).__name__} has no temperature of searched headings")

    def config(self) -> dict[str, Any]:
        """Constructor arguments that rebuild this network (JSON types only).

        Networks of the package have their name under ``"model"``. A network from elsewhere leaves
        that out, and is recorded by the dotted path of its class.
        """
        raise NotImplementedError
