"""Convolutions that both branches are built of."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class PanoramaConv(nn.Conv2d):
    """A convolution whose columns wrap around; rows are padded with zeros.

    Args:
        inputs, outputs: Channels.
        kernel: Side of the kernel, odd.
        stride: Step, one number or ``(rows, columns)``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=(kernel // 2, 0), bias=bias)
        self.wrap = kernel // 2

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(pad_circularly(features, self.wrap))


def pad_circularly(x: Tensor, columns: int) -> Tensor:
    """``x`` with its last columns before the first and its first behind the last."""
    if not columns:
        return x
    return torch.cat((x[..., -columns:], x, x[..., :columns]), dim=-1)


class Foldable(nn.Module):
    """A module that can bring its batch norms into the convolutions in front of them.

    Attributes:
        pairs: Names of each convolution and of the norm behind it.
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def fold_norms(self) -> None:
        """Do so, in place, for good. The module is in evaluation mode."""
        for convolution, norm in self.pairs:
            setattr(
                self,
                convolution,
                fuse_conv_bn_eval(getattr(self, convolution), getattr(self, norm)),
            )
            setattr(self, norm, nn.Identity())


def fold_all_norms(module: nn.Module) -> None:
    """:meth:`Foldable.fold_norms` of every part of ``module`` that has it."""
    for part in module.modules():
        if isinstance(part, Foldable):
            part.fold_norms()


class Unit(nn.Sequential, Foldable):
    """Convolution, batch normalisation, rectifier."""

    pairs = (("0", "1"),)

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(
            convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)
        )


def convolution(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int | tuple[int, int] = 1,
    circular: bool = False,
) -> nn.Conv2d:
    """A convolution without bias that keeps the size (divided by the stride)."""
    if circular:
        return PanoramaConv(inputs, outputs, kernel, stride)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class Residual(Foldable):
    """Two 3 x 3 convolutions around which the input passes (He et al. 2016)."""

    pairs = (("second", "norm"),)

    def __init__(self, channels: int, circular: bool = False) -> None:
        super().__init__()
        self.first = Unit(convolution(channels, channels, circular=circular))
        self.second = convolution(channels, channels, circular=circular)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.norm(self.second(self.first(features))) + features, inplace=True)


class Encoder(nn.Module):
    """A pyramid: each level halves the size and has its own width (as in U-Net).

    Args:
        inputs: Channels of the image.
        widths: Channels of the levels, finest first.
        depths: Residual blocks of the levels.
        circular: Columns wrap around.

    Attributes:
        widths: Of the maps that it returns.
    """

    def __init__(
        self, inputs: int, widths: tuple[int, ...], depths: tuple[int, ...], circular: bool
    ) -> None:
        super().__init__()
        self.widths = widths
        levels = []
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            down = convolution(inputs, width, 5 if index == 0 else 3, 2, circular)
            blocks = [Residual(width, circular) for _ in range(depth)]
            levels.append(nn.Sequential(Unit(down), *blocks))
            inputs = width
        self.levels = nn.ModuleList(levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, C, H, W)`` to one map a level, finest (half size) first."""
        maps = []
        for level in self.levels:
            image = level(image)
            maps.append(image)
        return maps


class Merge(Foldable):
    """One step up: the coarse map enlarged to the fine one's size, both mixed."""

    pairs = (("fine", "norm"),)

    def __init__(self, coarse: int, fine: int, outputs: int, circular: bool = False) -> None:
        super().__init__()
        self.circular = circular
        self.coarse = nn.Conv2d(coarse, outputs, 1, bias=False)
        self.fine = nn.Conv2d(fine, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.mix = Unit(convolution(outputs, outputs, circular=circular))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        enlarged = self._enlarge(self.coarse(coarse), fine.shape[-2], fine.shape[-1])
        joint = F.relu(self.norm(self.fine(fine) + enlarged), inplace=True)
        mixed: Tensor = self.mix(joint)
        return mixed

    def _enlarge(self, coarse: Tensor, height: int, width: int) -> Tensor:
        spare = 0
        if self.circular and width != coarse.shape[-1]:  # interpolate across the seam, too
            spare = width // coarse.shape[-1]
            coarse = pad_circularly(coarse, 1)
        large = F.interpolate(
            coarse, size=(height, width + 2 * spare), mode="bilinear", align_corners=False
        )
        return large[..., spare : spare + width]

    def fold_norms(self) -> None:
        """See :meth:`Foldable.fold_norms`; the norm is of a sum, whose shift the fine map takes."""
        self.coarse = fuse_conv_bn_eval(self.coarse, self.norm)
        self.coarse.bias = None
        super().fold_norms()
