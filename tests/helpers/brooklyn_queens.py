"""Brooklyn & Queens trees for tests: one from arithmetic, one from the three published samples.

Both follow the layout of the data set to the letter (names, text files, label kinds, two kinds of
sparse height files) and return the truth that they were made from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ZOOM = 19
FIRST_TILE = {"brooklyn": (154446, 197216), "queens": (154514, 197033)}
"""Slippy ``(x, y)`` of the first tile made in each city: real places at zoom 19."""

US_SURVEY_FOOT = 1200 / 3937
"""Metres."""

BUILDING_FEET = 40.0
"""Height of the buildings of an arithmetic tree."""

GRASS, SOIL, BUILDING, ROAD, IMPERVIOUS = 2, 3, 5, 6, 7
_COLORS = np.array(
    [
        [0, 0, 0],
        [40, 110, 20],
        [150, 200, 100],
        [190, 160, 110],
        [60, 130, 210],
        [190, 70, 60],
        [90, 90, 96],
        [190, 184, 176],
        [130, 90, 150],
    ],
    dtype=np.uint8,
)
_SATURATED = (252, 254, 164)
_SAMPLE_CLASSES = {
    (0, 0, 3): 1,
    (120, 28, 109): 5,
    (237, 104, 37): 6,
    (252, 254, 164): 7,
}


@dataclass(frozen=True)
class Pair:
    """What a sample of the tree must say.

    Attributes:
        city, tile, panorama: City and file names as in ``images.txt``.
        lon, lat: Position of the camera as written to ``locations.txt``.
        row, col: The same in pixels of the 256 x 256 tile.
    """

    city: str
    tile: str
    panorama: str
    lon: float
    lat: float
    row: float
    col: float


def tile_lonlat(x: int, y: int, row: float, col: float, size: int = 256) -> tuple[float, float]:
    """``(lon, lat)`` of a position in pixels of a zoom-19 tile, straight from Web Mercator."""
    count = 1 << ZOOM
    lon = (x + col / size) / count * 360 - 180
    lat = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * (y + row / size) / count))))
    return lon, lat


def arithmetic_landcover(index: int = 0, size: int = 256) -> NDArray[np.uint8]:
    """``(size, size)`` ids: a street crossing, a building in each corner, grass, soil, a tree.

    The streets run along row and column ``size / 2`` and are ``size / 8`` wide; ``index`` changes
    how large the north-western building is, so that tiles differ.
    """
    cover = np.full((size, size), IMPERVIOUS, np.uint8)
    unit = size // 16
    corner = (4 + index % 3) * unit
    cover[unit : unit + corner, unit : unit + corner] = BUILDING
    cover[unit : 5 * unit, -5 * unit : -unit] = BUILDING
    cover[-6 * unit : -unit, unit : 4 * unit] = BUILDING
    cover[-4 * unit : -unit, -5 * unit : -2 * unit] = BUILDING
    cover[-unit:, :] = GRASS
    cover[:unit, : size // 2] = SOIL
    cover[:, 7 * unit : 9 * unit] = ROAD
    cover[7 * unit : 9 * unit, :] = ROAD
    cover[5 * unit : 6 * unit, 10 * unit : 11 * unit] = 1
    cover[0, 0] = 0
    return cover


def draw_panorama(height: int, width: int) -> NDArray[np.uint8]:
    """``(height, width, 3)``: sky over ground, with walls of four colours around."""
    walls = np.array([(200, 60, 50), (60, 160, 70), (60, 80, 200), (210, 180, 60)], np.uint8)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = walls[np.arange(width) * 4 // width]
    picture[: 3 * height // 8] = (170, 200, 235)
    picture[5 * height // 8 :] = (90, 90, 96)
    return picture


def make_tree(
    root: Path,
    cities: Sequence[str] = ("brooklyn", "queens"),
    tiles: int = 2,
    panoramas: int = 2,
    street_size: tuple[int, int] = (208, 416),
    bboxes: bool = True,
    outside: bool = True,
) -> list[Pair]:
    """Write a tree in the layout of Brooklyn & Queens from arithmetic.

    Tile i of a city lies at ``(x + i % 4, y + i // 4)``; panorama j of tile i stands on its
    north-south street at row ``256 * (2 j + 1) / (2 panoramas)``, column ``128 + i % 5 - 2``.
    Heights alternate between the files of ``scipy.sparse`` and of ``sparse``.

    Args:
        root: Folder to write to; made when absent.
        cities: Any of ``brooklyn`` and ``queens``.
        tiles, panoramas: Tiles per city, panoramas per tile.
        street_size: ``(h, w)`` of the panoramas; 2:1 is a full one, 4:1 its middle half.
        bboxes: Whether to write ``bboxes.txt``.
        outside: Whether one more panorama of each city lies outside of every tile.

    Returns:
        The pairs in the order of tiles, then panoramas.
    """
    pairs = []
    for city in cities:
        first_x, first_y = FIRST_TILE[city]
        made = []
        names = []
        for index in range(tiles):
            x, y = first_x + index % 4, first_y + index // 4
            names.append((x, y))
            cover = arithmetic_landcover(index)
            tile = f"{ZOOM}/{x}/{y}.jpg"
            _save(root / city / "overhead/images" / tile, _COLORS[cover])
            _write_labels(root / city / "labels", x, y, cover, index)
            for number in range(panoramas):
                row = 256 * (2 * number + 1) / (2 * panoramas)
                col = 128.0 + index % 5 - 2
                lon, lat = (round(value, 9) for value in tile_lonlat(x, y, row, col))
                made.append(Pair(city, tile, panorama_name(lon, lat), lon, lat, row, col))
                full = draw_panorama(street_size[1] // 2, street_size[1])
                margin = (full.shape[0] - street_size[0]) // 2
                picture = full[margin : margin + street_size[0]]
                _save(root / city / "streetview/images" / made[-1].panorama, picture)
        _write_lists(root / city, names, [(pair.lon, pair.lat) for pair in made], bboxes)
        if outside:
            lon, lat = tile_lonlat(first_x - 5, first_y, 100, 100)
            add_panorama(root / city, round(lon, 9), round(lat, 9), street_size)
        pairs += made
    return pairs


def make_sample_tree(
    root: Path, shared: Path, cities: Sequence[str] = ("brooklyn", "queens")
) -> list[Pair]:
    """Write the three published samples in the layout of Brooklyn & Queens.

    Each city gets the same three: tiles side by side at 256 x 256, land cover as ids (everything
    that is not tree, building or road becomes 7, other impervious), and the street view at +-45
    degrees, 1000 x 4000. The camera is the centroid of the saturated pixels of the published
    sightline picture. Never write it into the repository: the pictures may not be redistributed.
    """
    pairs = []
    for city in cities:
        first_x, y = FIRST_TILE[city]
        made = []
        names = []
        for number in (1, 2, 3):
            x = first_x + number - 1
            names.append((x, y))
            tile = f"{ZOOM}/{x}/{y}.jpg"
            source = shared / "real" / "bq_samples" / f"Sample{number}"
            aerial = Image.open(f"{source}_Aerial.png").convert("RGB")
            small = aerial.resize((256, 256), Image.Resampling.BOX)
            _save(root / city / "overhead/images" / tile, np.asarray(small))
            label = root / city / "labels/landcover" / tile
            _save(label.with_suffix(".png"), _sample_landcover(f"{source}_LandCover.png"))
            row, col = sample_position(Path(f"{source}_Sightline.png"))
            lon, lat = tile_lonlat(x, y, row, col)
            made.append(Pair(city, tile, panorama_name(lon, lat), lon, lat, row, col))
            street = Image.open(f"{source}_Street.png").convert("RGB")
            _save(root / city / "streetview/images" / made[-1].panorama, np.asarray(street))
        _write_lists(root / city, names, [(pair.lon, pair.lat) for pair in made], True)
        pairs += made
    return pairs


def sample_position(sightline: Path) -> tuple[float, float]:
    """``(row, col)`` of the camera in the 256 x 256 tile: centroid of the saturated pixels."""
    picture = np.asarray(Image.open(sightline).convert("RGB"))
    rows, cols = np.nonzero((picture == _SATURATED).all(-1))
    scale = 256 / picture.shape[0]
    return float((rows.mean() + 0.5) * scale), float((cols.mean() + 0.5) * scale)


def add_panorama(city: Path, lon: float, lat: float, size: tuple[int, int]) -> str:
    """A black panorama more, at a position that is written in full; returns its name."""
    name = panorama_name(lon, lat)
    _save(city / "streetview/images" / name, np.zeros((*size, 3), np.uint8))
    for file, line in (("images", name), ("locations", f"{lat!r},{lon!r}")):
        with (city / "streetview" / f"{file}.txt").open("a") as lines:
            lines.write(f"{line}\n")
    return name


def panorama_name(lon: float, lat: float) -> str:
    """``LAT/LON/LAT_LON.jpg`` as in the data set: three decimals cut off, six rounded."""
    folder = f"{int(lat * 1000) / 1000}/{int(lon * 1000) / 1000}"
    return f"{folder}/{round(lat, 6)}_{round(lon, 6)}.jpg"


def _sample_landcover(path: str) -> NDArray[np.uint8]:
    picture = np.asarray(Image.open(path).convert("RGB"))
    nearest = ((np.arange(256) + 0.5) * picture.shape[0] / 256).astype(int)
    picture = picture[nearest][:, nearest]
    cover = np.zeros((256, 256), np.uint8)
    for color, value in _SAMPLE_CLASSES.items():
        cover[(picture == color).all(-1)] = value
    assert (cover > 0).all(), f"{path}: a colour that stands for no class"
    return cover


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        Image.fromarray(pixels).save(path, quality=92, subsampling=0)
    else:
        Image.fromarray(pixels).save(path)


def _write_labels(folder: Path, x: int, y: int, cover: NDArray[np.uint8], index: int) -> None:
    building = cover == BUILDING
    rasters = {
        "landcover": cover,
        "landuse": np.where(building, 3 + index % 10, 1),
        "age": np.where(building, 2 + index % 13, index % 2),
        "function": np.where(building, 207 - index % 100, 0),
    }
    for kind, raster in rasters.items():
        _save(folder / kind / f"{ZOOM}/{x}/{y}.png", raster.astype(np.uint8))
    rows, cols = np.nonzero(building)
    feet = np.full(len(rows), BUILDING_FEET, np.float32)
    path = folder / "height" / f"{ZOOM}/{x}/{y}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if index % 2:
        np.savez_compressed(
            path,
            data=feet,
            coords=np.stack([rows, cols]),
            shape=np.array(cover.shape),
            fill_value=np.float32(0),
        )
    else:
        from scipy import sparse

        sparse.save_npz(path, sparse.coo_matrix((feet, (rows, cols)), shape=cover.shape))


def _write_lists(
    city: Path,
    tiles: Sequence[tuple[int, int]],
    lonlat: Sequence[tuple[float, float]],
    bboxes: bool,
) -> None:
    def write(name: str, lines: Sequence[str]) -> None:
        (city / name).write_text("".join(f"{line}\n" for line in lines))

    names = [f"{ZOOM}/{x}/{y}.jpg" for x, y in tiles]
    middles = [tile_lonlat(x, y, 128, 128) for x, y in tiles]
    write("overhead/images.txt", names)
    write("overhead/locations.txt", [f"{lat:.9f},{lon:.9f}" for lon, lat in middles])
    if bboxes:
        lines = []
        for name, (x, y) in zip(names, tiles, strict=True):
            west, north = tile_lonlat(x, y, 0, 0)
            east, south = tile_lonlat(x, y, 256, 256)
            lines.append(f"{name},{south:.9f},{west:.9f},{north:.9f},{east:.9f}")
        write("overhead/bboxes.txt", lines)
    write("streetview/images.txt", [panorama_name(lon, lat) for lon, lat in lonlat])
    write("streetview/locations.txt", [f"{lat:.9f},{lon:.9f}" for lon, lat in lonlat])
