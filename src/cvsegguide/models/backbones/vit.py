"""Any timm vision transformer as a dense feature extractor for images of any size.

The published FeatUp model uses DINO ViT-S/16 (Caron et al. 2021, Apache-2.0 weights, in timm
``vit_small_patch16_224.dino``).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.backbones.base import FeatureExtractor
from cvsegguide.models.base import check_choice


class VisionTransformerFeatures(FeatureExtractor):
    """Normalised patch tokens of the last block, as a map.

    Args:
        name: timm model name.
        pretrained: Download and load timm's weights (on first use; cached by huggingface_hub).
        position_resampling: ``"dino"`` resizes position embeddings as DINO's own code does
            (bicubic, no antialiasing, scale factors off by 0.1 patch); ``"timm"`` as timm does.
        arguments: Further arguments of ``timm.create_model`` (``embed_dim``, ``depth``, ...).

    Attributes:
        width: Channels of the map.
        patch_size: Input pixels per feature.
        mean, deviation: What images are normalised with, by channel: ImageNet's, as DINO does.
    """

    mean = (0.485, 0.456, 0.406)
    deviation = (0.229, 0.224, 0.225)

    def __init__(
        self,
        name: str = "vit_small_patch16_224.dino",
        pretrained: bool = False,
        position_resampling: str = "dino",
        arguments: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        import timm

        check_choice("position_resampling", position_resampling, ("dino", "timm"))
        try:
            model: Any = timm.create_model(
                name,
                pretrained=pretrained,
                num_classes=0,
                dynamic_img_size=True,
                **(arguments or {}),
            )
        except (RuntimeError, TypeError) as error:
            raise ConfigurationError(f"timm cannot make the backbone '{name}': {error}") from None
        self.model = model
        self.width = int(model.num_features)
        self.patch_size = int(model.patch_embed.patch_size[0])
        self.position_resampling = position_resampling

    @classmethod
    def takes(cls, name: str) -> bool:
        """Every name: timm says which it knows."""
        return True

    @classmethod
    def create(
        cls, name: str, pretrained: bool, arguments: dict[str, Any]
    ) -> "VisionTransformerFeatures":
        """By name, with positions resampled as DINO does."""
        return cls(name, pretrained, arguments=arguments)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)``, already normalised, to ``(B, C, H / patch, W / patch)``."""
        model: Any = self.model
        if self.position_resampling == "timm" or model.pos_embed is None:
            features: Tensor = model.forward_intermediates(
                image, indices=1, norm=True, intermediates_only=True
            )[0]
            return features
        tokens = model.patch_embed(image)
        batch, height, width, dim = tokens.shape
        x = torch.cat([model.cls_token.expand(batch, -1, -1), tokens.flatten(1, 2)], dim=1)
        x = model.norm_pre(x + resample_positions(model.pos_embed, height, width))
        for block in model.blocks:
            x = block(x)
        patches: Tensor = model.norm(x)[:, 1:]
        return patches.transpose(1, 2).reshape(batch, dim, height, width)


def resample_positions(embedding: Tensor, height: int, width: int) -> Tensor:
    """Position embeddings ``(1, 1 + n * n, C)`` to ``(1, 1 + height * width, C)``, DINO's way."""
    count = embedding.shape[1] - 1
    side = round(count**0.5)
    if height == side and width == side:
        return embedding
    grid = embedding[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    factors = ((height + 0.1) / side, (width + 0.1) / side)
    grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")
    return torch.cat([embedding[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
