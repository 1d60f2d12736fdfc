"""A head on a map that comes a few rows at a time and is never held whole."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from cvsegguide.models.heads.pixel import PixelHead
from cvsegguide.models.linear import linear


class HeadByRows:
    """Collects what a head makes of one image's pixels.

    A norm over channels needs one pixel at a time, and nothing but the outputs is kept. The
    published norm needs the mean and deviation of the whole hidden map first, which is therefore
    kept; its moments are summed as it comes.

    Args:
        head: Its first convolution is 1 x 1.
        size: ``(H, W)`` of the map.
        folded: Brings what stands between the given pixels and the head's input into a weight and
            a bias.
    """

    def __init__(
        self,
        head: PixelHead,
        size: tuple[int, int],
        folded: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]],
    ) -> None:
        first = cast(nn.Conv2d, head[0])
        self.head, self.size = head, size
        self.weight, self.bias = folded(first.weight.flatten(1), first.bias)
        self.last = cast(nn.Conv2d, head[3])
        channels = len(self.weight) if head.per_pixel else self.last.out_channels
        self.map = self.weight.new_empty(1, channels, *size)
        self.moments = self.weight.new_zeros(2, dtype=torch.float64)

    def add(self, top: int, places: Tensor) -> None:
        """Take ``(rows * W, C)`` pixels from row ``top`` on."""
        width = self.size[1]
        rows = slice(top, top + len(places) // width)
        if self.head.per_pixel:
            # The pixels play the weights' part, so that channels come first.
            hidden = linear(self.weight, places).add_(self.bias[:, None])
            flat = hidden.flatten().float()  # sums of squares leave half precision
            self.moments += torch.stack((flat.sum(), flat.dot(flat)))
            self.map[0, :, rows] = hidden.view(len(hidden), -1, width)
            return
        hidden = linear(places, self.weight, self.bias)
        norm = self.head[1]
        if isinstance(norm, nn.LayerNorm):
            hidden = nn.functional.layer_norm(
                hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps
            )
        hidden = torch.ops.aten.gelu_(hidden)
        outputs = linear(self.last.weight.flatten(1), hidden)
        if self.last.bias is not None:
            outputs = outputs + self.last.bias[:, None]
        self.map[0, :, rows] = outputs.view(len(outputs), -1, width)

    def result(self) -> Tensor:
        """``(1, outputs, H, W)``, once every row has come."""
        if not self.head.per_pixel:
            return self.map
        mean, square = self.moments / self.map.numel()
        moments = (mean[None], (square - mean**2)[None].clamp_min(0.0))
        first, second = (value.to(self.map.dtype) for value in moments)
        return self.head.finish(self.map, moments=(first, second))
