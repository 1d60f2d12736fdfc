"""``python scripts/make_app_examples.py``: make the pairs of :mod:`cvsegguide.app.uploads`.

The seed is one of those that are kept for demonstrations: no weights are trained on them. The
places were chosen for variety, and one because the network errs there.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.app.uploads import FOLDER
from cvsegguide.geo import GeoReference

SEED, TILES, TOWN = 990_101, 32, 2
_TILE = 256


@dataclass(frozen=True)
class Choice:
    """A place of the city.

    Attributes:
        name, title, note: For files and the page.
        view: Row of ``manifest.csv``.
        tiles: ``(x, y)`` of the north-western tile and how many a side; None: the view's own.
        turn: Azimuth that the centre of the picture is turned to.
        fov: Degrees that are cut out around it.
        unknown: Whether the page is preset to an unknown heading.
    """

    name: str
    title: str
    note: str
    view: int
    tiles: tuple[int, int, int] | None = None
    turn: float = 0.0
    fov: float = 360.0
    unknown: bool = False


CHOICES = (
    Choice("roundabout", "Roundabout", "a full panorama, north in its middle", 38),
    Choice("pond", "Park with a pond", "four tiles at once, 116 m a side", 66, (189326, 197061, 2)),
    Choice("corner", "Narrow view", "120° towards the north-west, not all around", 24,
           turn=315.0, fov=120.0),
    Choice("compass", "No compass", "a turned panorama, heading unknown", 104, turn=147.0,
           unknown=True),
    Choice("avenue", "Long avenue", "alike all along", 98),
)  # fmt: skip


def make(folder: Path) -> None:
    """Make the city in a temporary folder and write the pairs into ``folder``."""
    from cvsegguide.synth import generate

    with tempfile.TemporaryDirectory() as temporary:
        generate(temporary, tiles=TILES, seed=SEED, town=TOWN)
        city = Path(temporary) / "brooklyn"
        table = pd.read_csv(city / "manifest.csv")
        examples = [_write(folder, city, table, choice) for choice in CHOICES]
    text = json.dumps(examples, indent=1)
    (folder / "examples.json").write_text(text + "\n", encoding="utf-8")


def _write(folder: Path, city: Path, table: pd.DataFrame, choice: Choice) -> dict[str, Any]:
    view = table.iloc[choice.view]
    zoom, own_x, own_y = (int(part) for part in Path(view.overhead).with_suffix("").parts[-3:])
    x, y, count = choice.tiles or (own_x, own_y, 1)
    side = count * _TILE
    image = np.zeros((side, side, 3), np.uint8)
    for i in range(count):
        for j in range(count):
            tile = city / f"overhead/images/{zoom}/{x + j}/{y + i}.jpg"
            rows, cols = np.s_[i * _TILE : (i + 1) * _TILE], np.s_[j * _TILE : (j + 1) * _TILE]
            image[rows, cols] = np.asarray(Image.open(tile))
    corner = GeoReference.from_tile(zoom, x, y, _TILE, _TILE)
    reference = GeoReference(corner.crs, corner.transform, side, side)
    _write_overhead(folder / f"{choice.name}-overhead.tif", image, reference)
    Image.fromarray(image).resize((128, 128), Image.Resampling.BOX).save(
        folder / f"{choice.name}.jpg", quality=80
    )

    panorama = np.asarray(Image.open(city / str(view.street)))
    width = panorama.shape[1]
    columns = round(width * choice.fov / 360.0)
    shift = round(width * choice.turn / 360.0)  # whole columns
    turned = np.roll(panorama, -shift, axis=1)
    left = (width - columns) // 2
    Image.fromarray(turned[:, left : left + columns]).save(
        folder / f"{choice.name}-street.jpg", quality=90
    )
    heading = (float(view.heading) + shift * 360.0 / width) % 360.0
    row, col = reference.lonlat_to_rowcol(view.lon, view.lat)
    return {
        "name": choice.name,
        "title": choice.title,
        "note": choice.note,
        "heading": None if choice.unknown else heading,
        "fov": columns * 360.0 / width,
        "row": float(row),
        "col": float(col),
        "true_heading": heading,
    }


def _write_overhead(path: Path, image: NDArray[np.uint8], reference: GeoReference) -> None:
    import rasterio
    from affine import Affine

    with rasterio.open(
        path, "w", driver="GTiff", height=image.shape[0], width=image.shape[1], count=3,
        dtype="uint8", crs=reference.crs, transform=Affine(*reference.transform),
        compress="jpeg", jpeg_quality=88, photometric="ycbcr", tiled=True,
    ) as dataset:  # fmt: skip
        dataset.write(image.transpose(2, 0, 1))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    target.mkdir(parents=True, exist_ok=True)
    make(target)
