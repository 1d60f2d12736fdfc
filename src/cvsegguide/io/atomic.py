"""Files that are either whole or not there.

They grow under a hidden temporary name that says which process writes them. What a process that
was killed has left behind is removed by the next one that writes into the same folder.
"""

import errno
import os
import re
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from os import PathLike
from pathlib import Path

from cvsegguide.errors import InputError

_UMASK_LOCK = threading.Lock()

_ABANDONED = 7 * 24 * 3600.0
"""Seconds after which a temporary file of another machine counts as left behind."""

_TEMPORARY = re.compile(r"\..*cvsegguide-(?P<machine>[0-9a-f]{8})-(?P<pid>[1-9]\d*)-\w{8}(\..*)?")
_swept: set[tuple[int, int, int]] = set()


def _umask() -> int:
    """The process's umask, which can only be read by setting it: one thread at a time."""
    with _UMASK_LOCK:
        umask = os.umask(0)
        os.umask(umask)
    return umask


@cache
def _machine() -> str:
    """Eight digits for the set of processes whose numbers mean the same: one boot, one container.

    Two machines that share a folder, or two containers on one machine, must not take each other's
    process numbers for their own.
    """
    marks = [os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with suppress(OSError):
        marks.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32('|'.join(marks).encode()):08x}"


def _prefix(stem: str = "") -> str:
    """What a temporary name of this process begins with; ``tempfile`` adds eight characters."""
    while len(stem.encode()) > 80:
        stem = stem[:-1]
    return f".{stem}.cvsegguide-{_machine()}-{os.getpid()}-".replace("..", ".")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def remove_stale(directory: Path) -> int:
    """Remove temporary files and folders that dead processes have left in a folder.

    Theirs is what carries the number of a process of this machine that is no more, or what nobody,
    on any machine, has touched for a week. Only names that this module makes are looked at.

    Args:
        directory: Where to look; not into its folders.

    Returns:
        How many were removed.
    """
    removed = 0
    now = time.time()
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return 0
    for entry in entries:
        match = _TEMPORARY.fullmatch(entry.name)
        if match is None:
            continue
        try:
            # Windows has no signal 0: os.kill would end the process. There only age counts.
            dead = (
                os.name == "posix"
                and match["machine"] == _machine()
                and not _is_alive(int(match["pid"]))
            )
            if not dead and now - entry.stat(follow_symlinks=False).st_mtime < _ABANDONED:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
            removed += 1
        except (OSError, OverflowError):
            continue  # somebody else was faster, or it is not ours to remove
    return removed


def _sweep(directory: Path) -> None:
    """:func:`remove_stale` once a process and folder: listing a large folder takes time."""
    with suppress(OSError):
        status = directory.stat()
        key = (os.getpid(), status.st_dev, status.st_ino)
        if key not in _swept:
            _swept.add(key)
            remove_stale(directory)


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """A full or failing disk is the user's to mend: say so in one line."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def file_in_the_way(directory: Path) -> Path | None:
    """Of a folder that is to be made and its parents, the one that is a file; else None."""
    for folder in (directory, *directory.parents):
        if folder.exists():
            return None if folder.is_dir() else folder
    return None


def _unwritable(path: Path, directory: Path, error: OSError) -> InputError:
    file = file_in_the_way(directory)
    if file is None:
        return InputError(f"{path}: cannot be written ({error.strerror})")
    if file == path:
        return InputError(f"{path}: cannot be written (a file, not a folder)")
    return InputError(f"{path}: cannot be written ({file} is a file, not a folder)")


@contextmanager
def _folder(directory: Path) -> Iterator[None]:
    """Make a folder with its parents; when the block raises, those that were made go away."""
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()
        raise


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
    with ExitStack() as stack:
        try:
            stack.enter_context(_folder(directory))
            _sweep(directory)
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix=_prefix(), dir=directory))
        except OSError as error:
            raise _unwritable(directory, directory, error) from None
        try:
            with _disk_errors(directory):
                yield Path(name)
        except InputError as error:
            raise InputError(str(error).replace(name, str(directory))) from None
        try:
            for file in sorted(Path(name).iterdir()):
                file.chmod(0o666 & ~_umask())
                file.replace(directory / file.name)
        except OSError as error:
            raise InputError(f"{directory}: cannot be written ({error.strerror})") from None


@contextmanager
def atomic_path(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    The temporary name keeps the suffix, since writers choose the format by it. When the block
    raises, the temporary file is removed and ``path`` stays as it was. Parent folders are made.
    What killed processes have left in the folder goes (:func:`remove_stale`).

    Raises:
        InputError: The folder cannot be made or written to.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            stack.enter_context(_folder(path.parent))
            _sweep(path.parent)
            handle, name = tempfile.mkstemp(
                prefix=_prefix(path.stem), suffix=path.suffix, dir=path.parent
            )
        except OSError as error:
            raise _unwritable(path, path.parent, error) from None
        os.close(handle)
        temporary = Path(name)
        try:
            with _disk_errors(path):
                yield temporary
            temporary.chmod(0o666 & ~_umask())
            try:
                temporary.replace(path)
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror})") from None
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
