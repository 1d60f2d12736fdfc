"""Inverted residuals (Sandler et al. 2018) trained on a CPU, each as one function.

The wide map is most of what such a block moves. Here its norm and clipping happen where the filters
read it, and it is made again for the gradient, a group of images at a time, rather than kept. Of
its norm's gradient ``p * g + q + r * y`` the terms in y are taken through the matrix that makes y,
whose other side is narrow, so that no pass over the wide map is needed for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.models.geometric.maps import Map, array_of
from cvsegguide.models.geometric.team import shared
from cvsegguide.models.geometric.trained import (
    F32,
    F64,
    FREE,
    SIX,
    Moments,
    about,
    add_moments,
    folded_sums,
    in_working_type,
    over_places,
    pixels,
    room,
    side_by_side,
    tiled,
)
from cvsegguide.models.linear import multiply

_CHUNK = 8 << 20
"""Bytes of a wide map that are worked on at a time: about what a cache shares out."""


@dataclass
class _Block:
    """What is fixed of a block, and how its maps are taken apart.

    Attributes:
        norms: Behind the wider (or None), the filters, the narrower.
        size: Side of the filters.
        step: Their stride.
        adds: Whether the input is added to the result.
    """

    norms: tuple[nn.BatchNorm2d | None, nn.BatchNorm2d, nn.BatchNorm2d]
    size: int
    step: int
    adds: bool

    @property
    def before(self) -> int:
        """Rows and columns of zeros before the map; all the others follow it."""
        return self.size // 2 if self.step == 1 else (self.size - 2) // 2

    @property
    def bounds(self) -> F32:
        """Of what the filters read."""
        return FREE if self.norms[0] is None else SIX

    def several(self, x: Tensor, wide: int) -> int:
        """Pixels that the kernels take for one."""
        return side_by_side(x.shape[2], wide) if self.step == 1 else 1


def _groups(x: Tensor, wide: int) -> list[slice]:
    """Images that are worked on at a time."""
    step = max(1, _CHUNK // (x.itemsize * x.shape[1] * x.shape[2] * wide))
    threads = torch.get_num_threads()
    step = -(-step // threads) * threads  # each has as many
    return [slice(begin, min(begin + step, len(x))) for begin in range(0, len(x), step)]


def _blocks(y: Tensor, several: int) -> Map:
    """``(B, H, W, C)`` with ``several`` pixels as one."""
    shape = (*y.shape[:2], y.shape[2] // several, several * y.shape[3])
    blocks: Map = array_of(y).reshape(shape)
    return blocks


class _InvertedResidual(torch.autograd.Function):
    """Wider, filtered by channel, narrower, each with its norm."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: _Block, *weights: Tensor) -> Tensor:
        filters = weights[3]
        first, last = (None if each is None else each.to(x.dtype) for each in weights[:7:6])
        x = pixels(x)
        wide = len(filters)
        groups = _groups(x, wide)
        widen, whole, widened = _widening(x, block.norms[0], first, groups, wide)
        several = block.several(x, wide)
        sums = room(several, wide)
        rows, columns = x.shape[1] // block.step, x.shape[2] // block.step
        filtered = x.new_empty(len(x), rows, columns, wide)
        taps = filters.detach().flatten(1).t().repeat(1, several).numpy()
        for group in groups:
            _filter(block, widen(group), widened, taps, filtered[group], sums)
        sums, count = folded_sums(sums, several), filtered.numel() // wide
        middle = Moments.of_sums(block.norms[1], sums, count)
        clipped = middle.clipped(filtered, SIX)
        narrow = multiply(clipped, last.flatten(1), None)
        end = Moments.of_map(block.norms[2], narrow)
        ctx.block, ctx.groups = block, groups
        ctx.moments = widened, middle, end
        ctx.save_for_backward(x, filtered, clipped, narrow, first, filters, last, whole)
        return end.clipped(narrow, FREE, x if block.adds else None).permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, filtered, clipped, narrow, first, filters, last, whole = ctx.saved_tensors
        block: _Block = ctx.block
        widened, middle, end = ctx.moments
        gradient = pixels(gradient.to(x.dtype))
        factors, *to_end = end.factors(end.gradient_sums(gradient, narrow, FREE))
        to_narrow = end.through(gradient, narrow, FREE, factors)
        to_last = over_places(to_narrow.flatten(0, 2), clipped.flatten(0, 2)).reshape(last.shape)
        to_clipped = multiply(to_narrow, last.flatten(1).t(), None)
        factors, *to_middle = middle.factors(middle.gradient_sums(to_clipped, filtered, SIX))
        wide = len(filters)
        several = block.several(x, wide)
        sums = room(several, wide)
        taps = filters.flatten(1).t().repeat(1, several)
        to_taps = torch.zeros(len(sums), *taps.shape)
        to_x = torch.empty_like(x)
        to_first: Tensor | None = None
        for group in ctx.groups:
            y = x[group] if first is None else whole
            if y is None:
                y = multiply(x[group], first.flatten(1), None)
            to_y = to_x[group] if first is None else torch.empty_like(y)
            behind = to_clipped[group], filtered[group]
            norms = middle, factors, widened
            _filter_gradient(block, behind, norms, y, taps, (to_taps, to_y, sums))
            if first is not None:
                scaled = first.flatten(1) * torch.from_numpy(widened.norm[0])[:, None]
                to_x[group] = multiply(to_y, scaled.t().to(x.dtype), None)
                part = over_places(to_y.flatten(0, 2), x[group].flatten(0, 2))
                to_first = part if to_first is None else to_first + part
        to_filters = to_taps.view(len(to_taps), -1, several, wide).sum(dim=(0, 2))
        to_filters = to_filters.t().reshape(filters.shape)
        to_widened: list[Tensor | None] = [None, None]
        if first is not None:
            assert to_first is not None
            factors, *to_widened = widened.factors(folded_sums(sums, several))
            to_first = _through_widening(x, first, factors, to_first, to_x)
        if block.adds:
            to_x += gradient
        result = to_x.permute(0, 3, 1, 2)
        return result, None, to_first, *to_widened, to_filters, *to_middle, to_last, *to_end


