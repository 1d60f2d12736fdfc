"""Correlation of templates with the overhead features at every position.

The camera may stand anywhere in the tile, so most templates reach beyond its border. The score is
therefore divided by a power of the weight that falls inside; the exponent is learned.

Correlations are products of spectra. A correlation is as smooth as its factors, so that what lies
between the cells follows by trigonometric interpolation, a product with a matrix along each axis.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

NEVER = -1e30
"""The logarithm of a probability of zero; infinities become NaN in an interpolation."""

SPECTRA_AT_ONCE = {"cpu": 4e6, "cuda": 1e9}
"""Bytes that spectra of templates may take at a time without gradients; on a CPU more is slower."""


def is_circle(turns: Tensor) -> bool:
    """Whether the headings of the first quarter come again a quarter of a circle further on."""
    if len(turns) % 4 or len(turns) < 8:
        return False
    steps = turns.view(4, -1) - turns[: len(turns) // 4]
    expected = torch.arange(0.0, 360.0, 90.0, device=turns.device)[:, None]
    return bool(torch.allclose(steps, expected.expand_as(steps), atol=1e-3))


def centre_maps(maps: Tensor) -> Tensor:
    """``(B, C, h, w)`` less their means over the tile, the outermost cells left at zero."""
    inner = maps[..., 1:-1, 1:-1]
    return F.pad(inner - inner.mean(dim=(2, 3), keepdim=True), (1, 1, 1, 1))


def padded_size(size: tuple[int, int], radius: int) -> tuple[int, int]:
    """Size of the transforms: nothing wraps around, the template fits, and both are quick."""
    height, width = (_smooth_number(max(side + radius, 2 * radius + 1)) for side in size)
    return height, width


def _smooth_number(least: int) -> int:
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


def conjugate_spectrum(maps: Tensor, radius: int, portable: bool = False) -> Tensor:
    """Of ``(B, C, H, W)``, zero beyond the border: ``(B, 1, C, P, Q / 2 + 1)`` complex.

    Args:
        maps: The maps.
        radius: Of templates in cells.
        portable: By products with matrices: transforms of other runtimes than PyTorch take tens of
            times as long as the rest of a network.
    """
    padded = padded_size((maps.shape[-2], maps.shape[-1]), radius)
    return _spectrum(maps.float()[:, None], padded, portable).conj().resolve_conj()


def correlate(
    spectra: Sequence[Tensor], template: Tensor, size: tuple[int, int], portable: bool = False
) -> Tensor:
    """Correlation of templates with maps, summed over channels.

    Args:
        spectra: T of them, of B maps or one: :func:`conjugate_spectrum` with the radius of the
            template, of the maps and of the maps turned anticlockwise by 1, 2, 3 quarters of a
            circle. To turn a map is to turn the template the other way.
        template: ``(B, K, C, S, S)`` with ``S = 2 * radius + 1``, camera in the middle cell.
        size: ``(H, W)`` of the map, a square where T is not 1.
        portable: As of :func:`conjugate_spectrum`.

    Returns:
        ``(B, T * K, P, Q)`` for :func:`scores_at`: of the templates, then of the templates turned
        clockwise by a quarter, and so on. Entry ``(i, j)`` has the camera in cell ``(i, j)``.
    """
    radius = template.shape[-1] // 2
    padded = padded_size(size, radius)
    transformed = _spectrum(template, padded, portable)
    images = []
    for quarters, spectrum in enumerate(spectra):
        image = _image((transformed * spectrum).sum(dim=2).conj(), padded, portable)
        # the template's first cell is its corner, `radius` cells before the camera
        image = image.roll((radius, radius), dims=(-2, -1))
        if quarters:
            turned_axes = ((-1,), (-2, -1), (-2,))[quarters - 1]
            image = torch.rot90(image, -quarters, dims=(-2, -1))
            image = image.roll((size[0],) * len(turned_axes), dims=turned_axes)
        images.append(image)
    return torch.cat(images, dim=1)


def _spectrum(values: Tensor, size: tuple[int, int], portable: bool) -> Tensor:
    """``torch.fft.rfft2``, or the same by matrices."""
    if not portable:
        spectrum: Tensor = torch.fft.rfft2(values, s=size)
        return spectrum
    down = _waves(size[0], size[0], values.shape[-2], values.device)
    across = _waves(size[1] // 2 + 1, size[1], values.shape[-1], values.device)
    real, imaginary = values @ across[0].T, values @ across[1].T
    return torch.complex(down[0] @ real - down[1] @ imaginary, down[0] @ imaginary + down[1] @ real)


def _image(spectrum: Tensor, size: tuple[int, int], portable: bool) -> Tensor:
    """``torch.fft.irfft2``, or the same by matrices."""
    if not portable:
        image: Tensor = torch.fft.irfft2(spectrum, s=size)
        return image
    down = _waves(size[0], size[0], size[0], spectrum.device)
    across = _waves(size[1] // 2 + 1, size[1], size[1], spectrum.device)
    real, imaginary = torch.view_as_real(spectrum.resolve_conj()).unbind(-1)
    # waves of a real image stand for their negatives, too, but the first and the last
    weight = torch.full_like(across[0], 2.0 / math.prod(size))
    weight[0] = weight[-1] = 1.0 / math.prod(size)
    return (down[0].T @ real + down[1].T @ imaginary) @ (across[0] * weight) + (
        down[0].T @ imaginary - down[1].T @ real
    ) @ (across[1] * weight)


def weight_inside(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """How much of templates lies in the map, by place of the camera.

    What the correlation with a map of ones gives.

    Args:
        weight: ``(..., S, S)``, camera in the middle cell.
        size: ``(H, W)`` of the map.

    Returns:
        ``(..., H, W)``.
    """
    radius = weight.shape[-1] // 2
    down, across = (_cells_inside(side, radius, weight.device) for side in size)
    return down @ weight @ across.T


def scores_at(images: Tensor, size: tuple[int, int], fine: int = 1) -> Tensor:
    """Scores at places of the map.

    Args:
        images: ``(B, K, P, Q)`` of :func:`correlate`.
        size: ``(H, W)`` of the map.
        fine: Places a cell and axis. With 1, a place is the centre of a cell.

    Returns:
        ``(B, K, fine * H, fine * W)``: entry ``(i, j)`` is the sum over channels and cells of
        template times map with the camera in the centre of that part of a cell.
    """
    if fine == 1:
        return images[..., : size[0], : size[1]]
    down, across = (
        _interpolation(side, padded, fine, images.device)
        for side, padded in zip(size, images.shape[-2:], strict=True)
    )
    return down @ images @ across.T


def _constant(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Keep what ``make`` gives on a device, as a tensor that gradients may meet, too."""

    @lru_cache(maxsize=64)
    def constant(*arguments: int, device: torch.device) -> Tensor:
        with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
            return make(*arguments).float().to(device)

    return lambda *arguments: constant(*arguments[:-1], device=arguments[-1])


