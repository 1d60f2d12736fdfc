"""Bounds, pixel frames, slippy tiles and headings: pure functions."""

from cvsegguide.geo.bounds import Bounds
from cvsegguide.geo.heading import angular_difference, column_azimuths, wrap_degrees
from cvsegguide.geo.lens import from_lens
from cvsegguide.geo.reference import GeoReference
from cvsegguide.geo.slippy import (
    parse_tile_name,
    tile_at,
    tile_bounds,
    tile_gsd,
)

__all__ = [
    "Bounds",
    "GeoReference",
    "angular_difference",
    "column_azimuths",
    "from_lens",
    "parse_tile_name",
    "tile_at",
    "tile_bounds",
    "tile_gsd",
    "wrap_degrees",
]
