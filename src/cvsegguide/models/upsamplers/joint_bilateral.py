"""FeatUp's stack of learned joint bilateral upsamplers.

Fu et al., "FeatUp: A model-agnostic framework for features at any resolution", ICLR 2024, arXiv
2403.10516 (reference code under MIT, github.com/mhamilton723/FeatUp); after Kopf et al. 2007.

A step enlarges a map bicubically to twice its size and takes a sum over each pixel's own window of
7 x 7. The reference needs a compiled extension for that. Both are linear in the map, and neighbours
lean on nearly the same low-resolution pixels: a block of 8 x 8 results on a patch of 10 x 10. So
the window weights of a block are brought back through the bicubic enlargement (it is separable: two
products with matrices of 7 x 10), and its results are one product of 64 x 100 with 100 x channels.
The enlarged map is never made. On CUDA, without gradients and where Triton is there, kernels of
:mod:`cvsegguide.models.upsamplers.triton_kernels` do the same.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.upsamplers.triton_support import triton_kernels

BLOCK = 8
"""Side of a block of results in pixels."""

BAND_BYTES = 1 << 22
"""Results of an image that are made at a time without gradients: what a CPU's cache holds."""


def bicubic(length: int) -> Tensor:
    """``(2 length, length)`` float64: how each result of a bicubic doubling leans on the pixels."""
    unit = torch.eye(length, dtype=torch.float64)[None, :, :, None]
    wide = F.interpolate(
        unit.expand(1, length, length, length).contiguous(),
        size=(2 * length, length),
        mode="bicubic",
        align_corners=False,
    )
    return wide[0, :, :, 0].T


def mirrored_windows(size: int, radius: int) -> Tensor:
    """``(size, 2 radius + 1)``: the places in each place's window, mirrored at the border."""
    place = (torch.arange(size)[:, None] + torch.arange(2 * radius + 1) - radius).abs()
    return torch.where(place >= size, 2 * (size - 1) - place, place)


