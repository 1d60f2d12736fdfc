"""What every localisation network has in common."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC
from cvsegguide.models.heads.pixel import one_hot_guidance

if TYPE_CHECKING:
    from cvsegguide.models.geometric.polar import PolarGrid


@lru_cache(maxsize=16)
def _cached_constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype)[:, None, None]


def by_channel(image: Tensor, *values: tuple[float, ...]) -> list[Tensor]:
    """Constants ``(C, 1, 1)`` beside ``image``.

    On CUDA they are cached: bringing one there waits for the device, which a graph cannot record.
    """
    if image.is_cuda and not torch.compiler.is_compiling():
        return [_cached_constant(each, image.device, image.dtype) for each in values]
    return [image.new_tensor(each)[:, None, None] for each in values]


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
        adapts_temperature: Whether :meth:`adapt_temperature` can be set.
        any_size: A number when overhead inputs may have any size of which it is a divisor, at
            ``gsd``; None where only tiles of ``overhead_size`` mean what was trained.
        default_loss: Name of the loss that it is trained with where none is named.
        cell: Overhead pixels a side of a cell of :meth:`joint`.
        joint_radius: Cells around a place on which a score of :meth:`joint` depends.
    """

    searches_headings: bool = False
    adapts_temperature: bool = False
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
        """Log-probability ``(B, H, W)`` of the camera standing in each overhead pixel."""
        raise NotImplementedError

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

    def adapt_temperature(self, peak: float, power: float) -> None:
        """Make posteriors flatter where the best place stands out little, for good.

        Log-probabilities, before they are normalised, are multiplied by ``(g / peak)^power``,
        where ``g`` is by how many nats the highest exceeds the mean. What
        :mod:`cvsegguide.training.adaptive_temperature` changes, where :attr:`adapts_temperature`.

        Args:
            peak: Nats at which nothing changes.
            power: How much is made of the difference; 0: nothing.

        Raises:
            ConfigurationError: The network has no such parameters.
        """
        raise ConfigurationError(f"{type(self).__name__} does not weigh how far a match stands out")

    def config(self) -> dict[str, Any]:
        """Constructor arguments that rebuild this network (JSON types only).

        Networks of the package have their name under ``"model"``. A network from elsewhere leaves
        that out, and is recorded by the dotted path of its class.
        """
        raise NotImplementedError


