"""Slippy-map tiles in Web Mercator (``z/x/y``, y counted from the north; EPSG:3857)."""

import math
import re
from os import PathLike, fspath

from cvsegguide.geo.bounds import EARTH_RADIUS, Bounds

_TILE_NAME = re.compile(r"(?:^|[/\\])(\d{1,2})[/\\](\d+)[/\\](\d+)(?:\.[A-Za-z0-9]+)?$")


def tile_bounds(zoom: int, x: int, y: int) -> Bounds:
    """Bounds of a tile. Raises ValueError for a tile that does not exist."""
    count = 1 << zoom
    if not 0 <= zoom <= 30 or not 0 <= x < count or not 0 <= y < count:
        raise ValueError(f"there is no tile {zoom}/{x}/{y}")

    def longitude(column: int) -> float:
        return column / count * 360.0 - 180.0

    def latitude(row: int) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1.0 - 2.0 * row / count))))

    return Bounds(longitude(x), latitude(y + 1), longitude(x + 1), latitude(y))


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """``(x, y)`` of the tile that holds a point (its northern and western edges included)."""
    count = 1 << zoom
    x = math.floor((lon + 180.0) / 360.0 * count)
    y = math.floor((1.0 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2.0 * count)
    return min(max(x, 0), count - 1), min(max(y, 0), count - 1)


def tile_gsd(latitude: float, zoom: int, size: int = 256) -> float:
    """Metres on the ground per pixel of a tile that is ``size`` pixels wide."""
    circumference = 2.0 * math.pi * EARTH_RADIUS
    return circumference * math.cos(math.radians(latitude)) / (size * (1 << zoom))


def parse_tile_name(path: str | PathLike[str]) -> tuple[int, int, int] | None:
    """``(zoom, x, y)`` out of a path that ends in ``z/x/y.ext``; None when it is no such name."""
    match = _TILE_NAME.search(fspath(path))
    if match is None:
        return None
    zoom, x, y = (int(part) for part in match.groups())
    if zoom > 30 or x >= 1 << zoom or y >= 1 << zoom:
        return None
    return zoom, x, y
