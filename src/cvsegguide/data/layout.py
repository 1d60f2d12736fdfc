"""Trees in the layout of Brooklyn & Queens: their cities, and links as they were published."""

import gzip
import json
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

from cvsegguide.data.lists import require_folder
from cvsegguide.errors import DatasetError, InputError
from cvsegguide.io.pickles import load_plain_pickle

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


def read_links(path: str | PathLike[str]) -> dict[str, list[str]]:
    """Read published links: JSON, gzipped JSON, or the original system's pickle.

    Pickles are read without running code.

    Raises:
        InputError: The file is unreadable, or holds something else than names of panoramas by
            tile.
    """
    path = Path(path)
    links: Any
    if path.suffix in (".pkl", ".pickle"):
        links = load_plain_pickle(path)
    else:
        try:
            open_text = gzip.open if path.suffix == ".gz" else open
            with open_text(path, "rt", encoding="utf-8") as file:
                links = json.load(file)
        except (OSError, EOFError, ValueError, zlib.error, RecursionError) as error:
            raise InputError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(links, dict) or not all(
        isinstance(tile, str)
        and isinstance(views, list)
        and all(isinstance(view, str) for view in views)
        for tile, views in links.items()
    ):
        raise InputError(f"{path}: does not hold lists of panorama names by tile name")
    return links


def compare_links(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> dict[str, int]:
    """Count where two sets of links differ, over the tiles that both know."""
    common = ours.keys() & theirs.keys()
    return {
        "tiles in both": len(common),
        "tiles only here": len(ours) - len(common),
        "tiles only there": len(theirs) - len(common),
        "links in both": sum(len(set(ours[tile]) & set(theirs[tile])) for tile in common),
        "links only here": sum(len(set(ours[tile]) - set(theirs[tile])) for tile in common),
        "links only there": sum(len(set(theirs[tile]) - set(ours[tile])) for tile in common),
    }
