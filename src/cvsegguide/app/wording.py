"""Messages of the library in the page's words."""

import re
from pathlib import Path

_OPTIONS = {
    "--heading": "heading",
    "--fov": "field of view",
    "--gsd": "metres per pixel",
    "--bounds": "bounds",
    "--model": "model",
    "--landcover": "land cover",
}

_NAME_LENGTH = 80


def display_name(name: str) -> str:
    """A file name from a browser as it may be shown: no folders, no control characters, short."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(character for character in last if character.isprintable()).strip()
    if len(plain) > _NAME_LENGTH:
        stem, dot, suffix = plain.rpartition(".")
        tail = dot + suffix if dot and len(suffix) <= 8 else ""
        plain = (stem if tail else plain)[: _NAME_LENGTH - len(tail) - 1] + "…" + tail
    return plain or "unnamed"


def for_page(message: str, names: dict[Path, str]) -> str:
    """A message of an error or a warning for people who see a page, not a command line.

    Args:
        message: As the library says it.
        names: Paths on this machine -> the names that people gave; no path must be shown.
    """
    text = " ".join(message.split())
    for path, name in names.items():
        text = text.replace(str(path), name)
    # Advice for the command line comes last, after a semicolon.
    text = re.sub(r"; pass (?:its own )?--[^;]*$", "", text)
    for option, words in _OPTIONS.items():
        text = re.sub(rf"{option}\b", words, text)
    return text
