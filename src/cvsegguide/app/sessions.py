"""What people brought and got, kept apart, and removed by age, by size and at the end.

A page opens a session and is given an unguessable name for it, which is part of every address that
it asks for. Nothing is found without it, so that nobody meets anybody else's pictures.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from cvsegguide.app.settings import Limits
from cvsegguide.app.uploads import Upload
from cvsegguide.errors import CVSegGuideError

PREFIX = "cvsegguide-app-"
_PULSE = "pulse"
_DEAD = 900.0
"""Seconds without a pulse after which a folder's server is taken to have died."""


class BusyError(CVSegGuideError):
    """Too many people at once."""


class GoneError(CVSegGuideError):
    """It was removed, or never was."""


class LostError(GoneError):
    """The whole session is gone."""


@dataclass
class Result:
    """An answer that is kept.

    Attributes:
        id: Unguessable.
        folder: Its layers, and its files in ``files/``.
        page: What the page shows.
        size: Bytes of the folder.
    """

    id: str
    folder: Path
    page: dict[str, Any]
    size: int = 0


@dataclass
class Session:
    """One open page.

    Attributes:
        id: Unguessable.
        folder: All its files.
        used: When it was last asked for, seconds of a monotonic clock.
        uploads, results: By id, oldest first.
        busy: Localisations that wait or run, and files on their way: the session is not removed
            meanwhile.
        arriving: Files on their way.
    """

    id: str
    folder: Path
    used: float
    uploads: dict[str, Upload] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    busy: int = 0
    arriving: int = 0

    @property
    def size(self) -> int:
        """Bytes of everything in it."""
        uploads = sum(upload.size for upload in self.uploads.values())
        return uploads + sum(result.size for result in self.results.values())


class Store:
    """All sessions, in one temporary folder.

    Args:
        limits: How much is kept.
        clock: Seconds; for tests.
        parent: Where the temporary folder is made; the system's place by default.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        parent: Path | None = None,
    ) -> None:
        self._limits = limits
        self._clock = clock
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_leftovers(parent)
        # Only its owner may look into it.
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._sessions: dict[str, Session] = {}
        self.sweep()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self) -> Session:
        """A new session.

        Raises:
            BusyError: There are too many, and all are in use.
        """
        self.sweep()
        while len(self._sessions) >= self._limits.sessions:
            spare = self._spare()
            if spare is None:
                raise BusyError("too many people use this page at once; try again in a while")
            self._remove(spare)
        name = token_urlsafe(16)
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        session = Session(name, folder, self._clock())
        self._sessions[name] = session
        return session

    def session(self, name: str) -> Session:
        """The session of this name, from now on as fresh as new.

        Raises:
            LostError: There is none.
        """
        session = self._sessions.get(name)
        if session is None:
            raise LostError(
                "this page was left alone for too long and its pictures were removed; drop them "
                "again"
            )
        session.used = self._clock()
        return session

    @contextlib.contextmanager
    def arrival(self, session: Session) -> Iterator[Path]:
        """An empty folder for a file on its way; it goes when the block fails.

        Raises:
            BusyError: Too many files are on their way, or they would not find room.
        """
        if session.arriving >= self._limits.arriving:
            raise BusyError("your last pictures are still on their way; wait for them")
        coming = 1 + sum(other.arriving for other in self._sessions.values())
        room = self._limits.disk_bytes - coming * self._limits.largest_bytes
        while coming > 1 and self._used() > room:
            idle = self._idle(but=session)
            if idle is None:
                raise BusyError("there is no room for more pictures now; try again in a while")
            self._remove(idle)
        session.arriving += 1
        session.busy += 1
        try:
            folder = Path(tempfile.mkdtemp(dir=session.folder))
            try:
                yield folder
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        finally:
            session.arriving -= 1
            session.busy -= 1

    def upload(self, session: Session, name: str, kind: str) -> Upload:
        """A picture of a session.

        Raises:
            GoneError: There is none of this name and kind.
        """
        upload = session.uploads.get(name)
        if upload is None or upload.kind != kind:
            what = "overhead image" if kind == "overhead" else "street view"
            raise GoneError(f"this {what} is not kept any more; drop it again")
        return upload

    def result(self, session: Session, name: str) -> Result:
        """An answer of a session.

        Raises:
            GoneError: There is none.
        """
        if name not in session.results:
            raise GoneError("this answer is not kept any more; press the button again")
        return session.results[name]

    def add_upload(self, session: Session, upload: Upload) -> None:
        """Keep a picture; the oldest one of its kind goes when there are too many."""
        session.uploads[upload.id] = upload
        same = [old for old in session.uploads.values() if old.kind == upload.kind]
        for old in same[: max(0, len(same) - self._limits.uploads)]:
            self._drop_upload(session, old)
        self.sweep()

    def add_result(self, session: Session, result: Result) -> None:
        """Keep an answer; the oldest one goes when there are too many."""
        session.results[result.id] = result
        for old in list(session.results.values())[: -self._limits.results]:
            del session.results[old.id]
            shutil.rmtree(old.folder, ignore_errors=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove what is too old, then what is too much, the longest unused first."""
        (self.folder / _PULSE).touch()
        now = self._clock()
        for session in list(self._sessions.values()):
            if session.busy == 0 and now - session.used > self._limits.idle_seconds:
                self._remove(session)
        while self._used() > self._limits.disk_bytes:
            idle = self._idle()
            if idle is None or len(self._sessions) == 1:
                break
            self._remove(idle)

    def close(self) -> None:
        """Remove everything."""
        self._sessions.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _used(self) -> int:
        return sum(session.size for session in self._sessions.values())

    def _idle(self, but: Session | None = None) -> Session | None:
        """The session that was not used for longest and does not wait for anything."""
        idle = [
            session
            for session in self._sessions.values()
            if session.busy == 0 and session is not but
        ]
        return min(idle, key=lambda session: session.used, default=None)

    def _spare(self) -> Session | None:
        """A session that may go for a new one: unused for ten minutes, or for one while empty."""
        now, patience = self._clock(), min(600.0, self._limits.idle_seconds)
        spare = [
            session
            for session in self._sessions.values()
            if session.busy == 0
            and now - session.used
            >= (patience if session.uploads or session.results else min(60.0, patience))
        ]
        return min(spare, key=lambda session: session.used, default=None)

    def _remove(self, session: Session) -> None:
        del self._sessions[session.id]
        shutil.rmtree(session.folder, ignore_errors=True)

    @staticmethod
    def _drop_upload(session: Session, upload: Upload) -> None:
        del session.uploads[upload.id]
        shutil.rmtree(upload.path.parent, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove the folders of servers that were killed: those whose pulse has stopped."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            stopped = time.time() - (folder / _PULSE).stat().st_mtime > _DEAD
            if stopped and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another user's, or just being made
            continue
