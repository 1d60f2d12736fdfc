"""The frame of an overhead image: pixels to coordinates and back."""

import math
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo.bounds import EARTH_RADIUS, Bounds
from cvsegguide.geo.slippy import tile_bounds

Transform = tuple[float, float, float, float, float, float]

_ECCENTRICITY_SQUARED = 0.0066943799901413165
"""Of the WGS84 ellipsoid, whose equatorial radius is that of the sphere of Web Mercator."""


@dataclass(frozen=True)
class GeoReference:
    """Coordinate system and affine transform of a north-up image.

    Attributes:
        crs: Coordinate reference system, anything rasterio reads (``"EPSG:3857"``, WKT).
        transform: ``(a, b, c, d, e, f)`` with ``x = a * col + b * row + c`` and
            ``y = d * col + e * row + f``, for positions measured from the top-left corner of the
            top-left pixel (the order of ``affine.Affine``).
        height, width: Size in pixels.
    """

    crs: str
    transform: Transform
    height: int
    width: int

    @classmethod
    def from_bounds(cls, bounds: Bounds, height: int, width: int) -> "GeoReference":
        """Spread an image evenly over bounds in degrees (EPSG:4326)."""
        west, south, east, north = Bounds(*bounds).validated()
        transform = (
            (east - west) / width,
            0.0,
            west,
            0.0,
            (south - north) / height,
            north,
        )
        return cls("EPSG:4326", transform, height, width)

    @classmethod
    def from_tile(cls, zoom: int, x: int, y: int, height: int, width: int) -> "GeoReference":
        """The exact Web Mercator frame of a slippy tile (EPSG:3857)."""
        tile_bounds(zoom, x, y)
        extent = 2.0 * math.pi * EARTH_RADIUS
        side = extent / (1 << zoom)
        left = x * side - extent / 2
        top = extent / 2 - y * side
        transform = (side / width, 0.0, left, 0.0, -side / height, top)
        return cls("EPSG:3857", transform, height, width)

    def resized(self, height: int, width: int) -> "GeoReference":
        """The frame of the same ground in another number of pixels."""
        a, b, c, d, e, f = self.transform
        across, down = self.width / width, self.height / height
        transform = (a * across, b * down, c, d * across, e * down, f)
        return GeoReference(self.crs, transform, height, width)

    def rowcol_to_lonlat(
        self, row: ArrayLike, col: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions in pixels to ``(lon, lat)`` in degrees, WGS84, of the same shape."""
        row, col = np.broadcast_arrays(np.asarray(row, np.float64), np.asarray(col, np.float64))
        a, b, c, d, e, f = self.transform
        x = a * col + b * row + c
        y = d * col + e * row + f
        return self._warp(self.crs, "EPSG:4326", x, y)

    def lonlat_to_rowcol(
        self, lon: ArrayLike, lat: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``(lon, lat)`` in degrees, WGS84, to ``(row, col)`` in pixels, of the same shape."""
        lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
        x, y = self._warp("EPSG:4326", self.crs, lon, lat)
        a, b, c, d, e, f = self.transform
        determinant = a * e - b * d
        x, y = x - c, y - f
        return (a * y - d * x) / determinant, (e * x - b * y) / determinant

    @cached_property
    def bounds(self) -> Bounds:
        """Bounds of the four corners in degrees, WGS84."""
        rows = np.array([0.0, 0.0, self.height, self.height])
        cols = np.array([0.0, self.width, 0.0, self.width])
        lon, lat = self.rowcol_to_lonlat(rows, cols)
        return Bounds(float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))

    @cached_property
    def pixel_size(self) -> tuple[float, float]:
        """``(height, width)`` of a pixel at the centre of the image, in metres on the ground.

        Web Mercator and plain degrees are measured on the sphere, as the tiles' own metres per
        pixel are by convention; every other system on the WGS84 ellipsoid, so that a raster of
        0.3 m pixels in UTM has 0.3 m pixels.
        """
        row, col = self.height / 2, self.width / 2
        measure = _sphere if self.crs in ("EPSG:3857", "EPSG:4326") else _ellipsoid
        north = measure(*self.rowcol_to_lonlat([row - 0.5, row + 0.5], [col, col]))
        east = measure(*self.rowcol_to_lonlat([row, row], [col - 0.5, col + 0.5]))
        return north, east

    @property
    def gsd(self) -> float:
        """Ground sampling distance: metres per pixel at the centre (geometric mean)."""
        height, width = self.pixel_size
        return math.sqrt(height * width)

    @cached_property
    def up_azimuth(self) -> float:
        """True azimuth, in degrees, of the direction that is up in the image, at its centre."""
        row, col = self.height / 2, self.width / 2
        lon, lat = self.rowcol_to_lonlat([row, row - 1.0], [col, col])
        east = (lon[1] - lon[0]) * math.cos(math.radians(float(lat[0])))
        return math.degrees(math.atan2(float(east), float(lat[1] - lat[0])))

    @staticmethod
    def _warp(
        source: str, target: str, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if source == target:
            return x, y
        if {source, target} == {"EPSG:3857", "EPSG:4326"}:
            return _mercator(x, y) if target == "EPSG:3857" else _mercator_inverse(x, y)
        from rasterio.crs import CRS
        from rasterio.warp import transform

        try:
            xs, ys = transform(
                CRS.from_user_input(source), CRS.from_user_input(target), x.ravel(), y.ravel()
            )
        except Exception as error:  # GDAL's own errors share no public base
            other = source if target == "EPSG:4326" else target
            named = re.match(r'\w+\["([^"]*)"', other)  # WKT
            reason = str(error).splitlines()[0][:120]
            if "{" in reason or "[" in reason:  # whole systems, as JSON
                reason = "no operation leads there"
            raise InputError(
                f"coordinate reference system '{named[1] if named else other[:60]}' has no way to "
                f"longitude and latitude ({reason})"
            ) from None
        return np.asarray(xs).reshape(x.shape), np.asarray(ys).reshape(y.shape)


def _mercator(
    lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        EARTH_RADIUS * np.radians(lon),
        EARTH_RADIUS * np.arcsinh(np.tan(np.radians(lat))),
    )


def _mercator_inverse(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.degrees(x / EARTH_RADIUS), np.degrees(np.arctan(np.sinh(y / EARTH_RADIUS)))


def _sphere(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> float:
    """Metres between two nearby points on the sphere of Web Mercator (the field's convention)."""
    middle = math.radians(float(lat[0] + lat[1]) / 2)
    east = math.radians(float(lon[1] - lon[0])) * math.cos(middle)
    north = math.radians(float(lat[1] - lat[0]))
    return EARTH_RADIUS * math.hypot(east, north)


def _ellipsoid(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> float:
    """Metres between two nearby points on WGS84, by its two radii of curvature."""
    middle = math.radians(float(lat[0] + lat[1]) / 2)
    flattening = 1.0 - _ECCENTRICITY_SQUARED * math.sin(middle) ** 2
    normal = EARTH_RADIUS / math.sqrt(flattening)
    meridian = normal * (1.0 - _ECCENTRICITY_SQUARED) / flattening
    east = math.radians(float(lon[1] - lon[0])) * math.cos(middle) * normal
    north = math.radians(float(lat[1] - lat[0])) * meridian
    return math.hypot(east, north)
