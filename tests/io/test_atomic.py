"""Files and folders that are either whole or not there."""

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cvsegguide.errors import InputError
from cvsegguide.io.atomic import atomic_folder, atomic_path, write_text


def test_folder_gets_all_files_and_keeps_others(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")
    with atomic_folder(tmp_path / "a") as stage:
        write_text(stage / "new", "new")
        assert [file.name for file in (tmp_path / "a").iterdir() if file.is_file()] == ["old"]
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["new", "old"]
    assert (tmp_path / "a" / "new").stat().st_mode & 0o077 == (
        (tmp_path / "a" / "old").stat().st_mode & 0o077
    )


def fill(writer: Callable[[Path], AbstractContextManager[Path]], path: Path, error: object) -> None:
    """Write half of a file, then fail."""
    with writer(path) as temporary:
        half = temporary / "half" if temporary.is_dir() else temporary
        half.write_text("half")
        raise error  # type: ignore[misc]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("writer", [atomic_folder, atomic_path])
def test_nothing_stays_after_a_failure(
    tmp_path: Path,
    error: type[BaseException],
    writer: Callable[[Path], AbstractContextManager[Path]],
) -> None:
    with pytest.raises(error):
        fill(writer, tmp_path / "new" / "deep", error)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    for writer in (atomic_folder, atomic_path):
        with pytest.raises(InputError, match=r"file\.txt: cannot be written \(No space"):
            fill(writer, tmp_path / "file.txt", full)
    # Not the temporary folder's name, which is gone.
    with pytest.raises(InputError) as caught, atomic_folder(tmp_path / "out") as stage:
        fill(atomic_path, stage / "file.txt", full)
    assert str(caught.value).startswith(str(tmp_path / "out" / "file.txt"))
    # What has nothing to do with the disk is not blamed on it.
    with pytest.raises(FileNotFoundError):
        fill(atomic_path, tmp_path / "file.txt", FileNotFoundError(errno.ENOENT, "gone"))
    assert list(tmp_path.iterdir()) == []
