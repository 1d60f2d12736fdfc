"""Is a data set whole, consistent, and are its splits apart?

:func:`check` recognises the layout (a tree of Brooklyn & Queens or of a SynthCity, a tree of VIGOR,
a manifest), reads every file once, and returns a :class:`Report`.

With ``fix`` it writes cleaned indices; the data itself is never touched:

- Brooklyn & Queens: ``CITY/index.cleaned.txt``, a line ``TILE,PANORAMA`` for each pair whose files
  and places are all good; for ``BrooklynQueens(root, city, index=...)``. Of what two cities share,
  the first in alphabetical order keeps its pairs.
- VIGOR: beside each list of a split, ``NAME.cleaned.txt`` with the lines that are good; for
  ``Vigor(root, cleaned=True)``.
- Manifest: ``NAME.cleaned.csv`` (or ``.parquet``) beside the original with the rows that are good.
"""

import tempfile
from os import PathLike
from pathlib import Path

from cvsegguide.console import usable_cores
from cvsegguide.data.checks.brooklyn_queens import check_brooklyn_queens
from cvsegguide.data.checks.manifest import check_manifest
from cvsegguide.data.checks.report import KINDS, Finding, Report
from cvsegguide.data.checks.vigor import check_vigor, find_split_lists
from cvsegguide.data.layout import find_cities
from cvsegguide.errors import DatasetError, InputError

__all__ = ["KINDS", "Finding", "Report", "check"]


def check(
    root: str | PathLike[str],
    workers: int | None = None,
    fix: bool = False,
    scheme: str | PathLike[str] | None = None,
) -> Report:
    """Check a data set.

    Args:
        root: Root folder of a tree, or a manifest file (``.csv``, ``.parquet``).
        workers: Threads; by default one for each core that may be used.
        fix: Write cleaned indices (see above).
        scheme: TOML file of the class scheme of a manifest's land cover; by default New York's.

    Raises:
        DatasetError: The root is missing, or in none of the known layouts.
        InputError: ``workers`` is not positive, or an index cannot be written.
    """
    root = Path(root).expanduser()
    if workers is None:
        workers = usable_cores()
    if workers < 1:
        raise InputError(f"must be at least 1, got {workers}", parameter="workers")
    if fix and root.exists():
        _require_writable(root if root.is_dir() else root.parent)
    if root.is_file():
        return check_manifest(root, workers, fix, scheme)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such file or folder")

    if find_cities(root):
        return check_brooklyn_queens(root, workers, fix)
    if find_split_lists(root):
        return check_vigor(root, workers, fix)
    manifests = [root / name for name in ("manifest.csv", "manifest.parquet")]
    for path in manifests:
        if path.is_file():
            return check_manifest(path, workers, fix, scheme)
    raise DatasetError(
        f"{root}: neither a tree of Brooklyn & Queens (CITY/overhead/images.txt), nor one of VIGOR "
        "(splits*/CITY/*.txt), nor a manifest (manifest.csv)"
    )


def _require_writable(folder: Path) -> None:
    """Before everything is read for an hour: could an index be written?"""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: no index can be written here ({error.strerror})") from None
