"""Where an overhead image lies, and on which grid.

**Where an overhead image lies** is decided in this order, the first that is there wins:

1. ``bounds`` given by the caller. They replace whatever the file says: whoever passes them knows
   that the file is wrong or silent.
2. The file's own coordinate system and transform, or ground control points that make one.
3. A file name that ends in ``z/x/y.ext``: a slippy-map tile in Web Mercator.
4. Nothing: positions are in pixels, and longitude and latitude are unknown.

A ``gsd`` given by the caller must agree with 1 and 2 to 5 % (a contradiction is an error); it
overrides the name of 3, which may be a coincidence; without any of them it is all there is.

**Grid.** Images whose rows run west to east and whose columns run north to south in their own
coordinate system keep their own grid, whatever the shape of their pixels on the ground
(:attr:`~cvsegguide.geo.GeoReference.pixel_size` has both sides, ``gsd`` is the geometric mean at
the centre). Rotated, sheared or flipped rasters are warped to a north-up grid in the same system.
Up in a projected system may differ from true north by a few degrees (meridian convergence):
:attr:`~cvsegguide.geo.GeoReference.up_azimuth` says by how much, and localisation subtracts it
from the heading.
"""

import math
import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvsegguide.errors import ConfigurationError, InferenceWarning, InputError
from cvsegguide.geo import Bounds, GeoReference, parse_tile_name

if TYPE_CHECKING:
    from cvsegguide.io.rasters import Overhead, Raster

MAX_ASPECT = 1.5
"""Bounds given by the caller may make one side of a pixel this much longer than the other on the
ground. Files may be of any shape: they know their own."""


def locate(
    name: str,
    shape: tuple[int, ...],
    bounds: Bounds | None,
    gsd: float | None,
    reference: GeoReference | None = None,
    path: Path | None = None,
) -> tuple[GeoReference | None, float | None]:
    """Decide between what the caller, the file and its name say; see the module's text.

    Args:
        name: For messages.
        shape: ``(H, W)``, further sides are ignored.
        bounds, gsd: From the caller.
        reference: From the file.
        path: Of the file, which may be called ``z/x/y``.

    Returns:
        Where the image lies, and metres per pixel at its centre; None where nobody says.

    Raises:
        InputError: What the file says is no place on earth.
        ConfigurationError: ``bounds`` and ``gsd`` contradict each other or the file.
    """
    height, width = shape[:2]
    origin = "the file's georeference"
    if bounds is not None:
        reference = GeoReference.from_bounds(bounds, height, width)
        origin = "`bounds`"
    if reference is not None:
        try:
            described = reference.gsd
            extent = reference.bounds
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        if not math.isfinite(described) or not all(map(math.isfinite, extent)):
            raise InputError(f"{name}: its georeference lies outside the globe")
        if gsd is not None and not 0.95 < gsd / described < 1.05:
            raise ConfigurationError(
                f"{name}: `gsd` {gsd:g} contradicts {origin}, which gives {described:.4g} m/px"
            )
        return reference, described
    tile = parse_tile_name(path.absolute()) if path is not None else None
    if tile is not None:
        reference = GeoReference.from_tile(*tile, height, width)
        if gsd is None or 0.95 < gsd / reference.gsd < 1.05:
            return reference, reference.gsd
        message = (
            f"{name}: `gsd` {gsd:g} is not that of map tile {'/'.join(map(str, tile))}, as it is "
            f"called, {reference.gsd:.4g} m/px: it is taken for no map tile, and has no place"
        )
        warnings.warn(message, InferenceWarning, stacklevel=2)
    return None, gsd


def reference_of_file(dataset: Any) -> GeoReference | None:
    """What a data set of rasterio says of its place; points are fitted by :func:`_fit_points`."""
    system, affine = dataset.crs, dataset.transform
    points, points_system = dataset.gcps
    if len(points) >= 3 and points_system is not None:
        system, affine = points_system, _fit_points(dataset.name, points)
    if system is None or affine.is_identity:
        return None
    transform = tuple(float(value) for value in affine)[:6]
    if abs(affine.determinant) < 1e-30 or not all(map(math.isfinite, transform)):
        raise InputError(f"{dataset.name}: its geotransform is degenerate: {transform}")
    code = system.to_epsg()
    crs = f"EPSG:{code}" if code else system.to_wkt()
    return GeoReference(crs, transform, dataset.height, dataset.width)  # type: ignore[arg-type]


def _fit_points(name: str, points: Any) -> Any:
    """The affine transform through ground control points; they must agree with one."""
    from rasterio.transform import from_gcps

    affine = from_gcps(points)
    if abs(affine.determinant) < 1e-30:
        raise InputError(f"{name}: its ground control points lie on a line")
    a, b, c, d, e, f = tuple(~affine)[:6]
    misses = [
        math.hypot(
            a * point.x + b * point.y + c - point.col, d * point.x + e * point.y + f - point.row
        )
        for point in points
    ]
    if max(misses) > 1.0:
        raise InputError(
            f"{name}: its ground control points miss a straight grid by up to {max(misses):.0f} "
            f"pixels; warp it first: gdalwarp {shlex.quote(name)} out.tif"
        )
    return affine


def check_given_bounds(image: "Overhead | Raster") -> None:
    """Refuse bounds that make pixels far from square, as latitude before longitude does.

    Args:
        image: Opened with bounds from the caller.

    Raises:
        InputError: One side of its pixels is more than :data:`MAX_ASPECT` times the other.
    """
    down, across = image.pixel_size or (1.0, 1.0)
    ratio = max(down / across, across / down)
    if ratio > MAX_ASPECT:
        raise InputError(
            f"{image.name}: `bounds` make its pixels {ratio:.1f} : 1 on the ground; the order is "
            "west, south, east, north, so that longitude comes before latitude"
        )


def is_north_up(reference: GeoReference) -> bool:
    """Whether rows run west to east and columns north to south."""
    a, b, _, d, e, _ = reference.transform
    # A skew that moves the far corner by less than a tenth of a pixel does not matter.
    slack_x, slack_y = abs(b) * reference.height, abs(d) * reference.width
    return a > 0 and e < 0 and slack_x < 0.1 * abs(a) and slack_y < 0.1 * abs(e)
