"""The multi-scale transformer (MST) of the CVSegGuide paper.

Xavier, Shiguemori, Maximo, Shah, "A guided approach for cross-view geolocalization estimation with
land cover semantic segmentation", Biomimetic Intelligence and Robotics 2025,
doi 10.1016/j.birob.2024.100208. Re-derived from parameter listings and input/output pairs; the
backbone is CrossFormer. See docs/models.md for what the two variants differ in.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.backbones.crossformer import CrossFormer
from cvsegguide.models.base import Prediction, record_arguments
from cvsegguide.models.heads.pixel import PixelHead
from cvsegguide.models.heads.similarity import PooledSimilarity
from cvsegguide.models.pair import EncodedTile, PairModel, shared_by

INITIAL_SCALE = 10.0
"""Cosines lie in [-1, 1]; logits of a corrected heatmap start at this multiple of them."""


class MultiScaleTransformer(PairModel):
    """Two CrossFormers, a U-Net-like land-cover decoder, a coarse-to-fine heatmap decoder.

    Args:
        guidance: Land cover that the heatmap decoder sees: ``"predicted"``, ``"none"``,
            ``"truth"``.
        variant: ``"corrected"`` returns logits and takes any multiple of the coarsest stride;
            ``"published"`` computes the original function for its checkpoints.
        embed_dim: Channels of the first stage.
        depths, heads: Blocks and attention heads per stage.
        group_size: Side of an attention group in tokens.
        descriptor_channels: Channels in which the views are compared.
        heatmap_channels: Hidden channels of the heatmap heads.
        overhead_size, street_size: Input sizes in pixels.
        gsd: Metres per overhead pixel.
    """

    name = "mst"

    def __init__(
        self,
        guidance: str = "predicted",
        variant: str = "corrected",
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        group_size: int = 8,
        descriptor_channels: int = 1024,
        heatmap_channels: int = 10,
        overhead_size: Sequence[int] = (256, 256),
        street_size: Sequence[int] = (128, 512),
        street_extent: Sequence[float] = (90.0, 360.0),
        gsd: float = 0.2262,
    ) -> None:
        arguments = record_arguments(MultiScaleTransformer.__init__, locals())
        super().__init__(
            arguments, guidance, variant, overhead_size, street_size, street_extent, gsd
        )
        self.stride = 4 * 2 ** (len(depths) - 1)
        self.check_sizes()
        shape = {"embed_dim": embed_dim, "depths": depths, "heads": heads, "group_size": group_size}
        # Nothing reads the overhead view's last stage: the decoders start before it.
        self.overhead = CrossFormer(final_stage=False, **shape)  # type: ignore[arg-type]
        self.street = CrossFormer(**shape)  # type: ignore[arg-type]
        widths = self.overhead.widths[::-1]
        published = variant == "published"

        def size(level: int) -> tuple[int, int] | None:
            factor = self.stride // 2**level
            height, width = self.overhead_size
            return (height // factor, width // factor) if published else None

        kernel = 1 if published else 3
        self.landcover_decoder = nn.ModuleList()
        finest = len(widths) + 2
        if guidance != "truth" or published:
            for level in range(finest + 1):
                width = widths[level] if level < len(widths) else embed_dim
                skip = width if 0 < level < len(widths) else 0
                outputs = width // 2 if level < len(widths) else embed_dim
                if level == finest:
                    outputs = len(self.channels)
                self.landcover_decoder.append(
                    PixelHead(width + skip, width * 4 // 3, outputs, size(level), kernel)
                )
        self.similarities = nn.ModuleList(
            PooledSimilarity(width, width, descriptor_channels) for width in widths
        )
        self.heatmap_decoder = nn.ModuleList(
            PixelHead(
                2 if 0 < level < len(widths) else 1,
                heatmap_channels,
                1,
                size(level),
                kernel,
                norm=published,
                zero=not published,
            )
            for level in range(finest)
        )
        self.fusion = PixelHead(
            1 + (0 if guidance == "none" else len(self.channels)),
            heatmap_channels,
            1,
            size(finest),
            kernel,
            norm=published,
            zero=not published,
        )
        if not published:
            start = torch.full((len(widths),), INITIAL_SCALE).log()
            self.log_scale = nn.Parameter(start)

    def _up(self, x: Tensor) -> Tensor:
        if self.variant == "published":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)

    def encode_overhead(self, overhead: Tensor) -> list[Tensor]:
        """Maps ``(B, C, H / s, W / s)`` of the overhead view, coarsest first."""
        maps: list[Tensor] = self.overhead(self.normalise(overhead))
        return maps[::-1]

    def encode_street(self, street: Tensor) -> list[Tensor]:
        """Pooled descriptors ``(B, C, 1, 1)`` of the street view, coarsest level first."""
        maps: list[Tensor] = self.street(self.normalise(street))
        return [x.mean(dim=(2, 3), keepdim=True) for x in maps[::-1]]

    def decode_landcover(self, maps: list[Tensor]) -> Tensor:
        """Land-cover logits ``(B, C, H, W)`` from :meth:`encode_overhead`."""
        x = maps[0]
        for level, head in enumerate(self.landcover_decoder):
            assert isinstance(head, PixelHead)
            if 0 < level < len(maps):
                x = head(torch.cat([self._up(x), maps[level]], dim=1))
            else:
                x = head(x, doubled=level > 0)
        return x

    def decode_heatmap(
        self,
        maps: list[Tensor],
        descriptors: list[Tensor],
        guidance: Tensor | None,
        inverse_lengths: list[Tensor] | None = None,
    ) -> Tensor:
        """Heatmap logits ``(B, 1, H, W)``.

        Args:
            maps: ``(B or 1, C, h, w)`` from :meth:`encode_overhead`.
            descriptors: ``(B, C, 1, 1)`` from :meth:`encode_street`.
            guidance: ``(B, C, H, W)`` or None.
            inverse_lengths: See :class:`~cvsegguide.models.tile.EncodedTile`.
        """
        corrected = self.variant == "corrected"
        x: Tensor | None = None
        for level, head in enumerate(self.heatmap_decoder):
            parts = [] if x is None else [self._up(x)]
            if level < len(maps):
                length = None if inverse_lengths is None else inverse_lengths[level]
                cosine = self.similarities[level](maps[level], descriptors[level], length)
                parts.append(cosine * self.log_scale[level].exp() if corrected else cosine)
            x = head(torch.cat(parts, dim=1))
            if corrected:
                x = x + sum(parts[1:], parts[0])
        assert x is not None
        x = self._up(x)
        logits: Tensor = self.fusion(x if guidance is None else torch.cat([x, guidance], dim=1))
        return logits + x if corrected else logits

    def landcover_logits(self, overhead: Tensor) -> Tensor:
        """See :meth:`PairModel.landcover_logits`."""
        return self.decode_landcover(self.encode_overhead(overhead))

    def encode_tile(self, overhead: Tensor, landcover: Tensor | None = None) -> EncodedTile:
        """See :meth:`LocalizationModel.encode_tile`."""
        maps = self.encode_overhead(overhead)
        logits = self.decode_landcover(maps) if self.predicts_landcover else None
        guidance = self.guidance_channels(logits, landcover, overhead)
        lengths = [
            similarity.inverse_length(level)  # type: ignore[operator]
            for similarity, level in zip(self.similarities, maps, strict=True)
        ]
        return EncodedTile(logits, guidance, maps, lengths)

    def match_tile(
        self, tile: EncodedTile, street: Tensor, headings: Tensor | None = None
    ) -> Prediction:
        """See :meth:`LocalizationModel.match_tile`; ``headings`` is None."""
        count = street.shape[0]  # not len(), which export takes for a constant
        guidance = None if tile.guidance is None else shared_by(tile.guidance, count)
        descriptors = self.encode_street(street)
        heatmap = self.decode_heatmap(tile.maps, descriptors, guidance, tile.inverse_lengths)
        landcover = None if tile.landcover is None else shared_by(tile.landcover, count)
        return self.prediction(landcover, heatmap)
