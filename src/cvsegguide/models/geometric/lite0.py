"""EfficientNet-Lite0 as the encoder of the overhead branch, so that it can start from ImageNet.

Tan and Le, "EfficientNet: Rethinking Model Scaling", ICML 2019, arXiv 1905.11946; the Lite variants
have no squeeze-and-excitation and clipped rectifiers. Written out here rather than taken from timm,
which takes longer to import than a picture takes to localise. Layers, names and padding (at the
right and bottom when a stride of two leaves a pixel over) are those of timm's
``tf_efficientnet_lite0``, whose weights fit.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.geometric.layers import Foldable

STAGES = (
    # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
WIDTHS = (16, 24, 40, 112, 320)
"""Channels at strides 2, 4, 8, 16 and 32."""

_LAST_OF_STRIDE = (0, 1, 2, 4, 6)
_STEM = 32


class SameConv(nn.Conv2d):
    """A convolution that pads a stride of two at the right and bottom first."""

    def forward(self, features: Tensor) -> Tensor:
        if self.stride[0] == 1:
            return super().forward(features)
        # an empty row and column in front of the kernel is cheaper than a frame about the features
        weight = F.pad(self.weight, (1, 0, 1, 0))
        return F.conv2d(features, weight, self.bias, self.stride, self.padding, 1, self.groups)


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> SameConv:
    return SameConv(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Separable(Foldable):
    """A convolution by channel, and one across them: the first block."""

    pairs = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(inputs, inputs, kernel, groups=inputs)
        self.bn1 = _norm(inputs)
        self.conv_pw = _convolution(inputs, outputs, 1)
        self.bn2 = _norm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.relu6(self.bn1(self.conv_dw(features)), inplace=True)
        result: Tensor = self.bn2(self.conv_pw(hidden))
        return result


class InvertedResidual(Foldable):
    """Wider, filtered by channel, narrower (Sandler et al. 2018)."""

    pairs = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, ratio: int) -> None:
        super().__init__()
        wide = inputs * ratio
        self.conv_pw = _convolution(inputs, wide, 1)
        self.bn1 = _norm(wide)
        self.conv_dw = _convolution(wide, wide, kernel, stride, groups=wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = _convolution(wide, outputs, 1)
        self.bn3 = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        wide = F.relu6(self.bn1(self.conv_pw(features)), inplace=True)
        wide = F.relu6(self.bn2(self.conv_dw(wide)), inplace=True)
        result: Tensor = self.bn3(self.conv_pwl(wide))
        return result + features if self.adds else result


class Lite0Encoder(Foldable):
    """A pyramid of five levels, strides 2 to 32, of the widths :data:`WIDTHS`.

    It takes images normalised as ``(image - 0.45) / 0.25``, like every encoder of this network.

    Args:
        levels: How many of the five, finest first.

    Attributes:
        widths: Of the maps that it returns.
    """

    pairs = (("conv_stem", "bn1"),)

    def __init__(self, levels: int = 5) -> None:
        super().__init__()
        self.widths = WIDTHS[:levels]
        self.conv_stem = _convolution(3, _STEM, 3, 2)
        self.bn1 = _norm(_STEM)
        stages, inputs = [], _STEM
        self.last = _LAST_OF_STRIDE[:levels]
        for kernel, stride, ratio, width, count in STAGES[: self.last[-1] + 1]:
            blocks: list[nn.Module] = []
            for index in range(count):
                if ratio == 1:
                    blocks.append(Separable(inputs, width, kernel))
                else:
                    step = stride if index == 0 else 1
                    blocks.append(InvertedResidual(inputs, width, kernel, step, ratio))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, 3, H, W)`` to one map a level, finest (half size) first."""
        image = image * 0.5 - 0.1  # (x - 0.5) / 0.5 of the image itself
        features = F.relu6(self.bn1(self.conv_stem(image)), inplace=True)
        maps = []
        for index, stage in enumerate(self.blocks):
            features = stage(features)
            if index in self.last:
                maps.append(features)
        return maps

    @torch.no_grad()
    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of :func:`~cvsegguide.models.backbones.convolutional.lite0_weights`."""
        wanted = self.state_dict()
        self.load_state_dict({name: weights[name] for name in wanted})
