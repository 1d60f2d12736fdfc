"""Complete the land cover of open photographs, and render street views over it.

    python scripts/photographs/make_places.py OPEN --out PLACES [--views 3]

A network that was trained on aerial photographs (the bundled one) says which of a
pixel's allowed classes it has. Buildings are closed and opened, specks go to the next class.
Heights of buildings and crowns are drawn (:func:`cvsegguide.synth.real_place.scene_from_rasters`),
cameras stand within 3 m of the middle of the roads, 1.5 to 3 m high and tilted. Around a photograph
its land cover is mirrored: what a street view shows of that lies outside of every tile that is cut
from it.

Each photograph becomes ``SOURCE_NAME.npz``: ``image``, ``landcover`` (ids), ``certainty`` (0 to
255), ``allowed``, ``gsd``, and where there are roads ``streets`` (N, 128, 512, 3) and
``positions`` (N, 2), metres from the north-western corner. Files that are there are left alone.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
import torch
from allowed_classes import Photograph, read_photographs
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import atomic_path
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.hub import load_model
from cvsegguide.progress import track
from cvsegguide.synth import Camera, ids, prepare, render_street
from cvsegguide.synth.real_place import scene_from_rasters

BITS = (1 << np.arange(8)).astype(np.uint8)

MARGIN = 34.0
"""Metres of mirrored land cover around a photograph."""

SCENE_GSD = 0.3
"""Metres per pixel of the scenes that street views are rendered in."""

WITHOUT_STREETS = (
    *("ucmerced_freeway", "ucmerced_overpass", "ucmerced_runway", "ucmerced_agricultural"),
    *("ucmerced_chaparral", "ucmerced_forest", "ucmerced_river"),
)
"""Photographs without streets that a camera stands in, or whose reading is too often wrong."""


@torch.no_grad()
def estimate_shares(network: LocalizationModel, photograph: Photograph) -> NDArray[np.float32]:
    """Probabilities ``(8, H, W)`` of the classes among those that each pixel may have."""
    height, width = photograph.allowed.shape
    scale = photograph.gsd / network.gsd
    size = [max(32, round(side * scale / 32) * 32) for side in (width, height)]
    enlarged = np.array(Image.fromarray(photograph.image).resize(size, Image.Resampling.BICUBIC))
    image = torch.from_numpy(enlarged).permute(2, 0, 1)[None].float() / 255
    shares = functional.interpolate(
        network.segment(image).softmax(1), size=(height, width), mode="bilinear", antialias=True
    )[0].numpy()
    allowed = (photograph.allowed & BITS[:, None, None]) > 0

    def restrict(shares: NDArray[np.float32]) -> NDArray[np.float32]:
        some = np.where(allowed, np.maximum(shares, 1e-9), 0)
        return np.asarray(some / some.sum(axis=0), np.float32)

    smooth = [ndimage.gaussian_filter(share, 0.4 / photograph.gsd) for share in restrict(shares)]
    return restrict(np.stack(smooth))


def complete_landcover(shares: NDArray[np.float32], gsd: float) -> NDArray[np.uint8]:
    """The best class ids ``(H, W)``, buildings without holes, notches and specks."""
    best = (shares.argmax(axis=0) + 1).astype(np.uint8)
    others = shares.copy()
    others[ids.HOUSE - 1] = -1
    cross, edge = ndimage.generate_binary_structure(2, 1), 8
    mask = np.pad(best == ids.HOUSE, edge, mode="edge")
    mask = ndimage.binary_closing(mask, cross, iterations=max(1, round(1.2 / gsd)))
    mask = ndimage.binary_opening(mask, cross, iterations=max(1, round(0.9 / gsd)))
    mask = mask[edge:-edge, edge:-edge] & (shares[ids.HOUSE - 1] > 0)
    parts, count = ndimage.label(mask)
    area = ndimage.sum_labels(mask, parts, np.arange(1, count + 1)) * gsd**2
    mask &= np.append(True, area >= 16.0)[parts]
    best = np.where(best == ids.HOUSE, others.argmax(axis=0) + 1, best)
    return np.where(mask, ids.HOUSE, best).astype(np.uint8)


def render_views(
    landcover: NDArray[np.uint8], gsd: float, count: int, random: np.random.Generator
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float64]]]:
    """Street views ``(128, 512, 3)``, centre column north, and where they were taken."""
    pad = round(MARGIN / gsd)
    surrounded = np.pad(landcover, pad, mode="symmetric")
    seed = int(random.integers(1 << 30))
    scene = scene_from_rasters(surrounded, None, gsd, seed=seed, target_gsd=SCENE_GSD)
    world = prepare(scene)
    extent = np.array(landcover.shape) * gsd
    views: list[NDArray[np.uint8]] = []
    places: list[NDArray[np.float64]] = []
    for row, col, azimuth in random.permutation(scene.cameras):
        angle, away = random.uniform(0, 2 * np.pi), random.uniform(0, 3.0) / scene.gsd
        moved = row + np.cos(angle) * away, col + np.sin(angle) * away
        inside = all(0 <= at < side for at, side in zip(moved, scene.ground.shape, strict=True))
        if not inside or scene.landcover[int(moved[0]), int(moved[1])] == ids.HOUSE:
            moved = row, col
        place = np.array(moved) * scene.gsd - pad * gsd
        near = any(np.hypot(*(place - other)) < 10.0 for other in places)
        if near or not ((place > 3.0) & (place < extent - 3.0)).all():
            continue
        pitch, roll = random.normal(0, 1.2, 2).clip(-4, 4)
        camera = Camera(
            *map(float, moved),
            height=float(random.uniform(1.5, 3.0)),
            pitch=float(pitch),
            roll=float(roll),
            street_azimuth=float(azimuth),
        )
        views.append(render_street(world, camera, (128, 512), (90.0, 360.0)).image)
        places.append(place)
        if len(views) == count:
            break
    return views, places


def main() -> int:
    """Make the places; exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("open", type=Path, help="folder of the open sets")
    parser.add_argument("--weights", default="synthcity", help="network that reads photographs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=3, help="of a photograph, at most")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="I N: every Nth, from I")
    arguments = parser.parse_args()
    network = load_model(arguments.weights).eval()
    photographs = list(read_photographs(arguments.open))
    first, step = arguments.part
    for photograph in track(photographs[first::step], "places"):
        name = f"{photograph.source}_{photograph.name}"
        path = arguments.out / f"{name}.npz"
        if path.exists():
            continue
        shares = estimate_shares(network, photograph)
        landcover = complete_landcover(shares, photograph.gsd)
        content = {
            "image": photograph.image,
            "landcover": landcover,
            "certainty": (shares.max(axis=0) * 255).astype(np.uint8),
            "allowed": photograph.allowed,
            "gsd": photograph.gsd,
        }
        if (landcover == ids.ROAD).mean() > 0.02 and not name.startswith(WITHOUT_STREETS):
            random = np.random.default_rng(zlib.crc32(name.encode()))
            try:
                views, places = render_views(landcover, photograph.gsd, arguments.views, random)
            except InputError:  # no road is long enough
                views, places = [], []
            if views:
                content |= {"streets": np.stack(views), "positions": np.stack(places)}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
