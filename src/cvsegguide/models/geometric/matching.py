"""Correlation of a template with the overhead features at every position.

The camera may stand anywhere in the tile, so most templates reach beyond its border. The score is
therefore divided by a power of the weight that falls inside; the exponent is learned.

Correlations are computed as products of spectra. What lies between the cells is read off the same
spectra: a correlation is as smooth as its factors, so that its values at fractions of a cell
follow from trigonometric interpolation (zeros appended to the spectrum, its phase shifted).
"""

import math
from typing import Any

import torch
from torch import Tensor


def padded_size(size: tuple[int, int], radius: int) -> tuple[int, int]:
    """Size of the transforms: nothing wraps around, the template fits, and both are quick."""
    height, width = (_quick(max(side + radius, 2 * radius + 1)) for side in size)
    return height, width


def _quick(least: int) -> int:
    """The smallest even number from ``least`` on whose only factors are 2, 3 and 5."""
    side = least + least % 2
    while True:
        rest = side
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return side
        side += 2


def transform_map(overhead: Tensor, radius: int) -> Tensor:
    """Spectrum ``(B, C, P, Q)`` of an overhead map ``(B, C, H, W)``, zero beyond its border."""
    height, width = overhead.shape[-2:]
    spectrum: Tensor = torch.fft.rfft2(overhead.float(), s=padded_size((height, width), radius))
    return spectrum


def correlation(spectrum: Tensor, template: Tensor, size: tuple[int, int]) -> Tensor:
    """Spectrum of the correlation of templates with maps, summed over channels.

    Args:
        spectrum: ``(B or 1, C, P, Q)`` of :func:`transform_map` with the same radius.
        template: ``(B, K, C, S, S)`` with ``S = 2 * radius + 1``, camera in the middle cell.
        size: ``(H, W)`` of the map.

    Returns:
        ``(B, K, P, Q)``, for :func:`image_of`.
    """
    padded = padded_size(size, template.shape[-1] // 2)
    other = torch.fft.rfft2(template, s=padded).conj()
    product: Tensor = (spectrum[:, None] * other).sum(dim=2)
    return product


class _Correlation(torch.autograd.Function):
    """Correlation images whose gradients are correlations too, in real transforms.

    PyTorch's own gradient of a real transform is a full complex one, four times the work.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, template: Tensor, padded: tuple[int, int]) -> Tensor:
        first = torch.fft.rfft2(maps, s=padded)
        second = torch.fft.rfft2(template, s=padded)
        ctx.save_for_backward(first, second)
        ctx.sizes = maps.shape, template.shape, padded
        product = (first[:, None] * second.conj()).sum(dim=2)
        image: Tensor = torch.fft.irfft2(product, s=padded)
        return image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        first, second = ctx.saved_tensors
        map_shape, template_shape, padded = ctx.sizes
        spectrum = torch.fft.rfft2(gradient, s=padded)[:, :, None]
        of_maps = of_template = None
        if ctx.needs_input_grad[0]:
            parts = (spectrum * second).sum(dim=1)
            if map_shape[0] == 1:
                parts = parts.sum(dim=0, keepdim=True)
            of_maps = torch.fft.irfft2(parts, s=padded)[..., : map_shape[-2], : map_shape[-1]]
        if ctx.needs_input_grad[1]:
            parts = spectrum.conj() * first[:, None]
            sides = template_shape[-2:]
            of_template = torch.fft.irfft2(parts, s=padded)[..., : sides[0], : sides[1]]
        return of_maps, of_template, None


class _CorrelationByOne(torch.autograd.Function):
    """The same for CPUs: one template at a time, whose spectrum stays in the cache.

    Spectra of templates are made again for the gradient, which is quicker than to keep them.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, template: Tensor, padded: tuple[int, int]) -> Tensor:
        first = torch.fft.rfft2(maps, s=padded)
        ctx.save_for_backward(first, template)
        ctx.sizes = maps.shape, padded
        image = template.new_empty(*template.shape[:2], *padded)
        for one, some, several in zip(_each(first, len(template)), template, image, strict=True):
            for single, target in zip(some, several, strict=True):
                product = (one * torch.fft.rfft2(single, s=padded).conj()).sum(dim=0)
                target.copy_(torch.fft.irfft2(product, s=padded))
        return image

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        first, template = ctx.saved_tensors
        shape, padded = ctx.sizes
        rows, cols = template.shape[-2:]
        of_maps = gradient.new_zeros(shape) if ctx.needs_input_grad[0] else None
        of_template = torch.empty_like(template) if ctx.needs_input_grad[1] else None
        total = torch.zeros_like(first[0])
        for index, one in enumerate(_each(first, len(template))):
            for number, image in enumerate(gradient[index]):
                spectrum = torch.fft.rfft2(image)
                if of_maps is not None:
                    single = torch.fft.rfft2(template[index, number], s=padded)
                    total.addcmul_(spectrum, single)
                if of_template is not None:
                    whole = torch.fft.irfft2(spectrum.conj() * one, s=padded)
                    of_template[index, number] = whole[:, :rows, :cols]
            if of_maps is not None and (len(first) > 1 or index + 1 == len(template)):
                place = index if len(first) > 1 else 0
                of_maps[place] = torch.fft.irfft2(total, s=padded)[:, : shape[-2], : shape[-1]]
                total.zero_()
        return of_maps, of_template, None


