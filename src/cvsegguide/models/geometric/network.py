"""The geometric network: land cover, geometry and their agreement in one posterior."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC_CLASSES
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.geometric.matching import SUBCELLS, correlate, interleave, transform_map
from cvsegguide.models.geometric.overhead import CELL, OverheadBranch, OverheadFeatures
from cvsegguide.models.geometric.polar import PolarGrid, template_coordinates, to_metric
from cvsegguide.models.geometric.street import StreetBranch, StreetFeatures

CLASSES = tuple(NYC_CLASSES.channels)
"""The eight classes of the New York scheme, ids 1 to 8 in order."""


@dataclass
class GeometricPrediction(Prediction):
    """A prediction with what led to it.

    Attributes:
        overhead: The overhead branch's output.
        street: The street branch's output.
    """

    overhead: OverheadFeatures | None = None
    street: StreetFeatures | None = None


class GeometricModel(LocalizationModel):
    """Localise by matching what is seen in each direction and range with the overhead image.

    Args:
        overhead_size: ``(H, W)`` of the overhead input in pixels, multiples of 32.
        street_size: ``(h, w)`` of the street input; a column of four pixels is a direction.
        gsd: Metres per overhead pixel.
        guidance: ``"predicted"``: land cover takes part in the score; ``"none"``: it does not;
            ``"truth"``: the given land cover takes the place of the overhead branch's own.
        features: Channels that are matched.
        template_radius: Half the side of the template in metres.
        overhead_widths, overhead_depths, street_widths, street_depths: Levels of the encoders.
        camera_height: Metres above the ground that the lifting starts from.
    """

    channels = CLASSES
    street_extent = (90.0, 360.0)
    coordinates: Tensor
    reach: Tensor
    mean: Tensor

    def __init__(
        self,
        overhead_size: tuple[int, int] = (256, 256),
        street_size: tuple[int, int] = (128, 512),
        gsd: float = 0.2262,
        guidance: str = "predicted",
        features: int = 32,
        template_radius: float = 29.0,
        overhead_widths: tuple[int, ...] = (16, 32, 64, 96),
        overhead_depths: tuple[int, ...] = (0, 1, 2, 2),
        street_widths: tuple[int, ...] = (16, 32, 64, 96),
        street_depths: tuple[int, ...] = (0, 1, 2, 2),
        camera_height: float = 2.5,
    ) -> None:
        super().__init__()
        if guidance not in ("predicted", "none", "truth"):
            raise ConfigurationError(f"guidance is '{guidance}', not one of predicted, none, truth")
        self._config: dict[str, Any] = {
            "model": "geometric",
            "overhead_size": list(overhead_size),
            "street_size": list(street_size),
            "gsd": gsd,
            "guidance": guidance,
            "features": features,
            "template_radius": template_radius,
            "overhead_widths": list(overhead_widths),
            "overhead_depths": list(overhead_depths),
            "street_widths": list(street_widths),
            "street_depths": list(street_depths),
            "camera_height": camera_height,
        }
        self.overhead_size = (int(overhead_size[0]), int(overhead_size[1]))
        self.street_size = (int(street_size[0]), int(street_size[1]))
        self.gsd = gsd
        self.guidance = guidance
        classes = len(CLASSES)
        self.grid = PolarGrid(directions=self.street_size[1] // 4)
        self.overhead_branch = OverheadBranch(
            classes, features, tuple(overhead_widths), tuple(overhead_depths)
        )
        self.street_branch = StreetBranch(
            self.grid,
            classes,
            features,
            self.street_size,
            self.street_extent,
            tuple(street_widths),
            tuple(street_depths),
            camera_height,
        )
        self.cell = gsd * CELL
        self.radius = round(template_radius / self.cell)
        self.agreement = nn.Parameter(torch.eye(classes) - 1.0 / classes)
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.log_agreement = nn.Parameter(torch.tensor(-1.0))
        self.exponent = nn.Parameter(torch.tensor(0.5))
        self.prior_weight = nn.Parameter(torch.tensor(1.0))
        with torch.device("cpu"):  # constants, also where the network is built without storage
            templates = [
                template_coordinates(self.grid, self.radius, self.cell, offset)
                for offset in ((0.0, 0.0), *SUBCELLS)
            ]
            mean = torch.full((1, 3, 1, 1), 0.45)
        coordinates = torch.stack([entry[0] for entry in templates])
        reach = torch.stack([entry[1] for entry in templates]) <= template_radius
        self.register_buffer("coordinates", coordinates, persistent=False)
        self.register_buffer("reach", reach[:, None].float(), persistent=False)
        self.register_buffer("mean", mean, persistent=False)

    def forward(
        self, overhead: Tensor, street: Tensor, landcover: Tensor | None = None
    ) -> GeometricPrediction:
        """See :meth:`LocalizationModel.forward`; the street view's black columns are not seen."""
        above = self.encode_overhead(overhead)
        around = self.encode_street(street)
        scores = self.match(above, around, landcover)
        heatmap = F.interpolate(
            scores[:, None], size=overhead.shape[-2:], mode="bicubic", align_corners=False
        )
        return GeometricPrediction(above.landcover, heatmap, above, around)

    def encode_overhead(self, overhead: Tensor) -> OverheadFeatures:
        """``(B, 3, H, W)`` in [0, 1] to the overhead branch's output."""
        features: OverheadFeatures = self.overhead_branch((overhead - self.mean) / 0.25)
        return features

    def encode_street(self, street: Tensor) -> StreetFeatures:
        """``(B, 3, h, w)`` in [0, 1], zeros where not seen, to the street branch's output."""
        seen = (street.amax(dim=(1, 2), keepdim=True) > 0).to(street.dtype)
        seen = seen.expand(-1, -1, street.shape[-2], -1)
        features: StreetFeatures = self.street_branch((street - self.mean) / 0.25 * seen, seen)
        return features

    def match(
        self, above: OverheadFeatures, around: StreetFeatures, landcover: Tensor | None = None
    ) -> Tensor:
        """Scores ``(B, H / 2, W / 2)`` of the camera's position, four a cell (training: one)."""
        maps, channels = self._overhead_channels(above, landcover)
        size = (maps.shape[-2], maps.shape[-1])
        spectrum = transform_map(maps, self.radius)
        inside = transform_map(maps.new_ones(1, 1, *size), self.radius)
        polar = torch.cat((channels(around), around.visibility.sigmoid()), dim=1)
        # while training, cameras stand in the middle of cells; else at four places of each
        chosen = slice(0, 1) if self.training else slice(1, None)
        scores = []
        for coordinates, reach in zip(self.coordinates[chosen], self.reach[chosen], strict=True):
            metric = to_metric(polar, coordinates)
            weight = metric[:, -1:] * reach
            template = metric[:, :-1] * weight
            score = correlate(spectrum, template, size)
            seen = correlate(inside, weight, size).clamp_min(1.0)
            scores.append(score * seen ** (-self.exponent))
        position = scores[0] if self.training else interleave(torch.stack(scores, dim=1))
        prior = F.interpolate(
            above.prior, size=position.shape[-2:], mode="bilinear", align_corners=False
        )
        return position + self.prior_weight * prior[:, 0]

    def _overhead_channels(self, above: OverheadFeatures, landcover: Tensor | None) -> Any:
        """The maps to correlate, and a function that makes the template's matching channels."""
        scale = self.log_scale.exp()
        if self.guidance == "none":
            return above.features, lambda around: around.features * scale
        size = (above.features.shape[-2], above.features.shape[-1])
        if self.guidance == "truth":
            if landcover is None:
                raise ValueError("guidance 'truth' needs the land cover")
            index = landcover.long() - 1
            one_hot = F.one_hot(index.clamp_min(0), len(CLASSES)).permute(0, 3, 1, 2)
            known = one_hot * (index >= 0)[:, None]
            classes = F.adaptive_avg_pool2d(known.to(above.features.dtype), size)
        else:
            # probabilities detached: agreement explains, it must not bend the segmentation
            classes = F.adaptive_avg_pool2d(above.landcover.detach().softmax(dim=1), size)
        maps = torch.cat((above.features, classes), dim=1)

        def channels(around: StreetFeatures) -> Tensor:
            seen = around.landcover.detach().softmax(dim=1)
            agreement = torch.einsum("bkrd,kc->bcrd", seen, self.agreement)
            return torch.cat((around.features * scale, agreement * self.log_agreement.exp()), dim=1)

        return maps, channels

    def segment(self, overhead: Tensor) -> Tensor:
        return self.encode_overhead(overhead).landcover

    def log_posterior(self, prediction: Prediction) -> Tensor:
        return (
            prediction.heatmap[:, 0].flatten(1).log_softmax(dim=1).view_as(prediction.heatmap[:, 0])
        )

    def config(self) -> dict[str, Any]:
        return dict(self._config)
