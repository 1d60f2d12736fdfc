"""Sightline maps (:func:`~cvsegguide.geo.sightline.sightline`) of a whole tree, written as files.

Grey PNG beside the other labels (:func:`sightline_path`): ``round(255 * value)``, an error of at
most 0.002, or the same with 65535. Each carries in a text entry what it was computed from, so that
a second run leaves it alone when nothing has changed.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cvsegguide.data.broken import BrokenFileError
from cvsegguide.data.city_lists import City, places_in_tile, read_city
from cvsegguide.data.decode import decode_ids
from cvsegguide.data.lists import refuse
from cvsegguide.errors import InputError
from cvsegguide.geo.sightline import sightline
from cvsegguide.io.atomic import atomic_path
from cvsegguide.progress import track

NATIVE_SIZE = 256
"""Width in pixels of the published maps, in which their sigma is counted."""

_ENTRY = "cvsegguide-sightline"


@dataclass
class Written:
    """What :func:`write_sightlines` did.

    Attributes:
        written, kept: Maps written now, and found as they should be.
        blind: Maps that are empty because the camera stands inside an obstacle.
        faults: Land-cover file -> why its tile has no maps.
    """

    written: int = 0
    kept: int = 0
    blind: int = 0
    faults: dict[str, str] = field(default_factory=dict)


def sightline_path(folder: Path, panorama: str, tile: str | None = None) -> Path:
    """File of a sightline map in a city's folder: ``labels/depth/LAT/LON/LAT_LON.png``.

    A panorama that lies in several tiles (on a border they share, or because tiles overlap) has a
    map for each: the others add the tile, ``LAT_LON.z_x_y.png``.

    Args:
        folder: The city's folder.
        panorama: Name of the panorama, ``LAT/LON/LAT_LON.jpg``.
        tile: Name of the tile where it is not the first that the panorama lies in.
    """
    name = Path(panorama)
    suffix = "" if tile is None else "." + "_".join(Path(tile).with_suffix("").parts)
    return folder / "labels" / "depth" / name.parent / f"{name.stem}{suffix}.png"


def write_sightlines(
    folder: Path,
    sigma: float = 64.0,
    obstacles: Collection[int] = (5,),
    bits: int = 8,
    overwrite: bool = False,
    workers: int = 1,
    description: str = "sightlines",
) -> Written:
    """Write the sightline map of every pair of tile and panorama of one city.

    Files are written whole or not at all, and those that are there already are kept, so that an
    interrupted run goes on where it stopped. A map without the text entry (another program's) is
    kept when it can be read and has the right size.

    Args:
        folder: The city's folder, with ``labels/landcover``.
        sigma: Width of the Gaussian in pixels of a 256 x 256 tile.
        obstacles: Ids that block the view.
        bits: 8 or 16.
        overwrite: Write maps that are there already, too.
        workers: Threads.
        description: Text in front of the progress bar.

    Raises:
        InputError: The lists cannot be read, an argument is out of range, or the folder cannot be
            written to. Tiles without usable land cover are listed in the result instead.
    """
    if bits not in (8, 16):
        raise InputError(f"must be 8 or 16, got {bits}", parameter="bits")
    if workers < 1:
        raise InputError(f"must be at least 1, got {workers}", parameter="workers")
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(f"must be a positive number of pixels, got {sigma}", parameter="sigma")
    if not (folder / "labels" / "landcover").is_dir():
        raise InputError(f"{folder / 'labels' / 'landcover'}: no such folder")
    city = read_city(folder, refuse())
    tiles, starts = np.unique(city.pairs[:, 0], return_index=True)

    def work(views: NDArray[np.int32]) -> Written:
        return _write_tile(city, views, sigma, tuple(sorted(obstacles)), bits, overwrite)

    total = Written()
    jobs = np.split(city.pairs, starts[1:]) if len(tiles) else []
    with ThreadPool(workers) as pool:
        for result in track(pool.imap_unordered(work, jobs), description, len(jobs)):
            total.written += result.written
            total.kept += result.kept
            total.blind += result.blind
            total.faults |= result.faults
    return total


def _write_tile(
    city: City,
    pairs: NDArray[np.int32],
    sigma: float,
    obstacles: tuple[int, ...],
    bits: int,
    overwrite: bool,
) -> Written:
    """The maps of ``pairs`` ``(K, 2)``, all of one tile."""
    result = Written()
    tile = city.tiles[pairs[0, 0]]
    landcover = (city.folder / "labels" / "landcover" / tile).with_suffix(".png")
    try:
        cover = decode_ids(landcover)
    except BrokenFileError as error:
        result.faults[str(landcover)] = error.reason
        return result
    height, width = cover.shape
    blocks = ",".join(map(str, obstacles))
    places = places_in_tile(city.bounds[pairs[0, 0]], city.lonlat[pairs[:, 1]])
    for (number, view), (down, right) in zip(pairs.tolist(), places.tolist(), strict=True):
        first = city.first_tiles[view] == number
        path = sightline_path(city.folder, city.panoramas[view], None if first else tile)
        row, col = down * height, right * width
        recipe = f"sigma={sigma:g} obstacles={blocks} row={row:.4f} col={col:.4f} bits={bits}"
        if not overwrite and _is_current(path, recipe, (width, height)):
            result.kept += 1
            continue
        values = sightline(cover, row, col, sigma * width / NATIVE_SIZE, obstacles)
        _save(path, values, recipe, bits)
        result.written += 1
        result.blind += not values.any()
    return result


def _is_current(path: Path, recipe: str, size: tuple[int, int]) -> bool:
    try:
        if not path.is_file():
            return False
        with Image.open(path) as image:
            image.load()
            grey = image.mode == "L" or image.mode.startswith("I")
            text: str | None = image.info.get(_ENTRY)
            return grey and image.size == size and text in (None, recipe)
    except Exception:  # truncated or no picture: written anew
        return False


def _save(path: Path, values: NDArray[np.float32], recipe: str, bits: int) -> None:
    entries = PngInfo()
    entries.add_text(_ENTRY, recipe)
    kind = np.uint8 if bits == 8 else np.uint16
    picture = Image.fromarray(np.round(values * float((1 << bits) - 1)).astype(kind))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=entries)
