"""Trees in the layout of VIGOR from arithmetic."""

import math
from collections.abc import Sequence
from pathlib import Path

from cvsegguide.data.vigor import GSD
from helpers.files import write_picture

RADIUS = 6378137.0
CENTERS = {
    "Chicago": (41.9, -87.65),
    "NewYork": (40.75, -73.98),
    "SanFrancisco": (37.77, -122.42),
    "Seattle": (47.61, -122.33),
}


def vigor_line(city: str, number: int) -> tuple[str, list[tuple[str, float, float]]]:
    """A panorama and its four tiles (name, row, column at 640): positions from arithmetic.

    The camera stands at (200 + number, 300) of the positive; the others lie 320 pixels north,
    west, and north-west of it. In every fifth line the last tile lies 400 pixels off instead.
    """
    lat, lon = CENTERS[city]
    degree = math.degrees(GSD[city] / RADIUS)
    lat += 0.01 * number
    row, col = 200.0 + number, 300.0
    across = degree / math.cos(math.radians(lat))
    pano = f"id{number},{lat + (320 - row) * degree:.9f},{lon + (col - 320) * across:.9f},.jpg"
    far = 400 if number % 5 == 4 else 320
    tiles = []
    for north, west in ((0, 0), (320, 0), (0, 320), (far, far)):
        name = f"satellite_{lat + north * degree:.10f}_{lon - west * across:.10f}.png"
        tiles.append((name, row + north, col + west))
    return pano, tiles


def make_vigor(
    root: Path,
    count: int = 10,
    pictures: int = 0,
    labels: Sequence[str] = ("corrected", "original"),
) -> None:
    """Lists of four cities; the original labels are a pixel off.

    Args:
        root: Folder to write to.
        count: Panoramas of each city, half of them for training.
        pictures: How many tiles of each line get a picture; their panorama gets one, too.
        labels: Kinds of lists.
    """
    for city in CENTERS:
        for kind in labels:
            lines = []
            for number in range(count):
                pano, tiles = vigor_line(city, number)
                shift = 320 - (kind == "original")
                entries = [f"{name} {row - shift:.1f} {320 - col:.1f}" for name, row, col in tiles]
                lines.append(" ".join([pano, *entries]) + "\n")
                if pictures:
                    write_picture(root / city / "panorama" / pano, 256, 128, (10, 200, 30))
                for name, _, _ in tiles[:pictures]:
                    write_picture(root / city / "satellite" / name, 640, 640, (10, 200, 30))
            suffix = "__corrected" if kind == "corrected" else ""
            place = root / f"splits{suffix}" / city
            place.mkdir(parents=True)
            for name, part in (
                ("same_area_balanced_train", lines[: count // 2]),
                ("same_area_balanced_test", lines[count // 2 :]),
                ("pano_label_balanced", lines),
            ):
                (place / f"{name}{suffix}.txt").write_text("".join(part))
