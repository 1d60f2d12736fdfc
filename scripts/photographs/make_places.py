"""Pairs of open photographs and street views that are rendered over them, to train on.

    python scripts/photographs/make_places.py OPEN --out PLACES [--views 3] [--tiles 3]

A network that was trained on aerial photographs (the bundled one) says which of a pixel's allowed
classes it has. Buildings are closed and opened, specks go to the next class. Heights of buildings
and crowns are drawn (:func:`cvsegguide.synth.real_place.scene_from_rasters`), cameras stand within
3 m of the middle of the roads, 1.5 to 3 m high and tilted. Around a photograph its land cover is
mirrored: what a street view shows of that lies outside of every tile that is cut from it.

Of every street view several tiles are cut, turned by any angle, the camera anywhere in them. Six in
ten street views are recoloured: each class and the sky get a colour, a contrast and stains of their
own, some pictures haze, so that nothing is learned about the renderer's colours.

``PLACES`` gets ``manifest.csv`` with ``overhead``, ``street`` and ``landcover`` beside it (ids
where the network is sure, else 0); ``fit.yaml`` in this folder trains on it. Photographs whose rows
are there are left alone, so that an interrupted run goes on.
"""

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
from allowed_classes import Photograph, read_photographs
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import write_text
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.hub import load_model
from cvsegguide.progress import track
from cvsegguide.synth import Camera, ids, prepare, render_street
from cvsegguide.synth.real_place import scene_from_rasters
from cvsegguide.synth.street.render import StreetView

BITS = (1 << np.arange(8)).astype(np.uint8)

MARGIN = 34.0
"""Metres of mirrored land cover around a photograph."""

TILE, GSD = 256, 0.2262
"""Pixels of a tile's side, and metres per pixel."""

SURE = 0.7
"""Probability of a class from which a pixel counts as known."""

COLUMNS = ("id", "overhead", "street", "landcover", "row", "col", "gsd", "heading")

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
) -> list[tuple[StreetView, NDArray[np.float64]]]:
    """Street views, centre column north, and where they were taken: metres down and right."""
    pad = round(MARGIN / gsd)
    surrounded = np.pad(landcover, pad, mode="symmetric")
    seed = int(random.integers(1 << 30))
    scene = scene_from_rasters(surrounded, None, gsd, seed=seed, target_gsd=SCENE_GSD)
    world = prepare(scene)
    extent = np.array(landcover.shape) * gsd
    views: list[tuple[StreetView, NDArray[np.float64]]] = []
    for row, col, azimuth in random.permutation(scene.cameras):
        angle, away = random.uniform(0, 2 * np.pi), random.uniform(0, 3.0) / scene.gsd
        moved = row + np.cos(angle) * away, col + np.sin(angle) * away
        inside = all(0 <= at < side for at, side in zip(moved, scene.ground.shape, strict=True))
        if not inside or scene.landcover[int(moved[0]), int(moved[1])] == ids.HOUSE:
            moved = row, col
        place = np.array(moved) * scene.gsd - pad * gsd
        near = any(np.hypot(*(place - other)) < 10.0 for _, other in views)
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
        views.append((render_street(world, camera, (128, 512), (90.0, 360.0)), place))
        if len(views) == count:
            break
    return views


