"""What is known about the licence of weights."""

import re
from os import PathLike, fspath
from pathlib import Path


def license_of(source: str | PathLike[str]) -> str:
    """The licence that a model's card states.

    Args:
        source: As for :func:`cvsegguide.models.hub.load_model`.

    Returns:
        The card's own word (``"apache-2.0"``), where to look for it, or ``"not stated"``.
    """
    from cvsegguide.models.hub import CARD, bundled_weights

    folder = bundled_weights().get(fspath(source), Path(source))
    if folder.is_file():
        if folder.suffix != ".safetensors":
            return "that of the publication which the checkpoint belongs to"
        folder = folder.parent
    if not folder.is_dir():
        return f"see the model card of {fspath(source)}"
    try:
        card = (folder / CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        card = ""
    header = re.match(r"---\n(.*?)\n---", card, flags=re.DOTALL)
    stated = re.search(r"^license:\s*(\S.*?)\s*$", header[1] if header else "", flags=re.MULTILINE)
    return stated[1] if stated else "not stated"
