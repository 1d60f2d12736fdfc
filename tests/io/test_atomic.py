"""Files and folders that are either whole or not there."""

import errno
import os
import signal
import subprocess
import sys
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


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for writer, place in ((atomic_path, file / "a" / "b.txt"), (atomic_folder, file / "a")):
        with pytest.raises(InputError) as caught:
            fill(writer, place, RuntimeError)
        assert str(caught.value) == f"{place}: cannot be written ({file} is a file, not a folder)"
    with pytest.raises(InputError, match=r"file: cannot be written \(a file, not a folder\)$"):
        fill(atomic_folder, file, RuntimeError)


KILLED = """
import os, signal, sys
from cvsegguide.io.atomic import atomic_folder, atomic_path
with atomic_path(sys.argv[1]) as file, atomic_folder(sys.argv[2]) as folder:
    file.write_text("half")
    (folder / "part").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_a_day_later(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    for folder in (tmp_path / "old", tmp_path / "new"):
        command = [sys.executable, "-c", KILLED, str(folder / "a.tif"), str(folder)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        (folder / ".cvsegguide-notes").touch()
        assert len(list(folder.iterdir())) == 3
    for path in (tmp_path / "old").iterdir():
        os.utime(path, (0, 0))
    for folder in (tmp_path / "old", tmp_path / "new"):
        write_text(folder / "b.txt", "new")
    assert {path.name for path in (tmp_path / "old").iterdir()} == {".cvsegguide-notes", "b.txt"}
    assert len(list((tmp_path / "new").iterdir())) == 4


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").write_text("keep")
    link = tmp_path / ".x.cvsegguide-0123456789abcdef"
    link.symlink_to(target)
    os.utime(link, (0, 0), follow_symlinks=False)
    write_text(tmp_path / "new.txt", "new")
    assert not link.is_symlink()
    assert (target / "file").read_text() == "keep"


def test_long_names_in_any_alphabet_have_room(tmp_path: Path) -> None:
    path = tmp_path / ("ж" * 120 + ".txt")  # 244 bytes of the 255 that a name may have
    write_text(path, "text")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
