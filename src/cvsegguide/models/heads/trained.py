"""Training of a pixel head without its large passing maps.

Behind the first convolution of a head on a full-size map stand a norm, GELU and a convolution to
a few channels. Plain PyTorch writes and reads a map of the hidden width five times for them on the
way back; here a part that fits the cache goes through all of them before the next. The hidden map
itself is kept, so that the convolution is not computed again.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.linear import convolution_1x1, linear

PART_BYTES = 1 << 20
"""Of the hidden map, that go through at once: what a core's cache holds."""


_MANY_OUTPUTS = 16
"""From here on the result is laid out channels-last."""

_BAND = 32
"""Rows of a map from which the gradient of 3 x 3 weights is taken at once: for more, oneDNN turns
to a way that is half as fast again."""


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: tuple[int, int], wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )
    return result


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Of a convolution that keeps the size, from ``(1, D, H, W)`` and ``(1, C, H, W)``."""
    height, reach = gradient.shape[2], weight.shape[-1] // 2
    total = torch.zeros_like(weight)
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        low, high = max(0, top - reach), min(height, bottom + reach)
        rows = x[:, :, low:high]
        missing = (reach - (top - low), reach - (high - bottom))
        if any(missing):
            rows = F.pad(rows, (0, 0, *missing))
        part = gradient[:, :, top:bottom]
        total += _gradients(part, rows, weight, (0, reach), [False, True, False])[1]
    return total


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        first: Tensor,
        offset: Tensor,
        scale: Tensor,
        shift: Tensor,
        last: Tensor,
        eps: float,
    ) -> Tensor:
        hidden = F.conv2d(x, first, offset, padding=first.shape[-1] // 2)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, first, scale, shift, last, hidden)
        ctx.eps = eps
        batch, channels, height, width = hidden.shape
        outputs = len(last)
        result = x.new_empty(batch, height * width, outputs)
        if outputs < _MANY_OUTPUTS:
            result = x.new_empty(batch, outputs, height * width).transpose(1, 2)
        step = max(1, PART_BYTES // (4 * channels))
        for image in range(batch):
            places = hidden[image].permute(1, 2, 0).view(-1, channels)
            for start in range(0, len(places), step):
                part = places[start : start + step]
                part = torch.ops.aten.gelu_(F.layer_norm(part, (channels,), scale, shift, eps))
                # The places play the weights' part where the result is laid out by channels.
                few = linear(last, part).t() if outputs < _MANY_OUTPUTS else linear(part, last)
                result[image, start : start + step] = few
        return result.transpose(1, 2).view(batch, outputs, height, width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, first, scale, shift, last, hidden = ctx.saved_tensors
        batch, channels, height, width = hidden.shape
        to_scale, to_shift = torch.zeros_like(scale), torch.zeros_like(shift)
        to_last, to_first = torch.zeros_like(last), torch.zeros_like(first)
        to_offset = scale.new_zeros(channels)
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        step = max(1, PART_BYTES // (4 * channels))
        # Of one image at a time, so that the memory is in use again soon.
        passing = hidden.new_empty(height * width, channels)
        transposed = last.t().contiguous()
        for image in range(batch):
            places = hidden[image].permute(1, 2, 0).view(-1, channels)
            outputs = gradient[image].permute(1, 2, 0).reshape(-1, len(last))
            for start in range(0, len(places), step):
                cut = slice(start, start + step)
                part, above = places[cut], outputs[cut]
                normal, mean, deviation = torch.ops.aten.native_layer_norm(
                    part, [channels], scale, shift, ctx.eps
                )
                to_last += linear(above.t(), F.gelu(normal).t())
                back = torch.ops.aten.gelu_backward(linear(above, transposed), normal)
                passing[cut], more, further = torch.ops.aten.native_layer_norm_backward(
                    back, part, [channels], mean, deviation, scale, shift, [True, True, True]
                )
                to_scale += more
                to_shift += further
            to_hidden = passing.view(1, height, width, channels).permute(0, 3, 1, 2)
            seen = x[image : image + 1]
            if to_x is not None:
                side = first.shape[-1] // 2
                to_x[image : image + 1] = _gradients(
                    to_hidden, seen, first, (side, side), [True, False, False]
                )[0]
            to_first += _weight_gradient(to_hidden, seen, first)
            to_offset += passing.sum(0)
        return to_x, to_first, to_offset, to_scale, to_shift, to_last, None


def trained_head(x: Tensor, first: nn.Conv2d, norm: nn.LayerNorm, last: nn.Conv2d) -> Tensor:
    """Convolution, norm over channels, GELU, 1 x 1 convolution, with their gradients.

    Args:
        x: ``(B, C, H, W)``.
        first: With an odd kernel, padded to keep the size.
        norm: Over the channels of each place.
        last: 1 x 1.

    Returns:
        ``(B, outputs, H, W)``.
    """
    result: Tensor = _Head.apply(
        x, first.weight, first.bias, norm.weight, norm.bias, last.weight.flatten(1), norm.eps
    )
    return result if last.bias is None else result + last.bias[:, None, None]


class _PixelAffine(torch.autograd.Function):
    """What stands behind the published norm's moments: parameters per pixel, GELU, convolution."""

    @staticmethod
    def forward(
        ctx: Any, normal: Tensor, scale: Tensor, shift: Tensor, last: Tensor, factor: int
    ) -> Tensor:
        ctx.save_for_backward(normal, scale, shift, last)
        ctx.factor = factor
        height, width = scale.shape[1:]
        result = normal.new_zeros(len(normal), len(last), height * width)
        for part in _channels(scale):
            for image, few in enumerate(normal[:, part]):
                active = torch.addcmul(shift[part], _nearest(few, factor), scale[part])
                result[image].addmm_(last[:, part], torch.ops.aten.gelu_(active).flatten(1))
        return result.view(len(normal), -1, height, width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        normal, scale, shift, last = ctx.saved_tensors
        to_normal, to_last = torch.empty_like(normal), torch.zeros_like(last)
        to_scale, to_shift = torch.zeros_like(scale), torch.zeros_like(shift)
        above = gradient.reshape(*gradient.shape[:2], -1)
        for part in _channels(scale):
            weight = last[:, part].t()
            for image, few in enumerate(normal[:, part]):
                large = _nearest(few, ctx.factor)
                hidden = torch.addcmul(shift[part], large, scale[part])
                to_last[:, part] += above[image] @ F.gelu(hidden).flatten(1).t()
                back = (weight @ above[image]).view_as(hidden)
                back = torch.ops.aten.gelu_backward(back, hidden)
                to_shift[part] += back
                to_scale[part].addcmul_(back, large)
                back = back.mul_(scale[part])
                if ctx.factor > 1:
                    back = F.avg_pool2d(back, ctx.factor, divisor_override=1)
                to_normal[image, part] = back
        return to_normal, to_scale, to_shift, to_last, None


def _channels(scale: Tensor) -> Iterator[slice]:
    step = max(1, PART_BYTES // (4 * scale[0].numel()))
    for start in range(0, len(scale), step):
        yield slice(start, start + step)


def _nearest(few: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return few
    return F.interpolate(few[None], scale_factor=float(factor), mode="nearest")[0]


def trained_published_head(
    x: Tensor, first: nn.Conv2d, norm: nn.LayerNorm, last: nn.Conv2d, factor: int
) -> Tensor:
    """A published head, with its gradients, on ``x`` enlarged by nearest neighbours.

    The 1 x 1 convolution and the norm's moments commute with the enlargement.

    Args:
        x: ``(B, C, H / factor, W / factor)``.
        first: 1 x 1.
        norm: Over ``(hidden, H, W)``.
        last: 1 x 1.
        factor: How many times ``x`` is to be enlarged.

    Returns:
        ``(B, outputs, H, W)``.
    """
    hidden = convolution_1x1(x, first)
    normal = F.layer_norm(hidden, hidden.shape[1:], eps=norm.eps)
    result: Tensor = _PixelAffine.apply(
        normal, norm.weight, norm.bias, last.weight.flatten(1), factor
    )
    return result if last.bias is None else result + last.bias[:, None, None]
