"""Mass functions: sums, places and densities known from arithmetic."""

import numpy as np
import pytest

from cvsegguide.inference.posterior import (
    highest_density_mask,
    mass_from_log,
    refined_mode,
    regrid,
)


def bump(shape, row, col, sigma):
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    mass = np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))
    return mass / mass.sum()


def centre(mass):
    rows, cols = np.mgrid[: mass.shape[0], : mass.shape[1]] + 0.5
    return (mass * rows).sum() / mass.sum(), (mass * cols).sum() / mass.sum()


def test_mass_from_log():
    mass = mass_from_log(np.log([[1.0, 3.0], [4.0, 2.0]]) + 1000)
    assert np.allclose(mass, [[0.1, 0.3], [0.4, 0.2]])
    valid = np.array([[True, False], [True, True]])
    masked = mass_from_log(np.where(valid, np.log([[1.0, 3.0], [4.0, 2.0]]), -np.inf))
    assert np.allclose(masked, [[1 / 7, 0], [4 / 7, 2 / 7]])
    assert np.allclose(mass_from_log(np.full((2, 2), -np.inf)), 1 / 4)
    assert mass_from_log(np.array([[-1e5, -np.inf, 0.0]])).tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (640, 600), (100, 37), (5, 7), (1, 1)])
def test_regrid_keeps_mass_and_place(size):
    mass = bump((64, 64), 40.0, 22.0, 3.0)
    result = regrid(mass, size)
    assert result.dtype == np.float32
    assert result.shape == size
    assert float(result.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-6)
    assert result.min() >= 0
    row, col = centre(result.astype(float))
    if min(size) > 30:
        assert row * 64 / size[0] == pytest.approx(40, abs=0.1)
        assert col * 64 / size[1] == pytest.approx(22, abs=0.1)


@pytest.mark.parametrize("size", [(3, 3), (50, 23), (11, 400)])
def test_a_flat_density_stays_flat(size):
    result = regrid(np.full((20, 30), 1 / 600), size)
    assert np.allclose(result, 1 / (size[0] * size[1]), rtol=1e-5)


def test_coarser_grids_sum_exactly():
    rng = np.random.default_rng(0)
    mass = rng.random((8, 8))
    mass /= mass.sum()
    # Linear interpolation integrates pixel pairs exactly when the density is linear; over the
    # whole width nothing is lost.
    assert regrid(mass, (1, 1))[0, 0] == pytest.approx(1)
    ramp = np.arange(8.0)[:, None].repeat(8, 1)
    ramp[0], ramp[-1] = 0.0, 7.0
    halves = regrid(ramp / ramp.sum(), (2, 1))[:, 0]
    lower, upper = ramp[:4].sum(), ramp[4:].sum()
    # At the cut between the halves the interpolation passes an eighth of the step across.
    assert halves[1] == pytest.approx((upper - 8 / 8) / (lower + upper), abs=0.01)


def test_one_spike_keeps_its_mass_wherever_it_stands():
    for row in range(16):
        mass = np.zeros((16, 16))
        mass[row, 5] = 0.5
        mass[(row + 8) % 16, 11] = 0.5
        result = regrid(mass, (37, 37))
        assert result[:, :19].sum() == pytest.approx(0.5, abs=1e-6)  # 11 - 5: they do not meet


def test_nodata_has_no_probability():
    valid = np.ones((40, 40), bool)
    valid[:, :20] = False
    result = regrid(bump((10, 10), 5, 4, 1.0), (40, 40), valid)
    assert result[:, :20].max() == 0
    assert float(result.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-6)
    everything_lost = regrid(np.eye(1, 100).reshape(10, 10), (10, 10), np.eye(10, k=5) > 0)
    assert np.allclose(everything_lost, (np.eye(10, k=5) > 0) / 5)


def test_highest_density_mask():
    posterior = np.array([[0.4, 0.1], [0.3, 0.2]])
    assert highest_density_mask(posterior, 0.4).tolist() == [[True, False], [False, False]]
    assert highest_density_mask(posterior, 0.41).tolist() == [[True, False], [True, False]]
    assert highest_density_mask(posterior, 0.9).tolist() == [[True, False], [True, True]]
    assert highest_density_mask(posterior, 1.0).all()
    with pytest.raises(ValueError, match="mass"):
        highest_density_mask(posterior, 0.0)


@pytest.mark.parametrize("mass", [0.1, 0.5, 0.9, 0.999])
def test_highest_density_mask_is_the_smallest(mass):
    posterior = np.random.default_rng(3).dirichlet(np.full(400, 0.3)).reshape(20, 20)
    chosen = highest_density_mask(posterior, mass)
    inside = np.sort(posterior[chosen])
    assert inside.sum() >= mass - 1e-9
    assert inside[1:].sum() < mass  # without the least of them it is not enough
    assert inside[0] >= posterior[~chosen].max()


def test_area_of_a_gaussian():
    # The highest-density set of mass m of a Gaussian is a disc of area -2 pi sigma^2 log(1 - m).
    chosen = highest_density_mask(bump((200, 200), 100, 100, 12.0), 0.9)
    assert chosen.sum() == pytest.approx(-2 * np.pi * 144 * np.log(0.1), rel=0.01)


@pytest.mark.parametrize(("row", "col"), [(10.5, 10.5), (10.2, 14.9), (7.77, 3.31)])
def test_refined_mode_of_a_gaussian_is_exact(row, col):
    scores = np.log(bump((20, 24), row, col, 2.0))
    assert refined_mode(scores) == pytest.approx((row, col), abs=1e-6)


def test_refined_mode_at_borders_and_holes():
    assert refined_mode(np.array([[3.0, 1.0], [0.0, 0.0]])) == (0.5, 0.5)
    line = np.array([[-np.inf, 1.0, 0.0]])
    assert refined_mode(line) == (0.5, 1.5)
    assert refined_mode(np.zeros((3, 3))) == (0.5, 0.5)