def _widening(
    x: Tensor,
    norm: nn.BatchNorm2d | None,
    first: Tensor | None,
    groups: list[slice],
    wide: int,
) -> tuple[Callable[[slice], Tensor], Tensor | None, Moments]:
    """The wide map of some images; of all, where that is kept; its norm."""
    if norm is None or first is None:
        return x.__getitem__, None, Moments.identity(wide)
    matrix = first.detach().flatten(1)
    if len(groups) == 1:
        whole = multiply(x, matrix, None)
        return whole.__getitem__, whole, Moments.of_map(norm, whole)
    several = side_by_side(x.shape[2], wide)
    sums, centre = room(several, wide), tiled(about(norm), several)

    def widen(group: slice) -> Tensor:
        return multiply(x[group], matrix, None)

    for group in groups:
        add_moments(widen(group), centre, sums)
    count = x.numel() // x.shape[-1]
    return widen, None, Moments.of_sums(norm, folded_sums(sums, several), count)


def _through_widening(
    x: Tensor, first: Tensor, factors: F32, to_first: Tensor, to_x: Tensor
) -> Tensor:
    """The gradient of the matrix, and the rest of that of ``x`` added to ``to_x``.

    Args:
        x: ``(B, H, W, N)``.
        first: ``(W, N, 1, 1)``; with y the wide map, y = x first'.
        factors: p, q, r of y's gradient ``p * g + q + r * y``.
        to_first: ``g' x``.
        to_x: ``(p * g) first``.
    """
    p, q, r = torch.from_numpy(factors)
    matrix, places = first.flatten(1).float(), x.flatten(0, 2)
    to_matrix = p[:, None] * to_first + q[:, None] * places.sum(dim=0, dtype=torch.float32)
    to_matrix += r[:, None] * (matrix @ over_places(places, places))
    square, shift = matrix.t() @ (r[:, None] * matrix), q @ matrix
    to_x += multiply(x, square.to(x.dtype), shift.to(x.dtype))
    result: Tensor = to_matrix.view(first.shape)
    return result


def _filter(block: _Block, y: Tensor, widened: Moments, taps: F32, out: Tensor, sums: F64) -> None:
    """See :func:`~cvsegguide.models.geometric.filters.depthwise`."""
    from cvsegguide.models.geometric import filters

    several = taps.shape[1] // y.shape[-1]
    source, target = _blocks(y, several), _blocks(out, several)
    norm, centre = tiled(widened.norm, several), tiled(about(block.norms[1]), several)[0]

    def run(part: slice, number: int) -> None:
        filters.depthwise(
            source[part],
            norm,
            block.bounds,
            taps,
            block.size,
            block.step,
            block.before,
            y.shape[-1],
            centre,
            target[part],
            sums[number],
        )

    shared(run, len(y), y.numel() * block.size)  # a row of taps each


def _filter_gradient(
    block: _Block,
    behind: tuple[Tensor, Tensor],
    norms: tuple[Moments, F32, Moments],
    y: Tensor,
    taps: Tensor,
    results: tuple[Tensor, Tensor, F64],
) -> None:
    """See :func:`~cvsegguide.models.geometric.filters.depthwise_gradient`."""
    from cvsegguide.models.geometric import filters

    several = taps.shape[1] // y.shape[-1]
    gradient, out = (_blocks(each, several) for each in behind)
    middle, factors, widened = (
        tiled(each.norm if isinstance(each, Moments) else each, several) for each in norms
    )
    source, target = _blocks(y, several), _blocks(results[1], several)
    weight, flipped, to_weight = taps.numpy(), taps.flip(0).numpy(), results[0].numpy()

    def run(part: slice, number: int) -> None:
        filters.depthwise_gradient(
            gradient[part],
            out[part],
            middle,
            SIX,
            factors,
            source[part],
            widened,
            block.bounds,
            weight,
            flipped,
            block.size,
            block.step,
            block.before,
            y.shape[-1],
            to_weight[number],
            target[part],
            results[2][number],
        )

    shared(run, len(y), y.numel() * block.size)  # a row of taps each


def inverted_residual(
    x: Tensor,
    convolutions: tuple[nn.Conv2d | None, nn.Conv2d, nn.Conv2d],
    norms: tuple[nn.BatchNorm2d | None, nn.BatchNorm2d, nn.BatchNorm2d],
    adds: bool = False,
) -> Tensor:
    """A block where :func:`~cvsegguide.models.geometric.trained.trained` allows it; channels-last.

    Args:
        x: ``(B, C, H, W)``.
        convolutions: The wider (or None), by channel, the narrower.
        norms: Of each; the first two are clipped to [0, 6].
        adds: Whether ``x`` is added.
    """
    filters = convolutions[1]
    block = _Block(norms, filters.kernel_size[0], filters.stride[0], adds)
    weights: list[Tensor | None] = []
    for convolution, norm in zip(convolutions, norms, strict=True):
        weights.append(None if convolution is None else convolution.weight)
        weights += (None, None) if norm is None else (norm.weight, norm.bias)
    result: Tensor = _InvertedResidual.apply(in_working_type(x), block, *weights)
    return result
