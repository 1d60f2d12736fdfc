"""Convolutions whose gradients, or whose weights, cost a CPU more than their arithmetic.

Plain PyTorch computes the same; it is the oracle of the tests and what devices other than CPUs,
other types, tracing and export get.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.linear import fast_paths, linear

FEW_PLACES = 128
"""Places of a batch's map up to which a product of unfolded patches beats a convolution, whose
weights come into oneDNN's order first."""

_MANY_WEIGHTS = 1 << 22  # with which it does up to four times as many places

_LARGE_PATCH = 16


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether a fast path may be taken: float32 on a CPU, nothing that traces or casts."""
    return (
        fast_paths()  # first: what traces must not see conditions on sizes
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and type(x) is Tensor
        and not torch.is_autocast_enabled("cpu")
    )


class _PatchProjection(torch.autograd.Function):
    """A convolution by stride; its weights' gradient after space was brought to depth.

    oneDNN has no good kernel for the gradient of weights that span three channels and 32 x 32
    pixels (it took a tenth of a training step); for 48 channels and 8 x 8 places it has.
    """

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(image, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(image, weight, bias, stride, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, weight = ctx.saved_tensors
        stride, side = ctx.stride, ctx.padding
        outputs, channels, height, width = weight.shape
        to_weight = to_bias = None
        if ctx.needs_input_grad[1]:
            deep = F.pixel_unshuffle(F.pad(image, (side,) * 4), stride)
            shape = (outputs, channels * stride**2, height // stride, width // stride)
            _, to_weight, _ = torch.ops.aten.convolution_backward(
                gradient,
                deep.contiguous(memory_format=torch.channels_last),
                weight.new_empty(shape),
                None,
                [1, 1],
                [0, 0],
                [1, 1],
                False,
                [0, 0],
                1,
                [False, True, False],
            )
            assert to_weight is not None
            pieces = to_weight.reshape(outputs * channels, stride**2, *shape[2:])
            to_weight = F.pixel_shuffle(pieces, stride).reshape(weight.shape)
        if ctx.needs_input_grad[2]:
            to_bias = gradient.sum(dim=(0, 2, 3))
        return None, to_weight, to_bias, None, None


def patch_projection(image: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A convolution of an image by patches, ``(B, 3, H, W)`` to ``(B, C, H / s, W / s)``.

    Args:
        image: Sides multiples of the stride s.
        convolution: Its kernel's side and its doubled padding are multiples of s.
    """
    size, stride, side = convolution.kernel_size[0], convolution.stride[0], convolution.padding[0]
    assert isinstance(side, int)
    if (
        size < _LARGE_PATCH
        or not suits(image, convolution.weight)
        or not torch.is_grad_enabled()
        or image.requires_grad
        or not convolution.weight.requires_grad
        or size % stride
        or any((length + 2 * side) % stride for length in image.shape[2:])
    ):
        plain: Tensor = convolution(image)
        return plain
    result: Tensor = _PatchProjection.apply(
        image, convolution.weight, convolution.bias, stride, side
    )
    return result


def small_map_convolution(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A convolution that keeps the size, as a matrix product where its weights outweigh the map."""
    places = x.shape[0] * x.shape[2] * x.shape[3]
    if not suits(x, convolution.weight) or places > FEW_PLACES * (
        4 if convolution.weight.numel() >= _MANY_WEIGHTS else 1
    ):
        result: Tensor = convolution(x)
        return result
    size = convolution.kernel_size[0]
    patches = F.unfold(x, size, padding=size // 2).transpose(1, 2)
    pixels = linear(patches, convolution.weight.flatten(1), convolution.bias)
    return pixels.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
