"""Linear layers on a CPU by oneDNN, which multiplies faster than MKL on processors not by Intel.

``torch.nn.functional.linear`` of float32 goes to MKL, and MKL keeps AVX-512 to Intel's processors:
on an AMD one it reaches half of what oneDNN does. PyTorch calls oneDNN for convolutions, and for
linear layers when it compiles a frozen network. :func:`linear` calls the same operator, with GELU
fused into it where no gradient is wanted. Everything else (other devices and types, autocast,
tracing, export) takes the plain path, which is also the oracle of the tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FEWEST = 4
"""Rows below which calling oneDNN costs more than it saves."""

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)

_enabled = True


@contextmanager
def plain_path() -> Iterator[None]:
    """Within it, fast paths of the networks are off: the reference of tests and benchmarks."""
    global _enabled  # noqa: PLW0603
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def fast_paths() -> bool:
    """Whether networks may take paths that tracing, export and compilation do not know."""
    return (
        _enabled
        and not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
        and not torch.onnx.is_in_onnx_export()
    )


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        fast_paths()  # first: what traces must not see conditions on sizes
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        # not a subclass that stands for something else, as in export
        and type(x) is Tensor
        and x.numel() >= _FEWEST * x.shape[-1]
        and not torch.is_autocast_enabled("cpu")
        and has_onednn()
    )


def has_onednn() -> bool:
    """Whether PyTorch has oneDNN's fused operators and may use them."""
    return _HAS_ONEDNN and bool(torch.backends.mkldnn.enabled)


def has_bfloat16() -> bool:
    """Whether oneDNN computes in bfloat16 on this processor."""
    return has_onednn() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    """``x W' + b`` by oneDNN, without gradients, where :func:`has_onednn`; as :func:`linear`."""
    algorithm = "none" if activation == "gelu" else ""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return result


class _Linear(torch.autograd.Function):
    """Forward and backward by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x = to_weight = to_bias = None
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[0]:
            to_x = multiply(rows, weight.t(), None).view(x.shape)
        if ctx.needs_input_grad[1]:
            places = x.reshape(-1, x.shape[-1])
            # The first operand is copied to be transposed: take the narrower, where that pays.
            narrower = weight.shape[0] - weight.shape[1]
            if len(places) * narrower > 2 * weight.numel():
                to_weight = multiply(places.t(), rows.t(), None).t().contiguous()
            else:
                to_weight = multiply(rows.t(), places.t(), None)
        if ctx.needs_input_grad[2]:
            to_bias = rows.sum(0)
        return to_x, to_weight, to_bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``x W' + b`` over the last dimension, then GELU if wanted.

    Args:
        x: ``(..., C)``.
        weight: ``(D, C)``.
        bias: ``(D,)`` or None.
        gelu: Apply the exact GELU to the result.

    Returns:
        ``(..., D)``.
    """
    if not _suits(x, weight):
        result = F.linear(x, weight, bias)
        return F.gelu(result) if gelu else result
    wanted = (x, weight) if bias is None else (x, weight, bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in wanted):
        result = _Linear.apply(x, weight, bias)
        return F.gelu(result) if gelu else result
    return multiply(x, weight, bias, "gelu" if gelu else "none")


class Linear(nn.Linear):
    """:class:`torch.nn.Linear` through :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """``(..., C)`` to ``(..., D)``."""
        return linear(x, self.weight, self.bias)


def replace_linear_layers(module: nn.Module) -> None:
    """Let every plain linear layer within ``module`` compute by :func:`linear`, in place.

    Names and parameters stay, so that checkpoints load as before.
    """
    for child in module.modules():
        if type(child) is nn.Linear:
            child.__class__ = Linear


def convolution_1x1(x: Tensor, convolution: nn.Conv2d, gelu: bool = False) -> Tensor:
    """A 1 x 1 convolution of ``(B, C, H, W)`` as a linear layer over the channels of pixels.

    Best where ``x`` is channels-last, as the result then is.
    """
    weight = convolution.weight.flatten(1)
    if not _suits(x, weight):
        result: Tensor = convolution(x)
        return F.gelu(result) if gelu else result
    pixels = linear(x.permute(0, 2, 3, 1), weight, convolution.bias, gelu)
    return pixels.permute(0, 3, 1, 2)
