"""Which panoramas lie in which overhead tile.

Every tile asks for the points in a closed rectangle. The points are ordered by longitude once, so
that a tile's longitudes become a run of ranks; the run is cut into at most two aligned blocks of
each power of two (a merge-sort tree), and within a block, ordered by latitude, the tile's
latitudes are again a run. All tiles are answered together, level by level, with sorting and binary
search in NumPy: ``O((N + M) log^2 M + K)`` for N tiles, M panoramas and K links, whatever
the sizes and overlaps of the tiles, and no array of N x M. Panoramas are taken in blocks, which
bounds the working memory.

Only comparisons are made with the coordinates, no arithmetic: a panorama on a border that two
tiles share belongs to both.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvsegguide.errors import InputError

Indices = NDArray[np.int64]

_BLOCK = 1 << 20
"""Panoramas sorted at a time, and about the number of links in one yielded block."""


@dataclass(frozen=True)
class LinkTable:
    """Links in compressed rows: the panoramas of tile n are ``indices[offsets[n]:offsets[n + 1]]``.

    Attributes:
        offsets: ``(N + 1,)`` int64.
        indices: ``(K,)`` int64 panorama indices, increasing within a tile.
    """

    offsets: Indices
    indices: Indices

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, item: int) -> Indices: ...
    @overload
    def __getitem__(self, item: slice) -> list[Indices]: ...
    def __getitem__(self, item: int | slice) -> Indices | list[Indices]:
        if isinstance(item, slice):
            return [self[n] for n in range(*item.indices(len(self)))]
        n = item + len(self) if item < 0 else item
        if not 0 <= n < len(self):
            raise IndexError(f"there are {len(self)} tiles, no tile {item}")
        return self.indices[self.offsets[n] : self.offsets[n + 1]]

    def __iter__(self) -> Iterator[Indices]:
        edges = self.offsets.tolist()
        return (self.indices[a:b] for a, b in itertools.pairwise(edges))

    @property
    def counts(self) -> Indices:
        """``(N,)``: how many panoramas each tile has."""
        return np.diff(self.offsets)


def link_panoramas(bounds: ArrayLike, lonlat: ArrayLike) -> list[Indices]:
    """Panoramas in each tile.

    Args:
        bounds: ``(N, 4)`` ``(west, south, east, north)``, closed on all sides. Tiles may overlap
            and be of any size, even points.
        lonlat: ``(M, 2)`` ``(longitude, latitude)`` of the panoramas.

    Returns:
        N sorted int64 arrays of indices into ``lonlat``. A panorama on a shared border is in each
        tile that it borders on.

    Raises:
        InputError: Wrong shapes, numbers that are not finite, or bounds that are inverted.
    """
    return list(link_table(bounds, lonlat))


def link_table(bounds: ArrayLike, lonlat: ArrayLike, block: int = _BLOCK) -> LinkTable:
    """The same as :func:`link_panoramas` in two flat arrays.

    Args:
        bounds: ``(N, 4)`` ``(west, south, east, north)``, closed.
        lonlat: ``(M, 2)`` ``(longitude, latitude)``; may be a memory map.
        block: Panoramas sorted at a time; memory beyond the result grows with it, not with M.

    Raises:
        InputError: As :func:`link_panoramas`.
    """
    bounds = _checked_bounds(bounds)
    lonlat = _checked_points(lonlat)
    count, total = len(bounds), max(len(lonlat), 1)
    keys = [tiles * total + panoramas for tiles, panoramas in iter_links(bounds, lonlat, block)]
    flat = np.concatenate(keys) if keys else np.zeros(0, np.int64)
    del keys
    flat.sort()
    edges = np.arange(count + 1, dtype=np.int64) * total
    return LinkTable(np.searchsorted(flat, edges).astype(np.int64), flat % total)


def iter_links(
    bounds: ArrayLike, lonlat: ArrayLike, block: int = _BLOCK
) -> Iterator[tuple[Indices, Indices]]:
    """Yield every link once, in blocks of ``(tile, panorama)`` index pairs, in no fixed order.

    For data sets whose links do not fit into memory: working memory grows with ``block`` and the
    number of tiles alone.

    Args:
        bounds: ``(N, 4)`` ``(west, south, east, north)``, closed.
        lonlat: ``(M, 2)`` ``(longitude, latitude)``; may be a memory map.
        block: Panoramas sorted at a time, and the number of links beyond which a block is cut.

    Raises:
        InputError: As :func:`link_panoramas`.
    """
    if block < 1:
        raise InputError(f"must be at least 1, got {block}", parameter="block")
    bounds = _checked_bounds(bounds)
    lonlat = _checked_points(lonlat)
    for start in range(0, len(lonlat), block):
        part = np.asarray(lonlat[start : start + block], dtype=np.float64)
        if not np.isfinite(part).all():
            row = start + int(np.flatnonzero(~np.isfinite(part).all(axis=1))[0])
            raise InputError(f"row {row} is not finite", parameter="lonlat")
        for tiles, panoramas in _links_of_block(bounds, part, block):
            yield tiles, panoramas + start


def _links_of_block(
    bounds: NDArray[np.float64], lonlat: NDArray[np.float64], budget: int
) -> Iterator[tuple[Indices, Indices]]:
    count = len(lonlat)
    by_lon = np.argsort(lonlat[:, 0], kind="stable")
    by_lat = np.argsort(lonlat[:, 1], kind="stable")
    lon, lat = lonlat[by_lon, 0], lonlat[by_lat, 1]
    lat_rank = np.empty(count, np.int64)
    lat_rank[by_lat] = np.arange(count)
    rank = lat_rank[by_lon]  # at each longitude rank, the latitude rank

    left = np.searchsorted(lon, bounds[:, 0], "left")
    right = np.searchsorted(lon, bounds[:, 2], "right")
    low = np.searchsorted(lat, bounds[:, 1], "left")
    high = np.searchsorted(lat, bounds[:, 3], "right")
    tiles = np.flatnonzero((left < right) & (low < high))
    left, right, low, high = left[tiles], right[tiles], low[tiles], high[tiles]

    position = np.arange(count)
    # `left` and `right` count blocks of the present level; odd ends are answered at this level.
    level = 0
    while len(tiles):
        odd_left = (left & 1) == 1
        odd_right = (right & 1) == 1
        query = np.concatenate([np.flatnonzero(odd_left), np.flatnonzero(odd_right)])
        if len(query):
            node = np.concatenate([left[odd_left], right[odd_right] - 1])
            keys = np.sort((position >> level) * count + rank)
            first = np.searchsorted(keys, node * count + low[query])
            last = np.searchsorted(keys, node * count + high[query])
            hits = np.flatnonzero(first < last)
            first, last, owner = first[hits], last[hits], tiles[query[hits]]
            for part in _portions(last - first, budget):
                sizes = last[part] - first[part]
                entries = np.repeat(first[part] - (np.cumsum(sizes) - sizes), sizes)
                entries += np.arange(len(entries))
                yield np.repeat(owner[part], sizes), by_lat[keys[entries] % count]
        left = (left + odd_left) >> 1
        right = right >> 1
        open_ = left < right
        tiles, left, right, low, high = (array[open_] for array in (tiles, left, right, low, high))
        level += 1


def _portions(sizes: Indices, budget: int) -> Iterator[slice]:
    """Cut a list of sizes into runs of about ``budget`` in sum (at least one entry each)."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + budget, "right")), start + 1)
        yield slice(start, stop)
        start = stop


def _checked_bounds(bounds: ArrayLike) -> NDArray[np.float64]:
    array = _table(bounds, 4, "bounds")
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InputError(f"row {int(np.flatnonzero(bad)[0])} is not finite", parameter="bounds")
    bad = (array[:, 0] > array[:, 2]) | (array[:, 1] > array[:, 3])
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"row {row} is inverted, {tuple(array[row].tolist())} "
            "(the order is west, south, east, north)",
            parameter="bounds",
        )
    return array


def _checked_points(lonlat: ArrayLike) -> NDArray[np.float64]:
    if isinstance(lonlat, np.ndarray) and lonlat.dtype.kind in "fiu" and lonlat.shape[1:] == (2,):
        return lonlat  # kept as it is (it may be a memory map); blocks are converted in turn
    return _table(lonlat, 2, "lonlat")


def _table(values: ArrayLike, columns: int, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"not a table of numbers ({error})", parameter=name) from None
    if array.size == 0 and array.ndim <= 2:
        return np.zeros((0, columns))
    if array.ndim != 2 or array.shape[1] != columns:
        raise InputError(f"must have shape (count, {columns}), got {array.shape}", parameter=name)
    return array
