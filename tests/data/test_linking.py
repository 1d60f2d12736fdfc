"""Which panoramas lie in which tile, against arithmetic, brute force and the published links."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cvsegguide.data import link_panoramas
from cvsegguide.errors import InputError
from cvsegguide.geo import parse_tile_name, tile_bounds
from cvsegguide.io.pickles import load_plain_pickle

Floats = NDArray[np.float64]


def brute_force(bounds: Floats, lonlat: Floats) -> list[NDArray[np.int64]]:
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    return [
        np.flatnonzero((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north))
        for west, south, east, north in bounds
    ]


def test_borders_belong_to_both_sides() -> None:
    bounds = np.array([[0, 0, 1, 1], [1, 0, 2, 1], [0, 1, 1, 2], [1, 1, 2, 2], [5, 5, 6, 6]])
    lonlat = np.array([[0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 2.0], [2.1, 1.0], [1.5, 0.0]])
    links = link_panoramas(bounds, lonlat)
    assert [link.tolist() for link in links] == [[0, 1, 2], [1, 2, 5], [2, 3], [2], []]
    assert all(link.dtype == np.int64 for link in links)


def test_longitude_comes_first() -> None:
    assert link_panoramas([[-74, 40, -73, 41]], [[-73.5, 40.5], [40.5, -73.5]])[0].tolist() == [0]


def test_overlapping_tiles_of_any_size_equal_brute_force() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        corner = rng.integers(0, 8, (rng.integers(1, 40), 2)).astype(float)
        bounds = np.concatenate([corner, corner + rng.integers(0, 9, corner.shape)], axis=1)
        # Whole numbers, so that many panoramas share a place or lie on a border.
        lonlat = rng.integers(0, 10, (rng.integers(0, 200), 2)).astype(float)
        expected = brute_force(bounds, lonlat)
        for link, row in zip(link_panoramas(bounds, lonlat), expected, strict=True):
            np.testing.assert_array_equal(link, row)


def test_nothing_to_link() -> None:
    assert link_panoramas(np.zeros((0, 4)), np.zeros((3, 2))) == []
    assert [link.tolist() for link in link_panoramas([[0, 0, 1, 1]], [])] == [[]]


@pytest.mark.parametrize(
    ("bounds", "lonlat", "message"),
    [
        ([[0, 0, 1]], [[0, 0]], r"bounds: must have shape \(count, 4\)"),
        ([0, 0, 1, 1], [[0, 0]], r"bounds: must have shape"),
        ([[0, 0, 1, 1]], [[0, 0, 0]], r"lonlat: must have shape \(count, 2\)"),
        ([[0, 0, 1, 1], [2, 0, 1, 1]], [[0, 0]], r"bounds: row 1 is inverted"),
        ([[0, 3, 1, 1]], [[0, 0]], r"bounds: row 0 is inverted"),
        ([[0, 0, np.nan, 1]], [[0, 0]], r"bounds: row 0 is not finite"),
        ([[0, 0, 1, 1]], [[0, 0], [np.inf, 0]], r"lonlat: row 1 is not finite"),
        ([[0, 0, 1, "x"]], [[0, 0]], r"bounds: not a table of numbers"),
    ],
)
def test_unusable_input_is_named(bounds: object, lonlat: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        link_panoramas(bounds, lonlat)  # type: ignore[arg-type]


@pytest.fixture(params=["json", "pickle"])
def published(request: pytest.FixtureRequest, shared: Path) -> Iterator[dict[str, list[str]]]:
    if request.param == "json":
        with gzip.open(shared / "real" / "queens_links.json.gz", "rt") as file:
            yield json.load(file)
    else:
        yield load_plain_pickle(shared / "real" / "queens_dict_half.pkl")


def test_published_links_of_queens(published: dict[str, list[str]]) -> None:
    tiles = list(published)
    names = sorted({name for row in published.values() for name in row})
    lonlat = np.array([[float(x) for x in Path(name).stem.split("_")][::-1] for name in names])
    exact = np.array([tile_bounds(*parse_tile_name(name) or (0, 0, 0)) for name in tiles])
    # Positions were published with six decimals, and so were the bounds that they were linked by.
    links = link_panoramas(np.round(exact, 6), lonlat)
    for name, link in zip(tiles, links, strict=True):
        assert [names[n] for n in link] == sorted(published[name])

    # With unrounded bounds, 60 of 19,202 links differ, all of panoramas within a rounding step
    # of the border.
    lost = added = 0
    for name, box, link in zip(tiles, exact, link_panoramas(exact, lonlat), strict=True):
        added += len({names[n] for n in link} - set(published[name]))
        for view in set(published[name]) - {names[n] for n in link}:
            lost += 1
            lon, lat = lonlat[names.index(view)]
            assert min(abs(np.array([lon - box[0], lat - box[1], lon - box[2], lat - box[3]]))) < (
                5.01e-7
            )
    assert (lost, added) == (60, 0)
    assert sum(map(len, published.values())) == 19202
