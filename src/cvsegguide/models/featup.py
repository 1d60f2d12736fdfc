"""The FeatUp model of the CVSegGuide paper: frozen features, upsampled to the pixel.

Xavier et al. 2025, doi 10.1016/j.birob.2024.100208; the features are DINO ViT-S/16, the upsampler
is FeatUp's stack of joint bilateral upsamplers. See docs/models.md for the two variants.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.models.backbones import create_backbone
from cvsegguide.models.base import Prediction, record_arguments
from cvsegguide.models.heads.pixel import ChannelNorm, PixelHead
from cvsegguide.models.heads.similarity import PooledSimilarity
from cvsegguide.models.mst import INITIAL_SCALE
from cvsegguide.models.pair import EncodedTile, PairModel, shared_by
from cvsegguide.models.upsamplers.joint_bilateral import JointBilateralStack


class UpsampledFeatures(nn.Module):
    """A backbone, a channel norm and the upsampler up to the pixel.

    Args:
        backbone, pretrained, arguments: As :func:`cvsegguide.models.backbones.create_backbone`
            takes them.
        channels: Channels that a trained 1x1 convolution leaves of the features before they are
            upsampled, which costs accordingly less; None leaves them as they are.
        key_channels: Channels in which the upsampler compares the image's pixels.
        radius: Half side of the upsampler's window; its cost grows with the window's area.

    Attributes:
        width: Channels of the result.
    """

    def __init__(
        self,
        backbone: str,
        pretrained: bool = False,
        arguments: dict[str, Any] | None = None,
        channels: int | None = None,
        key_channels: int = 32,
        radius: int = 3,
    ) -> None:
        super().__init__()
        self.backbone = create_backbone(backbone, pretrained, arguments)
        self.norm = ChannelNorm(self.backbone.width)
        steps = self.backbone.patch_size.bit_length() - 1
        if 2**steps != self.backbone.patch_size:
            raise ValueError(f"patches of {self.backbone.patch_size} pixels are not a power of two")
        self.width = channels or self.backbone.width
        self.reduce = nn.Conv2d(self.backbone.width, channels, 1) if channels else nn.Identity()
        self.upsampler = JointBilateralStack(self.width, steps, key_channels, radius)
        self.frozen_backbone = self.frozen_upsampler = False

    def freeze(self, upsampler: bool = True) -> None:
        """Keep the backbone as it is in training, and, if asked, everything else here too."""
        self.frozen_backbone, self.frozen_upsampler = True, upsampler
        (self if upsampler else self.backbone).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "UpsampledFeatures":
        """Set the mode; frozen parts stay in evaluation mode."""
        super().train(mode and not self.frozen_upsampler)
        if self.frozen_backbone:
            self.backbone.eval()
        return self

    def features(self, image: Tensor) -> Tensor:
        """``(B, C, H / patch, W / patch)``."""
        result: Tensor = self.reduce(self.norm(self.backbone(image)))
        return result

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)``."""
        result: Tensor = self.upsampler(self.features(image), image)
        return result

    def pooled(self, image: Tensor) -> Tensor:
        """Mean ``(B, C, 1, 1)`` of what :meth:`forward` returns, without making it."""
        return self.upsampler.pooled(self.features(image), image)