def _each(spectra: Tensor, count: int) -> Tensor:
    """One for each of ``count`` street views, of those or of the only tile."""
    return spectra.expand(count, *spectra.shape[1:])


def trained_correlation(maps: Tensor, template: Tensor, radius: int) -> Tensor:
    """The image ``(B, K, P, Q)`` whose spectrum :func:`correlation` gives, with quick gradients.

    Args:
        maps: ``(B or 1, C, H, W)``.
        template: ``(B, K, C, S, S)``.
        radius: Of the template, in cells.
    """
    padded = padded_size((maps.shape[-2], maps.shape[-1]), radius)
    function = _CorrelationByOne if maps.device.type == "cpu" else _Correlation
    image: Tensor = function.apply(maps.float(), template, padded)
    return image


def image_of(spectrum: Tensor, size: tuple[int, int], radius: int, fine: int = 1) -> Tensor:
    """Scores from the spectrum of a correlation.

    Args:
        spectrum: ``(B, K, P, Q)`` of :func:`correlation`.
        size: ``(H, W)`` of the map.
        radius: Of the template, in cells.
        fine: Places a cell and axis. With 1, a place is the centre of a cell.

    Returns:
        ``(B, K, fine * H, fine * W)``: entry ``(i, j)`` is the sum over channels and cells of
        template times map with the camera in the centre of that part of a cell.
    """
    scores = _inverse(spectrum.flatten(0, 1), padded_size(size, radius), fine)
    # the template's first cell is its corner, `radius` cells before the camera
    scores = torch.roll(scores, shifts=(radius * fine, radius * fine), dims=(-2, -1))
    scores = scores[:, : size[0] * fine, : size[1] * fine]
    return torch.unflatten(scores, 0, spectrum.shape[:2])


def _inverse(spectrum: Tensor, size: tuple[int, int], fine: int) -> Tensor:
    """The real image of a spectrum ``(B, P, P' / 2 + 1)`` at ``fine`` places a cell and axis.

    The first place of a cell lies ``(fine - 1) / (2 * fine)`` cells before its centre.
    """
    if fine == 1:
        coarse: Tensor = torch.fft.irfft2(spectrum, s=size)
        return coarse
    height, width = size
    shift = (1 - fine) / (2 * fine)
    rows = torch.fft.fftfreq(height, device=spectrum.device)
    columns = torch.fft.rfftfreq(width, device=spectrum.device)
    # waves of half the sampling rate go half into either direction
    down = torch.where(rows.abs() == 0.5, 0.5, 1.0) * fine
    across = torch.where(columns == 0.5, 0.5, 1.0) * fine
    turn = 2 * math.pi * shift
    product = spectrum * torch.polar(down, turn * rows)[:, None]
    product = product * torch.polar(across, turn * columns)
    middle = height // 2
    lower = product[:, middle:]
    nyquist = spectrum[:, middle] * torch.polar(down[middle], -turn * rows[middle])
    nyquist = nyquist * torch.polar(across, turn * columns)
    large = spectrum.new_zeros(len(spectrum), height * fine, width * fine // 2 + 1)
    large[:, :middle, : width // 2 + 1] = product[:, :middle]
    large[:, -(height - middle) :, : width // 2 + 1] = lower
    large[:, middle, : width // 2 + 1] = nyquist
    result: Tensor = torch.fft.irfft2(large, s=(height * fine, width * fine))
    return result
