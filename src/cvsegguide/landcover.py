"""Land-cover class schemes: ids, names, colours, obstacles and guidance channels.

A scheme is data. The one of the New York City land-cover raster is built in as :data:`NYC`;
another is a small TOML file (see :meth:`ClassScheme.from_file`).

The published models see land cover through four *guidance channels*: tree canopy, building, road
and other impervious; the last one takes in every remaining class (Xavier et al. 2025).
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import ConfigurationError

NO_CHANNEL = 255
"""Entry of :attr:`ClassScheme.channel_lookup` for ids that belong to no guidance channel."""


@dataclass(frozen=True)
class LandCoverClass:
    """One class of a scheme.

    Attributes:
        id: Value in the raster, 0 to 255.
        name: Lower-case English name.
        color: ``(red, green, blue)``, each 0 to 255.
        obstacle: Whether it blocks the view at eye level (a building does).
        channel: Guidance channel that the class is folded into; None for ignored ids.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    obstacle: bool = False
    channel: str | None = None


@dataclass(frozen=True)
class ClassScheme:
    """An ordered set of land-cover classes and how they fold into guidance channels.

    Attributes:
        name: Name of the scheme.
        classes: The classes, ids unique.
        channels: Names of the guidance channels in the order of the model's output, each with
            the class id that stands for it when a prediction is written back as ids.
    """

    name: str
    classes: tuple[LandCoverClass, ...]
    channels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [entry.id for entry in self.classes]
        if len(set(ids)) != len(ids):
            raise ConfigurationError(f"class scheme '{self.name}': two classes share an id")
        if any(not 0 <= value <= 255 for value in ids):
            raise ConfigurationError(f"class scheme '{self.name}': ids must lie in 0..255")
        for entry in self.classes:
            if entry.channel is not None and entry.channel not in self.channels:
                raise ConfigurationError(
                    f"class scheme '{self.name}': class '{entry.name}' names the unknown "
                    f"guidance channel '{entry.channel}'"
                )
        for channel, value in self.channels.items():
            if value not in ids:
                raise ConfigurationError(
                    f"class scheme '{self.name}': guidance channel '{channel}' stands for the "
                    f"unknown id {value}"
                )

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """All ids, in the order of :attr:`classes`."""
        return tuple(entry.id for entry in self.classes)

    @cached_property
    def ignored(self) -> tuple[int, ...]:
        """Ids that belong to no guidance channel (no data)."""
        return tuple(entry.id for entry in self.classes if entry.channel is None)

    @cached_property
    def obstacles(self) -> tuple[int, ...]:
        """Ids that block the line of sight."""
        return tuple(entry.id for entry in self.classes if entry.obstacle)

    @cached_property
    def channel_lookup(self) -> NDArray[np.uint8]:
        """``(256,)`` uint8: id -> index of its guidance channel, 255 for ignored ids."""
        order = list(self.channels)
        lookup = np.full(256, NO_CHANNEL, dtype=np.uint8)
        for entry in self.classes:
            if entry.channel is not None:
                lookup[entry.id] = order.index(entry.channel)
        return lookup

    @cached_property
    def channel_ids(self) -> NDArray[np.uint8]:
        """``(C,)`` uint8: the class id that stands for each guidance channel."""
        return np.array(list(self.channels.values()), dtype=np.uint8)

    @cached_property
    def palette(self) -> NDArray[np.uint8]:
        """``(256, 3)`` uint8: id -> colour, black where the scheme has no class."""
        table = np.zeros((256, 3), dtype=np.uint8)
        for entry in self.classes:
            table[entry.id] = entry.color
        return table

    def by_name(self, name: str) -> LandCoverClass:
        """The class called ``name``; raises :class:`ConfigurationError` when there is none."""
        for entry in self.classes:
            if entry.name == name:
                return entry
        raise ConfigurationError(f"class scheme '{self.name}' has no class '{name}'")

    def fold(self, landcover: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class ids ``(..., H, W)`` to guidance-channel indices, 255 where ignored."""
        return self.channel_lookup[landcover]

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "ClassScheme":
        """Read a scheme from TOML.

        Layout::

            name = "my city"
            [channels]            # guidance channel -> the id that stands for it
            building = 1
            other = 0
            [[classes]]
            id = 1
            name = "building"
            color = [211, 47, 47]
            obstacle = true
            channel = "building"

        Raises:
            ConfigurationError: The file is unreadable, or breaks one of the rules above.
        """
        path = Path(path)
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{path}: not a readable class scheme ({error})") from None
        try:
            classes = tuple(
                LandCoverClass(
                    id=int(entry["id"]),
                    name=str(entry["name"]),
                    color=_color(entry["color"]),
                    obstacle=bool(entry.get("obstacle", False)),
                    channel=entry.get("channel"),
                )
                for entry in table["classes"]
            )
            channels = {str(key): int(value) for key, value in table["channels"].items()}
            return cls(name=str(table.get("name", path.stem)), classes=classes, channels=channels)
        except KeyError as error:
            raise ConfigurationError(f"{path}: entry {error} is missing") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"{path}: {error}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None


def _color(value: object) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("a color is a list of three numbers")
    red, green, blue = (int(part) for part in value)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError("a color's parts must lie in 0..255")
    return red, green, blue


NYC = ClassScheme(
    name="nyc",
    classes=(
        LandCoverClass(0, "no data", (0, 0, 0)),
        LandCoverClass(1, "tree canopy", (38, 115, 0), channel="tree canopy"),
        LandCoverClass(2, "grass/shrub", (163, 214, 110), channel="other impervious"),
        LandCoverClass(3, "bare soil", (196, 164, 116), channel="other impervious"),
        LandCoverClass(4, "water", (64, 140, 214), channel="other impervious"),
        LandCoverClass(5, "building", (204, 78, 66), obstacle=True, channel="building"),
        LandCoverClass(6, "road", (84, 84, 92), channel="road"),
        LandCoverClass(7, "other impervious", (190, 184, 176), channel="other impervious"),
        LandCoverClass(8, "railroad", (128, 90, 150), channel="other impervious"),
    ),
    channels={"tree canopy": 1, "building": 5, "road": 6, "other impervious": 7},
)
"""Land cover of New York City (ids as in the city's 2010 raster), four published channels."""

NYC_CLASSES = ClassScheme(
    name="nyc-classes",
    classes=tuple(
        replace(entry, channel=None if entry.id == 0 else entry.name) for entry in NYC.classes
    ),
    channels={entry.name: entry.id for entry in NYC.classes if entry.id != 0},
)
"""The same raster with every class a channel of its own: what the geometric network predicts."""

SCHEMES = {scheme.name: scheme for scheme in (NYC, NYC_CLASSES)}
"""Built-in schemes by name."""


def scheme_of(channels: Sequence[str]) -> ClassScheme:
    """The built-in scheme whose guidance channels are ``channels``, in this order.

    Raises:
        ConfigurationError: There is none.
    """
    for scheme in SCHEMES.values():
        if tuple(scheme.channels) == tuple(channels):
            return scheme
    raise ConfigurationError(
        f"no built-in class scheme has the channels {', '.join(channels)}: name a TOML file"
    )
