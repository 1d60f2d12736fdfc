"""Training on a CPU: batch norms in few passes, convolutions and products by oneDNN.

A map of a training step is larger than the caches, so that a step costs what it moves. Here a
batch norm in training, what is added and its clipping are one pass forwards and two backwards
(:mod:`cvsegguide.models.geometric.kernels`), and maps stay channels-last. Plain PyTorch computes
the same; it is the oracle of the tests and what other devices and types, tracing, export and
compilation get. Sums over a map are taken in float64 in the end, so that results here lie nearer to
those of float64 than PyTorch's do.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvsegguide.models.convolutions import suits
from cvsegguide.models.geometric.fused import wrapped
from cvsegguide.models.geometric.maps import Map, array_of
from cvsegguide.models.geometric.team import has_team, shared
from cvsegguide.models.linear import fast_paths, has_bfloat16, has_onednn, multiply

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_LENGTH = 512
"""Numbers, about, that a loop of the kernels goes over: several pixels of few channels."""

_PLACES = 8192
"""Places of a map that a product over all of them takes at a time."""

_IMAGES = 8
"""Images that places are taken for, at most, where they are a convolution's."""

_FEW = 64
"""Channels below which oneDNN is not faster over places."""


def _bounds(low: float, high: float) -> F32:
    return np.array([low, high], np.float32)


FREE = _bounds(-np.inf, np.inf)
RECTIFIED = _bounds(0.0, np.inf)
SIX = _bounds(0.0, 6.0)


def trained(x: Tensor, *norms: nn.Module) -> bool:
    """Whether ``x`` may take the paths below: gradients, and plain norms in training."""
    return (
        torch.is_grad_enabled()
        and (suits(x, x) or _halved(x))  # what traces must not see conditions on anything
        and has_onednn()
        and has_team()
        and all(_plain(norm) for norm in norms)
    )


def _halved(x: Tensor) -> bool:
    """Whether maps are bfloat16: autocast on a CPU that computes in it."""
    return (
        fast_paths()
        and x.device.type == "cpu"
        and type(x) is Tensor
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and x.dtype in (torch.float32, torch.bfloat16)
        and has_bfloat16()
    )


def in_working_type(x: Tensor) -> Tensor:
    """``x`` in the type that maps have: float32, or bfloat16 under autocast."""
    return x.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else x


def _plain(norm: nn.Module) -> bool:
    return (
        type(norm) is nn.BatchNorm2d
        and norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
    )