def recolour(view: StreetView, random: np.random.Generator) -> NDArray[np.uint8]:
    """A street view in which each class has a colour, contrast and stains of its own."""
    strength = random.uniform(0.3, 1.0)
    height, width = view.landcover.shape
    stains = sum(
        random.uniform(0.0, 0.12) * _noise((height, width), step, random) for step in (16, 4)
    )
    picture = view.image.astype(np.float32) / 255
    for value in np.unique(view.landcover):
        mask = view.landcover == value
        gain = np.exp(strength * (random.normal(0, 0.3) + random.normal(0, 0.1, 3)))
        contrast = 1 + strength * random.uniform(-0.4, 0.6)
        mean = picture[mask].mean(axis=0)
        changed = (mean + (picture[mask] - mean) * contrast) * gain
        picture[mask] = changed + strength * np.asarray(stains)[mask][:, None]
    if random.random() < 0.4:  # haze that grows towards the horizon
        apart = np.abs(np.arange(height) - height / 2)[:, None, None]
        haze = random.uniform(0, 0.5) * np.exp(-apart / random.uniform(4, 25))
        picture = picture * (1 - haze) + haze * random.uniform(0.5, 1.0, 3)
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def _noise(size: tuple[int, int], step: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of deviation about 1, its columns wrapped around."""
    coarse = random.standard_normal((size[0] // step, size[1] // step))
    return np.asarray(ndimage.zoom(coarse, step, order=1, mode="grid-wrap"), np.float32)


def cut_tile(
    photograph: Photograph,
    known: NDArray[np.uint8],
    place: NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[Image.Image, Image.Image, float, float, float] | None:
    """A tile around a camera: picture, land cover, row and column of the camera, azimuth of up.

    Args:
        photograph: Whole.
        known: ``(H, W)`` ids, 0 where they are not known.
        place: The camera, metres down and right.
        random: Draws angle and offset.

    Returns:
        None where no tile lies within the photograph.
    """
    side = TILE * GSD
    extent = np.array(known.shape) * photograph.gsd
    for _ in range(24):
        angle = random.uniform(0, 360) if random.random() < 0.6 else 90.0 * random.integers(4)
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        down, right = random.uniform(1 - side / 2, side / 2 - 1, 2)  # of the camera in the tile
        centre = place - (right * sin + down * cos, right * cos - down * sin)
        reach = side / 2 * (abs(cos) + abs(sin))
        if ((centre >= reach) & (centre <= extent - reach)).all():
            break
    else:
        return None
    step = GSD / photograph.gsd
    row, col = centre / photograph.gsd
    half = TILE / 2
    columns = (step * cos, -step * sin, col - half * step * (cos - sin))
    rows = (step * sin, step * cos, row - half * step * (sin + cos))
    size, affine = (TILE, TILE), Image.Transform.AFFINE
    picture = Image.fromarray(photograph.image).transform(
        size, affine, (*columns, *rows), Image.Resampling.BICUBIC
    )
    cover = Image.fromarray(known).transform(size, affine, (*columns, *rows))
    return picture, cover, half + down / GSD, half + right / GSD, float(angle)


def make_pairs(
    network: LocalizationModel,
    photograph: Photograph,
    out: Path,
    views: int,
    tiles: int,
    random: np.random.Generator,
) -> list[tuple[Any, ...]]:
    """Write the pairs of a photograph; their rows of the manifest."""
    name = f"{photograph.source}_{photograph.name}"
    shares = estimate_shares(network, photograph)
    landcover = complete_landcover(shares, photograph.gsd)
    if (landcover == ids.ROAD).mean() <= 0.02 or name.startswith(WITHOUT_STREETS):
        return []
    sure = np.take_along_axis(shares, landcover[None].astype(np.int64) - 1, axis=0)[0] >= SURE
    known = np.where(sure, landcover, 0).astype(np.uint8)
    try:
        rendered = render_views(landcover, photograph.gsd, views, random)
    except InputError:  # no road is long enough
        return []
    pairs: list[tuple[Any, ...]] = []
    for number, (view, place) in enumerate(rendered):
        for part in range(tiles):
            tile = cut_tile(photograph, known, place, random)
            if tile is None:
                break
            picture, cover, row, col, angle = tile
            pair = f"{name}-{number}-{part}"
            street = recolour(view, random) if random.random() < 0.6 else view.image
            files = f"overhead/{pair}.jpg", f"street/{pair}.jpg", f"landcover/{pair}.png"
            picture.save(out / files[0], quality=92)
            Image.fromarray(street).save(out / files[1], quality=92)
            cover.save(out / files[2])
            pairs.append((pair, *files, row, col, GSD, -angle % 360))
    return pairs


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pairs; exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("open", type=Path, help="folder of the open sets")
    parser.add_argument("--weights", default="synthcity", help="network that reads photographs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=3, help="of a photograph, at most")
    parser.add_argument("--tiles", type=int, default=3, help="of a street view, at most")
    arguments = parser.parse_args(argv)
    network = load_model(arguments.weights).eval()
    out: Path = arguments.out
    for name in ("overhead", "street", "landcover", "rows"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for photograph in track(list(read_photographs(arguments.open)), "places"):
        name = f"{photograph.source}_{photograph.name}"
        rows = out / "rows" / f"{name}.json"
        if not rows.exists():
            random = np.random.default_rng(zlib.crc32(name.encode()))
            pairs = make_pairs(network, photograph, out, arguments.views, arguments.tiles, random)
            write_text(rows, json.dumps(pairs))
    found = [
        pair
        for path in sorted((out / "rows").glob("*.json"))
        for pair in json.loads(path.read_text())
    ]
    pandas.DataFrame(found, columns=list(COLUMNS)).to_csv(out / "manifest.csv", index=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
