"""Open aerial photographs, and which land-cover classes each of their pixels may have.

No open set labels all classes. What each does know is written as the *set of classes* that a pixel
may have, a bit a class (bit ``id - 1``), so that one loss serves all of them: minus the logarithm
of the probability of the set. Where nothing is known the set holds every class but railroad.

The sets, below one folder: ``naip_urban_tree`` (Ventura et al. 2024, CC BY 4.0; imagery NAIP),
``santa_monica_roads`` (pavement of the city over the same imagery), ``dubai_mbrsc`` (CC0),
``oam_fair_buildings`` (OpenAerialMap, CC BY 4.0; OpenStreetMap, ODbL), ``ucmerced`` (Yang and
Newsam 2010; imagery USGS, public domain).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cvsegguide.io.images import read_image

TREE, GRASS, SOIL, WATER, BUILDING, ROAD, PAVED, RAILROAD = (1 << bit for bit in range(8))
VEGETATION = TREE | GRASS
ANY = 255 - RAILROAD

SCENES = {
    "agricultural": GRASS | SOIL,
    "chaparral": VEGETATION | SOIL,
    "forest": TREE,
    "runway": ROAD | PAVED | GRASS | SOIL,
    "freeway": ROAD | PAVED | VEGETATION | SOIL,
    "overpass": ROAD | PAVED | VEGETATION | SOIL,
    "parkinglot": PAVED | ROAD | VEGETATION,
    "river": WATER | VEGETATION | SOIL,
    "intersection": ANY & ~WATER,
    "buildings": ANY & ~WATER,
    "denseresidential": ANY,
    "mediumresidential": ANY & ~WATER,
    "mobilehomepark": ANY,
    "sparseresidential": ANY,
}
"""Scenes of UC Merced -> classes that their pixels may have."""

PAVEMENT_SCENES = ("freeway", "overpass", "intersection", "runway", "parkinglot")
"""Scenes whose grey pixels are pavement, not soil."""

GREEN_SCENES = ("forest", "agricultural", "chaparral", "river")
"""Scenes whose colours say nothing about what is paved."""


@dataclass(frozen=True)
class Photograph:
    """One aerial photograph.

    Attributes:
        source: ``naip``, ``santa_monica``, ``dubai``, ``oam`` or ``ucmerced``.
        name: Unique within the source.
        image: ``(H, W, 3)`` uint8.
        allowed: ``(H, W)`` uint8, the bits of the classes that a pixel may have.
        gsd: Metres per pixel.
    """

    source: str
    name: str
    image: NDArray[np.uint8]
    allowed: NDArray[np.uint8]
    gsd: float


def read_photographs(root: Path) -> Iterator[Photograph]:
    """All photographs below the folder of the open sets."""
    yield from _california(root)
    yield from _dubai(root / "dubai_mbrsc")
    yield from _drones(root / "oam_fair_buildings")
    yield from _scenes(root / "ucmerced")


def _california(root: Path) -> Iterator[Photograph]:
    """Vegetation by NDVI, trees by points; in Santa Monica streets from kerb to kerb."""
    trees: dict[str, list[tuple[float, float]]] = {}
    with (root / "naip_urban_tree" / "trees.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            trees.setdefault(row["name"], []).append((float(row["x_px"]), float(row["y_px"])))
    for path in sorted((root / "naip_urban_tree" / "rgb").glob("*.jpg")):
        image = read_image(path)
        infrared = np.asarray(Image.open(root / "naip_urban_tree" / "nir" / path.name).convert("L"))
        allowed = _vegetation(image, infrared.astype(np.float32), trees.get(path.stem, []))
        streets = root / "santa_monica_roads" / f"{path.stem}.png"
        if not streets.exists():
            yield Photograph("naip", path.stem, image, allowed, 0.6)
            continue
        labels = np.asarray(Image.open(streets))
        if not path.stem.endswith("_41"):  # whose streets are not known
            beside = ~ndimage.binary_dilation(labels == 6, iterations=3)
            allowed[(allowed & VEGETATION == 0) & beside] &= 255 - ROAD
        image = read_image(streets.with_suffix(".jpg"))
        yield Photograph("santa_monica", path.stem, image, _add_labels(labels, allowed), 0.6)
    for path in sorted((root / "santa_monica_roads").glob("santa_monica_2016*.jpg")):
        labels = np.asarray(Image.open(path.with_suffix(".png")))
        allowed = _add_labels(labels, np.full(labels.shape, ANY, np.uint8))
        yield Photograph("santa_monica", path.stem, read_image(path), allowed, 0.6)


def _vegetation(
    image: NDArray[np.uint8], infrared: NDArray[np.float32], trees: list[tuple[float, float]]
) -> NDArray[np.uint8]:
    red = image[..., 0].astype(np.float32)
    ndvi = ndimage.gaussian_filter((infrared - red) / (infrared + red + 1.0), 0.7)
    seeds = np.ones(red.shape, bool)
    for x, y in trees:
        seeds[min(max(int(y), 0), len(red) - 1), min(max(int(x), 0), red.shape[1] - 1)] = False
    apart = ndimage.distance_transform_edt(seeds) if trees else np.full(red.shape, np.inf)
    allowed = np.full(red.shape, ANY, np.uint8)
    green, bare = ndvi > 0.16, ndvi < 0.06
    allowed[green] = VEGETATION
    allowed[green & (apart < 5)] = TREE
    allowed[bare] = ANY & ~VEGETATION
    allowed[bare & (infrared < 40) & (red < 60)] |= TREE  # crowns in shade
    return allowed


def _add_labels(labels: NDArray[np.uint8], allowed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    allowed = allowed.copy()
    for value, classes in ((1, TREE), (2, VEGETATION), (6, ROAD)):
        allowed[labels == value] = classes
    return allowed


def _dubai(folder: Path) -> Iterator[Photograph]:
    """Parts of some 220 m; one in eight, since they look alike."""
    for path in sorted(folder.glob("*.jpg")):
        image, labels = read_image(path), np.asarray(Image.open(path.with_suffix(".png")))
        allowed = np.full(labels.shape, ANY, np.uint8)
        # in two tiles whole rows of gardens are marked as buildings
        houses = ANY & ~ROAD if path.stem[4] in "47" else BUILDING
        known = ((2, VEGETATION), (3, SOIL | PAVED), (4, WATER), (5, houses), (6, ROAD))
        for value, classes in known:
            allowed[labels == value] = classes
        side = 220
        corners = [
            (top, left)
            for top in range(0, labels.shape[0] - side // 2, side)
            for left in range(0, labels.shape[1] - side // 2, side)
        ]
        for top, left in corners[::8]:
            part = np.s_[top : top + side, left : left + side]
            name = f"{path.stem}_{top}_{left}"
            yield Photograph("dubai", name, image[part], allowed[part], 1.0)


def _drones(folder: Path) -> Iterator[Photograph]:
    """Masks of roofs; one that is nearly empty may not have been mapped."""
    for path in sorted((folder / "images").glob("*.jpg")):
        mask = read_image(next((folder / "masks").glob(f"{path.stem}.*")))[..., 0] > 127
        if mask.mean() <= 0.02:
            continue
        allowed = np.full(mask.shape, ANY, np.uint8)
        allowed[~ndimage.binary_dilation(mask, iterations=8)] = ANY & ~BUILDING
        allowed[ndimage.binary_erosion(mask, iterations=3)] = BUILDING
        gsd = 0.298 if path.stem.endswith("-19") else 0.149
        yield Photograph("oam", path.stem, read_image(path), allowed, gsd)


def _scenes(folder: Path) -> Iterator[Photograph]:
    """What a scene holds; grey pixels are no vegetation, green ones are."""
    for path in sorted(folder.rglob("*.jpg")):
        scene, image = path.parent.name, read_image(path)
        allowed = np.full(image.shape[:2], SCENES[scene], np.uint8)
        if scene not in GREEN_SCENES:
            smooth = ndimage.gaussian_filter(image.astype(np.float32), (1, 1, 0))
            total = smooth.sum(axis=-1) + 1.0
            excess = (3.0 * smooth[..., 1] - total) / total
            brightest = smooth.max(axis=-1)
            chroma = (brightest - smooth.min(axis=-1)) / (brightest + 1.0)
            grey = (excess < 0.0) & (chroma < 0.14) & (total > 225)
            allowed[grey] &= 255 - (VEGETATION | (SOIL if scene in PAVEMENT_SCENES else 0))
            plants = allowed & VEGETATION
            green = (excess > 0.07) & (plants > 0)
            allowed[green] = plants[green]
        yield Photograph("ucmerced", path.stem, image, allowed, 0.3)
