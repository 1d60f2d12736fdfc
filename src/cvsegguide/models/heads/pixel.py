"""Heads of two convolutions with a norm and GELU between them."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.landcover import NYC, ClassScheme
from cvsegguide.models.convolutions import small_map_convolution, suits
from cvsegguide.models.heads.trained import trained_head, trained_published_head
from cvsegguide.models.linear import convolution_1x1, fast_paths, linear

VARIANTS = ("corrected", "published")

CHUNK_BYTES = 1 << 21
"""Part of a hidden map that is finished before the next is begun: what a core's cache holds."""

_MANY_OUTPUTS = 16


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel of ``(B, C, H, W)``; any H and W."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PixelHead(nn.Sequential):
    """Convolution, norm, GELU, 1x1 convolution.

    Args:
        inputs, hidden, outputs: Channels.
        size: ``(H, W)`` of the map for the published norm over ``(hidden, H, W)``, whose affine
            parameters are per pixel; None for a norm over channels.
        kernel_size: Of the first convolution.
        norm: Without it, the hidden map keeps its scale (heatmaps need theirs).
        zero: Start with a second convolution of zeros: a residual branch that is silent at first.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        size: tuple[int, int] | None = None,
        kernel_size: int = 1,
        norm: bool = True,
        zero: bool = False,
    ) -> None:
        middle: nn.Module = nn.Identity()
        if size is not None:
            middle = nn.LayerNorm((hidden, *size))
        elif norm:
            middle = ChannelNorm(hidden)
        last = nn.Conv2d(hidden, outputs, 1)
        if zero:
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)
        super().__init__(
            nn.Conv2d(inputs, hidden, kernel_size, padding=kernel_size // 2),
            middle,
            nn.GELU(),
            last,
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        first, norm, _, last = cast(tuple[nn.Conv2d, nn.Module, nn.Module, nn.Conv2d], tuple(self))
        if self.per_pixel and not torch.is_grad_enabled() and fast_paths():
            return self.finish(self.hidden(x))
        if self._published_training(x):
            return trained_published_head(x, first, cast(nn.LayerNorm, norm), last, 1)
        if first.kernel_size != (1, 1):
            x = x.contiguous(memory_format=torch.channels_last)
        if self._leaves_the_cache(x, 1):
            return self._by_rows(x, 1)
        if self._trained_by_parts(x):
            return trained_head(x, first, cast(nn.LayerNorm, norm), last)
        if first.kernel_size == (1, 1):
            hidden = convolution_1x1(x, first)
        else:
            hidden = small_map_convolution(x, first)
        return convolution_1x1(F.gelu(norm(hidden)), last)

    def on_linear(self, x: Tensor) -> Tensor:
        """The head on ``x`` enlarged twice bilinearly."""
        if self.per_pixel or not self._leaves_the_cache(x, 2):
            return self(_enlarged(x))  # type: ignore[no-any-return]
        if cast(nn.Conv2d, self[0]).kernel_size != (1, 1):
            x = x.contiguous(memory_format=torch.channels_last)
        return self._by_rows(x, 2)

    def _leaves_the_cache(self, x: Tensor, factor: int) -> bool:
        """Whether one hidden map does, of ``x`` enlarged, where nothing is trained on a CPU."""
        quiet = not torch.is_grad_enabled() and fast_paths() and x.device.type == "cpu"
        channels = cast(nn.Conv2d, self[0]).out_channels
        return quiet and 4 * channels * x.shape[2] * x.shape[3] * factor**2 > CHUNK_BYTES

    def _published_training(self, x: Tensor) -> bool:
        """Whether a training step of the published head may take channels by parts."""
        return (
            self.per_pixel
            and suits(x, cast(nn.Conv2d, self[0]).weight)
            and torch.is_grad_enabled()
            and all(parameter.requires_grad for parameter in self.parameters())
        )

    def _trained_by_parts(self, x: Tensor) -> bool:
        """Whether a training step leaves the cache with the hidden map, and may take parts."""
        first, norm = cast(nn.Conv2d, self[0]), self[1]
        return (
            suits(x, first.weight)
            and torch.is_grad_enabled()
            and isinstance(norm, ChannelNorm)
            and first.bias is not None
            and first.kernel_size != (1, 1)
            and x.shape[2] * x.shape[3] * 4 * first.out_channels > CHUNK_BYTES
            and all(parameter.requires_grad for parameter in self.parameters())
        )

    def _by_rows(self, x: Tensor, factor: int) -> Tensor:
        """The head on ``x`` enlarged a few rows at a time.

        Each is finished before its hidden map leaves the cache, each image before the next is
        enlarged.
        """
        first, norm, _, last = cast(tuple[nn.Conv2d, nn.Module, nn.Module, nn.Conv2d], tuple(self))
        batch, height, width = x.shape[0], factor * x.shape[2], factor * x.shape[3]
        reach, outputs = first.kernel_size[0] // 2, last.out_channels
        weight = last.weight.flatten(1)
        by_pixels = outputs >= _MANY_OUTPUTS
        order = torch.channels_last if by_pixels else torch.contiguous_format
        shape = (batch, outputs, height, width)
        result = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=order)
        step = max(1, CHUNK_BYTES // (4 * first.out_channels * width))
        for image in range(batch):
            one = x[image : image + 1]
            if factor > 1:
                one = _enlarged(one)
            for top in range(0, height, step):
                bottom = min(top + step, height)
                low, high = max(0, top - reach), min(height, bottom + reach)
                rows = one[:, :, low:high]
                missing = (reach - (top - low), reach - (high - bottom))
                if any(missing):
                    rows = F.pad(rows, (0, 0, *missing))
                if reach:
                    hidden = F.conv2d(rows, first.weight, first.bias, padding=(0, reach))
                else:
                    hidden = convolution_1x1(rows, first)
                hidden = torch.ops.aten.gelu_(norm(hidden))
                if by_pixels:
                    result[image, :, top:bottom] = convolution_1x1(hidden, last)[0]
                    continue
                pixels = hidden.permute(0, 2, 3, 1).reshape(-1, first.out_channels)
                few = linear(weight, pixels) if outputs > 1 else weight @ pixels.T
                if last.bias is not None:
                    few = few + last.bias[:, None]
                result[image, :, top:bottom] = few.view(outputs, bottom - top, width)
        return result

    @property
    def per_pixel(self) -> bool:
        """Whether the norm is the published one, with parameters per pixel."""
        return type(self[1]) is nn.LayerNorm

    def on_nearest(self, x: Tensor) -> Tensor:
        """The head on ``x`` enlarged twice by nearest neighbours.

        The first convolution of a published head is 1 x 1 and commutes with the enlargement, and
        so do the norm's mean and variance: all of it is computed before enlarging.
        """
        if self.per_pixel and not torch.is_grad_enabled() and fast_paths():
            return self.finish(self.hidden(x), 2)
        if self._published_training(x):
            first, norm, _, last = tuple(self)
            return trained_published_head(x, first, norm, last, 2)  # type: ignore[arg-type]
        return self(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]

    def hidden(self, x: Tensor) -> Tensor:
        """First convolution (1 x 1) of ``(B, C, H, W)``, laid out channel by channel."""
        first = cast(nn.Conv2d, self[0])
        batch, channels, height, width = x.shape
        weight, places = first.weight.flatten(1), x.permute(0, 2, 3, 1)
        result = x.new_empty(batch, len(weight), height, width)
        for image in range(batch):
            # The map plays the weights' part, so that no transposition is needed.
            rows = places[image].reshape(-1, channels)
            result[image] = linear(weight, rows).view(-1, height, width)
        return result if first.bias is None else result.add_(first.bias[:, None, None])

    def finish(
        self, hidden: Tensor, factor: int = 1, moments: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Published norm, GELU and last convolution of a hidden map, few channels at a time.

        Args:
            hidden: ``(B, hidden, H / factor, W / factor)``, behind the first convolution.
            factor: How many times it is enlarged by nearest neighbours.
            moments: Its mean and variance ``(B,)``, where they are known.

        Returns:
            ``(B, outputs, H, W)``.
        """
        norm, last = cast(nn.LayerNorm, self[1]), cast(nn.Conv2d, self[3])
        weight, outputs = last.weight.flatten(1), last.out_channels
        if moments is None:
            hidden = F.layer_norm(hidden, hidden.shape[1:], eps=norm.eps)
        batch, channels = hidden.shape[:2]
        height, width = norm.weight.shape[1:]
        result = hidden.new_zeros(batch, outputs, height, width)
        step = channels
        if hidden.device.type == "cpu":
            step = max(1, CHUNK_BYTES // (4 * height * width))
        for start in range(0, channels, step):
            part = slice(start, min(start + step, channels))
            for image in range(batch):
                few = hidden[image : image + 1, part]
                if moments is not None:
                    mean, variance = (value[image] for value in moments)
                    few = (few - mean).mul_(torch.rsqrt(variance + norm.eps))
                if factor > 1:
                    few = F.interpolate(few, scale_factor=float(factor), mode="nearest")
                few = torch.addcmul(norm.bias[part], few[0], norm.weight[part])
                few = torch.ops.aten.gelu_(few)
                result[image].view(outputs, -1).addmm_(weight[:, part], few.view(len(few), -1))
        return result if last.bias is None else result.add_(last.bias[:, None, None])


def _enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def one_hot_guidance(
    landcover: Tensor, dtype: torch.dtype = torch.float32, scheme: ClassScheme = NYC
) -> Tensor:
    """Guidance channels ``(B, C, H, W)`` of class ids ``(B, H, W)``; all zero at ignored ids."""
    lookup = torch.from_numpy(scheme.channel_lookup).to(landcover.device)
    index = lookup[landcover.long()]
    order = torch.arange(len(scheme.channels), device=landcover.device)
    return (index[:, None] == order[None, :, None, None]).to(dtype)
