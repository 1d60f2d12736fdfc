"""Files that are either whole or not there.

They grow under a hidden temporary name that says which process writes them. What a process that
was killed has left behind is removed by the next one that writes into the same folder.
"""

import errno
import os
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from os import PathLike
from pathlib import Path

from cvsegguide.errors import InputError

_ABANDONED = 7 * 24 * 3600.0
"""Seconds after which a temporary file of another machine counts as left behind."""

_TEMPORARY = re.compile(r"\..*cvsegguide-(?P<machine>[0-9a-f]{8})-(?P<pid>[1-9]\d*)-\w{8}(\..*)?")

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Errors of a full or failing disk: the user's to mend."""


@cache
def _machine() -> str:
    """Eight digits for the set of processes whose numbers mean the same: one boot, one container.

    Two machines that share a folder, or two containers on one machine, must not take each other's
    process numbers for their own.
    """
    marks = [os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        marks.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32('|'.join(marks).encode()):08x}"


def _is_dead(pid: int) -> bool:
    if os.name != "posix":  # Windows has no signal 0: os.kill would end the process
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is somebody else's
        pass
    return False


@cache
def _sweep(pid: int, directory: Path) -> None:
    """Remove temporary files and folders that dead processes have left in a folder.

    Theirs is what carries the number of a process of this machine that is no more, or what nobody,
    on any machine, has touched for a week. Only names that this module makes are looked at, once a
    process ``pid`` and folder: listing a large one takes time.
    """
    entries: list[os.DirEntry[str]] = []
    with suppress(OSError):
        entries = list(os.scandir(directory))
    for entry in entries:
        found = _TEMPORARY.fullmatch(entry.name)
        if found is None:
            continue
        with suppress(OSError):  # somebody else was faster, or it is not ours to remove
            ours = found["machine"] == _machine()
            age = time.time() - entry.stat(follow_symlinks=False).st_mtime
            if age >= _ABANDONED or (ours and _is_dead(int(found["pid"]))):
                _remove(Path(entry.path))


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
    head = f".{stem}.cvsegguide-{_machine()}-{os.getpid()}-".replace("..", ".")
    temporary = directory / f"{head}{secrets.token_hex(4)}{suffix}"
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _sweep(os.getpid(), directory.resolve())
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
