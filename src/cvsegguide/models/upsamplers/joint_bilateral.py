"""FeatUp's stack of learned joint bilateral upsamplers, in plain PyTorch.

Fu et al., "FeatUp: A model-agnostic framework for features at any resolution", ICLR 2024, arXiv
2403.10516 (reference code under MIT, github.com/mhamilton723/FeatUp); after Kopf et al. 2007. The
reference needs a compiled extension. Here the adaptive convolution is a sum of shifted products,
taken over few channels at a time so that the running sum stays in cache, where gradients, tracing
or export want it so; else a step is computed as matrix products of small blocks
(:mod:`cvsegguide.models.upsamplers.blocks`), or on CUDA, where Triton is there, by kernels of
its own (:mod:`cvsegguide.models.upsamplers.triton_kernels`). Nothing is unfolded.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.linear import convolution_1x1, fast_paths, linear
from cvsegguide.models.triton_support import kernels_of
from cvsegguide.models.upsamplers import blocks

CHUNK_BYTES = 1 << 20
"""Size of the running sum on a CPU: about what the second-level cache holds."""


MAP_BYTES = 1 << 30
"""Upsampled maps that are held at a time on a GPU."""


def _quiet() -> bool:
    return not torch.is_grad_enabled() and fast_paths()


def triton_kernels(source: Tensor, radius: int) -> ModuleType | None:
    """The Triton kernels where they can filter ``source`` by windows of ``radius``, else None."""
    if not (fast_paths() and source.device.type == "cuda" and type(source) is Tensor):
        return None
    if source.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return None
    module = kernels_of("cvsegguide.models.upsamplers.triton_kernels", source.device)
    if module is None or radius > module.LARGEST_RADIUS or 2 * min(source.shape[2:]) <= radius:
        return None
    return module


def _computed_in(source: Tensor) -> torch.dtype:
    """The type that autocast would take for products of ``source``."""
    device = source.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return source.dtype


def is_ready(kernel: Tensor) -> bool:
    """Whether window weights are those of :meth:`JointBilateralUpsampler.ready` on a GPU."""
    return kernel.ndim == 5


def size_of(kernel: Tensor) -> tuple[int, int]:
    """``(H, W)`` of the results that window weights are for, whichever their form."""
    height, width = kernel.shape[1:4:2] if is_ready(kernel) else kernel.shape[2:]
    return height, width


def _accumulate(padded: Tensor, kernel: Tensor, diameter: int) -> Tensor:
    """Sum over the window of ``padded`` shifted times ``kernel``, without a graph."""
    batch, channels = padded.shape[:2]
    height, width = kernel.shape[2:]
    result = padded.new_zeros(batch, channels, height, width)
    step = channels
    if padded.device.type == "cpu":
        step = max(1, CHUNK_BYTES // (height * width * padded.element_size()))
    for image in range(batch):
        for start in range(0, channels, step):
            source = padded[image, start : start + step]
            total = result[image, start : start + step]
            for index in range(diameter * diameter):
                row, col = divmod(index, diameter)
                window = source[:, row : row + height, col : col + width]
                total.addcmul_(window, kernel[image, index])
    return result


class _AdaptiveConvolution(torch.autograd.Function):
    """The sum of shifted products with a backward pass that stores nothing but its inputs."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, kernel: Tensor, diameter: int) -> Tensor:
        ctx.save_for_backward(padded, kernel)
        ctx.diameter = diameter
        return _accumulate(padded, kernel, diameter)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        padded, kernel = ctx.saved_tensors
        height, width = kernel.shape[2:]
        need_source, need_kernel = ctx.needs_input_grad[:2]
        to_source = torch.zeros_like(padded) if need_source else None
        to_kernel = torch.empty_like(kernel) if need_kernel else None
        for index in range(ctx.diameter**2):
            row, col = divmod(index, ctx.diameter)
            window = (slice(None), slice(None), slice(row, row + height), slice(col, col + width))
            if to_source is not None:
                to_source[window].addcmul_(gradient, kernel[:, index : index + 1])
            if to_kernel is not None:
                to_kernel[:, index] = (padded[window] * gradient).sum(1)
        return to_source, to_kernel, None


