"""What a SynthCity is made from, and the pieces that it is made in."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cvsegguide.errors import InputError
from cvsegguide.synth.cameras import RIGS
from cvsegguide.synth.styles import PHOTOGRAPHS

EDITION = 4
"""Of the content: raised when the same settings give other bytes. In 1 the validation city was the
training city of the next seed, and plans and leaves were drawn by other random numbers; in 2 labels
were packed otherwise; in 3 the cameras' grain was drawn by other random numbers."""

MARGIN = 256
"""Pixels of the city around a chunk that its photographs and street views see."""

SEED_LIMIT = 1 << 40
"""Seeds of a data set lie below."""

SPLITS = ("train", "val", "test")


def split_seed(seed: int, split: str) -> int:
    """Seed of the city that a split of a data set is made from.

    The splits take ranges of their own, so no two pairs of seed and split share a city: the
    training city of any data set is unseen by the weights that were chosen on another's validation
    city.

    Args:
        seed: Of the data set, 0 to 2^40.
        split: One of :data:`SPLITS`; the training city has the data set's own seed.
    """
    return SPLITS.index(split) * SEED_LIMIT + seed


@dataclass(frozen=True)
class Settings:
    """What a SynthCity is made from; written to ``synthcity.json``.

    Attributes:
        seed: Of the data set; :func:`split_seed` makes those of its cities from it.
        tiles, validation, test: Numbers of tiles.
        town: Tiles along the side of a town. Each town is a city of its own seed and style.
        panoramas: Most panoramas that are taken within a tile; 0 = as the cameras come.
        size: ``(h, w)`` of a street view, whose pixels are square.
        fov: Its degrees from left to right.
        rig: Name of a camera rig, see :data:`~cvsegguide.synth.cameras.RIGS`.
        photographs: One of :data:`~cvsegguide.synth.styles.PHOTOGRAPHS`.
    """

    seed: int
    tiles: int
    validation: int = 0
    test: int = 0
    town: int = 4
    panoramas: int = 0
    size: tuple[int, int] = (128, 512)
    fov: float = 360.0
    rig: str = "car"
    photographs: str = "plausible"

    @property
    def extent(self) -> tuple[float, float]:
        """Degrees of a street view, ``(vertical, horizontal)``."""
        return self.fov * self.size[0] / self.size[1], self.fov


@dataclass(frozen=True)
class Chunk:
    """A piece of a town that is made at once.

    Attributes:
        folder, city: Root of the data set and folder of the city in it.
        index: Number of the chunk within its city.
        town: Number of the town, and its seed.
        x, y: Slippy numbers of the town's north-western tile.
        tiles: ``(row, col)`` of the tiles within the town.
    """

    folder: str
    city: str
    index: int
    town: int
    town_seed: int
    x: int
    y: int
    tiles: tuple[tuple[int, int], ...]

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the first tile within the town."""
        return min(i for i, _ in self.tiles), min(j for _, j in self.tiles)

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles down and across."""
        row, col = self.corner
        return max(i for i, _ in self.tiles) - row + 1, max(j for _, j in self.tiles) - col + 1


def check_settings(settings: Settings) -> None:
    """Raise :class:`InputError` for settings that make nothing."""
    if not 0 <= settings.seed < SEED_LIMIT:
        raise InputError(f"must lie in 0..2^40, got {settings.seed}", parameter="seed")
    for name, low in (("tiles", 1), ("validation", 0), ("test", 0), ("panoramas", 0)):
        if getattr(settings, name) < low:
            raise InputError(
                f"must be at least {low}, got {getattr(settings, name)}", parameter=name
            )
    if not 1 <= settings.town <= 64:
        raise InputError(f"must lie in 1..64 tiles, got {settings.town}", parameter="town")
    check_choice("rig", settings.rig, RIGS)
    check_choice("photographs", settings.photographs, PHOTOGRAPHS)
    if min(settings.size) < 8 or max(settings.size) > 16384:
        raise InputError(
            f"sides must lie in 8..16384 pixels, got {settings.size}", parameter="size"
        )
    if not 0 < settings.fov <= 360:
        raise InputError(f"must lie in (0, 360] degrees, got {settings.fov:g}", parameter="fov")
    if settings.extent[0] > 180:
        raise InputError(
            f"{settings.fov:g} degrees in {settings.size[1]} columns reach beyond the poles in so "
            "many rows",
            parameter="size",
        )


def check_choice(parameter: str, value: str, choices: Iterable[str]) -> None:
    """Raise :class:`InputError` for a word that is none of the choices."""
    if value not in choices:
        raise InputError(
            f"there is no '{value}'; there are {', '.join(choices)}", parameter=parameter
        )


def check_new_folder(folder: Path) -> None:
    """Raise :class:`InputError` unless a folder is empty or can be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder")
