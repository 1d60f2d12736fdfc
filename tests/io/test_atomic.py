"""Files and folders that are either whole or not there."""

import errno
import os
import re
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
    if len(sys.argv) > 3:
        os.kill(os.getpid(), signal.SIGKILL)
    print(file, folder, flush=True)
    sys.stdin.read()
"""


def hidden(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.name.startswith(".")]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.tif"), str(tmp_path)]
    living = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert living.stdin is not None
    assert living.stdout is not None
    try:
        kept = {Path(name) for name in living.stdout.readline().split()}
        killed = subprocess.run([*command, "die"], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(hidden(tmp_path)) == 4
        # Of another machine a moment ago, of nobody for years, and what is not ours at all.
        (left,) = (path for path in hidden(tmp_path) if path.is_file() and path not in kept)
        pid = re.search(r"-(\d+)-", left.name)
        assert pid is not None
        elsewhere = tmp_path / f".b.cvsegguide-00000000-{pid[1]}-abcdefgh.tif"
        ancient = tmp_path / f".c.cvsegguide-00000000-{pid[1]}-abcdefgh.tif"
        notes = tmp_path / ".cvsegguide-notes"
        for path in (elsewhere, ancient, notes):
            path.write_text("")
        os.utime(ancient, (0, 0))
        write_text(tmp_path / "new.txt", "new")
        assert set(hidden(tmp_path)) == {*kept, elsewhere, notes}
        assert (tmp_path / "new.txt").read_text() == "new"
    finally:
        living.communicate("")
    assert living.returncode == 0
    assert set(hidden(tmp_path)) == {elsewhere, notes}
    assert (tmp_path / "a.tif").read_text() == "half"
    assert (tmp_path / "part").read_text() == "half"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").write_text("keep")
    link = tmp_path / ".x.cvsegguide-00000000-1-abcdefgh"
    link.symlink_to(target)
    os.utime(link, (0, 0), follow_symlinks=False)
    write_text(tmp_path / "new.txt", "new")
    assert not link.is_symlink()
    assert (target / "file").read_text() == "keep"


def test_long_names_in_any_alphabet_have_room(tmp_path: Path) -> None:
    path = tmp_path / ("ж" * 120 + ".txt")  # 244 bytes of the 255 that a name may have
    write_text(path, "text")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
