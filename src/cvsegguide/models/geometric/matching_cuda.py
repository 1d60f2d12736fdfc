"""Matching on CUDA by products with small matrices of waves instead of transforms.

The transforms of :mod:`cvsegguide.models.geometric.matching` are short (96 places for a map of 64
cells), and most of what they read and write is padding or cut off again. As products of matrices
they begin with the map or the template as it is and end with the places that are wanted, whatever
lies between the cells included. The numbers are the same ones, to rounding.

A spectrum is a real tensor ``(..., 2 P, Q)``: the real parts' rows, then the imaginary parts'.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from cvsegguide.models.linear import fast_paths


def suits(maps: Tensor) -> bool:
    """Whether scores of these maps are to be computed here."""
    return maps.is_cuda and not torch.is_grad_enabled() and fast_paths()


def _frequencies(size: int, half: bool) -> Tensor:
    waves = torch.arange(size // 2 + 1 if half else size, dtype=torch.float64)
    return torch.where(waves > size // 2, waves - size, waves)


def _interleaved(real: Tensor, imaginary: Tensor, before: bool) -> Tensor:
    """A complex matrix as a real one that is multiplied from the left.

    With ``before`` its columns meet real and imaginary parts in turn and its rows give all real
    parts first; else the other way round.
    """
    upper, lower = (real, -imaginary), (imaginary, real)
    if before:
        rows = [torch.stack(pair, dim=2).flatten(1) for pair in (upper, lower)]
        return torch.cat(rows)
    rows = [torch.cat(pair, dim=1) for pair in (upper, lower)]
    return torch.stack(rows, dim=1).flatten(0, 1)


@lru_cache(maxsize=64)
def _forward(
    shape: tuple[int, int], padded: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """``(w, 2 Q)`` and ``(2 P, 2 h)``: what turns ``(h, w)`` places into a spectrum."""
    with torch.inference_mode(False), torch.no_grad():
        parts = []
        for count, size, half in ((shape[0], padded[0], False), (shape[1], padded[1], True)):
            place = torch.arange(count, dtype=torch.float64)
            turn = -2 * math.pi / size * _frequencies(size, half)[:, None] * place
            parts.append((turn.cos(), turn.sin()))
        down = _interleaved(*parts[0], before=True)
        across = torch.cat(parts[1]).T.contiguous()
        return across.float().to(device), down.float().to(device)


@lru_cache(maxsize=64)
def _backward(
    shape: tuple[int, int],
    padded: tuple[int, int],
    fine: int,
    offset: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """``(2 h fine, 2 P)`` and ``(2 Q, w fine)``: what turns a spectrum into places.

    Place ``i`` lies ``(i + 0.5) / fine - 0.5 - offset`` cells from the first one. A wave of half
    the sampling rate goes half into either direction: a cosine, as in trigonometric interpolation.
    """
    with torch.inference_mode(False), torch.no_grad():
        parts = []
        for count, size, half in ((shape[0], padded[0], False), (shape[1], padded[1], True)):
            waves = _frequencies(size, half)
            place = (torch.arange(count * fine, dtype=torch.float64) + 0.5) / fine - 0.5 - offset
            turn = 2 * math.pi / size * place[:, None] * waves
            real, imaginary = turn.cos() / size, turn.sin() / size
            imaginary[:, waves.abs() == size // 2] = 0.0
            if half:
                factor = torch.where((waves == 0) | (waves == size // 2), 1.0, 2.0)
                real, imaginary = real * factor, imaginary * factor
            parts.append((real, imaginary))
        down = _interleaved(*parts[0], before=False)
        across = torch.cat((parts[1][0], -parts[1][1]), dim=1).T.contiguous()
        return down.float().to(device), across.float().to(device)


def transformed(values: Tensor, padded: tuple[int, int]) -> Tensor:
    """The spectrum ``(..., 2 P, Q)`` of ``(..., h, w)``, zero beyond, in float32."""
    height, width = values.shape[-2:]
    across, down = _forward((height, width), padded, values.device)
    with torch.autocast(values.device.type, enabled=False):
        rows = values.float().contiguous() @ across
        rows = rows.view(*values.shape[:-2], 2 * height, padded[1] // 2 + 1)
        spectrum: Tensor = down @ rows
        return spectrum


def correlated(first: Tensor, second: Tensor) -> Tensor:
    """Spectrum ``(B, K, 2 P, Q)`` of correlations, summed over channels.

    Args:
        first: ``(B or 1, C, 2 P, Q)`` of the maps.
        second: ``(B, K, C, 2 P, Q)`` of the templates.
    """
    (a, b), (c, d) = first[:, None].chunk(2, dim=-2), second.chunk(2, dim=-2)
    real = (first[:, None] * second).sum(dim=2)
    upper, lower = real.chunk(2, dim=-2)
    imaginary = torch.addcmul(b * c, a, d, value=-1).sum(dim=2)
    return torch.cat((upper + lower, imaginary), dim=-2)


def image_of(
    spectrum: Tensor, size: tuple[int, int], padded: tuple[int, int], radius: int, fine: int
) -> Tensor:
    """As :func:`cvsegguide.models.geometric.matching.image_of`."""
    down, across = _backward(size, padded, fine, radius, spectrum.device)
    with torch.autocast(spectrum.device.type, enabled=False):
        rows = (down @ spectrum).view(*spectrum.shape[:-2], size[0] * fine, -1)
        image: Tensor = rows @ across
        return image
