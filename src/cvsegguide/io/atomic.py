"""Files that are either whole or not there.

They grow under a hidden temporary name. What a process that was killed has left behind is removed
by one that writes into the same folder a day later.
"""

import errno
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from os import PathLike
from pathlib import Path

from cvsegguide.errors import InputError

_ABANDONED = 24 * 3600.0
"""Seconds after which a temporary file that nobody touches counts as left behind."""

_TEMPORARY = re.compile(r"\..*cvsegguide-[0-9a-f]{16}(\..*)?")

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Errors of a full or failing disk: the user's to mend."""


@cache
def _sweep(directory: Path) -> None:
    """Remove temporary files and folders of killed processes, once a process and folder."""
    with suppress(OSError):  # somebody else was faster, or it is not ours to remove
        for path in directory.glob(".*cvsegguide-*"):
            age = time.time() - path.lstat().st_mtime
            if _TEMPORARY.fullmatch(path.name) and age > _ABANDONED:
                _remove(path)


def _remove(temporary: Path) -> None:
    if temporary.is_dir() and not temporary.is_symlink():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_in_the_way(directory: Path) -> Path | None:
    """Of a folder that is to be made and its parents, the one that is a file; else None."""
    for folder in (directory, *directory.parents):
        if folder.exists():
            return None if folder.is_dir() else folder
    return None


def _explain(path: Path, directory: Path, error: OSError) -> InputError:
    file = file_in_the_way(directory)
    reason = str(error.strerror)
    if file is not None:
        reason = "a file, not a folder" if file == path else f"{file} is a file, not a folder"
    return InputError(f"{path}: cannot be written ({reason})")


@contextmanager
def _stage(target: Path, directory: Path, stem: str, suffix: str, folder: bool) -> Iterator[Path]:
    """A temporary file or folder in ``directory``, which is made with its parents.

    The temporary one is gone when the block ends; if it raises, folders that were made are, too.
    """
    made = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    while len(stem.encode()) > 80:
        stem = stem[:-1]
    head = f".{stem}.cvsegguide-".replace("..", ".")
    temporary = directory / f"{head}{secrets.token_hex(8)}{suffix}"
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _sweep(directory.resolve())
            temporary.mkdir() if folder else temporary.touch(exist_ok=False)
        except OSError as error:
            raise _explain(target, directory, error) from None
        yield temporary
    except BaseException as error:
        _remove(temporary)
        for parent in made:
            with suppress(OSError):  # not empty, or never made
                parent.rmdir()
        if isinstance(error, OSError) and error.errno in _DISK:
            raise InputError(f"{target}: cannot be written ({error.strerror})") from None
        raise
    _remove(temporary)


def _move(source: Path, target: Path, named: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        raise InputError(f"{named}: cannot be written ({error.strerror})") from None


@contextmanager
def atomic_folder(directory: str | PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder; move the files in it to ``directory`` when the block succeeds.

    The temporary folder lies inside of ``directory``, which is made with its parents. When the
    block raises, none of the files appears, and folders that were made go away again. Other files
    in ``directory`` stay.

    Raises:
        InputError: The folder cannot be made or written to.
    """
    directory = Path(directory)
    with _stage(directory, directory, "", "", folder=True) as temporary:
        try:
            yield temporary
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(directory))) from None
        for file in sorted(temporary.iterdir()):
            _move(file, directory / file.name, directory)


@contextmanager
def temporary_path(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``path``, with its suffix, that is gone when the block ends.

    Parent folders are made. What killed processes have left in the folder goes.

    Raises:
        InputError: The folder cannot be made or written to.
    """
    path = Path(path)
    with _stage(path, path.parent, path.stem, path.suffix, folder=False) as temporary:
        yield temporary


@contextmanager
def atomic_path(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    The temporary path is that of :func:`temporary_path`. When the block raises, it is removed and
    ``path`` stays as it was.

    Raises:
        InputError: The folder cannot be made or written to.
    """
    with temporary_path(path) as temporary:
        yield temporary
        _move(temporary, Path(path), Path(path))


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