@lru_cache(maxsize=64)
def _taps(
    length: int, radius: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """How windows along one axis lean on the low-resolution pixels of their block.

    Args:
        length: Low-resolution pixels along the axis.
        radius: Half side of the window in results.

    Returns:
        ``(blocks, block, diameter, patch)`` weights of the patch's pixels in each entry of each
        result's window, and the pixels ``(blocks, patch)`` of each block's patch.
    """
    diameter, size = 2 * radius + 1, 2 * length
    block = math.gcd(BLOCK, size)
    with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        leaning = bicubic(length)[mirrored_windows(size, radius)]
        patch = min(length, block // 2 + 2 * (radius // 2) + 4)
        first = (torch.arange(size // block) * (block // 2) - (patch - block // 2) // 2).clamp(
            0, length - patch
        )
        pixels = first[:, None] + torch.arange(patch)
        own = pixels.repeat_interleave(block, dim=0)
        weights = leaning.gather(2, own[:, None, :].expand(-1, diameter, -1))
        return torch.unflatten(weights, 0, (-1, block)).to(device, dtype), pixels.to(device)


@lru_cache(maxsize=16)
def _window_index(block: int, radius: int, device: torch.device) -> Tensor:
    """``(block^2, diameter^2)``: where each pixel's window lies in its block's surroundings."""
    diameter = 2 * radius + 1
    with torch.inference_mode(False), torch.device("cpu"):
        line = torch.arange(block)[:, None] + torch.arange(diameter)
        place = line[:, None, :, None] * (block + diameter - 1) + line[None, :, None, :]
        return place.reshape(block**2, diameter**2).to(device)


def _cut(maps: Tensor, down: int, across: int) -> Tensor:
    """``(B, C, H, W)`` into blocks: ``(B, C, H / down, down, W / across, across)``."""
    return torch.unflatten(torch.unflatten(maps, 3, (-1, across)), 2, (-1, down))


class JointBilateralUpsampler(nn.Module):
    """One step: twice the resolution, guided by the image.

    Args:
        guidance_channels: Channels of the guidance image.
        key_channels: Channels in which guidance pixels are compared.
        radius: Half side of the window in output pixels.
        dropout: Dropout in training.
    """

    def __init__(
        self,
        guidance_channels: int = 3,
        key_channels: int = 32,
        radius: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.radius = radius
        self.diameter = 2 * radius + 1
        window = self.diameter**2
        self.range_temp = nn.Parameter(torch.tensor(0.0))
        self.sigma_spatial = nn.Parameter(torch.tensor(1.0))
        self.range_proj = nn.Sequential(
            nn.Conv2d(guidance_channels, key_channels, 1),
            nn.GELU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(key_channels, key_channels, 1),
        )
        self.fixup_proj = nn.Sequential(
            nn.Conv2d(guidance_channels + window, window, 1),
            nn.GELU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(window, window, 1),
        )

    def kernel(self, guidance: Tensor) -> Tensor:
        """Window weights ``(B, d * d, H, W)`` from guidance ``(B, G, H, W)``."""
        similarity = self._similarity(self.range_proj(guidance))
        temperature = self.range_temp.exp().clamp(1e-4, 1e4)
        combined = (temperature * similarity).softmax(dim=1) * self._spatial().view(1, -1, 1, 1)
        combined = combined / combined.sum(dim=1, keepdim=True).clamp(1e-7)
        fixed: Tensor = combined + 0.1 * self.fixup_proj(torch.cat([combined, guidance], dim=1))
        return fixed

    def _similarity(self, keys: Tensor) -> Tensor:
        """Products of each pixel's key with those in its window, mirrored at the border.

        Every pixel of a block is multiplied with all of the block's surroundings.

        Args:
            keys: ``(B, K, H, W)``.

        Returns:
            ``(B, d * d, H, W)``.
        """
        height, width = keys.shape[2:]
        block = math.gcd(BLOCK, height, width)
        padded = F.pad(keys, [self.radius] * 4, mode="reflect").movedim(1, -1)
        around = padded.unfold(1, block + 2 * self.radius, block)
        around = around.unfold(2, block + 2 * self.radius, block)  # (B, Y, X, K, S, S)
        own = _cut(keys, block, block)  # (B, K, Y, b, X, b)
        own = own.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)  # (B, Y, X, b b, K)
        product = own @ around.flatten(4)
        index = _window_index(block, self.radius, keys.device)
        found = product.gather(4, index.expand(*product.shape[:3], -1, -1))
        found = torch.unflatten(found, 3, (block, block)).permute(0, 5, 1, 3, 2, 4)
        return found.reshape(-1, self.diameter**2, height, width)

    def _spatial(self) -> Tensor:
        """Weights ``(d * d,)`` of the window's places by their distance."""
        like = self.sigma_spatial
        steps = torch.linspace(-1, 1, self.diameter, device=like.device, dtype=like.dtype)
        distance = (steps[:, None] ** 2 + steps[None, :] ** 2).reshape(-1)
        return torch.exp(-distance / (2 * like**2))

    def bands(self, source: Tensor, kernel: Tensor) -> Iterator[Tensor]:
        """The map at twice the size, each pixel filtered by its own window, from top to bottom.

        Args:
            source: ``(B, h, w, C)``.
            kernel: ``(B, d * d, 2 h, 2 w)`` window weights.

        Yields:
            ``(B, rows, 2 w, C)``: all rows at once with gradients and where a graph is traced.
        """
        height, width, channels = source.shape[1:]
        rows = 2 * height
        if not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
            wanted = BAND_BYTES // (2 * width * channels * source.element_size())
            rows = max(BLOCK, wanted // BLOCK * BLOCK)
        kernels = triton_kernels(source, self.radius)
        if kernels is not None:
            folded = kernels.fold(kernel, self.radius, source.dtype)
            yield from torch.split(kernels.enlarge(source, folded, self.radius), rows, dim=1)
            return
        vertical, lines = _taps(height, self.radius, source.device, source.dtype)
        horizontal, columns = _taps(width, self.radius, source.device, source.dtype)
        blocks = rows // vertical.shape[1]
        patches = torch.unflatten(source.index_select(2, columns.flatten()), 2, columns.shape)
        for some, down, part in zip(
            torch.split(lines, blocks),
            torch.split(vertical, blocks),
            torch.split(kernel, blocks * vertical.shape[1], dim=2),
            strict=True,
        ):
            lean = self._leanings(part, down, horizontal)  # (B, Y, X, y x, q p)
            near = torch.unflatten(patches.index_select(1, some.flatten()), 1, some.shape)
            near = near.permute(0, 1, 3, 4, 2, 5).flatten(3, 4)  # (B, Y, X, q p, C)
            result = torch.unflatten(lean @ near, 3, (down.shape[1], horizontal.shape[1]))
            yield result.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _leanings(self, kernel: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """How results of blocks lean on the low-resolution pixels of their patches.

        Args:
            kernel: ``(B, d * d, rows, 2 w)`` window weights.
            vertical, horizontal: Of :func:`_taps`, ``(blocks, block, d, patch)`` of the rows and
                of the columns.

        Returns:
            ``(B, blocks, blocks, block * block, patch * patch)``: rows before columns, but columns
            of a patch before its rows.
        """
        (count, down), (beside, across) = vertical.shape[:2], horizontal.shape[:2]
        window = torch.unflatten(kernel.to(vertical.dtype), 1, (self.diameter, self.diameter))
        # window rows i and columns j, results (y, x), patches' columns q and rows p
        lean = window.permute(4, 0, 3, 1, 2).flatten(1, 3) @ horizontal.flatten(0, 1)
        lean = torch.unflatten(lean, 1, (-1, count * down, self.diameter))  # (x, B, y, i, q)
        lean = lean.permute(2, 1, 0, 4, 3).flatten(1, 3) @ vertical.flatten(0, 1)
        lean = lean.view(count, down, -1, beside, across, horizontal.shape[3] * vertical.shape[3])
        return lean.permute(2, 0, 3, 1, 4, 5).flatten(3, 4)

    def enlarge(self, source: Tensor, kernel: Tensor) -> Tensor:
        """``(B, h, w, C)`` to ``(B, 2 h, 2 w, C)``; see :meth:`bands`."""
        return torch.cat(list(self.bands(source, kernel)), dim=1)

    def transposed(self, values: Tensor, kernel: Tensor) -> Tensor:
        """The transpose of :meth:`enlarge` for one channel: ``(B, 2 h, 2 w)`` to ``(B, h, w)``."""
        height, width = values.shape[1] // 2, values.shape[2] // 2
        vertical, lines = _taps(height, self.radius, values.device, values.dtype)
        horizontal, columns = _taps(width, self.radius, values.device, values.dtype)
        lean = self._leanings(kernel, vertical, horizontal)
        blocks = _cut(values[:, None], vertical.shape[1], horizontal.shape[1])
        blocks = blocks[:, 0].transpose(2, 3).flatten(3)
        back = (blocks[:, :, :, None] @ lean)[:, :, :, 0]  # (B, Y, X, q p)
        back = torch.unflatten(back, 3, (horizontal.shape[3], -1)).permute(0, 1, 4, 2, 3)
        # patches overlap: each pixel's parts are summed
        across = F.one_hot(columns.flatten(), width).to(values.dtype)
        down = F.one_hot(lines.flatten(), height).to(values.dtype)
        low: Tensor = down.T @ (back.flatten(3).flatten(1, 2) @ across)
        return low


class JointBilateralStack(nn.Module):
    """Several steps of twice the resolution, and a residual 1x1 convolution.

    The steps are linear in the features and treat every channel alike, so that the convolution
    comes first, at low resolution, and only its bias last.

    Args:
        channels: Channels of the features.
        steps: How many times the resolution doubles.
        key_channels: See :class:`JointBilateralUpsampler`.
        radius: See :class:`JointBilateralUpsampler`.
    """

    def __init__(
        self, channels: int, steps: int = 4, key_channels: int = 32, radius: int = 3
    ) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            JointBilateralUpsampler(3, key_channels, radius) for _ in range(steps)
        )
        self.dropout = nn.Dropout2d(0.2)
        self.mix = nn.Conv2d(channels, channels, 1)

    def kernels(self, source: Tensor, guidance: Tensor) -> list[Tensor]:
        """Window weights of every step, coarsest first (:meth:`JointBilateralUpsampler.kernel`)."""
        height, width = source.shape[2:]
        return [
            step.kernel(F.adaptive_avg_pool2d(guidance, (height << index + 1, width << index + 1)))
            for index, step in enumerate(self._steps())
        ]

    def _steps(self) -> list[JointBilateralUpsampler]:
        return cast(list[JointBilateralUpsampler], list(self.steps))

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """``(B, C, h, w)`` features to ``(B, C, s h, s w)`` with ``s = 2 ** steps``."""
        bands = list(self.bands(source, self.kernels(source, guidance)))
        return torch.cat(bands, dim=1).movedim(-1, 1)

    def bands(self, source: Tensor, kernels: list[Tensor]) -> Iterator[Tensor]:
        """:meth:`forward` from top to bottom, for whoever needs every place's features once.

        Args:
            source: ``(B, C, h, w)``.
            kernels: ``(B, d * d, H, W)`` of every step, from :meth:`kernels`.

        Yields:
            ``(B, rows, W, C)``.
        """
        mixed, bias = self._mixed(source)
        low = mixed.movedim(1, -1)
        *steps, last = zip(self._steps(), kernels, strict=True)
        for step, kernel in steps:
            low = step.enlarge(low, kernel)
        for band in last[0].bands(low, last[1]):
            yield band + bias

    def _mixed(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What the steps enlarge, and what is added to each channel of the result."""
        assert self.mix.bias is not None
        mixed = F.conv2d(self.dropout(source), self.mix.weight)
        return torch.add(source, mixed, alpha=0.1), 0.1 * self.mix.bias

    def project(self, source: Tensor, kernels: list[Tensor], direction: Tensor) -> Tensor:
        """Scalar products of the upsampled features with a vector, without upsampling them.

        Upsampling is linear and does not look at the features: the product is taken at low
        resolution, and one channel is upsampled.

        Args:
            source: ``(B or 1, C, h, w)``.
            kernels: ``(B or 1, d * d, H, W)`` of every step.
            direction: ``(B, C)``.

        Returns:
            ``(B, H, W)``.
        """
        mixed, bias = self._mixed(source)
        product = torch.einsum(
            "bc,bchw->bhw", direction, mixed.expand(direction.shape[0], -1, -1, -1)
        )
        # the same weights for all: then they are channels
        shared = kernels[0].shape[0] != direction.shape[0]
        low = product.movedim(0, -1)[None] if shared else product[..., None]
        for step, kernel in zip(self._steps(), kernels, strict=True):
            low = step.enlarge(low, kernel)
        product = low[0].movedim(-1, 0) if shared else low[..., 0]
        return product + (direction @ bias)[:, None, None]

    def pooled(self, source: Tensor, guidance: Tensor) -> Tensor:
        """The mean ``(B, C, 1, 1)`` of the upsampled map, without making the map.

        Upsampling is linear in the features, so the weight of every low-resolution place in the
        mean is found by applying the transposed steps to one channel of constant weight.
        Gradients reach the features; the upsampler itself is taken as constant.
        """
        with torch.no_grad():
            kernels = self.kernels(source, guidance)
        height, width = (side << len(kernels) for side in source.shape[2:])
        weight = source.new_full((source.shape[0], height, width), 1 / (height * width))
        for step, kernel in zip(reversed(self._steps()), reversed(kernels), strict=True):
            weight = step.transposed(weight, kernel)
        mean = (source * weight[:, None]).sum(dim=(2, 3), keepdim=True)
        mixed, bias = self._mixed(mean)
        return mixed + bias[:, None, None]
