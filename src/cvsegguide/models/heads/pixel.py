"""Heads of two convolutions with a norm and GELU between them."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.landcover import NYC, ClassScheme


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

    def forward(self, x: Tensor, doubled: bool = False) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``.

        Args:
            x: The map.
            doubled: Of ``x`` enlarged twice, by nearest neighbours with the published norm, else
                bilinearly. The published first convolution is 1 x 1 and commutes with it, and so
                do the norm's mean and variance.
        """
        if self.per_pixel:
            hidden = self[0](x)
            hidden = F.layer_norm(hidden, hidden.shape[1:], eps=self._norm.eps)
            if doubled:
                hidden = F.interpolate(hidden, scale_factor=2.0, mode="nearest")
            return self._finish(hidden, slice(None))
        if doubled:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = x.contiguous(memory_format=torch.channels_last)
        result: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return result

    def enter(self, x: Tensor) -> Tensor:
        """What :meth:`leave` wants of rows ``(B, inputs, h, W)`` of a map.

        The first convolution is 1 x 1.
        """
        found: Tensor = self[0](x) if self.per_pixel else self(x)
        return found

    def leave(self, parts: list[Tensor]) -> Tensor:
        """:meth:`forward` of a map whose rows went through :meth:`enter`, from top to bottom.

        The published norm needs the mean and the deviation of the whole hidden map first.
        """
        if not self.per_pixel:
            return torch.cat(parts, dim=2)
        count = sum(part[0].numel() for part in parts)
        mean = torch.stack([_sum(part) for part in parts]).sum(dim=0) / count
        squares = [_sum((part - mean).square()) for part in parts]
        variance = torch.stack(squares).sum(dim=0) / count
        scale = torch.rsqrt(variance + self._norm.eps)
        results, top = [], 0
        for part in parts:
            rows = slice(top, top := top + part.shape[2])
            results.append(self._finish((part - mean) * scale, rows))
        return torch.cat(results, dim=2)

    def _finish(self, hidden: Tensor, rows: slice) -> Tensor:
        """What stands behind the published norm's moments, of some rows."""
        norm = self._norm
        hidden = torch.addcmul(norm.bias[:, rows], hidden, norm.weight[:, rows])
        result: Tensor = self[3](self[2](hidden))
        return result

    @property
    def _norm(self) -> nn.LayerNorm:
        return cast(nn.LayerNorm, self[1])

    @property
    def per_pixel(self) -> bool:
        """Whether the norm is the published one, with parameters per pixel."""
        return type(self[1]) is nn.LayerNorm


def _sum(values: Tensor) -> Tensor:
    """By image, ``(B, 1, 1, 1)``."""
    return values.sum(dim=(1, 2, 3), keepdim=True, dtype=torch.float32)


def one_hot_guidance(
    landcover: Tensor, dtype: torch.dtype = torch.float32, scheme: ClassScheme = NYC
) -> Tensor:
    """Guidance channels ``(B, C, H, W)`` of class ids ``(B, H, W)``; all zero at ignored ids."""
    lookup = torch.from_numpy(scheme.channel_lookup).to(landcover.device)
    index = lookup[landcover.long()]
    order = torch.arange(len(scheme.channels), device=landcover.device)
    return (index[:, None] == order[None, :, None, None]).to(dtype)
