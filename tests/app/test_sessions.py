"""What is kept, for whom, and for how long."""

import os
import shutil
import time
from pathlib import Path

import pytest

from cvsegguide.app.sessions import (
    PREFIX,
    BusyError,
    GoneError,
    LostError,
    Result,
    Session,
    Store,
)
from cvsegguide.app.settings import Limits
from cvsegguide.app.uploads import Upload


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bring(session: Session, name: str, kind: str = "overhead", size: int = 10) -> Upload:
    folder = session.folder / name
    folder.mkdir()
    (folder / "a").write_bytes(bytes(size))
    return Upload(name, kind, name, folder / "a", folder / "a", 8, 8, size=size)


def answer(session: Session, name: str) -> Result:
    folder = session.folder / f"result-{name}"
    folder.mkdir()
    return Result(name, folder, {})


def test_sessions_do_not_see_each_other(tmp_path: Path, clock: Clock) -> None:
    store = Store(Limits(), clock, tmp_path)
    one, other = store.open(), store.open()
    assert one.id != other.id
    upload = bring(one, "a")
    store.add_upload(one, upload)
    store.add_result(one, answer(one, "r"))
    assert store.upload(one, "a", "overhead") is upload
    assert store.result(one, "r").id == "r"
    with pytest.raises(GoneError):
        store.upload(one, "a", "street")
    with pytest.raises(GoneError):
        store.upload(other, "a", "overhead")
    with pytest.raises(GoneError):
        store.result(other, "r")
    with pytest.raises(LostError):
        store.session("a name that nobody was given")


def test_what_was_not_used_for_long_is_removed_unless_it_waits(
    tmp_path: Path, clock: Clock
) -> None:
    store = Store(Limits(idle_seconds=100), clock, tmp_path)
    used, idle, waiting = store.open(), store.open(), store.open()
    waiting.busy = 1
    clock.now = 90
    store.session(used.id)
    clock.now = 110
    store.sweep()
    assert used.folder.is_dir()
    assert waiting.folder.is_dir()
    assert not idle.folder.exists()
    with pytest.raises(LostError, match="too long"):
        store.session(idle.id)
    waiting.busy = 0
    store.sweep()
    assert not waiting.folder.exists()


def test_the_oldest_pictures_and_answers_go_first(tmp_path: Path, clock: Clock) -> None:
    store = Store(Limits(uploads=2, results=1), clock, tmp_path)
    session = store.open()
    for name in ("a", "b", "c"):
        store.add_upload(session, bring(session, name))
    store.add_upload(session, bring(session, "s", "street"))
    assert list(session.uploads) == ["b", "c", "s"]
    assert not (session.folder / "a").exists()
    for name in ("1", "2"):
        store.add_result(session, answer(session, name))
    assert list(session.results) == ["2"]
    assert not (session.folder / "result-1").exists()
    assert (session.folder / "result-2").is_dir()


def test_too_much_on_disk_costs_whoever_was_away_longest(tmp_path: Path, clock: Clock) -> None:
    store = Store(Limits(disk_bytes=1000), clock, tmp_path)
    first, second = store.open(), store.open()
    clock.now = 1
    store.add_upload(first, bring(first, "a", size=600))
    store.session(first.id)
    store.add_upload(second, bring(second, "b", size=600))
    assert first.folder.is_dir()
    assert not second.folder.exists()


def test_more_people_than_places(tmp_path: Path, clock: Clock) -> None:
    store = Store(Limits(sessions=2), clock, tmp_path)
    first, _ = store.open(), store.open()
    with pytest.raises(BusyError):
        store.open()
    clock.now = 1000
    store.open()
    assert not first.folder.exists()


def test_everything_goes_at_the_end_and_is_private_until_then(tmp_path: Path, clock: Clock) -> None:
    store = Store(Limits(), clock, tmp_path)
    session = store.open()
    store.add_upload(session, bring(session, "a"))
    if os.name == "posix":
        assert store.folder.stat().st_mode & 0o077 == 0
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_servers_are_removed_and_living_ones_stay(
    tmp_path: Path, clock: Clock
) -> None:
    killed = Store(Limits(), clock, tmp_path)
    living = Store(Limits(), clock, tmp_path)
    long_ago = time.time() - 3600
    os.utime(killed.folder / "pulse", (long_ago, long_ago))
    foreign = tmp_path / f"{PREFIX}without-pulse"
    foreign.mkdir()
    Store(Limits(), clock, tmp_path)
    assert not killed.folder.exists()
    assert living.folder.is_dir()
    assert foreign.is_dir()
    shutil.rmtree(foreign)


def test_files_on_their_way_are_counted(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(
        upload_bytes=100, overhead_pixels=25, street_pixels=20, arriving=2, disk_bytes=350
    )
    assert limits.largest_bytes == 100
    store = Store(limits, clock, tmp_path)
    first, second, third = store.open(), store.open(), store.open()
    store.add_upload(third, bring(third, "a", size=90))
    with store.arrival(first) as one, store.arrival(first) as two:
        assert one != two
        with pytest.raises(BusyError, match="still on their way"), store.arrival(first):
            pass
        assert third.folder.is_dir()
        # Three may take 300, and 90 are kept: whoever was away longest makes room.
        with store.arrival(second) as four:
            assert not third.folder.exists()
            assert four.is_dir()
            with pytest.raises(BusyError, match="no room"), store.arrival(second):
                pass
    assert (first.busy, first.arriving, second.busy, second.arriving) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="bad"), store.arrival(first) as failed:
        raise ValueError("bad")
    assert not failed.exists()
    assert first.arriving == 0


def test_pages_that_were_only_opened_make_room_soon(tmp_path: Path, clock: Clock) -> None:
    store = Store(Limits(sessions=2), clock, tmp_path)
    used, empty = store.open(), store.open()
    store.add_upload(used, bring(used, "a"))
    clock.now = 59
    with pytest.raises(BusyError):
        store.open()
    clock.now = 61
    store.open()
    assert used.folder.is_dir()
    assert not empty.folder.exists()
