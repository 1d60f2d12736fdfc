"""Heads of two convolutions with a norm and GELU between them."""

import torch
from torch import Tensor, nn

from cvsegguide.landcover import NYC, ClassScheme

VARIANTS = ("corrected", "published")


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


def one_hot_guidance(
    landcover: Tensor, dtype: torch.dtype = torch.float32, scheme: ClassScheme = NYC
) -> Tensor:
    """Guidance channels ``(B, C, H, W)`` of class ids ``(B, H, W)``; all zero at ignored ids."""
    lookup = torch.from_numpy(scheme.channel_lookup).to(landcover.device)
    index = lookup[landcover.long()]
    order = torch.arange(len(scheme.channels), device=landcover.device)
    return (index[:, None] == order[None, :, None, None]).to(dtype)
