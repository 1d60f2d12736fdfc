"""The pictures of the documentation: ``python scripts/contact_sheet.py FOLDER``.

Writes ``synthcity-overhead.jpg`` (windows of several cities) and ``synthcity-street.jpg`` (tiles
with land cover and sightline, panoramas with depth and land cover).
"""

import io
import sys
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.geo.sightline import sightline
from cvsegguide.io.atomic import atomic_path
from cvsegguide.landcover import NYC
from cvsegguide.synth.cameras import Camera, free_cameras, without_obstacles
from cvsegguide.synth.city import City
from cvsegguide.synth.overhead import render_overhead
from cvsegguide.synth.street import draw_style, prepare, render_street

LIMIT = 290_000
"""Bytes of a picture, at most."""

Picture = NDArray[np.uint8]


def overhead_sheet(seeds: range = range(20, 28), side: int = 512) -> Picture:
    """Two rows of windows of ``side`` pixels, each of another city, shown at half size."""
    windows = []
    for seed in seeds:
        photograph = City(seed).overhead(600, 300, side, side)
        half = Image.fromarray(photograph).resize((side // 2, side // 2), Image.Resampling.BOX)
        windows.append(np.asarray(half))
    across = len(windows) // 2
    return np.concatenate(
        [np.concatenate(windows[:across], axis=1), np.concatenate(windows[across:], axis=1)]
    )


def street_row(seed: int, width: int = 512, tile: int = 256) -> Picture | None:
    """Tile, land cover and sightline; panorama over its depth and land cover. None = no camera."""
    margin = 320
    side = tile + 2 * margin
    scene = without_obstacles(City(seed).scene(1000, 1000, side, side))
    places = free_cameras(scene)
    inside = (np.abs(places[:, :2] - side / 2) < tile / 2 - 30).all(axis=1)
    if not inside.any():
        return None
    row, col, azimuth = places[inside][0]
    here = np.s_[margin : margin + tile, margin : margin + tile]
    photograph = render_overhead(scene, None, (margin, margin + tile, margin, margin + tile))
    cover = np.ascontiguousarray(scene.landcover[here])
    target = sightline(cover, row - margin, col - margin)
    heat = 0.35 * photograph + target[..., None] * np.array([220.0, 150.0, 30.0])
    camera = Camera(float(row), float(col), street_azimuth=float(azimuth))
    view = render_street(prepare(scene), camera, (tile // 2, width), style=draw_style(seed))
    near = np.exp(-np.where(np.isfinite(view.depth), view.depth, np.inf) / 25.0)
    depth = np.repeat((255 * near).astype(np.uint8)[..., None], 3, axis=2)
    below = np.concatenate([depth[::2], _colors(view.landcover)[::2]])
    left = [photograph, _colors(cover), np.clip(heat, 0, 255).astype(np.uint8)]
    return np.concatenate([*left, np.concatenate([view.image, below])], axis=1)


def street_sheet(seeds: range = range(30, 50), rows: int = 6) -> Picture:
    """The first ``rows`` cities of ``seeds`` that have a camera in the window."""
    found: list[Picture] = []
    for seed in seeds:
        row = street_row(seed)
        if row is not None:
            found.append(row)
        if len(found) == rows:
            break
    return np.concatenate(found)


def _colors(ids: NDArray[np.uint8]) -> Picture:
    table = np.zeros((256, 3), np.uint8)
    for entry in NYC.classes:
        table[entry.id] = entry.color
    return table[ids]


def _save(picture: Picture, path: Path) -> None:
    """As a JPEG of the best quality that stays below :data:`LIMIT`."""
    for quality in range(90, 40, -4):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() < LIMIT:
            break
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def main(folder: str | PathLike[str]) -> None:
    """Write both sheets into ``folder``."""
    _save(overhead_sheet(), Path(folder) / "synthcity-overhead.jpg")
    _save(street_sheet(), Path(folder) / "synthcity-street.jpg")


if __name__ == "__main__":
    main(sys.argv[1])
