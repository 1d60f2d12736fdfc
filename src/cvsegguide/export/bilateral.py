"""FeatUp's upsampler in operations that every runtime has.

The network's own form runs over channels in place and finds the mean of the upsampled map with
autograd; neither can be written into a graph. Here every step is a product of matrices. Enlarging
and padding are linear, along rows and columns apart: one constant matrix to either side. The
filter differs from pixel to pixel; a tile of 8 x 8 pixels sees 14 x 14, and the windows of its
pixels, written into a band matrix of 64 x 196, are applied to all channels at once. The same bands
are read out of a product of keys with keys to compare every pixel with its window.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.upsamplers.joint_bilateral import (
    JointBilateralStack,
    JointBilateralUpsampler,
)

TILES = (8, 4, 2, 1)
"""Sides of a tile in pixels; the first that divides a map is taken."""


def enlarging_matrix(length: int, radius: int) -> Tensor:
    """``(2 * length + 2 * radius, length)``: bicubic enlargement by two, then reflection."""
    lines = torch.eye(length)[None, None]
    lines = F.interpolate(lines, size=(2 * length, length), mode="bicubic", align_corners=False)
    return F.pad(lines, [0, 0, radius, radius], mode="reflect")[0, 0]


def reflecting_matrix(length: int, radius: int) -> Tensor:
    """``(length + 2 * radius, length)``: reflection alone."""
    return F.pad(torch.eye(length)[None, None], [0, 0, radius, radius], mode="reflect")[0, 0]


def skew(bands: Tensor) -> Tensor:
    """``(..., T, d)`` to ``(..., T, T + d - 1)``: row i moved i places to the right."""
    tile, seen = bands.shape[-2], bands.shape[-2] + bands.shape[-1] - 1
    flat = F.pad(bands, (0, tile)).flatten(-2)
    return flat[..., : tile * seen].reshape(*bands.shape[:-2], tile, seen)


def unskew(matrix: Tensor) -> Tensor:
    """``(..., T, T + d - 1)`` to ``(..., T, d)``: of row i, what begins at column i."""
    tile, seen = matrix.shape[-2:]
    flat = F.pad(matrix.flatten(-2), (0, tile))
    return flat.reshape(*matrix.shape[:-2], tile, seen + 1)[..., : seen - tile + 1]


class Tiling(nn.Module):
    """A map of ``(H, W)`` cut into tiles, each with its surroundings.

    Args:
        size: ``(H, W)``.
        diameter: Side d of the window of a pixel.

    Attributes:
        tile: T, pixels a side of a tile.
        seen: S, pixels a side of what it sees, ``T + d - 1``.
    """

    index_rows: Tensor
    index_cols: Tensor

    def __init__(self, size: tuple[int, int], diameter: int) -> None:
        super().__init__()
        self.tile = next(tile for tile in TILES if all(side % tile == 0 for side in size))
        self.seen = self.tile + diameter - 1
        self.size = size
        self.diameter = diameter
        self.rows, self.cols = (side // self.tile for side in size)
        for axis, count in (("rows", self.rows), ("cols", self.cols)):
            index = torch.arange(count)[:, None] * self.tile + torch.arange(self.seen)
            self.register_buffer(f"index_{axis}", index.flatten())

    def surroundings(self, padded: Tensor) -> Tensor:
        """``(B, C, H + d - 1, W + d - 1)`` to ``(B, H / T, W / T, S * S, C)``."""
        channels = padded.shape[1]
        places = padded.permute(0, 2, 3, 1)
        # two gathers: runtimes' own unfolding makes rows of single pixels
        places = places.index_select(1, self.index_rows).index_select(2, self.index_cols)
        places = places.reshape(-1, self.rows, self.seen, self.cols, self.seen, channels)
        places = places.permute(0, 1, 3, 2, 4, 5)
        return places.reshape(-1, self.rows, self.cols, self.seen**2, channels)

    def tiles(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, H / T, W / T, T * T, C)``."""
        channels = image.shape[1]
        parts = image.reshape(-1, channels, self.rows, self.tile, self.cols, self.tile)
        parts = parts.permute(0, 2, 4, 3, 5, 1)
        return parts.reshape(-1, self.rows, self.cols, self.tile**2, channels)

    def untiled(self, parts: Tensor) -> Tensor:
        """Inverse of :meth:`tiles`."""
        channels = parts.shape[-1]
        image = parts.reshape(-1, self.rows, self.cols, self.tile, self.tile, channels)
        return image.permute(0, 5, 1, 3, 2, 4).reshape(-1, channels, *self.size)

    def windows(self, matrices: Tensor) -> Tensor:
        """Entries of ``(B, H / T, W / T, T * T, S * S)`` within windows: ``(B, d * d, H, W)``."""
        tile, seen = self.tile, self.seen
        parts = matrices.reshape(-1, self.rows, self.cols, tile, tile, seen, seen)
        parts = unskew(parts.permute(0, 1, 2, 4, 6, 3, 5))  # (..., x, qx, y, dy)
        parts = unskew(parts.permute(0, 1, 2, 5, 6, 3, 4))  # (..., y, dy, x, dx)
        parts = parts.permute(0, 4, 6, 1, 3, 2, 5)  # (B, dy, dx, rows, y, cols, x)
        return parts.reshape(-1, self.diameter**2, *self.size)

    def matrices(self, kernel: Tensor) -> Tensor:
        """Inverse of :meth:`windows`, zero beyond windows."""
        d, tile = self.diameter, self.tile
        bands = kernel.reshape(-1, d, d, self.rows, tile, self.cols, tile)
        bands = skew(bands.permute(0, 3, 5, 4, 1, 6, 2))  # (B, rows, cols, y, dy, x, qx)
        bands = skew(bands.permute(0, 1, 2, 5, 6, 3, 4))  # (B, rows, cols, x, qx, y, qy)
        bands = bands.permute(0, 1, 2, 5, 3, 6, 4)  # (B, rows, cols, y, x, qy, qx)
        return bands.reshape(-1, self.rows, self.cols, tile**2, self.seen**2)

    def gathered(self, parts: Tensor) -> Tensor:
        """Transpose of :meth:`surroundings` for one channel: overlapping parts are added."""
        parts = parts.reshape(-1, self.rows, self.cols, self.seen, self.seen)
        parts = self._overlapped(parts.permute(0, 2, 4, 1, 3))  # (B, cols, qx, height)
        parts = self._overlapped(parts.permute(0, 3, 1, 2))  # (B, height, width)
        return parts[:, None]

    def _overlapped(self, lines: Tensor) -> Tensor:
        """``(..., n, S)`` to ``(..., n * T + d - 1)``."""
        count, tile = lines.shape[-2], self.tile
        pieces = -(-self.seen // tile)
        lines = F.pad(lines, (0, pieces * tile - self.seen))
        total: Tensor | None = None
        for index in range(pieces):
            piece = lines[..., index * tile : (index + 1) * tile]
            piece = F.pad(piece, (0, 0, index, pieces - 1 - index))
            total = piece if total is None else total + piece
        assert total is not None
        return total.flatten(-2)[..., : count * tile + self.diameter - 1]


class ExportedStep(nn.Module):
    """One doubling of a map of one size.

    Args:
        step: The upsampler, whose parameters are shared.
        size: ``(h, w)`` of what is enlarged.
    """

    rows: Tensor
    cols: Tensor
    reflect_rows: Tensor
    reflect_cols: Tensor

    def __init__(self, step: JointBilateralUpsampler, size: tuple[int, int]) -> None:
        super().__init__()
        self.step = step
        self.size = (2 * size[0], 2 * size[1])
        self.tiling = Tiling(self.size, step.diameter)
        for axis, length in zip(("rows", "cols"), size, strict=True):
            self.register_buffer(axis, enlarging_matrix(length, step.radius))
            self.register_buffer(f"reflect_{axis}", reflecting_matrix(2 * length, step.radius))
        steps = torch.linspace(-1, 1, step.diameter)
        distance = (steps[:, None] ** 2 + steps[None, :] ** 2).reshape(1, -1, 1, 1)
        spatial = torch.exp(-distance / (2 * step.sigma_spatial.detach() ** 2))
        self.register_buffer("spatial", spatial)

    spatial: Tensor

    def kernel(self, guidance: Tensor) -> Tensor:
        """See :meth:`JointBilateralUpsampler.kernel`; the guidance image may be larger."""
        factors = [whole // part for whole, part in zip(guidance.shape[2:], self.size, strict=True)]
        small = F.avg_pool2d(guidance, factors) if factors != [1, 1] else guidance
        keys = self.step.range_proj(small)
        padded = self.reflect_rows @ keys @ self.reflect_cols.T
        around = self.tiling.surroundings(padded).transpose(-1, -2)
        similarity = self.tiling.windows(self.tiling.tiles(keys) @ around)
        temperature = self.step.range_temp.exp().clamp(1e-4, 1e4)
        combined = (temperature * similarity).softmax(dim=1) * self.spatial
        combined = combined / combined.sum(dim=1, keepdim=True).clamp(1e-7)
        fixed: Tensor = self.step.fixup_proj(torch.cat([combined, small], dim=1))
        return combined + 0.1 * fixed

    def forward(self, source: Tensor, kernel: Tensor) -> Tensor:
        """See :meth:`JointBilateralUpsampler.apply_kernel`."""
        around = self.tiling.surroundings(self.rows @ source @ self.cols.T)
        return self.tiling.untiled(self.tiling.matrices(kernel) @ around)

    def transposed(self, weight: Tensor, kernel: Tensor) -> Tensor:
        """Transpose of :meth:`forward` for one channel: ``(B, 1, 2 h, 2 w)`` to half the size."""
        parts = self.tiling.matrices(kernel).transpose(-1, -2) @ self.tiling.tiles(weight)
        spread = self.tiling.gathered(parts)
        return self.rows.T @ spread @ self.cols


class ExportedStack(nn.Module):
    """A :class:`JointBilateralStack` for maps of one size.

    Args:
        stack: The upsampler, whose parameters are shared.
        size: ``(h, w)`` of the features.
    """

    def __init__(self, stack: JointBilateralStack, size: tuple[int, int]) -> None:
        super().__init__()
        steps = []
        for index, step in enumerate(stack.steps):
            assert isinstance(step, JointBilateralUpsampler)
            steps.append(ExportedStep(step, (size[0] * 2**index, size[1] * 2**index)))
        self.steps = nn.ModuleList(steps)
        self.mix = stack.mix

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """See :meth:`JointBilateralStack.forward`."""
        for step in self.steps:
            assert isinstance(step, ExportedStep)
            source = step(source, step.kernel(guidance))
        mixed: Tensor = self.mix(source)
        return source + 0.1 * mixed

    def pooled(self, source: Tensor, guidance: Tensor) -> Tensor:
        """See :meth:`JointBilateralStack.pooled`."""
        height, width = guidance.shape[2:]
        weight = torch.ones_like(guidance[:, :1]) / (height * width)
        for step in reversed(self.steps):
            assert isinstance(step, ExportedStep)
            weight = step.transposed(weight, step.kernel(guidance))
        mean = (source * weight).sum(dim=(2, 3), keepdim=True)
        mixed: Tensor = self.mix(mean)
        return mean + 0.1 * mixed
