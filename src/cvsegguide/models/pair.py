"""What the two networks of the CVSegGuide paper share: guidance, variants, checks, their tiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC
from cvsegguide.models.base import LocalizationModel, Prediction, check_choice
from cvsegguide.models.heads.pixel import one_hot_guidance


@dataclass
class EncodedTile:
    """The overhead branch's output, ``B`` tiles or one that all street views share.

    Attributes:
        landcover: Land-cover logits ``(B, C, H, W)``, or None.
        guidance: What the heatmap decoder sees of the land cover ``(B, C, H, W)``, or None.
        maps: Feature maps ``(B, C, h, w)`` that street views are compared with, coarsest first.
        inverse_lengths: Inverse length ``(B, h, w)`` of each map's projected features.
        kernels: Window weights of the upsampler's steps, where the network has one.
    """

    landcover: Tensor | None
    guidance: Tensor | None
    maps: list[Tensor]
    inverse_lengths: list[Tensor]
    kernels: list[Tensor] = field(default_factory=list)


def shared_by(tensor: Tensor, count: int) -> Tensor:
    """``(1 or count, ...)`` as ``(count, ...)``, without a copy."""
    return tensor.expand(count, *tensor.shape[1:])


class PairModel(LocalizationModel):
    """A network of the paper.

    Args:
        arguments: All of the sub-class's constructor, as :meth:`config` returns them.
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.
        variant: ``"corrected"`` or ``"published"``.
        overhead_size, street_size: Input sizes in pixels.
        street_extent: Degrees ``(vertical, horizontal)`` of the street input.
        gsd: Metres per overhead pixel.
    """

    name = ""
    stride = 1
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __init__(
        self,
        arguments: dict[str, Any],
        guidance: str,
        variant: str,
        overhead_size: Sequence[int],
        street_size: Sequence[int],
        street_extent: Sequence[float],
        gsd: float,
    ) -> None:
        super().__init__()
        self._arguments = arguments
        check_choice("guidance", guidance, ("predicted", "none", "truth"))
        check_choice("variant", variant, ("corrected", "published"))
        self.guidance, self.variant = guidance, variant
        pairs = {
            "overhead_size": overhead_size,
            "street_size": street_size,
            "street_extent": street_extent,
        }
        for option, pair in pairs.items():
            if len(pair) != 2:
                raise ConfigurationError(f"must be two numbers, got {len(pair)}", option)
        self.overhead_size = (int(overhead_size[0]), int(overhead_size[1]))
        self.street_size = (int(street_size[0]), int(street_size[1]))
        self.street_extent = (float(street_extent[0]), float(street_extent[1]))
        if not (0 < self.street_extent[0] <= 180 and 0 < self.street_extent[1] <= 360):
            raise ConfigurationError(
                f"must lie in (0, 180] and (0, 360] degrees, got {self.street_extent}",
                "street_extent",
            )
        self.gsd = float(gsd)
        if not (math.isfinite(self.gsd) and self.gsd > 0):
            raise ConfigurationError(
                f"must be a positive number of metres, got {self.gsd:g}", "gsd"
            )
        self.channels = tuple(NYC.channels)
        self.density = variant == "published"
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
        return {"model": self.name, **self._arguments}

    def check_sizes(self) -> None:
        """Refuse input sizes that the strides do not divide."""
        self._check_size("overhead_size", self.overhead_size)
        self._check_size("street_size", self.street_size)

    def _check_size(self, what: str, size: tuple[int, ...]) -> None:
        if any(side < self.stride or side % self.stride for side in size):
            raise ConfigurationError(
                f"{size[0]} x {size[1]} is not a multiple of {self.stride} pixels", what
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
                shape = tuple(image.shape)
                raise ConfigurationError(f"has shape {shape}, not (B, 3, height, width)", what)
            size = tuple(image.shape[2:])
            self._check_size(what, size)
            # The published norms have parameters per overhead pixel.
            if self.variant == "published" and what == "overhead" and size != expected:
                raise ConfigurationError(
                    f"is {size[0]} x {size[1]} pixels; this published network takes "
                    f"{expected[0]} x {expected[1]} only",
                    what,
                )
        if street is not None and street.shape[0] != overhead.shape[0]:
            raise ConfigurationError(
                f"{overhead.shape[0]} overhead images, but {street.shape[0]} street views"
            )

    def normalise(self, image: Tensor) -> Tensor:
        """What the encoders take; the published networks take images as they are."""
        if self.variant == "published":
            return image
        mean, deviation = (image.new_tensor(v)[:, None, None] for v in (self.mean, self.deviation))
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

    def inverse_temperature(self) -> Tensor | float:
        """Learned; of the published networks there is none.

        Their heatmap was trained to equal the sightline map, which is proportional to a Gaussian
        where the camera can be seen, so the map itself plays the part of an unnormalised density;
        its maximum is the published estimate.
        """
        return 1.0 if self.density else self.log_temperature.exp()
