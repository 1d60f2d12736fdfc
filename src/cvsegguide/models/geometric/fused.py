"""Convolutions with norm, rectifier and residual in one call of oneDNN, where nothing is trained.

In evaluation a batch norm is a scale and a shift by channel, which the convolution in front of it
can take along; folded weights are kept until a parameter changes. Maps stay channels-last. Plain
PyTorch computes the same: it is the oracle of the tests, and what training, other devices and
types, tracing and export get.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.lanes import parts
from cvsegguide.models.convolutions import suits
from cvsegguide.models.linear import has_onednn

_AT_ONCE = 1 << 18
"""Pixels of the images that go through a network at once: maps of more leave the cache."""

_Kept = tuple[tuple[object, ...], tuple[Tensor, ...]]


def fused(module: nn.Module, x: Tensor) -> bool:
    """Whether ``module`` may take the path below for ``x``: evaluation, without gradients."""
    return (
        not module.training
        and not torch.is_grad_enabled()
        and suits(x, x)  # what traces must not see conditions on anything
        and has_onednn()
    )


def parted(images: Tensor) -> list[slice]:
    """Which images ``(B, C, H, W)`` of a batch to take at once on a CPU."""
    return parts(len(images), max(1, _AT_ONCE // max(1, images.shape[-2] * images.shape[-1])))


def kept(
    owner: nn.Module, sources: Sequence[Tensor], make: Callable[[], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """What ``make`` derives from ``sources``, kept with ``owner`` until one of them changes."""
    try:
        key = tuple([(source.data_ptr(), source._version) for source in sources])
    except RuntimeError:  # made in inference mode: nothing tells when these change
        return make()
    known: _Kept | None = owner.__dict__.get("_kept_by_key")
    if known is None or known[0] != key:
        with torch.inference_mode(False), torch.no_grad():
            known = key, make()
        owner.__dict__["_kept_by_key"] = known
    return known[1]


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of ``norm(convolution(x))`` in evaluation; the convolution has no bias."""
    # by their dictionaries: attributes of modules are slow, and this is asked a lot
    learned, seen = norm._parameters, norm._buffers
    sources: Any = (
        convolution._parameters["weight"],
        learned["weight"],
        learned["bias"],
        seen["running_mean"],
        seen["running_var"],
    )

    def make() -> tuple[Tensor, Tensor]:
        kernel, scale, shift, mean, variance = sources
        scale = scale * torch.rsqrt(variance + norm.eps)
        kernel = kernel * scale[:, None, None, None]
        return kernel.contiguous(memory_format=torch.channels_last), shift - mean * scale

    weight, bias = kept(convolution, sources, make)
    return weight, bias


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    like: nn.Conv2d,
    *,
    padding: int | None = None,
    relu: bool | float = False,
    added: Tensor | None = None,
) -> Tensor:
    """A convolution, then ``added`` added, then a rectifier.

    Args:
        x: ``(B, C, H, W)``, already wrapped where columns wrap.
        weight, bias: Of the convolution; what is in ``weight`` never changes.
        like: Its stride and padding.
        padding: Instead of that.
        relu: Whether the rectifier comes, or where it is clipped (without ``added`` alone).
        added: Of the result's shape, or None.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    around = like.padding if padding is None else (padding, padding)
    shape: tuple[Any, ...] = (around, like.stride, like.dilation, like.groups)
    weight = _packed(x, weight, like, shape)
    operator = torch.ops.mkldnn._convolution_pointwise
    result: Tensor
    if added is not None:
        unary = "relu" if relu else None
        result = operator.binary(x, added, weight, bias, *shape, "add", 1.0, unary, [], "")
    elif relu is True or not relu:
        result = operator(x, weight, bias, *shape, "relu" if relu else "none", [], "")
    else:
        result = operator(x, weight, bias, *shape, "hardtanh", [0.0, relu], "")
    return result


class _Packed:
    """A weight and the same in oneDNN's order, once it was asked for twice.

    Copies and pickles of a module start without.
    """

    __slots__ = ("inner", "weight")

    def __init__(self, weight: Tensor | None = None) -> None:
        self.weight = weight
        self.inner: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Packed":
        return _Packed()

    def __reduce__(self) -> tuple[type["_Packed"], tuple[()]]:
        return _Packed, ()


def _packed(x: Tensor, weight: Tensor, like: nn.Conv2d, shape: tuple[Any, ...]) -> Tensor:
    """``weight`` in the order that oneDNN would bring it into at every call, kept with ``like``.

    A third of what a call of a small convolution takes besides its arithmetic.
    """
    known: _Packed | None = like.__dict__.get("_packed")
    if known is None or known.weight is not weight:
        like.__dict__["_packed"] = _Packed(weight)
        return weight
    if known.inner is None:
        functions: Any = torch._C._nn
        with torch.inference_mode(False), torch.no_grad():
            known.inner = functions.mkldnn_reorder_conv2d_weight(
                weight.to_mkldnn(), *shape, list(x.shape)
            )
    return known.inner


def wrapped(x: Tensor, columns: int) -> Tensor:
    """``x`` with its last columns before the first and its first behind the last."""
    if not columns:
        return x
    return torch.cat((x[..., -columns:], x, x[..., :columns]), dim=-1)
