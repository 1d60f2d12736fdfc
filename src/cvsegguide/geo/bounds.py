"""Geographic bounds."""

import math
from typing import NamedTuple

from cvsegguide.errors import InputError

EARTH_RADIUS = 6378137.0
"""Radius of the sphere of Web Mercator in metres (EPSG:3857)."""


class Bounds(NamedTuple):
    """``(west, south, east, north)`` in degrees, WGS84, closed on all sides."""

    west: float
    south: float
    east: float
    north: float

    def validated(self, name: str = "bounds") -> "Bounds":
        """Return self; raise :class:`InputError` about parameter ``name`` when not a rectangle."""
        if not all(math.isfinite(value) for value in self):
            raise InputError(f"must be four finite numbers, got {tuple(self)}", parameter=name)
        if not -90 <= self.south <= 90 or not -90 <= self.north <= 90:
            raise InputError(f"latitudes must lie in -90..90, got {tuple(self)}", parameter=name)
        if not -180 <= self.west <= 180 or not -180 <= self.east <= 180:
            raise InputError(f"longitudes must lie in -180..180, got {tuple(self)}", parameter=name)
        if self.west >= self.east or self.south >= self.north:
            raise InputError(
                "the order is west, south, east, north, with west < east and south < north, got "
                f"{tuple(self)}",
                parameter=name,
            )
        return self

    def contains(self, lon: float, lat: float) -> bool:
        """Whether the point lies inside or on the border."""
        return self.west <= lon <= self.east and self.south <= lat <= self.north

    @property
    def center(self) -> tuple[float, float]:
        """``(lon, lat)`` of the middle."""
        return (self.west + self.east) / 2, (self.south + self.north) / 2