def adaptive_convolution(padded: Tensor, kernel: Tensor, diameter: int) -> Tensor:
    """Filter every pixel with its own window.

    Args:
        padded: ``(B, C, H + d - 1, W + d - 1)`` with d the diameter.
        kernel: ``(B, d * d, H, W)``.
        diameter: Side of the window in pixels.

    Returns:
        ``(B, C, H, W)``.
    """
    if torch.is_grad_enabled() and (padded.requires_grad or kernel.requires_grad):
        result: Tensor = _AdaptiveConvolution.apply(padded, kernel, diameter)
        return result
    return _accumulate(padded, kernel, diameter)


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
        if _quiet() and not self.training:
            kernels = triton_kernels(guidance, self.radius)
            if kernels is not None and min(guidance.shape[2:]) > self.radius:
                return self.weights(guidance, kernels)
            first = cast(nn.Conv2d, self.fixup_proj[0])
            with torch.autocast(guidance.device.type, enabled=False):  # sums in place are not cast
                return self._kernel_by_rows(guidance.to(first.weight.dtype))
        height, width = guidance.shape[2:]
        keys = self.range_proj(guidance)
        padded = F.pad(keys, [self.radius] * 4, mode="reflect")
        similarity = torch.stack(
            [
                (padded[:, :, row : row + height, col : col + width] * keys).sum(1)
                for row in range(self.diameter)
                for col in range(self.diameter)
            ],
            dim=1,
        )
        temperature = self.range_temp.exp().clamp(1e-4, 1e4)
        spatial = self._spatial().reshape(1, -1, 1, 1)
        combined = (temperature * similarity).softmax(dim=1) * spatial
        combined = combined / combined.sum(dim=1, keepdim=True).clamp(1e-7)
        fixed: Tensor = combined + 0.1 * self.fixup_proj(torch.cat([combined, guidance], dim=1))
        return fixed

    def _spatial(self) -> Tensor:
        """Weights ``(d * d,)`` of the window's places by their distance."""
        like = self.sigma_spatial
        steps = torch.linspace(-1, 1, self.diameter, device=like.device, dtype=like.dtype)
        distance = (steps[:, None] ** 2 + steps[None, :] ** 2).reshape(-1)
        return torch.exp(-distance / (2 * like**2))

    def ready(self, guidance: Tensor) -> Tensor:
        """As :meth:`kernel`, in the form in which :meth:`apply_kernel` is quickest.

        On a GPU with Triton weights on the low-resolution map, ``(B, H, s, W, s')``.
        """
        kernels = triton_kernels(guidance, self.radius)
        even = all(side % 2 == 0 and side // 2 > self.radius for side in guidance.shape[2:])
        if kernels is None or not even or not _quiet() or self.training:
            return self.kernel(guidance)
        return self.weights(guidance, kernels, folded=True)

    def weights(self, guidance: Tensor, kernels: ModuleType, folded: bool = False) -> Tensor:
        """As :meth:`kernel`, without dropout and gradients, by a kernel of its own."""
        pixels = guidance.permute(0, 2, 3, 1)
        enter, leave = (cast(nn.Conv2d, self.range_proj[index]) for index in (0, 3))
        hidden = linear(pixels, enter.weight.flatten(1), enter.bias, gelu=True)
        keys = linear(hidden, leave.weight.flatten(1), leave.bias)
        first, last = (cast(nn.Conv2d, self.fixup_proj[index]) for index in (0, 3))
        result: Tensor = kernels.window_weights(
            keys,
            pixels,
            self.range_temp.exp().clamp(1e-4, 1e4),
            self._spatial(),
            (first.weight.flatten(1), first.bias),
            (last.weight.flatten(1), last.bias),
            self.radius,
            _computed_in(guidance) if folded else torch.float32,
            folded,
        )
        return result

    def _kernel_by_rows(self, guidance: Tensor) -> Tensor:
        """As :meth:`kernel`, a few rows at a time, without dropout and gradients."""
        batch, _, height, width = guidance.shape
        window, diameter = self.diameter**2, self.diameter
        keys = self.range_proj(guidance)
        padded = F.pad(keys, [self.radius] * 4, mode="reflect")
        temperature = self.range_temp.exp().clamp(1e-4, 1e4)
        spatial = self._spatial()[:, None]
        first, last = (cast(nn.Conv2d, self.fixup_proj[index]) for index in (0, 3))
        mix, out = first.weight.flatten(1), last.weight.flatten(1)
        result = guidance.new_empty(batch, window, height, width)
        step = height
        if guidance.device.type == "cpu":
            step = max(1, CHUNK_BYTES // (2 * width * keys.shape[1] * keys.element_size()))
        for image in range(batch):
            for top in range(0, height, step):
                bottom = min(top + step, height)
                own = keys[image, :, top:bottom].contiguous()
                product = torch.empty_like(own)
                similarity = own.new_empty(window, bottom - top, width)
                for index in range(window):
                    row, col = divmod(index, diameter)
                    other = padded[image, :, top + row : bottom + row, col : col + width]
                    torch.mul(own, other, out=product)
                    torch.sum(product, 0, out=similarity[index])
                combined = similarity.view(window, -1).mul_(temperature).softmax(0).mul_(spatial)
                combined /= combined.sum(0).clamp_(1e-7)
                colours = guidance[image, :, top:bottom].reshape(guidance.shape[1], -1)
                hidden = mix[:, :window] @ combined
                hidden.addmm_(mix[:, window:], colours)
                if first.bias is not None:
                    hidden += first.bias[:, None]
                fixed = torch.addmm(combined, out, F.gelu(hidden), alpha=0.1)
                if last.bias is not None:
                    fixed += 0.1 * last.bias[:, None]
                result[image, :, top:bottom] = fixed.view(window, bottom - top, width)
        return result

    def apply_kernel(self, source: Tensor, kernel: Tensor) -> Tensor:
        """Enlarge ``source (B, C, h, w)`` to the kernel's size and filter it (linear in it)."""
        kernels = triton_kernels(source, self.radius) if _quiet() or is_ready(kernel) else None
        if kernels is not None:
            few = source.shape[1] <= kernels.FEW_CHANNELS  # no product of matrices
            low = (source if few else source.to(_computed_in(source))).permute(0, 2, 3, 1)
            folded = kernel if few else kernel.to(low.dtype)
            if not is_ready(kernel):
                folded = kernels.fold(kernel, self.radius, low.dtype)
            large: Tensor = kernels.enlarge(low, folded, self.radius)
            return large.permute(0, 3, 1, 2)
        if _quiet():
            steps = [
                blocks.enlarge(low.permute(2, 1, 0).contiguous(), weights, self.radius)
                for low, weights in zip(source, kernel, strict=True)
            ]
            return torch.stack(steps).permute(0, 3, 2, 1)
        size = kernel.shape[2:]
        enlarged = F.interpolate(source, size=size, mode="bicubic", align_corners=False)
        padded = F.pad(enlarged, [self.radius] * 4, mode="reflect")
        return adaptive_convolution(padded, kernel, self.diameter)

    def transposed(self, values: Tensor, kernel: Tensor) -> Tensor:
        """The transpose of :meth:`apply_kernel` for ``(B, 1, H, W)``: to ``(B, 1, h, w)``.

        Without gradients.
        """
        height, width = size_of(kernel)
        shape = (len(values), 1, height // 2, width // 2)
        values, kernel = values.detach(), kernel.detach()
        kernels = triton_kernels(values, self.radius)
        if kernels is not None and min(shape[2:]) > self.radius:
            folded = kernel
            if not is_ready(kernel):
                folded = kernels.fold(kernel, self.radius, torch.float32)
            low: Tensor = kernels.transposed(values[:, 0], folded, self.radius)
            return low[:, None]
        with torch.inference_mode(False), torch.enable_grad():
            probe = torch.zeros(shape, device=values.device, dtype=values.dtype)
            probe.requires_grad_()
            enlarged = self.apply_kernel(probe, kernel.clone())
            result: Tensor = torch.autograd.grad(enlarged, probe, values.clone())[0]
        return result

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """``(B, C, h, w)`` features to ``(B, C, 2 h, 2 w)``, guided by ``(B, G, H, W)``."""
        size = (2 * source.shape[2], 2 * source.shape[3])
        return self.apply_kernel(source, self.ready(F.adaptive_avg_pool2d(guidance, size)))


class JointBilateralStack(nn.Module):
    """Several steps of twice the resolution, and a residual 1x1 convolution.

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

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """``(B, C, h, w)`` features to ``(B, C, s h, s w)`` with ``s = 2 ** steps``."""
        for step in self.steps:
            source = step(source, guidance)
        result: Tensor = torch.add(
            source, convolution_1x1(self.dropout(source), self.mix), alpha=0.1
        )
        return result

    def kernels(self, source: Tensor, guidance: Tensor) -> list[Tensor]:
        """Window weights of every step, coarsest first (:meth:`JointBilateralUpsampler.ready`)."""
        height, width = source.shape[2:]
        return [
            step.ready(F.adaptive_avg_pool2d(guidance, (height << index + 1, width << index + 1)))
            for index, step in enumerate(self._steps())
        ]

    def _steps(self) -> list[JointBilateralUpsampler]:
        return cast(list[JointBilateralUpsampler], list(self.steps))

    def rows(self, source: Tensor, kernels: list[Tensor]) -> Iterator[tuple[int, Tensor]]:
        """The upsampled map of one image *before* the residual convolution, some rows at a time.

        For whoever needs every place's features once: the whole map, by far the largest array of
        the network, is never made. :meth:`folded` brings the residual convolution into the layer
        behind. Without gradients.

        Args:
            source: ``(C, h, w)``.
            kernels: ``(d * d, H, W)`` of every step, from :meth:`kernels`.

        Yields:
            The first row, and ``(rows, W, C)``.
        """
        steps = self._steps()
        low = source.permute(2, 1, 0).contiguous()
        for step, kernel in zip(steps[:-1], kernels[:-1], strict=True):
            low = blocks.enlarge(low, kernel, step.radius)
        for row, part in blocks.rows(low, kernels[-1], steps[-1].radius):
            count, down, across, channels = part.shape
            yield row, part.transpose(0, 1).reshape(down, count * across, channels)

    def maps(self, source: Tensor, kernels: list[Tensor]) -> Iterator[tuple[int, Tensor]] | None:
        """As :meth:`rows`, some whole images at a time, on a GPU with Triton; else None.

        Args:
            source: ``(B, C, h, w)``.
            kernels: ``(B, d * d, H, W)`` of every step.

        Yields:
            The first image, and ``(images, H, W, C)``.
        """
        module = triton_kernels(source, max(step.radius for step in self._steps()))
        return None if module is None else self._maps(source, kernels, module)

    def _maps(
        self, source: Tensor, kernels: list[Tensor], module: ModuleType
    ) -> Iterator[tuple[int, Tensor]]:
        dtype = _computed_in(source)
        height, width = size_of(kernels[-1])
        count = max(1, MAP_BYTES // (source.shape[1] * height * width * dtype.itemsize))
        for begin in range(0, len(source), count):
            low = source[begin : begin + count].to(dtype).permute(0, 2, 3, 1)
            for step, kernel in zip(self._steps(), kernels, strict=True):
                folded = kernel[begin : begin + count]
                if is_ready(folded):
                    folded = folded.to(dtype)
                else:
                    folded = module.fold(folded, step.radius, dtype)
                low = module.enlarge(low, folded, step.radius)
            yield begin, low

    def folded(self, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A linear layer that does to :meth:`rows` what ``weight, bias`` does to the result.

        Args:
            weight: ``(..., C)``.
            bias: ``(...)`` or None.
        """
        mix = self.mix.weight.flatten(1)
        assert self.mix.bias is not None
        offset = 0.1 * (weight @ self.mix.bias)
        return weight + 0.1 * (weight @ mix), offset if bias is None else bias + offset

    def projected(self, source: Tensor, kernels: list[Tensor], direction: Tensor) -> Tensor:
        """Scalar products of the upsampled features with a vector, without upsampling them.

        Upsampling is linear and does not look at the features: the product is taken at low
        resolution, and one channel is upsampled.

        Args:
            source: ``(B or 1, C, h, w)``.
            kernels: ``(B or 1, d * d, H, W)`` of every step.
            direction: ``(B, C)``.

        Returns:
            ``(B, 1, H, W)``.
        """
        vector, offset = self.folded(direction)
        product = (vector[:, :, None, None] * source).sum(1, keepdim=True)
        shared = len(kernels[0]) == 1
        if shared:  # the same weights for all: they are channels
            product = product.transpose(0, 1)
        for step, kernel in zip(self._steps(), kernels, strict=True):
            product = step.apply_kernel(product, kernel)
        if shared:
            product = product.transpose(0, 1)
        return product + offset[:, None, None, None]

    def pooled(self, source: Tensor, guidance: Tensor) -> Tensor:
        """The mean ``(B, C, 1, 1)`` of the upsampled map, without making the map.

        Upsampling is linear in the features, so the weight of every low-resolution place in the
        mean is found by applying the transposed steps to one channel of constant weight.
        Gradients reach the features; the upsampler itself is taken as constant.
        """
        batch, _, height, width = source.shape
        with torch.no_grad():
            kernels = self.kernels(source, guidance)
        size = (height * 2 ** len(kernels), width * 2 ** len(kernels))
        weight = source.new_full((batch, 1, *size), 1 / (size[0] * size[1]))
        for step, kernel in zip(reversed(self._steps()), reversed(kernels), strict=True):
            weight = step.transposed(weight, kernel)
        mean = (source * weight).sum(dim=(2, 3), keepdim=True)
        result: Tensor = torch.add(mean, self.mix(self.dropout(mean)), alpha=0.1)
        return result
