"""The geometry of the matching, with the true land cover as template and as map.

Nothing is learned here: if a sign, a roll or a flip were wrong, the cameras would not be found.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cvsegguide.models.geometric.matching import (
    conjugate_spectrum,
    correlate,
    scores_at,
    weight_inside,
)
from cvsegguide.models.geometric.polar import (
    PolarGrid,
    template_coordinates,
    to_metric,
    turn_coordinates,
)

GSD = 0.25
CELL = 4
SIZE = 256
RADIUS = 29
BUILDING = 1


def town(seed: int) -> Tensor:
    """(SIZE, SIZE) classes 0..3: crossing roads, houses on irregular lots, trees."""
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    classes = torch.zeros(SIZE, SIZE, dtype=torch.long)
    for _ in range(26):
        row, col = number(0, SIZE), number(0, SIZE)
        classes[row : row + number(20, 50), col : col + number(20, 50)] = BUILDING
    rows, cols = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    for _ in range(14):
        row, col, radius = number(0, SIZE), number(0, SIZE), number(5, 14)
        classes[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = 3
    row, col = number(60, 200), number(60, 200)
    classes[row : row + 40] = 2
    classes[:, col : col + 30] = 2
    return classes


def street_view(classes: Tensor, row: float, col: float, grid: PolarGrid) -> tuple[Tensor, Tensor]:
    """What a camera sees: ``(4, R, D)`` one-hot classes and ``(1, R, D)`` visibility."""
    distance = grid.distances()[:, None]
    azimuth = (torch.arange(grid.directions) + 0.5 - grid.directions / 2) * (
        2 * math.pi / grid.directions
    )
    rows = (row - distance * torch.cos(azimuth) / GSD).floor().long()
    cols = (col + distance * torch.sin(azimuth) / GSD).floor().long()
    inside = (rows >= 0) & (rows < SIZE) & (cols >= 0) & (cols < SIZE)
    seen = classes[rows.clamp(0, SIZE - 1), cols.clamp(0, SIZE - 1)]
    blocked = ((seen == BUILDING) & inside).float().cummax(dim=0).values
    visible = inside & (blocked < 1)
    return F.one_hot(seen, 4).permute(2, 0, 1).float(), visible[None].float()


def estimate(
    classes: Tensor, polar: Tensor, weight: Tensor, grid: PolarGrid
) -> tuple[float, float]:
    """Position of the best score, in pixels."""
    maps = F.avg_pool2d(F.one_hot(classes, 4).permute(2, 0, 1)[None].float(), CELL)
    size = (maps.shape[-2], maps.shape[-1])
    spectra = [conjugate_spectrum(maps, RADIUS)]
    coordinates, _ = template_coordinates(grid, RADIUS, GSD * CELL)
    metric = to_metric(torch.cat((polar * weight, weight))[None], coordinates[None])
    score = scores_at(correlate(spectra, metric[:, :, :-1], size), size, CELL)
    seen = weight_inside(metric[:, :, -1], size)
    # a few cells that agree in a corner are no evidence
    seen = F.interpolate(seen.clamp_min(0.3 * float(metric[:, :, -1].sum())), scale_factor=CELL)
    index = int((score / seen).argmax())
    return index // SIZE + 0.5, index % SIZE + 0.5


def cameras(classes: Tensor, count: int, seed: int) -> list[tuple[float, float]]:
    """Places on roads."""
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[float, float]] = []
    while len(found) < count:
        row, col = (torch.rand(2, generator=generator) * SIZE).tolist()
        if classes[int(row), int(col)] == 2:
            found.append((row, col))
    return found


def test_true_land_cover_finds_the_camera() -> None:
    errors = []
    for seed in range(6):
        classes, grid = town(seed), PolarGrid()
        for row, col in cameras(classes, 8, seed):
            found = estimate(classes, *street_view(classes, row, col, grid), grid)
            errors.append(GSD * math.dist(found, (row, col)))
    assert sorted(errors)[len(errors) // 2] < 0.3, errors
    assert max(errors) < 1.0, errors


def test_a_turned_street_view_fits_the_turned_overhead() -> None:
    classes, grid = town(9), PolarGrid()
    (row, col) = cameras(classes, 1, 9)[0]
    polar, weight = street_view(classes, row, col, grid)
    # the overhead turned clockwise by 90 degrees: what lay in the north lies in the east
    turned = torch.rot90(classes, -1)
    quarter = grid.directions // 4
    found = estimate(turned, polar.roll(quarter, -1), weight.roll(quarter, -1), grid)
    assert GSD * math.dist(found, (col, SIZE - row)) < 1.0


def score(maps: Tensor, template: Tensor, fine: int = 1) -> Tensor:
    """``(B, fine * H, fine * W)`` of maps and templates ``(B, C, S, S)``."""
    radius, size = template.shape[-1] // 2, (maps.shape[-2], maps.shape[-1])
    images = correlate([conjugate_spectrum(maps, radius)], template[:, None], size)
    return scores_at(images, size, fine)[:, 0]


def test_correlation_equals_the_sum_it_stands_for() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 20, 24, generator=generator)
    template = torch.randn(2, 3, 11, 11, generator=generator)
    scores = score(maps, template)
    for i, j in ((0, 0), (7, 11), (19, 23), (2, 21)):
        expected = torch.zeros(2)
        for di in range(-5, 6):
            for dj in range(-5, 6):
                if 0 <= i + di < 20 and 0 <= j + dj < 24:
                    cell = maps[:, :, i + di, j + dj] * template[:, :, di + 5, dj + 5]
                    expected += cell.sum(dim=1)
        assert torch.allclose(scores[:, i, j], expected, atol=1e-4)


@pytest.mark.parametrize("fine", [2, 4])
def test_between_the_cells_a_smooth_correlation_is_what_its_formula_says(fine: int) -> None:
    rows, cols = torch.meshgrid(torch.arange(24.0), torch.arange(20.0), indexing="ij")
    row, col, width = 11.3, 8.8, 2.0
    maps = torch.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * width**2))[None, None]
    template = torch.zeros(1, 1, 11, 11)
    template[0, 0, 5, 5] = 1.0  # the camera's own cell: the scores are the map itself
    scores = score(maps, template, fine)
    places = [(torch.arange(n * fine) + 0.5) / fine - 0.5 for n in (24, 20)]
    expected = torch.exp(
        -((places[0][:, None] - row) ** 2 + (places[1][None] - col) ** 2) / (2 * width**2)
    )
    assert torch.allclose(scores[0], expected, atol=2e-3)


def test_a_camera_that_looks_elsewhere_is_found_by_turning() -> None:
    """A view rolled by a quarter to the left was taken with a heading of 90 degrees."""
    classes, grid = town(4), PolarGrid()
    row, col = cameras(classes, 1, 4)[0]
    polar, _ = street_view(classes, row, col, grid)
    coordinates, _ = template_coordinates(grid, RADIUS, GSD * CELL)
    turns = turn_coordinates(coordinates, torch.tensor([0.0, 90.0]), grid)
    straight = to_metric(polar[None], turns[:1])
    back = to_metric(polar.roll(-grid.directions // 4, -1)[None], turns[1:])
    assert torch.allclose(straight, back, atol=1e-4)


def test_a_template_larger_than_the_map_is_cut_off() -> None:
    maps, template = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 15, 15)
    scores = score(maps, template)
    assert torch.allclose(scores, torch.full((1, 4, 4), 16.0), atol=1e-4)


def test_weight_inside_is_the_correlation_with_a_map_of_ones() -> None:
    weight = torch.rand(2, 1, 7, 7, generator=torch.Generator().manual_seed(1))
    expected = score(torch.ones(1, 1, 12, 10).expand(2, -1, -1, -1), weight)
    assert torch.allclose(weight_inside(weight[:, 0], (12, 10)), expected, atol=1e-5)


@pytest.mark.parametrize("fine", [1, 4])
def test_turned_maps_stand_for_turned_templates(fine: int) -> None:
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(1, 3, 14, 14, generator=generator)
    template = torch.randn(2, 1, 3, 9, 9, generator=generator)
    spectra = [conjugate_spectrum(maps.rot90(n, (2, 3)), 4) for n in range(4)]
    found = scores_at(correlate(spectra, template, (14, 14)), (14, 14), fine)
    for quarters in range(4):
        turned = template[:, 0].rot90(-quarters, (2, 3))
        assert torch.allclose(found[:, quarters], score(maps, turned, fine), atol=1e-4)


@pytest.mark.parametrize("maps", [1, 2])
def test_gradients_of_scores(maps: int) -> None:
    """Against differences, in places between the cells."""
    generator = torch.Generator().manual_seed(1)
    overhead = torch.randn(maps, 2, 6, 4, generator=generator, requires_grad=True)
    template = torch.randn(2, 3, 2, 5, 5, generator=generator, requires_grad=True)
    weight = torch.randn(2, 3, 12, 8, generator=generator)

    def total() -> Tensor:
        images = correlate([conjugate_spectrum(overhead, 2)], template, (6, 4))
        return (scores_at(images, (6, 4), 2) * weight).sum()

    for leaf, gradient in zip(
        (overhead, template), torch.autograd.grad(total(), (overhead, template)), strict=True
    ):
        step = torch.randn(leaf.shape, generator=generator)
        with torch.no_grad():
            leaf += step  # the scores are linear in each
            after = total()
            leaf -= step
            difference = after - total()
        assert torch.isclose((gradient * step).sum(), difference, rtol=1e-3, atol=1e-2)
