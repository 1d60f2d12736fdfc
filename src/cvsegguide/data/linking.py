"""Which panoramas lie in which overhead tile.

A tree of points (shapely's, of GEOS) answers for all tiles at once. It compares coordinates and
computes with none: a panorama on a border that two tiles share belongs to both.
"""

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from cvsegguide.errors import InputError

Indices = NDArray[np.int64]

_MARGIN = 1e-3
"""Share of a tile's side by which it may reach into another: rounded bounds of neighbours do."""


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
    table, points = _read_numbers(bounds, 4, "bounds"), _read_numbers(lonlat, 2, "lonlat")
    for row in np.flatnonzero((table[:, 0] > table[:, 2]) | (table[:, 1] > table[:, 3])):
        raise InputError(
            f"row {row} is inverted, {tuple(table[row].tolist())} "
            "(the order is west, south, east, north)",
            parameter="bounds",
        )
    pairs = link_pairs(table, points)
    ends = np.searchsorted(pairs[:, 0], np.arange(len(table)), "right")
    return np.split(pairs[:, 1], ends[:-1]) if len(table) else []


def link_pairs(bounds: NDArray[np.float64], lonlat: NDArray[np.float64]) -> Indices:
    """``(K, 2)``: tile and panorama of each link, sorted; a row with NaN has none.

    Args:
        bounds, lonlat: As of :func:`link_panoramas`.
    """
    tree = shapely.STRtree(shapely.points(lonlat))
    tiles, panoramas = tree.query(shapely.box(*bounds.T))
    order = np.lexsort((panoramas, tiles))
    return np.stack([tiles, panoramas], axis=1)[order]


def find_overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> Indices:
    """Rows of the second bounds that share ground with any of the first.

    Tiles that only touch do not overlap, nor do those that reach into each other by less than a
    thousandth of a side.

    Args:
        first, second: ``(N, 4)``, ``(M, 4)`` bounds; rows with NaN overlap nothing.
    """
    margin = _MARGIN * (second[:, 2:] - second[:, :2])
    inner = shapely.box(*np.hstack([second[:, :2] + margin, second[:, 2:] - margin]).T)
    return np.unique(shapely.STRtree(shapely.box(*first.T)).query(inner)[0])


def _read_numbers(values: ArrayLike, columns: int, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"not a table of numbers ({error})", parameter=name) from None
    if array.size == 0 and array.ndim <= 2:
        return np.zeros((0, columns))
    if array.ndim != 2 or array.shape[1] != columns:
        raise InputError(f"must have shape (count, {columns}), got {array.shape}", parameter=name)
    for row in np.flatnonzero(~np.isfinite(array).all(axis=1)):
        raise InputError(f"row {row} is not finite", parameter=name)
    return array