class FeatUpModel(PairModel):
    """Frozen upsampled features, a land-cover head, a heatmap head.

    Args:
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.
        variant: ``"corrected"`` or ``"published"``.
        backbone: timm model name of a vision transformer with patches of 2^n pixels, or of a
            convolutional network.
        backbone_arguments: Further arguments of ``timm.create_model``; ``stride`` of a
            convolutional network (16 by default).
        pretrained: Load the backbone's pretrained weights now (never needed to load a
            checkpoint): from an installed package for ``tf_efficientnet_lite0``, else downloaded.
        frozen: Whether the backbone stays as it is in training.
        trained_upsampler: Whether the upsampler learns although the backbone is frozen. The
            street view then teaches it nothing: only its mean is used, in which the upsampler is
            taken as constant.
        feature_channels: Channels that are left before upsampling; None keeps the backbone's.
        key_channels: Channels in which the upsampler compares the image's pixels.
        radius: Half side of the upsampler's window.
        shared: One backbone for both views, or (published) a copy for each; None follows the
            variant.
        hidden_channels: Hidden channels of the land-cover head.
        descriptor_channels: Channels in which the views are compared.
        heatmap_channels: Hidden channels of the heatmap head.
        overhead_size, street_size: Input sizes in pixels.
        gsd: Metres per overhead pixel.
    """

    name = "featup"

    def __init__(
        self,
        guidance: str = "predicted",
        variant: str = "corrected",
        backbone: str = "vit_small_patch16_224.dino",
        backbone_arguments: dict[str, Any] | None = None,
        pretrained: bool = False,
        frozen: bool = True,
        trained_upsampler: bool = False,
        feature_channels: int | None = None,
        key_channels: int = 32,
        radius: int = 3,
        shared: bool | None = None,
        hidden_channels: int = 1024,
        descriptor_channels: int = 1024,
        heatmap_channels: int = 10,
        overhead_size: Sequence[int] = (256, 256),
        street_size: Sequence[int] = (128, 512),
        street_extent: Sequence[float] = (90.0, 360.0),
        gsd: float = 0.2262,
    ) -> None:
        published = variant == "published"
        shared = not published if shared is None else shared
        arguments = record_arguments(FeatUpModel.__init__, locals())
        super().__init__(
            arguments, guidance, variant, overhead_size, street_size, street_extent, gsd
        )
        self.frozen = frozen
        self.trained_upsampler = trained_upsampler

        def view() -> UpsampledFeatures:
            return UpsampledFeatures(
                backbone,
                pretrained,
                arguments=backbone_arguments,
                channels=feature_channels,
                key_channels=key_channels,
                radius=radius,
            )

        self.overhead = view()
        self.street = None if shared else view()
        self.stride = self.overhead.backbone.patch_size
        self.mean, self.deviation = self.overhead.backbone.mean, self.overhead.backbone.deviation
        self.check_sizes()
        width = self.overhead.width
        size = self.overhead_size if published else None
        kernel = 1 if published else 3
        self.landcover_head = (
            PixelHead(width, hidden_channels, len(self.channels), size)
            if published or guidance != "truth"
            else None
        )
        self.similarity = PooledSimilarity(width, width, descriptor_channels)
        self.fusion = PixelHead(
            1 + (0 if guidance == "none" else len(self.channels)),
            heatmap_channels,
            1,
            size,
            kernel,
            norm=published,
            zero=not published,
        )
        if not published:
            self.log_scale = nn.Parameter(torch.tensor(INITIAL_SCALE).log())
        if frozen:
            for features in self.views:
                features.freeze(upsampler=not trained_upsampler)

    @property
    def views(self) -> list[UpsampledFeatures]:
        """The feature extractors: one, or one for either view."""
        return [self.overhead] if self.street is None else [self.overhead, self.street]

    def encode_street(self, street: Tensor) -> Tensor:
        """``(B, C, 1, 1)`` descriptor."""
        view = self.overhead if self.street is None else self.street
        image = self.normalise(street)
        if self.frozen or not torch.is_grad_enabled():
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.trained_upsampler):
                return view.pooled(image)
        result: Tensor = view(image).mean(dim=(2, 3), keepdim=True)
        return result

    def landcover_logits(self, overhead: Tensor) -> Tensor:
        """See :meth:`PairModel.landcover_logits`."""
        logits = self._read_features(*self._low_features(overhead), lengths=False)[0]
        assert logits is not None
        return logits

    def encode_tile(self, overhead: Tensor, landcover: Tensor | None = None) -> EncodedTile:
        """See :meth:`LocalizationModel.encode_tile`."""
        low, kernels = self._low_features(overhead)
        logits, lengths = self._read_features(low, kernels, landcover=self.predicts_landcover)
        guidance = self.guidance_channels(logits, landcover, overhead)
        return EncodedTile(logits, guidance, [low], [lengths], kernels)

    def match_tile(
        self, tile: EncodedTile, street: Tensor, headings: Tensor | None = None
    ) -> Prediction:
        """See :meth:`LocalizationModel.match_tile`; ``headings`` is None."""
        count, low = street.shape[0], tile.maps[0]
        direction, offset = self.similarity.direction(self.encode_street(street))
        product = self.overhead.upsampler.project(low, tile.kernels, direction)
        x = ((product + offset[:, None, None]) * tile.inverse_lengths[0])[:, None]
        if self.variant == "corrected":
            x = x * self.log_scale.exp()
        guidance = None if tile.guidance is None else shared_by(tile.guidance, count)
        landcover = None if tile.landcover is None else shared_by(tile.landcover, count)
        heatmap: Tensor = self.fusion(x if guidance is None else torch.cat([x, guidance], dim=1))
        return self.prediction(landcover, heatmap + x if self.variant == "corrected" else heatmap)

    def prepare_export(self) -> nn.Module:
        """See :meth:`LocalizationModel.prepare_export`.

        The copy has run once, so that the constants of its sizes are known to the tracer.
        """
        model = super().prepare_export()
        images = [torch.zeros(1, 3, *size) for size in (self.overhead_size, self.street_size)]
        landcover = torch.ones(1, *self.overhead_size, dtype=torch.long)
        with torch.no_grad():
            model(*images, landcover)
        return model

    def _low_features(self, overhead: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features before upsampling, and the upsampler's window weights."""
        image = self.normalise(overhead)
        with self._gradients():
            low = self.overhead.features(image)
            return low, self.overhead.upsampler.kernels(low, image)

    def _gradients(self) -> AbstractContextManager[Any]:
        """Whether what belongs to the upsampled features is to have gradients."""
        learns = not self.frozen or self.trained_upsampler
        return torch.set_grad_enabled(torch.is_grad_enabled() and learns)

    def _read_features(
        self, low: Tensor, kernels: list[Tensor], landcover: bool = True, lengths: bool = True
    ) -> tuple[Tensor | None, Tensor]:
        """What the heads make of the upsampled features, which pass in bands.

        Args:
            low, kernels: Of :meth:`_low_features`.
            landcover, lengths: What is wanted.

        Returns:
            ``(B, classes, H, W)`` logits or None, and inverse lengths of the projections
            ``(B, H, W)`` (nothing in it unless wanted).
        """
        head = self.landcover_head if landcover else None
        squared_length = self.similarity.squared_length() if lengths else None
        trained = torch.is_grad_enabled()
        with self._gradients():
            bands: Iterable[Tensor] = self.overhead.upsampler.bands(low, kernels)
            if trained:
                bands = list(bands)  # now, under these
        found, squares = [], []
        for band in bands:
            if head is not None:
                found.append(head.enter(band.movedim(-1, 1)))
            if squared_length is not None:
                squares.append(squared_length(band))
        inverse = (
            torch.cat(squares, dim=1).clamp_min(1e-12).rsqrt() if squares else low.new_empty(0)
        )
        return None if head is None else head.leave(found), inverse
