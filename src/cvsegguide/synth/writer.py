"""SynthCity on disk: the Brooklyn & Queens layout, with the truth that only a made world has.

Beside the layout of Workman et al. (CVPR 2022), which
:class:`~cvsegguide.data.brooklyn_queens.BrooklynQueens` documents::

    synthcity.json                           seed, version, settings, styles, licence
    {city}/streetview/truth.csv              a row a panorama, see TRUTH_COLUMNS
    {city}/manifest.csv                      the same for Manifest: true heading, fov, bounds
    {city}/labels/street_depth/LAT/LON/LAT_LON.png       16 bits, centimetres along the ray,
                                             0 where nothing was met
    {city}/labels/street_landcover/LAT/LON/LAT_LON.png   NYC ids, 0 where nothing was met

Tiles bear slippy names on a spot of the Atlantic at New York's latitude.
"""

import io
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array, save_npz

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference
from cvsegguide.geo.slippy import tile_at, tile_bounds, tile_gsd
from cvsegguide.io.atomic import write_text
from cvsegguide.synth.cameras import Camera
from cvsegguide.synth.street import StreetStyle, StreetView

ZOOM = 19
TILE = 256
"""Side of a tile in pixels."""

FOOT = 1200 / 3937
"""The US survey foot in metres."""

ANCHOR_LATITUDE = 40.746
"""Where a pixel of zoom 19 is 0.2262 m, as in Queens."""

ANCHOR_LONGITUDES = {"brooklyn": -50.0, "queens": -45.0}
"""The cities' spots in the Atlantic."""

DEPTH_UNIT = 0.01
"""Metres per step of the depth pictures."""

TRUTH_COLUMNS = (
    *("name", "lat", "lon", "heading", "fov", "vertical_fov", "pitch", "roll", "height"),
    *("street_azimuth", "town", "sun_azimuth", "sun_elevation", "sun", "bare"),
)
"""Of ``truth.csv``: degrees and metres; ``heading`` is the true azimuth of the centre column."""


MANIFEST_COLUMNS = (
    *("id", "overhead", "street", "lon", "lat", "heading", "fov", "gsd"),
    *("west", "south", "east", "north", "landcover", "split", "pitch", "roll", "height"),
)
"""Of ``manifest.csv``, which :class:`~cvsegguide.data.manifest.Manifest` reads (all but the last
three, which are for the record)."""


def anchor(city: str) -> tuple[int, int]:
    """Slippy ``(x, y)`` of the north-western tile of a city."""
    return tile_at(ANCHOR_LONGITUDES[city], ANCHOR_LATITUDE, ZOOM)


def position_name(lat: float, lon: float) -> str:
    """``LAT/LON/LAT_LON`` as the published data name panoramas: 6 decimals, folders cut to 3."""

    def parts(value: float) -> tuple[str, str]:
        text = f"{value:.6f}"
        full = text.rstrip("0")
        return text[: text.index(".") + 4], full + "0" if full.endswith(".") else full

    (lat_folder, lat_text), (lon_folder, lon_text) = parts(lat), parts(lon)
    return f"{lat_folder}/{lon_folder}/{lat_text}_{lon_text}"


def lonlat_of(row: float, col: float, x: int, y: int) -> tuple[float, float]:
    """``(lon, lat)`` of a pixel counted from the corner of tile ``x``, ``y``, Web Mercator."""
    lon, lat = GeoReference.from_tile(ZOOM, x, y, TILE, TILE).rowcol_to_lonlat(row, col)
    return float(lon), float(lat)


def snap(row: float, col: float, x: int, y: int) -> tuple[float, float, float, float]:
    """Move a position to where its name can say it: ``(row, col, lat, lon)``, by 6 cm at most."""
    lon, lat = lonlat_of(row, col, x, y)
    lat, lon = round(lat, 6), round(lon, 6)
    place = GeoReference.from_tile(ZOOM, x, y, TILE, TILE).lonlat_to_rowcol(lon, lat)
    return float(place[0]), float(place[1]), lat, lon


def write_tile(
    folder: Path,
    name: str,
    image: NDArray[np.uint8],
    landcover: NDArray[np.uint8],
    height: NDArray[np.float32],
    labels: dict[str, NDArray[np.uint8]],
    quality: int,
) -> None:
    """Write the files of the tile ``19/x/y`` of a city, whose land cover comes last."""
    write_jpeg(folder / "overhead" / "images" / f"{name}.jpg", image, quality)
    for kind, values in labels.items():
        _png(folder / "labels" / kind / f"{name}.png", values)
    _sparse(folder / "labels" / "height" / f"{name}.npz", height / np.float32(FOOT))
    _png(folder / "labels" / "landcover" / f"{name}.png", landcover)


