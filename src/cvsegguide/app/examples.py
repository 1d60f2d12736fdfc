"""Pairs that come with the package: places in a SynthCity that no weights were trained on.

They were made by ``python -m cvsegguide.app.make_examples``.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from shutil import copyfile
from typing import Any

from cvsegguide.app.settings import Limits
from cvsegguide.app.uploads import Upload, accept_overhead, accept_street
from cvsegguide.errors import InputError

FOLDER = Path(str(files("cvsegguide.app"))) / "examples"
INDEX = "examples.json"


@dataclass(frozen=True)
class Example:
    """A pair.

    Attributes:
        name: Names its files ``NAME-overhead.tif``, ``NAME-street.jpg``, ``NAME.jpg``.
        title, note: For the page.
        heading: As it is preset: None where the example is about an unknown one.
        fov: Degrees.
        row, col: Where the camera stood, in overhead pixels.
        true_heading: Degrees.
    """

    name: str
    title: str
    note: str
    heading: float | None
    fov: float
    row: float
    col: float
    true_heading: float

    @property
    def thumbnail(self) -> Path:
        """A small picture of it."""
        return FOLDER / f"{self.name}.jpg"

    def file(self, kind: str) -> Path:
        """Its picture of a kind, ``"overhead"`` or ``"street"``."""
        return FOLDER / f"{self.name}-{'overhead.tif' if kind == 'overhead' else 'street.jpg'}"

    def describe(self) -> dict[str, Any]:
        """For the page."""
        return {"name": self.name, "title": self.title, "note": self.note}

    def upload(self, kind: str, folder: Path, limits: Limits) -> Upload:
        """One of its pictures, as if somebody had dropped it."""
        source = self.file(kind)
        copy = folder / "received"
        copyfile(source, copy)
        accept = accept_overhead if kind == "overhead" else accept_street
        return replace(accept(copy, source.name, limits), truth=(self.row, self.col))


@cache
def every() -> tuple[Example, ...]:
    """All of them, in the order of the page."""
    entries = json.loads((FOLDER / INDEX).read_text(encoding="utf-8"))
    return tuple(Example(**entry) for entry in entries)


def named(name: str) -> Example:
    """The example of this name.

    Raises:
        InputError: There is none.
    """
    for example in every():
        if example.name == name:
            return example
    raise InputError(f"there is no example '{name}'")
