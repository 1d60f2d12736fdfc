# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# mypy: disable-error-code="import-untyped,import-not-found,no-untyped-def"
"""A Triton kernel for layer norms over few channels, for CUDA, without gradients.

PyTorch's takes a block of threads for each row. The rows of vision transformers are pixels of some
hundred channels, which leave most of such a block idle; here a block takes many rows.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_CHANNELS = 2048
"""Of a row that the kernel takes."""

_NUMBERS = 4096
"""That a block holds, rows times channels with what fills these up to a power of two."""


@triton.jit
def _norm(
    rows,
    weight,
    bias,
    out,
    count,
    eps,
    CHANNELS: tl.constexpr,
    ROOM: tl.constexpr,
    ROWS: tl.constexpr,
):
    """``ROWS`` rows of ``(count, CHANNELS)``."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, ROOM)
    known = channel < CHANNELS
    inside = (row < count)[:, None] & known[None, :]
    place = row.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
    x = tl.load(rows + place, mask=inside, other=0.0).to(tl.float32)
    mean = tl.sum(x, axis=1) / CHANNELS
    apart = tl.where(inside, x - mean[:, None], 0.0)
    variance = tl.sum(apart * apart, axis=1) / CHANNELS
    scale = tl.load(weight + channel, mask=known, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=known, other=0.0).to(tl.float32)
    y = apart * (1.0 / tl.sqrt(variance + eps))[:, None] * scale[None, :] + shift[None, :]
    tl.store(out + place, y.to(out.dtype.element_ty), mask=inside)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """:func:`torch.nn.functional.layer_norm` over the last axis, in float32.

    Args:
        x: ``(..., C)`` of any float type, C up to :data:`MOST_CHANNELS`.
        weight, bias: ``(C,)`` of any float type.
        eps: Added to the variance.
        dtype: Of the result.

    Returns:
        Of the shape of ``x``, contiguous.

    Raises:
        ValueError: There are more or fewer weights than channels.
    """
    channels = x.shape[-1]
    if weight.shape != (channels,) or bias.shape != (channels,):
        raise ValueError(f"{channels} channels, weights of {len(weight)}, {len(bias)}")
    x, out = x.contiguous(), torch.empty(x.shape, dtype=dtype, device=x.device)
    if not x.numel():
        return out
    count = x.numel() // channels
    room = triton.next_power_of_2(channels)
    at_once = rows_at_once(channels)
    with torch.cuda.device_of(x):
        _norm[(triton.cdiv(count, at_once),)](
            x,
            weight.contiguous(),
            bias.contiguous(),
            out,
            count,
            eps,
            CHANNELS=channels,
            ROOM=room,
            ROWS=at_once,
            num_warps=4,
        )
    return out


def rows_at_once(channels: int) -> int:
    """Rows that a block takes."""
    return _NUMBERS // int(triton.next_power_of_2(channels))