@_constant
def _waves(count: int, whole: int, side: int) -> Tensor:
    """``(2, count, side)``: the first waves in ``whole`` cells, cosines and negative sines."""
    # products of whole numbers are reduced exactly
    product = torch.arange(count)[:, None] * torch.arange(side)[None, :]
    angle = product.remainder(whole).double() * (2 * math.pi / whole)
    return torch.stack((angle.cos(), -angle.sin()))


@_constant
def _cells_inside(side: int, radius: int) -> Tensor:
    """``(side, 2 * radius + 1)``: 1 where a template's cell lies in the map."""
    cell = torch.arange(side)[:, None] + torch.arange(-radius, radius + 1)[None, :]
    return (cell >= 0) & (cell < side)


@_constant
def _interpolation(side: int, padded: int, fine: int) -> Tensor:
    """``(fine * side, padded)``: trigonometric interpolation of an even number of cells."""
    places = torch.arange(fine * side, dtype=torch.float64) / fine + (1 - fine) / (2 * fine)
    apart = places[:, None] - torch.arange(padded, dtype=torch.float64)[None, :]
    angle = apart * (2 * math.pi / padded)
    total = 1 + torch.cos(angle * (padded // 2))
    for wave in range(1, padded // 2):
        total += 2 * torch.cos(angle * wave)
    return total / padded
