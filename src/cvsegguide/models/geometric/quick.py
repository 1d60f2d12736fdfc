"""Matching on a CPU where nothing is trained: the sums of ``matching`` in fewer passes.

Against the plain path, which is the oracle of the tests:

- what depends on the tile alone is kept with the tile: its spectrum, its land cover at full size,
  its enlarged prior;
- a template is a sparse product of the polar grid, four entries a cell, with all channels side by
  side, and its transform goes into memory that is used again;
- headings a quarter of a circle apart share a template: to turn it is to turn the map, of which
  there are four;
- the part of a template that lies inside of the map is a product with two matrices of zeros and
  ones, and places between the cells are one with two matrices of waves.
"""

import math
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cvsegguide.lanes import each
from cvsegguide.models.convolutions import suits
from cvsegguide.models.geometric.matching import padded_size
from cvsegguide.models.geometric.polar import PolarGrid

_WORKSPACE = 1 << 24
"""Bytes of templates up to which a thread keeps its memory for them."""

_TURNED_MAPS = 1 << 26
"""Bytes that the spectra of four turned maps may have."""

_QUARTER = 90.0


def applies(template: Tensor) -> bool:
    """Whether the path below may be taken: float32 on a CPU, no gradients, nothing that traces."""
    return suits(template, template) and not torch.is_grad_enabled()