def pixels(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` as ``(B, H, W, C)`` without gaps; a copy where it is not channels-last."""
    return x.detach().permute(0, 2, 3, 1).contiguous()


def side_by_side(places: int, channels: int) -> int:
    """How many pixels the kernels take for one: a power of two that divides ``places``."""
    several = 1
    while places % (2 * several) == 0 and 2 * several * channels <= _LENGTH:
        several *= 2
    return several


def _several(y: Tensor) -> int:
    return side_by_side(y.numel() // y.shape[-1], y.shape[-1])


def room(several: int, channels: int) -> F64:
    """Zeros for two sums of each thread, ``(threads, 2, several * C)``."""
    return np.zeros((torch.get_num_threads(), 2, several * channels))


def folded_sums(sums: F64, several: int) -> F64:
    """``(2, C)`` of :func:`room`."""
    result: F64 = sums.reshape(len(sums), 2, several, -1).sum(axis=(0, 2))
    return result


def tiled(vectors: F32, several: int) -> F32:
    """``(N, C)`` for ``several`` pixels, ``(N, several * C)``."""
    return np.tile(vectors, (1, several))


def _rows(y: Tensor, several: int) -> Map:
    """``(P, several * C)`` of ``(..., C)``."""
    rows: Map = array_of(y).reshape(-1, several * y.shape[-1])
    return rows


@dataclass
class Moments:
    """A batch norm in training for one map, and its gradient.

    Attributes:
        norm: ``(3, C)``: the norm is ``y * norm[0] + norm[1]``, the mean of y ``norm[2]``.
        count: Places of the map.
        inverse: ``(C,)`` one over the standard deviation.
    """

    norm: F32
    count: int
    inverse: F64

    @classmethod
    def identity(cls, channels: int) -> "Moments":
        """No norm."""
        norm = np.zeros((3, channels), np.float32)
        norm[0] = 1.0
        return cls(norm, 1, np.ones(channels))

    @classmethod
    def of_sums(cls, module: nn.BatchNorm2d, sums: F64, count: int) -> "Moments":
        """From sums ``(2, C)`` relative to :func:`about`, of which the running statistics take
        their share."""
        first, second = sums / count
        variance = np.maximum(second - first * first, 0.0)
        mean = about(module)[0] + first
        assert module.momentum is not None
        assert module.running_mean is not None
        assert module.running_var is not None
        assert module.num_batches_tracked is not None
        with torch.no_grad():
            unbiased = torch.from_numpy(variance * (count / max(count - 1, 1)))
            module.running_mean.lerp_(torch.from_numpy(mean).float(), module.momentum)
            module.running_var.lerp_(unbiased.float(), module.momentum)
            module.num_batches_tracked.add_(1)
        inverse = 1.0 / np.sqrt(variance + module.eps)
        scale = module.weight.detach().numpy() * inverse
        shift = module.bias.detach().numpy() - mean * scale
        return cls(np.stack((scale, shift, mean)).astype(np.float32), count, inverse)

    @classmethod
    def of_map(cls, module: nn.BatchNorm2d, y: Tensor) -> "Moments":
        """Of ``(..., C)``."""
        several = _several(y)
        sums = room(several, y.shape[-1])
        add_moments(y, tiled(about(module), several), sums)
        return cls.of_sums(module, folded_sums(sums, several), y.numel() // y.shape[-1])

    def clipped(self, y: Tensor, bounds: F32, added: Tensor | None = None) -> Tensor:
        """Norm of ``(..., C)``, plus ``added``, clipped."""
        from cvsegguide.models.geometric import kernels

        out = torch.empty_like(y)
        several = _several(y)
        norm = tiled(self.norm, several)
        rows, target = _rows(y, several), _rows(out, several)
        more = None if added is None else _rows(added, several)

        def run(part: slice, number: int) -> None:
            if more is None:
                kernels.affine(rows[part], norm, bounds, target[part])
            else:
                kernels.affine_added(rows[part], norm, more[part], bounds, target[part])

        shared(run, len(rows), rows.size)
        return out

    def factors(self, sums: F64) -> tuple[F32, Tensor, Tensor]:
        """``p, q, r`` ``(3, C)`` of y's gradient ``p * g + q + r * y``, the weight's, the bias's.

        Args:
            sums: ``(2, C)`` of g, the gradient before the clipping, and of g times ``y - mean``.
        """
        total, product = sums
        to_weight = product * self.inverse
        p = self.norm[0].astype(np.float64)
        r = -p * self.inverse * to_weight / self.count
        q = -p * total / self.count - r * self.norm[2]
        factors = np.stack((p, q, r)).astype(np.float32)
        both = np.stack((to_weight, total)).astype(np.float32)
        return factors, torch.from_numpy(both[0]), torch.from_numpy(both[1])

    def gradient_sums(self, gradient: Tensor, y: Tensor, bounds: F32) -> F64:
        """``(2, C)`` for :meth:`factors`."""
        from cvsegguide.models.geometric import kernels

        several = _several(y)
        sums = room(several, y.shape[-1])
        norm = tiled(self.norm, several)
        rows, values = _rows(gradient, several), _rows(y, several)

        def run(part: slice, number: int) -> None:
            kernels.gradient_sums(rows[part], values[part], norm, bounds, sums[number])

        shared(run, len(rows), rows.size)
        return folded_sums(sums, several)

    def through(self, gradient: Tensor, y: Tensor, bounds: F32, factors: F32) -> Tensor:
        """The gradient of y."""
        from cvsegguide.models.geometric import kernels

        out = torch.empty_like(y)
        several = _several(y)
        norm, factors = tiled(self.norm, several), tiled(factors, several)
        rows, values, target = (_rows(each, several) for each in (gradient, y, out))

        def run(part: slice, number: int) -> None:
            kernels.gradient_through(rows[part], values[part], norm, bounds, factors, target[part])

        shared(run, len(rows), rows.size)
        return out


def about(module: nn.BatchNorm2d) -> F32:
    """``(1, C)``, what squares are summed about, so that little is lost: the mean so far."""
    assert module.running_mean is not None
    mean: F32 = module.running_mean.numpy()[None].copy()
    return mean


def add_moments(y: Tensor, centre: F32, sums: F64) -> None:
    """Add to :func:`room` what ``y`` has, about ``centre`` ``(1, several * C)``."""
    from cvsegguide.models.geometric import kernels

    rows = _rows(y, centre.shape[1] // y.shape[-1])

    def run(part: slice, number: int) -> None:
        kernels.moments(rows[part], centre[0], sums[number])

    shared(run, len(rows), rows.size)


def over_places(wide: Tensor, narrow: Tensor) -> Tensor:
    """``wide' narrow`` of ``(P, W)`` and ``(P, N)``: the gradient of a 1 x 1 convolution."""
    if wide.dtype == torch.bfloat16 or torch.get_num_threads() > 1:
        return _as_convolution(wide, narrow)
    if wide.shape[1] < narrow.shape[1]:
        return over_places(narrow, wide).t()
    if wide.shape[1] < _FEW:
        return (narrow.t() @ wide).t()
    result: Tensor | None = None
    for some, other in zip(torch.split(wide, _PLACES), torch.split(narrow, _PLACES), strict=True):
        # the first operand is copied to be transposed
        part = multiply(other.t(), some.t(), None)
        result = part if result is None else result.add_(part)
    assert result is not None
    return result.t()


def _as_convolution(wide: Tensor, narrow: Tensor) -> Tensor:
    """The same by oneDNN's gradient of weights: the better one for two threads, and in bfloat16."""
    images = math.gcd(len(wide), _IMAGES)
    gradient, x = (
        each.view(images, len(each) // images, 1, -1).permute(0, 3, 1, 2) for each in (wide, narrow)
    )
    weight = wide.new_empty(wide.shape[1], narrow.shape[1], 1, 1)
    results = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
    )
    result: Tensor = results[1].flatten(1).float()
    return result


class _NormClip(torch.autograd.Function):
    """Batch norm, something added, clipping."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        added: Tensor | None,
        module: nn.BatchNorm2d,
        bounds: F32,
    ) -> Tensor:
        y = pixels(y)
        ctx.moments, ctx.bounds = Moments.of_map(module, y), bounds
        more = None if added is None else pixels(added)
        out: Tensor = ctx.moments.clipped(y, bounds, more)
        ctx.save_for_backward(y, *(() if added is None else (out,)))
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, *rest = ctx.saved_tensors
        moments, bounds = ctx.moments, ctx.bounds
        gradient = pixels(gradient.to(y.dtype))
        to_added = None
        if rest:
            gradient, bounds = _unclipped(gradient, rest[0], bounds), FREE
            to_added = gradient.permute(0, 3, 1, 2)
        sums = moments.gradient_sums(gradient, y, bounds)
        factors, to_weight, to_bias = moments.factors(sums)
        to_y = None
        if ctx.needs_input_grad[0]:
            to_y = moments.through(gradient, y, bounds, factors).permute(0, 3, 1, 2)
        return to_y, to_weight, to_bias, to_added, None, None


def _unclipped(gradient: Tensor, out: Tensor, bounds: F32) -> Tensor:
    """``gradient`` where ``out`` was not clipped."""
    from cvsegguide.models.geometric import kernels

    before = torch.empty_like(gradient)
    several = _several(out)
    rows, values, target = (_rows(each, several) for each in (gradient, out, before))

    def run(part: slice, number: int) -> None:
        kernels.unclipped(rows[part], values[part], bounds, target[part])

    shared(run, len(rows), rows.size)
    return before


def norm_clip(
    y: Tensor, norm: nn.BatchNorm2d, bounds: F32 = RECTIFIED, added: Tensor | None = None
) -> Tensor:
    """``norm(y) + added``, clipped, where :func:`trained` allows it; channels-last.

    Args:
        y: ``(B, C, H, W)``.
        norm: In training.
        bounds: :data:`RECTIFIED`, :data:`SIX` or :data:`FREE`.
        added: Of the same shape.
    """
    y, added = in_working_type(y), None if added is None else in_working_type(added)
    result: Tensor = _NormClip.apply(y, norm.weight, norm.bias, added, norm, bounds)
    return result


class _Convolution(torch.autograd.Function):
    """A convolution of channels-last maps by oneDNN; products where it is 1 x 1."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Any,
        padding: Any,
        wrap: int,
    ) -> Tensor:
        ctx.stride, ctx.padding, ctx.wrap = stride, padding, wrap
        x = wrapped(x, wrap).contiguous(memory_format=torch.channels_last)
        weight = weight.to(x.dtype)
        bias = None if bias is None else bias.to(x.dtype)
        ctx.save_for_backward(x, weight)
        if weight.shape[2:] == (1, 1):
            return multiply(pixels(x), weight.flatten(1), bias).permute(0, 3, 1, 2)
        operator = torch.ops.mkldnn._convolution_pointwise
        kernel = weight.contiguous(memory_format=torch.channels_last)
        y: Tensor = operator(x, kernel, bias, padding, stride, [1, 1], 1, "none", [], "")
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        rows = pixels(gradient.to(x.dtype))
        to_x = to_weight = None
        if weight.shape[2:] == (1, 1):
            if wanted[0]:
                to_x = multiply(rows, weight.flatten(1).t(), None).permute(0, 3, 1, 2)
            if wanted[1]:
                places = pixels(x).flatten(0, 2)
                to_weight = over_places(rows.flatten(0, 2), places).reshape(weight.shape)
        else:
            to_x, to_weight, _ = torch.ops.aten.convolution_backward(
                rows.permute(0, 3, 1, 2),
                x,
                weight.contiguous(memory_format=torch.channels_last),
                None,
                ctx.stride,
                ctx.padding,
                [1, 1],
                False,
                [0, 0],
                1,
                [*wanted[:2], False],
            )
            to_weight = None if to_weight is None else to_weight.float()
        to_bias = rows.sum(dim=(0, 1, 2), dtype=torch.float32) if wanted[2] else None
        if to_x is not None and ctx.wrap:
            to_x = _unwrapped(to_x, ctx.wrap)
        return to_x, to_weight, to_bias, None, None, None


def _unwrapped(gradient: Tensor, columns: int) -> Tensor:
    """The gradient of what was wrapped."""
    inner = gradient[..., columns:-columns].contiguous(memory_format=torch.channels_last)
    inner[..., -columns:] += gradient[..., :columns]
    inner[..., :columns] += gradient[..., -columns:]
    return inner


def convolved(x: Tensor, convolution: nn.Conv2d, padding: Any = None, wrap: int = 0) -> Tensor:
    """A convolution without groups where :func:`trained` allows it; channels-last.

    Args:
        x: ``(B, C, H, W)``.
        convolution: Stride, weight and bias; strides of 1 where it is 1 x 1.
        padding: Rows and columns, in place of its own.
        wrap: Columns that are wrapped around on either side first.
    """
    around = convolution.padding if padding is None else padding
    weight, bias = convolution.weight, convolution.bias
    x = in_working_type(x)
    result: Tensor = _Convolution.apply(x, weight, bias, convolution.stride, around, wrap)
    return result


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 1 x 1 convolution where :func:`trained` allows it; channels-last.

    Args:
        x: ``(B, C, H, W)``.
        weight: ``(D, C, 1, 1)``.
        bias: ``(D,)`` or None.
    """
    result: Tensor = _Convolution.apply(in_working_type(x), weight, bias, (1, 1), (0, 0), 0)
    return result


class _Resampled(torch.autograd.Function):
    """Weighted sums of four places each."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, places: Tensor, shares: Tensor) -> Tensor:
        from cvsegguide.models.geometric import kernels

        ctx.shape, ctx.taps = source.shape, (places.numpy(), shares.numpy())
        at, of = ctx.taps
        out = source.new_empty(len(source), len(places), source.shape[1], places.shape[1])
        values, target = source.detach().contiguous().flatten(2).numpy(), out.numpy()

        def run(part: slice, number: int) -> None:
            kernels.gathered(values[part], at, of, target[part])

        shared(run, len(values), values.size)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from cvsegguide.models.geometric import kernels

        at, of = ctx.taps
        to_source = gradient.new_zeros(ctx.shape)
        values, target = gradient.contiguous().numpy(), to_source.flatten(2).numpy()

        def run(part: slice, number: int) -> None:
            kernels.scattered(values[part], at, of, target[part])

        shared(run, len(values), values.size)
        return to_source, None, None


def resampled(source: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """Weighted sums of four places each, where :func:`trained` allows it.

    Args:
        source: ``(B, C, ...)``, N places.
        places: ``(K, P, 4)`` int32, which of the N.
        shares: ``(K, P, 4)`` their weights.

    Returns:
        ``(B, K, C, P)``.
    """
    result: Tensor = _Resampled.apply(source, places, shares)
    return result