class PairModel(LocalizationModel):
    """What the networks of the paper share: guidance, variants, checks.

    Args:
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.
        variant: ``"corrected"`` or ``"published"``.
        overhead_size, street_size: Input sizes in pixels.
        street_extent: Degrees ``(vertical, horizontal)`` of the street input.
        gsd: Metres per overhead pixel.
    """

    name = ""
    stride = 1

    def __init__(
        self,
        guidance: str,
        variant: str,
        overhead_size: Sequence[int],
        street_size: Sequence[int],
        street_extent: Sequence[float],
        gsd: float,
    ) -> None:
        super().__init__()
        for option, value, choices in (
            ("guidance", guidance, ("predicted", "none", "truth")),
            ("variant", variant, ("corrected", "published")),
        ):
            if value not in choices:
                raise ConfigurationError(f"{option} is '{value}', not one of {', '.join(choices)}")
        self.guidance, self.variant = guidance, variant
        for option, pair in (
            ("overhead_size", overhead_size),
            ("street_size", street_size),
            ("street_extent", street_extent),
        ):
            if len(pair) != 2:
                raise ConfigurationError(f"{option} has {len(pair)} values, not two")
        self.overhead_size = (int(overhead_size[0]), int(overhead_size[1]))
        self.street_size = (int(street_size[0]), int(street_size[1]))
        self.street_extent = (float(street_extent[0]), float(street_extent[1]))
        if not (0 < self.street_extent[0] <= 180 and 0 < self.street_extent[1] <= 360):
            raise ConfigurationError(
                f"street_extent is {self.street_extent}, not degrees in (0, 180] and (0, 360]"
            )
        self.gsd = float(gsd)
        if not (math.isfinite(self.gsd) and self.gsd > 0):
            raise ConfigurationError(f"gsd is {self.gsd:g}, not a positive number of metres")
        self.channels = tuple(NYC.channels)
        if variant == "corrected":
            self.log_temperature = nn.Parameter(torch.zeros(()))

    @property
    def predicts_landcover(self) -> bool:
        """Whether :meth:`forward` returns land cover.

        The published networks leave the head out unless it guides; the corrected ones with
        ``guidance="none"`` predict it all the same, as a second task.
        """
        if self.variant == "published":
            return self.guidance == "predicted"
        return self.guidance != "truth"

    def config(self) -> dict[str, Any]:
        """See :meth:`LocalizationModel.config`."""
        return {
            "model": self.name,
            "guidance": self.guidance,
            "variant": self.variant,
            "overhead_size": list(self.overhead_size),
            "street_size": list(self.street_size),
            "street_extent": list(self.street_extent),
            "gsd": self.gsd,
        }

    def check_sizes(self) -> None:
        """Refuse input sizes that the strides do not divide."""
        for option, size in (
            ("overhead_size", self.overhead_size),
            ("street_size", self.street_size),
        ):
            self._check_size(option, size)

    def _check_size(self, what: str, size: tuple[int, ...]) -> None:
        if any(side < self.stride or side % self.stride for side in size):
            raise ConfigurationError(
                f"{what} {size[0]} x {size[1]} is not a multiple of {self.stride} pixels"
            )

    def check_inputs(self, overhead: Tensor, street: Tensor | None = None) -> None:
        """Refuse images of the wrong shape."""
        for what, image, expected in (
            ("overhead", overhead, self.overhead_size),
            ("street", street, self.street_size),
        ):
            if image is None:
                continue
            if image.ndim != 4 or image.shape[1] != 3:
                raise ConfigurationError(
                    f"{what} has shape {tuple(image.shape)}, not (B, 3, height, width)"
                )
            size = tuple(image.shape[2:])
            self._check_size(what, size)
            # The published norms have parameters per overhead pixel.
            if self.variant == "published" and what == "overhead" and size != expected:
                raise ConfigurationError(
                    f"{what} is {size[0]} x {size[1]} pixels; this published network takes "
                    f"{expected[0]} x {expected[1]} only"
                )
        if street is not None and street.shape[0] != overhead.shape[0]:
            raise ConfigurationError(
                f"{overhead.shape[0]} overhead images, but {street.shape[0]} street views"
            )

    def normalise(self, image: Tensor) -> Tensor:
        """ImageNet mean and deviation; the published networks take images as they are."""
        if self.variant == "published":
            return image
        mean, deviation = by_channel(image, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        return (image - mean) / deviation

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        """See :meth:`LocalizationModel.forward`; ``headings`` is None."""
        self.check_inputs(overhead, street)
        return self.match_tile(self.encode_tile(overhead, landcover), street)

    def guidance_channels(
        self, logits: Tensor | None, landcover: Tensor | None, overhead: Tensor
    ) -> Tensor | None:
        """What the heatmap decoder sees of the land cover, ``(B, C, H, W)`` or None."""
        if self.guidance == "none":
            return None
        if self.guidance == "truth":
            expected = (overhead.shape[0], *overhead.shape[2:])
            if landcover is None or tuple(landcover.shape) != expected:
                given = "none" if landcover is None else str(tuple(landcover.shape))
                raise ConfigurationError(
                    f"guidance 'truth' needs land cover of shape {expected}, not {given}"
                )
            return one_hot_guidance(landcover, overhead.dtype)
        assert logits is not None
        return logits.sigmoid() if self.variant == "published" else logits.softmax(dim=1)

    def prediction(self, landcover: Tensor | None, heatmap: Tensor) -> Prediction:
        """Logits in the corrected variant, sigmoids of them in the published one."""
        if self.variant == "published":
            return Prediction(None if landcover is None else landcover.sigmoid(), heatmap.sigmoid())
        return Prediction(landcover, heatmap)

    def landcover_logits(self, overhead: Tensor) -> Tensor:
        """Land-cover logits ``(B, C, H, W)`` of overhead tiles alone."""
        raise NotImplementedError

    def segment(self, overhead: Tensor) -> Tensor:
        """See :meth:`LocalizationModel.segment`: logits, or sigmoids in the published variant."""
        self.check_inputs(overhead)
        if self.guidance == "truth" and self.variant == "corrected":
            raise ConfigurationError("a model guided by true land cover does not predict it")
        logits = self.landcover_logits(overhead)
        return logits.sigmoid() if self.variant == "published" else logits

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """See :meth:`LocalizationModel.sharpen`."""
        if self.variant == "published":
            super().sharpen(factor)
        self.log_temperature.add_(math.log(factor))

    def log_posterior(self, prediction: Prediction) -> Tensor:
        """See :meth:`LocalizationModel.log_posterior`.

        Corrected: the softmax over all pixels of the logits times a learned inverse temperature.
        Published: the heatmap, divided by its sum. It was trained to equal the sightline map,
        which is proportional to a Gaussian where the camera can be seen, so the map itself plays
        the part of an unnormalised density; its maximum is the published estimate.
        """
        scores = prediction.heatmap.float().flatten(1)
        if self.variant == "published":
            scores = scores.clamp_min(1e-12).log()
        else:
            scores = scores * self.log_temperature.exp()
        height, width = prediction.heatmap.shape[2:]
        return scores.log_softmax(dim=1).reshape(-1, height, width)
