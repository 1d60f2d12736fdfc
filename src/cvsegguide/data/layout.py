"""Trees in the layout of Brooklyn & Queens: their cities."""

from os import PathLike
from pathlib import Path

from cvsegguide.data.lists import require_folder
from cvsegguide.errors import DatasetError

LIST = Path("overhead") / "images.txt"
"""The file that makes a folder a city."""

DECIMALS = 6
"""Places to which positions and boxes of Brooklyn & Queens were published."""


def find_cities(root: Path) -> dict[str, Path]:
    """Cities of a tree, even damaged ones: its subfolders with an overhead folder, or the root."""
    if (root / LIST).is_file():
        return {root.resolve().name: root}
    return {
        child.name: child
        for child in sorted(root.iterdir())
        if (child / LIST).is_file() or (child / "overhead" / "images").is_dir()
    }


def city_folders(root: str | PathLike[str], city: str | None = None) -> dict[str, Path]:
    """The cities of a tree, or only the one that is named.

    Raises:
        DatasetError: The root is no folder, or there is no such city in it.
    """
    root = require_folder(root, "the root of a tree")
    if city is not None:
        if not (root / city / LIST).is_file():
            raise DatasetError(f"{root / city / LIST}: no such file (is '{city}' a city of it?)")
        return {city: root / city}
    found = find_cities(root)
    if not found:
        raise DatasetError(
            f"{root}: no folder in it has {LIST.as_posix()} (the layout of Brooklyn & Queens)"
        )
    return found