def write_panorama(folder: Path, name: str, view: StreetView, quality: int) -> None:
    """Write picture, depth and land cover of the panorama ``LAT/LON/LAT_LON`` of a city."""
    steps = np.where(np.isfinite(view.depth), view.depth / DEPTH_UNIT + 0.5, 0.0)
    depth = np.minimum(steps, 65535.0).astype(np.uint16)
    _png(folder / "labels" / "street_depth" / f"{name}.png", depth)
    _png(folder / "labels" / "street_landcover" / f"{name}.png", view.landcover)
    write_jpeg(folder / "streetview" / "images" / f"{name}.jpg", view.image, quality)


def write_lists(
    folder: Path, tiles: list[str], truth: list[dict[str, str]], split: str = ""
) -> None:
    """Write the lists of a city, which make its folder a data set: last of all.

    Args:
        folder: ``DIR/brooklyn`` or ``DIR/queens``.
        tiles: Names ``19/x/y`` in their order.
        truth: Rows of :func:`truth_row` in their order.
        split: Word in the column ``split`` of ``manifest.csv``.
    """
    boxes, centers = [], []
    for name in tiles:
        zoom, x, y = (int(part) for part in name.split("/"))
        west, south, east, north = tile_bounds(zoom, x, y)
        lon, lat = lonlat_of(TILE / 2, TILE / 2, x, y)
        boxes.append(f"{name}.jpg,{south!r},{west!r},{north!r},{east!r}")
        centers.append(f"{lat!r},{lon!r}")
    overhead, street = folder / "overhead", folder / "streetview"
    _table(folder / "manifest.csv", MANIFEST_COLUMNS, [_manifest_row(row, split) for row in truth])
    _table(street / "truth.csv", TRUTH_COLUMNS, truth)
    _lines(street / "locations.txt", [f"{row['lat']},{row['lon']}" for row in truth])
    _lines(street / "images.txt", [f"{row['name']}.jpg" for row in truth])
    _lines(overhead / "locations.txt", centers)
    _lines(overhead / "bboxes.txt", boxes)
    _lines(overhead / "images.txt", [f"{name}.jpg" for name in tiles])


def truth_row(
    position: tuple[str, float, float],
    camera: Camera,
    extent: tuple[float, float],
    town: int,
    style: StreetStyle,
) -> dict[str, str]:
    """A row of ``truth.csv`` from name, latitude and longitude, and what was seen how."""
    name, lat, lon = position
    angles = camera.heading, extent[1], extent[0], camera.pitch, camera.roll
    numbers = *angles, camera.height, camera.street_azimuth
    light = style.sun_azimuth, style.sun_elevation, style.sun, style.bare
    parts = [name, f"{lat:.6f}", f"{lon:.6f}", *(f"{value:.6g}" for value in numbers), str(town)]
    parts += [f"{value:.4g}" for value in light]
    return dict(zip(TRUTH_COLUMNS, parts, strict=True))


def _manifest_row(truth: dict[str, str], split: str) -> dict[str, str]:
    """A row of ``manifest.csv`` from a row of ``truth.csv``."""
    name = truth["name"]
    x, y = tile_at(float(truth["lon"]), float(truth["lat"]), ZOOM)
    _, middle = lonlat_of(TILE / 2, TILE / 2, x, y)
    tile = f"{ZOOM}/{x}/{y}"
    sides = {side: repr(value) for side, value in tile_bounds(ZOOM, x, y)._asdict().items()}
    return {
        **truth,
        **sides,
        "id": name,
        "overhead": f"overhead/images/{tile}.jpg",
        "street": f"streetview/images/{name}.jpg",
        "landcover": f"labels/landcover/{tile}.png",
        "gsd": f"{tile_gsd(middle, ZOOM):.6f}",
        "split": split,
    }


def _table(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    lines = [",".join(row[column] for column in columns) for row in rows]
    _lines(path, [",".join(columns), *lines])


def _lines(path: Path, lines: list[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


def _put(path: Path, content: bytes) -> None:
    """Write a file of a chunk, or raise InputError when the disk does not take it.

    Not atomic, which would take longer than drawing: a chunk that was cut off has no mark, and is
    made again from its first file; the lists that name its files come last.
    """
    try:
        try:
            path.write_bytes(content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def write_jpeg(path: Path, image: NDArray[np.uint8], quality: int) -> None:
    """Write a picture ``(H, W, 3)``; raises InputError when the disk does not take it."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    _put(path, buffer.getvalue())


def _png(path: Path, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """A grey picture of 8 or 16 bits; runs are enough for ids, and quick."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(values))
    image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    _put(path, buffer.getvalue())


def _sparse(path: Path, dense: NDArray[np.float32]) -> None:
    """Coordinates and values of what is not 0, as ``scipy.sparse`` writes them."""
    buffer = io.BytesIO()
    save_npz(buffer, coo_array(dense))
    _put(path, buffer.getvalue())
