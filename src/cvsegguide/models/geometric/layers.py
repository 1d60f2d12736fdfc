"""Convolutions that both branches are built of."""

import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.geometric.fused import convolve, folded, fused, wrapped
from cvsegguide.models.geometric.trained import convolved, norm_clip, trained


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
        return super().forward(wrapped(features, self.wrap))


class Unit(nn.Sequential):
    """Convolution, batch normalisation, rectifier."""

    def forward(self, features: Tensor) -> Tensor:
        if fused(self, features):
            return self.at_once(features)
        if trained(features, self[1]):
            return trained_unit(features, self[0], self[1])
        for module in self:
            features = module(features)
        return features

    def at_once(self, features: Tensor) -> Tensor:
        """Where :func:`fused` allows it."""
        return self.after_wrapping(wrapped(features, wrap_of(self[0])))

    def after_wrapping(self, features: Tensor) -> Tensor:
        """Where :func:`fused` allows it: the same for columns that are wrapped already."""
        return normed(features, self[0], self[1])


class Head(nn.Conv2d):
    """A 1 x 1 convolution with bias behind a branch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        if self.training and trained(features):
            return convolved(features, self)
        return super().forward(features)


def unit(convolution: nn.Conv2d) -> Unit:
    """Convolution, batch normalisation, rectifier."""
    return Unit(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


def wrap_of(convolution: nn.Module) -> int:
    """Columns that a convolution wraps around on either side."""
    return convolution.wrap if isinstance(convolution, PanoramaConv) else 0


def normed(
    features: Tensor, convolution: nn.Module, norm: nn.Module, added: Tensor | None = None
) -> Tensor:
    """Rectifier of norm of convolution, plus ``added``, of wrapped features in one call."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    weight, bias = folded(convolution, norm)
    return convolve(features, weight, bias, convolution, relu=True, added=added)


def trained_unit(
    features: Tensor, convolution: nn.Module, norm: nn.Module, added: Tensor | None = None
) -> Tensor:
    """Rectifier of norm of convolution, plus ``added``, where :func:`trained` allows it."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return norm_clip(convolved(features, convolution, wrap=wrap_of(convolution)), norm, added=added)


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


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input passes (He et al. 2016)."""

    def __init__(self, channels: int, circular: bool = False) -> None:
        super().__init__()
        self.first = unit(convolution(channels, channels, circular=circular))
        self.second = convolution(channels, channels, circular=circular)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, features: Tensor) -> Tensor:
        if fused(self, features):
            inner = wrapped(self.first.at_once(features), wrap_of(self.second))
            return normed(inner, self.second, self.norm, added=features)
        if trained(features, self.norm):
            return trained_unit(self.first(features), self.second, self.norm, features)
        return F.relu(features + self.norm(self.second(self.first(features))))


class Encoder(nn.Module):
    """A pyramid: each level halves the size and has its own width (as in U-Net).

    Args:
        inputs: Channels of the image.
        widths: Channels of the levels, finest first.
        depths: Residual blocks of the levels.
        circular: Columns wrap around.
    """

    def __init__(
        self, inputs: int, widths: tuple[int, ...], depths: tuple[int, ...], circular: bool
    ) -> None:
        super().__init__()
        levels = []
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            down = convolution(inputs, width, 5 if index == 0 else 3, 2, circular)
            blocks = [Residual(width, circular) for _ in range(depth)]
            levels.append(nn.Sequential(unit(down), *blocks))
            inputs = width
        self.levels = nn.ModuleList(levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, C, H, W)`` to one map a level, finest (half size) first."""
        maps = []
        for level in self.levels:
            image = level(image)
            maps.append(image)
        return maps


class Merge(nn.Module):
    """One step up: the coarse map enlarged to the fine one's size, both mixed."""

    def __init__(self, coarse: int, fine: int, outputs: int, circular: bool = False) -> None:
        super().__init__()
        self.circular = circular
        self.coarse = nn.Conv2d(coarse, outputs, 1, bias=False)
        self.fine = nn.Conv2d(fine, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.mix = unit(convolution(outputs, outputs, circular=circular))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        if fused(self, fine):
            return self._fused(coarse, fine)
        if trained(fine, self.norm):
            small = convolved(coarse, self.coarse)
            large = self._enlarge(small, fine.shape[-2], fine.shape[-1])
            joint = norm_clip(large + convolved(fine, self.fine), self.norm)
        else:
            enlarged = self._enlarge(self.coarse(coarse), fine.shape[-2], fine.shape[-1])
            joint = F.relu(self.norm(enlarged + self.fine(fine)))
        mixed: Tensor = self.mix(joint)
        return mixed

    def _enlarge(self, coarse: Tensor, height: int, width: int, wrap: int = 0) -> Tensor:
        """``coarse`` at another size; ``wrap`` columns of the other end on either side."""
        spare = 0
        if wrap or (self.circular and width != coarse.shape[-1]):
            # interpolate across the seam, too
            spare = width // coarse.shape[-1]
            coarse = wrapped(coarse, 1)
        large = F.interpolate(
            coarse, size=(height, width + 2 * spare), mode="bilinear", align_corners=False
        )
        return large[..., spare - wrap : spare + width + wrap]

    def _fused(self, coarse: Tensor, fine: Tensor) -> Tensor:
        wrap = wrap_of(self.mix[0])
        assert isinstance(self.norm, nn.BatchNorm2d)
        weight, _ = folded(self.coarse, self.norm)
        small = convolve(coarse, weight, None, self.coarse)
        large = self._enlarge(small, fine.shape[-2], fine.shape[-1], wrap)
        return self.mix.after_wrapping(
            normed(wrapped(fine, wrap), self.fine, self.norm, added=large)
        )
