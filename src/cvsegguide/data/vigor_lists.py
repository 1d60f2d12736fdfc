"""The lists of VIGOR: lines of pairs, coordinates in names, and the panoramas for validation."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from cvsegguide.data.lists import AddFinding, is_inside, parse_numbers, read_rows, refuse
from cvsegguide.errors import DatasetError, InputError
from cvsegguide.io.atomic import write_text

logger = logging.getLogger(__name__)

SIZE = 640
"""Side of a satellite tile, in whose pixels the offsets are given."""

VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Line:
    """A line of a list of pairs.

    Attributes:
        number: Of the line, from 1.
        panorama: Its name.
        tiles: Names of its tiles, the positive first, then the semi-positives.
        offsets: ``(dRow, dCol)`` of each.
    """

    number: int
    panorama: str
    tiles: tuple[str, ...]
    offsets: tuple[tuple[float, ...], ...]


def read_lines(path: Path, add: AddFinding) -> list[Line]:
    """The lines of a list that can be used; ``add`` takes what is wrong with the others."""
    lines = []
    for number, text in read_rows(path, add):
        name, *entries = text.split()
        tiles = tuple(entries[::3])
        try:
            if not entries or len(entries) % 3 or not all(map(is_inside, (name, *tiles))):
                raise ValueError(
                    "expected a panorama and then satellite, dRow and dCol for each of its tiles, "
                    f"got '{text[:80]}'"
                )
            _check_places(name, tiles)
            offsets = tuple(
                parse_numbers(entries[3 * rank + 1 : 3 * rank + 3], 2) for rank in range(len(tiles))
            )
        except ValueError as error:
            add("malformed", path, f"line {number}: {error}", name)
            continue
        lines.append(Line(number, name, tiles, offsets))
    return lines


def list_panoramas(path: Path) -> list[str]:
    """Panoramas that a list of pairs names, whatever else is wrong with its lines."""
    return [text.split()[0] for _, text in read_rows(path, refuse())]


def _check_places(panorama: str, tiles: tuple[str, ...]) -> None:
    try:
        panorama_lonlat(panorama)
        for tile in tiles:
            satellite_lonlat(tile)
    except ValueError:
        names = " ".join((panorama, *tiles))[:80]
        raise ValueError(
            f"names are ID,lat,lon,.jpg and satellite_lat_lon.png, got '{names}'"
        ) from None


def panorama_lonlat(name: str) -> tuple[float, float]:
    """``(lon, lat)`` out of ``ID,lat,lon,.jpg``; ValueError when there are none."""
    _, lat, lon, *_ = name.split(",")
    return _on_earth(lon, lat)


def satellite_lonlat(name: str) -> tuple[float, float]:
    """``(lon, lat)`` of a tile's centre out of ``satellite_lat_lon.png``; ValueError as above."""
    _, lat, lon = name.rsplit(".", 1)[0].split("_")
    return _on_earth(lon, lat)


def _on_earth(lon: str, lat: str) -> tuple[float, float]:
    place = float(lon), float(lat)
    if not (abs(place[0]) < 180 and abs(place[1]) < 90):  # NaN is not, either
        raise ValueError("no place on earth")
    return place


def read_validation(path: Path, panoramas: list[str], seed: int, keep: bool) -> set[str]:
    """Panoramas for validation: as the file says, or chosen out of all that are listed.

    Args:
        path: The file.
        panoramas: Names in the original lists.
        seed: Chooses.
        keep: Whether the lists are those of all cities, so that the file must agree with them, and
            is written where there is none.
    """
    if path.exists():
        listed = {line for _, line in read_rows(path, refuse()) if not line.startswith("#")}
        unknown = len(listed.difference(panoramas)) if keep else 0
        if unknown:
            raise DatasetError(
                f"{path}: names {unknown} panoramas that are not in the training lists; it "
                "belongs to other data (remove it or give split_folder)"
            )
        return listed
    # By each name alone, so that a part of the cities gets its part of the list.
    limit = round(VALIDATION_SHARE * 2**64)

    def is_low(name: str) -> bool:
        value = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
        return int.from_bytes(value, "big") < limit

    chosen = set(filter(is_low, panoramas))
    if keep:
        head = f"# validation panoramas of VIGOR: {VALIDATION_SHARE:.0%} of training, seed {seed}"
        try:
            write_text(path, "\n".join([head, *sorted(chosen)]) + "\n")
        except InputError as error:
            logger.warning("the validation list is not kept: %s", error)
    return chosen
