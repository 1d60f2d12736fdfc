"""Files that are either whole or not there."""

import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from os import PathLike
from pathlib import Path

from cvsegguide.errors import InputError

_UMASK_LOCK = threading.Lock()


def _umask() -> int:
    """The process's umask, which can only be read by setting it: one thread at a time."""
    with _UMASK_LOCK:
        umask = os.umask(0)
        os.umask(umask)
    return umask


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
            name = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=".saving-", dir=directory)
            )
        except OSError as error:
            raise InputError(f"{directory}: cannot be written ({error.strerror})") from None
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

    Raises:
        InputError: The folder cannot be made or written to.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            stack.enter_context(_folder(path.parent))
            handle, name = tempfile.mkstemp(
                prefix=f".{path.stem[:80]}.", suffix=path.suffix, dir=path.parent
            )
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None
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
