"""Sightline maps: the published localisation target (Xavier et al. 2025).

:func:`sightline` computes one map; :func:`write_sightlines` writes those of a whole tree in the
layout of Brooklyn & Queens: ``labels/depth/LAT/LON/LAT_LON.png`` beside the other labels, grey, 8
bits (``round(255 * value)``, an error of at most 0.002) or 16 bits. A panorama that lies in
several tiles (on a border they share, or because tiles overlap) has a map for each: that of the
first tile in the order of the list bears the plain name, the others add the tile,
``LAT_LON.z_x_y.png`` (:func:`sightline_path`). Each file carries in a text entry what it was
computed from, so that a second run leaves it alone when nothing has changed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvsegguide.data.parallel import bounded_map
from cvsegguide.errors import CVSegGuideError, InputError
from cvsegguide.io.atomic import atomic_path
from cvsegguide.progress import track

if TYPE_CHECKING:
    from cvsegguide.data.layout import CityLinks

NATIVE_SIZE = 256
"""Width in pixels of the published maps, in which their sigma is counted."""

_ENTRY = "cvsegguide-sightline"


def sightline(
    landcover: ArrayLike,
    row: float,
    col: float,
    sigma: float = 64.0,
    obstacles: Collection[int] = (5,),
) -> NDArray[np.float32]:
    """A Gaussian around the camera, 0 where an obstacle stands in the way.

    Args:
        landcover: ``(H, W)`` class ids (uint8, or any integers).
        row, col: The camera in pixels, centres at +0.5. It may lie on the edge or outside of the
            raster, beyond which the view is free. Inside an obstacle it sees nothing.
        sigma: Standard deviation of the Gaussian in pixels.
        obstacles: Ids that block the view; the published maps know buildings alone.

    Returns:
        ``(H, W)`` float32: ``exp(-d^2 / (2 sigma^2))`` of the distance d from the camera to the
        pixel's centre, not normalised (at most 1); 0 at obstacles and behind them.

    Raises:
        InputError: No raster of integers, a position that is not finite, or a sigma that is not
            positive.
    """
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(f"sigma: must be a positive number of pixels, got {sigma}")
    seen = visible(landcover, row, col, obstacles)
    rows, cols = seen.shape
    vertical = np.exp(-0.5 * ((np.arange(rows) + 0.5 - row) / sigma) ** 2)
    horizontal = np.exp(-0.5 * ((np.arange(cols) + 0.5 - col) / sigma) ** 2)
    bell: NDArray[np.float32] = vertical.astype(np.float32)[:, None] * horizontal.astype(np.float32)
    bell *= seen
    return bell


def visible(
    landcover: ArrayLike, row: float, col: float, obstacles: Collection[int] = (5,)
) -> NDArray[np.bool_]:
    """Which pixels can be seen from the camera.

    A pixel is seen when the straight line from the camera to its centre meets no obstacle pixel,
    itself included. Pixels are squares: the test is exact, not sampled along the line. A line that
    only grazes a corner or an edge passes, unless obstacles touch it on both sides.

    Args:
        landcover: ``(H, W)`` class ids.
        row, col: The camera in pixels, as in :func:`sightline`.
        obstacles: Ids that block the view.

    Returns:
        ``(H, W)`` bool.

    Raises:
        InputError: No raster of integers, or a position that is not finite.
    """
    from cvsegguide.data._visibility import visible_pixels

    ids = np.asarray(landcover)
    if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "iub":
        raise InputError(
            f"landcover: must be integers of shape (H, W), got {ids.dtype} {tuple(ids.shape)}"
        )
    if not (np.isfinite(row) and np.isfinite(col)):
        raise InputError(f"row, col: must be finite, got ({row}, {col})")
    if ids.dtype == np.uint8:
        lookup = np.zeros(256, np.bool_)
        lookup[[value for value in obstacles if 0 <= value <= 255]] = True
        blocked = lookup[ids]
    else:
        blocked = np.isin(ids, list(obstacles))
    rows, cols = ids.shape
    seen = visible_pixels(blocked.ravel(), rows, cols, float(row), float(col))
    return seen.reshape(rows, cols)


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

    def add(self, other: "Written") -> None:
        """Add the counts of another."""
        self.written += other.written
        self.kept += other.kept
        self.blind += other.blind
        self.faults.update(other.faults)


@dataclass(frozen=True)
class _Job:
    """One tile: its land cover, and position and file of each of its maps."""

    landcover: Path
    positions: NDArray[np.float64]
    files: list[Path]


def sightline_path(folder: Path, panorama: str, tile: str | None = None) -> Path:
    """File of a sightline map in a city's folder.

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
        raise InputError(f"bits: must be 8 or 16, got {bits}")
    if workers < 1:
        raise InputError(f"workers: must be at least 1, got {workers}")
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(f"sigma: must be a positive number of pixels, got {sigma}")
    if not (folder / "labels" / "landcover").is_dir():
        raise InputError(f"{folder / 'labels' / 'landcover'}: no such folder")
    from cvsegguide.data.layout import link_city  # figures need one map and no PyTorch

    links = link_city(folder)

    def work(job: _Job) -> Written:
        return _write_tile(job, sigma, tuple(sorted(obstacles)), bits, overwrite)

    total = Written()
    tiles = int((links.table.counts > 0).sum())
    for result in track(bounded_map(work, _jobs(folder, links), workers), description, tiles):
        total.add(result)
    return total


def _jobs(folder: Path, links: "CityLinks") -> Iterator[_Job]:
    seen = np.zeros(len(links.panoramas), np.bool_)
    for number, views in enumerate(links.table):
        if not len(views):
            continue
        tile = links.tiles[number]
        files = [
            sightline_path(folder, links.panoramas[view], tile if seen[view] else None)
            for view in views
        ]
        seen[views] = True
        path = (folder / "labels" / "landcover" / tile).with_suffix(".png")
        yield _Job(path, links.positions(number, views), files)


def _write_tile(
    job: _Job, sigma: float, obstacles: tuple[int, ...], bits: int, overwrite: bool
) -> Written:
    from cvsegguide.data.decode import decode_ids

    result = Written()
    try:
        cover = decode_ids(job.landcover)
    except CVSegGuideError as error:
        reason = str(error).removeprefix(f"{job.landcover}: ")
        result.faults[str(job.landcover)] = reason
        return result
    height, width = cover.shape
    blocks = ",".join(map(str, obstacles))
    for (down, right), path in zip(job.positions.tolist(), job.files, strict=True):
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
    from PIL import Image

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
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    entries = PngInfo()
    entries.add_text(_ENTRY, recipe)
    kind = np.uint8 if bits == 8 else np.uint16
    picture = Image.fromarray(np.round(values * float((1 << bits) - 1)).astype(kind))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=entries)
