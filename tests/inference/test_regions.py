"""Regions of posteriors that are made of parts known beforehand."""

from itertools import pairwise

import numpy as np
import pytest

from cvsegguide.geo import Bounds, GeoReference
from cvsegguide.inference.posterior import highest_density_mask
from cvsegguide.inference.regions import regions


def bumps(shape, *parts):
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    total = np.zeros(shape)
    for weight, row, col, sigma in parts:
        part = np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))
        total += weight * part / part.sum()
    return (total / total.sum()).astype(np.float32)


def test_two_modes():
    posterior = bumps((128, 128), (0.7, 40, 30, 4.0), (0.3, 90, 100, 4.0))
    found = regions(posterior, mass=0.9, pixel_area=0.25)
    assert [region.rank for region in found] == [1, 2]
    total = sum(region.probability for region in found)
    assert total == pytest.approx(0.9, abs=0.002)
    assert found[0].probability == pytest.approx(0.65, abs=0.01)
    assert (found[0].row, found[0].col) == pytest.approx((40, 30), abs=0.1)
    assert (found[1].row, found[1].col) == pytest.approx((90, 100), abs=0.1)
    assert found[0].lon is None
    union = found[0].mask(posterior.shape) | found[1].mask(posterior.shape)
    assert np.array_equal(union, highest_density_mask(posterior, 0.9))
    assert sum(region.area_m2 for region in found) == pytest.approx(union.sum() * 0.25)


def test_large_posteriors_are_divided_on_blocks_alike():
    posterior = bumps((1500, 1203), (0.6, 400, 300, 200.0), (0.4, 1100, 900, 150.0))
    dense = highest_density_mask(posterior, 0.9)
    assert dense.size > 1_000_000
    found = regions(posterior, separation=40)
    assert len(found) == 2
    assert (found[0].row, found[0].col) == pytest.approx((400, 300), abs=25)
    assert (found[1].row, found[1].col) == pytest.approx((1100, 900), abs=25)
    masks = [region.mask(posterior.shape) for region in found]
    assert not (masks[0] & masks[1]).any()
    assert np.array_equal(masks[0] | masks[1], dense)
    for region, mask in zip(found, masks, strict=True):
        assert region.probability == pytest.approx(posterior[mask].sum(dtype=np.float64))


def test_touching_modes_are_parted_where_they_meet():
    posterior = bumps((100, 100), (0.5, 50, 38, 6.0), (0.5, 50, 62, 6.0))
    found = regions(posterior, mass=0.97)
    assert len(found) == 2
    columns = sorted(region.col for region in found)
    assert columns == pytest.approx([38, 62], abs=1.0)
    assert found[0].probability == pytest.approx(0.485, abs=0.01)


def test_speckle_does_not_split_a_mode():
    rng = np.random.default_rng(0)
    posterior = bumps((128, 128), (1.0, 60, 64, 10.0)) * rng.uniform(0.6, 1.4, (128, 128))
    posterior /= posterior.sum()
    found = regions(posterior, mass=0.8, separation=16)
    assert found[0].probability > 0.7


def test_flat_posterior_and_single_pixel():
    flat = np.full((32, 32), 1 / 1024)
    found = regions(flat, mass=1.0)
    assert len(found) == 1
    assert found[0].probability == pytest.approx(1)
    spike = np.zeros((32, 32), np.float32)
    spike[3, 7] = 1
    (only,) = regions(spike)
    assert (only.row, only.col, only.probability) == (3.5, 7.5, 1.0)
    assert len(only.polygons()) == 1
    assert set(only.polygons()[0][0]) == {(3, 7), (4, 7), (4, 8), (3, 8)}


def test_number_is_limited():
    parts = [(1.0, 16 + 32 * i, 16 + 32 * j, 2.0) for i in range(4) for j in range(4)]
    posterior = bumps((128, 128), *parts)
    assert len(regions(posterior, n=16)) == 16
    assert len(regions(posterior, n=5)) == 5
    assert len(regions(posterior)) == 10


@pytest.mark.parametrize("shape", [(64, 64), (50, 33), (3, 5)])
def test_grid_cells_hold_everything(shape):
    posterior = np.random.default_rng(1).dirichlet(np.ones(shape[0] * shape[1])).reshape(shape)
    found = regions(posterior, method="grid", n=4)
    assert sum(region.probability for region in found) == pytest.approx(1)
    assert [r.probability for r in found] == sorted((r.probability for r in found), reverse=True)
    covered = sum(region.mask(shape).astype(int) for region in found)
    assert covered.min() == covered.max() == 1
    assert len(found) == min(4, shape[0]) * min(4, shape[1])


def test_coordinates():
    reference = GeoReference.from_bounds(Bounds(10.0, 50.0, 10.01, 50.01), 100, 100)
    posterior = np.zeros((100, 100))
    posterior[0, 0] = 1.0
    (only,) = regions(posterior, reference=reference, pixel_area=1.0)
    assert only.lon == pytest.approx(10.00005)
    assert only.lat == pytest.approx(50.00995)
    assert only.area_m2 == 1.0


def test_outlines_enclose_the_region():
    ring = np.zeros((20, 20))
    ring[5:15, 5:15] = 1
    ring[8:12, 8:12] = 0
    (only,) = regions(ring / ring.sum(), mass=1.0, separation=40)
    (polygon,) = only.polygons()
    assert len(polygon) == 2  # an outer ring and a hole

    def area(points):
        return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(points))) / 2

    assert area(polygon[0]) - area(polygon[1]) == only.cutout.sum()


def test_mistakes():
    with pytest.raises(ValueError, match="method"):
        regions(np.ones((2, 2)) / 4, method="magic")
    with pytest.raises(ValueError, match="shape"):
        regions(np.ones(3))