def correlations(
    maps: Callable[[], Tensor],
    kept: dict[Any, Tensor],
    size: tuple[int, int],
    polar: Tensor,
    taps: "Taps",
    turns: list[float],
) -> tuple[Tensor, Tensor]:
    """Correlation images of street views turned by ``turns``, and the weight inside of the map.

    Args:
        maps: Gives the maps to correlate, ``(1 or B, C, H, W)``.
        kept: What is made of the maps is kept there, for the next street view.
        size: ``(H, W)``.
        polar: ``(B, R, D, C + 1)``: what the template holds, and how much each place counts.
        taps: Where the template's cells lie.
        turns: K degrees.

    Returns:
        ``(B, K, P, Q)``, for :func:`image_of`, and ``(B, K, H, W)``.
    """
    radius = taps.radius
    padded = padded_size(size, radius)
    channels = polar.shape[-1] - 1
    groups = _quarters(turns, size, padded, channels)

    def known_maps() -> Tensor:
        if "maps" not in kept:
            kept["maps"] = maps().float()
        return kept["maps"]

    def spectrum(quarter: int) -> Tensor:
        key = ("spectrum", quarter)
        if key not in kept:
            turned = torch.rot90(known_maps(), quarter, (2, 3))
            kept[key] = torch.fft.rfft2(turned, s=padded).conj().resolve_conj()
        return kept[key]

    back = _backwards(size[0], padded[0], radius)
    images = polar.new_empty(len(polar), len(turns), *padded)
    seen = polar.new_empty(len(polar), len(turns), *size)
    side = 2 * radius + 1
    for quarter in {quarter for _, members in groups for _, quarter in members}:
        spectrum(quarter)  # before views go side by side, and each makes its own

    tables = polar.flatten(1, 2)
    centres = polar.new_zeros(len(polar), len(turns), channels + 1)

    def match(job: tuple[int, tuple[float, list[tuple[int, int]]]]) -> None:
        index, (turn, members) = job
        space, product = _workspace(channels, padded, side)
        metric = taps.sample(tables[index], turn)
        weight = metric[:, -1:] * taps.reach
        cells = (metric[:, :-1] * weight).view(side, side, channels)
        space[:, :side, :side] = cells.permute(2, 0, 1)
        template = torch.fft.rfft2(space)
        known = inside(weight.view(side, side), size)
        for place, quarter in members:
            other = spectrum(quarter)
            torch.mul(template, other[index if len(other) > 1 else 0], out=product)
            image = torch.fft.irfft2(product.sum(dim=0).conj(), s=padded)
            images[index, place] = _turned_back(image, quarter, back)
            seen[index, place] = torch.rot90(known, -quarter, (0, 1))
            centres[index, place] = metric[len(metric) // 2]

    each(match, [(index, group) for index in range(len(polar)) for group in groups])
    if len(groups) < len(turns):
        # the camera's own cell lies in no direction, and turned templates hold others there
        for index, table in enumerate(tables):
            change = _centre(taps.centre(table, turns)) - _centre(centres[index])
            seen[index] += change[:, -1, None, None]
            maps_here = known_maps()[index if len(known_maps()) > 1 else 0]
            more = (change[:, :-1] @ maps_here.flatten(1)).view(-1, *size)
            more = F.pad(more, (0, padded[1] - size[1], 0, padded[0] - size[0]))
            images[index] += more.roll((-radius, -radius), dims=(-2, -1))
    return images, seen


def inside(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """How much of templates ``(..., S, S)`` lies in a map: ``(..., H, W)`` by place of the camera.

    What the correlation with a map of ones gives.
    """
    radius = weight.shape[-1] // 2
    return _inside(size[0], radius) @ weight @ _inside(size[1], radius).T


def _centre(metric: Tensor) -> Tensor:
    """Channels times weight, and the weight."""
    return torch.cat((metric[:, :-1] * metric[:, -1:], metric[:, -1:]), dim=1)


def image_of(images: Tensor, size: tuple[int, int], radius: int, fine: int = 1) -> Tensor:
    """Scores ``(B, K, fine * H, fine * W)`` from correlation images ``(B, K, P, Q)``.

    See :func:`cvsegguide.models.geometric.matching.image_of`.
    """
    (height, width), (high, wide) = size, images.shape[-2:]
    if fine == 1:
        # the template's first cell is its corner, `radius` cells before the camera
        return images.roll((radius, radius), dims=(-2, -1))[..., :height, :width]
    down, across = _between(height, high, radius, fine), _between(width, wide, radius, fine)
    return down @ images @ across.T


class Taps:
    """The four places of the polar grid that a template's cell is interpolated from.

    Args:
        grid: The polar grid.
        coordinates: ``(S, S, 2)`` of ``polar.template_coordinates``.
        reach: ``(S, S)``, zero beyond the last range bin.
    """

    def __init__(self, grid: PolarGrid, coordinates: Tensor, reach: Tensor) -> None:
        self.radius = coordinates.shape[0] // 2
        self.reach = reach.view(-1, 1)
        self._directions = grid.directions
        self._columns = (coordinates[..., 0].flatten() + 1) / 2 * (grid.directions + 1) - 1.0
        rows = (coordinates[..., 1].flatten() + 1) / 2 * (grid.ranges - 1)
        rows = rows.clamp(0, grid.ranges - 1)
        lower = rows.floor()
        self._share = (rows - lower)[:, None]
        lower = lower.long()
        upper = (lower + 1).clamp_max(grid.ranges - 1)
        self._rows = torch.stack((lower, lower, upper, upper), dim=1) * grid.directions
        self._straight: tuple[Tensor, Tensor] | None = None

    def sample(self, table: Tensor, turn: float) -> Tensor:
        """``(R * D, C)`` at the template's cells, turned by degrees: ``(S * S, C)``."""
        if turn == 0.0 and self._straight is not None:
            places, weights = self._straight
        else:
            columns = self._columns - turn * (self._directions / 360.0)
            places, weights = self._taken(columns, self._rows, self._share)
        if turn == 0.0:
            self._straight = places, weights
        return F.embedding_bag(places, table, mode="sum", per_sample_weights=weights)

    def centre(self, table: Tensor, turns: list[float]) -> Tensor:
        """The same of the camera's own cell: ``(K, C)``."""
        middle = len(self._columns) // 2
        columns = self._columns[middle] - torch.tensor(turns) * (self._directions / 360.0)
        rows = self._rows[middle].expand(len(turns), -1)
        places, weights = self._taken(columns, rows, self._share[middle])
        return F.embedding_bag(places, table, mode="sum", per_sample_weights=weights)

    def _taken(self, columns: Tensor, rows: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
        directions = self._directions
        columns = columns.remainder(directions)
        left = columns.floor()
        across = (columns - left)[:, None]
        first = left.long().remainder(directions)  # a remainder may round up to the divisor
        second = (first + 1).remainder(directions)
        places = rows + torch.stack((first, second, first, second), dim=1)
        shares = torch.cat((1 - across, across), dim=1)
        return places, torch.cat((shares * (1 - down), shares * down), dim=1)


def _quarters(
    turns: list[float], size: tuple[int, int], padded: tuple[int, int], channels: int
) -> list[tuple[float, list[tuple[int, int]]]]:
    """Turns whose templates are made, each with the headings that it serves.

    A heading is its index and the quarters of a circle by which it lies farther clockwise.
    """
    bytes_of_four = 4 * 8 * channels * padded[0] * (padded[1] // 2 + 1)
    shared = len(turns) > 4 and size[0] == size[1] and bytes_of_four <= _TURNED_MAPS
    groups: dict[int, tuple[float, list[tuple[int, int]]]] = {}
    for index, turn in enumerate(turns):
        if not shared:
            groups[index] = turn, [(index, 0)]
            continue
        key = round(turn % _QUARTER * 1e4) % round(_QUARTER * 1e4)
        base, members = groups.setdefault(key, (turn, []))
        members.append((index, round((turn - base) / _QUARTER) % 4))
    return list(groups.values())


def _turned_back(image: Tensor, quarter: int, back: Tensor) -> Tensor:
    """The image that belongs to the map itself, from one of the map turned anticlockwise."""
    if quarter % 2:
        image = image.T
    if quarter in (1, 2):
        image = image.index_select(1, back)
    if quarter in (2, 3):
        image = image.index_select(0, back)
    return image


def _constant(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Keep what ``make`` gives, as a tensor that may be used where gradients are, too."""

    @lru_cache(maxsize=64)
    def constant(*arguments: int) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return make(*arguments)

    return constant


@_constant
def _backwards(side: int, padded: int, radius: int) -> Tensor:
    """Indices of an image that run the other way: that of cell ``x`` at ``side - 1 - x``."""
    return (side - 1 - 2 * radius - torch.arange(padded)) % padded


@_constant
def _inside(side: int, radius: int) -> Tensor:
    """``(side, 2 * radius + 1)``: 1 where a template's cell lies in the map."""
    cell = torch.arange(side)[:, None] + torch.arange(-radius, radius + 1)[None, :]
    return ((cell >= 0) & (cell < side)).float()


@_constant
def _between(side: int, padded: int, radius: int, fine: int) -> Tensor:
    """``(fine * side, padded)``: trigonometric interpolation of an even number of cells."""
    places = torch.arange(fine * side, dtype=torch.float64) / fine + (1 - fine) / (2 * fine)
    apart = places[:, None] - radius - torch.arange(padded, dtype=torch.float64)[None, :]
    waves = torch.arange(1, padded // 2, dtype=torch.float64)
    angle = apart * (2 * math.pi / padded)
    total = 1 + torch.cos(angle * (padded // 2))
    for wave in waves.tolist():
        total += 2 * torch.cos(angle * wave)
    return (total / padded).float()


_of_thread = threading.local()


def _workspace(channels: int, padded: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
    """Memory of this thread for a template, and for products of its spectrum.

    Fresh memory costs more than what is done in it. Beyond a template's side are zeros.
    """
    key = channels, padded, side
    known: tuple[Any, tuple[Tensor, Tensor]] | None = getattr(_of_thread, "space", None)
    if known is not None and known[0] == key:
        return known[1]
    half = (channels, padded[0], padded[1] // 2 + 1)
    with torch.inference_mode(False):
        fresh = (
            torch.zeros(channels, *padded),
            torch.empty(half, dtype=torch.complex64),
        )
    if fresh[0].nbytes <= _WORKSPACE:
        _of_thread.space = key, fresh
    return fresh
