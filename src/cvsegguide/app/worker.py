"""One localisation after the other, whoever asked for it."""

import asyncio
import contextlib
import secrets
import sys
import threading
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cvsegguide.app import layers
from cvsegguide.app.questions import Question
from cvsegguide.app.sessions import BusyError, Result, Session, Store
from cvsegguide.app.settings import Settings
from cvsegguide.app.uploads import read_street
from cvsegguide.app.wording import for_page
from cvsegguide.errors import CVSegGuideError, InferenceWarning, InputError
from cvsegguide.geo import from_lens

if TYPE_CHECKING:
    from cvsegguide.inference.localizer import Localizer
    from cvsegguide.inference.result import Localization

ARCHIVE = "localisation.zip"

Load: TypeAlias = Callable[[str], "Localizer"]
"""Name or path of a model -> what localises with it."""

_KEPT_MODELS = 2
_notes = threading.local()


@dataclass
class Job:
    """A question on its way.

    Attributes:
        id: Unguessable.
        session: Whose it is.
        question: What is asked.
        state: ``"waiting"``, ``"running"``, ``"done"`` or ``"failed"``.
        error: Why it failed, for the page.
        result: Id of the answer.
        ready: Set when the files for download are written.
    """

    id: str
    session: Session
    question: Question
    state: str = "waiting"
    error: str | None = None
    result: str | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Worker:
    """Answers questions in the order in which they came.

    Networks run in one thread, files for download are written in another.

    Args:
        settings: What the app was started with.
        store: Where answers are kept.
        load: How models are loaded, once each; by default as everywhere.
    """

    def __init__(self, settings: Settings, store: Store, load: Load | None = None) -> None:
        self._settings = settings
        self._load = load or self._from_pretrained
        self._store = store
        self._thinking = ThreadPoolExecutor(1, "localise")
        self._writing = ThreadPoolExecutor(1, "write")
        self._localizers: dict[int, Localizer] = {}
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.warm = False
        _listen_for_warnings()

    def start(self) -> None:
        """Load the first model in the background: whoever comes first need not wait for it."""
        self._spawn(self._warm_up())

    def submit(self, session: Session, question: Question) -> Job:
        """Line up.

        Raises:
            BusyError: Too many wait.
            InputError: The ground is too large.
        """
        self._check_ground(question)
        waiting = [job for job in self._jobs.values() if job.state in ("waiting", "running")]
        own = [job for job in waiting if job.session is session]
        if len(own) >= self._settings.limits.waiting:
            raise BusyError("your last questions are still being answered")
        if len(waiting) >= self._settings.limits.queue:
            raise BusyError("too many questions wait at the moment; try again in a minute")
        job = Job(secrets.token_urlsafe(16), session, question)
        self._jobs[job.id] = job
        session.busy += 1
        self._spawn(self._answer(job))
        return job

    def job(self, session: Session, name: str) -> Job | None:
        """A session's job of this id, if it is known."""
        job = self._jobs.get(name)
        return job if job is not None and job.session is session else None

    def finished(self, session: Session, result: str) -> asyncio.Event | None:
        """What to wait for before an answer's files are sent."""
        for job in self._jobs.values():
            if job.session is session and job.result == result:
                return job.ready
        return None

    def ahead(self, job: Job) -> int:
        """How many questions are answered before this one."""
        order = [other for other in self._jobs.values() if other.state in ("waiting", "running")]
        return order.index(job) if job in order else 0

    async def close(self) -> None:
        """Stop; what waits is dropped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thinking.shutdown(wait=True, cancel_futures=True)
        self._writing.shutdown(wait=True, cancel_futures=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thinking, self._localizer, 0)
        except Exception as error:
            # Whoever asks will be told; the page works for other models.
            print(f"cvsegguide: warning: {error}", file=sys.stderr)
        self.warm = True

    async def _answer(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        try:
            answer, result = await loop.run_in_executor(self._thinking, self._localize, job)
            self._store.add_result(job.session, result)
            job.result, job.state = result.id, "done"
        except Exception as error:
            job.state, job.error = "failed", self._explain(job, error)
        else:
            await self._save(answer, result)
        finally:
            job.session.busy -= 1
            job.ready.set()
            self._forget()

    async def _save(self, answer: "Localization", result: Result) -> None:
        """Write the files for download; where that fails, the answer stands all the same."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._writing, _write_files, answer, result)
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
        self._store.sweep()

    def _forget(self) -> None:
        """Keep the last jobs only."""
        done = [job for job in self._jobs.values() if job.ready.is_set()]
        for job in done[:-256]:
            del self._jobs[job.id]

    def _localizer(self, index: int) -> "Localizer":
        if index not in self._localizers:
            while len(self._localizers) >= _KEPT_MODELS:
                del self._localizers[next(iter(self._localizers))]
            self._localizers[index] = self._load(self._settings.models[index])
        return self._localizers[index]

    def _from_pretrained(self, source: str) -> "Localizer":
        from cvsegguide.inference.localizer import Localizer

        return Localizer.from_pretrained(source, device=self._settings.device)

    def _localize(self, job: Job) -> tuple["Localization", Result]:
        job.state = "running"
        question = job.question
        localizer = self._localizer(question.model)
        start = time.perf_counter()
        view = read_street(question.street)
        if question.lens:
            view = from_lens(view, question.fov)
        with notes() as found:
            answer = localizer.localize(
                question.overhead.path,
                view,
                bounds=question.bounds,
                gsd=question.gsd,
                heading=question.heading,
                heading_error=question.heading_error,
                fov=question.fov,
            )
        seconds = time.perf_counter() - start
        name = secrets.token_urlsafe(16)
        folder = job.session.folder / f"result-{secrets.token_hex(8)}"
        folder.mkdir()
        truth = question.overhead.truth
        if truth is not None and question.street.truth != truth:
            truth = None  # another street view in the example's overhead image
        page = {
            **layers.describe(answer, truth),
            "id": name,
            "layers": layers.write_layers(answer, folder),
            "notes": [for_page(note, self._names(question)) for note in found],
            "lens": question.lens,
            "heading_given": question.heading is not None and question.heading_error == 0.0,
            "seconds": seconds,
            "overhead": question.overhead.describe(),
            "street": question.street.describe(),
        }
        return answer, Result(name, folder, page, _size(folder))

    def _check_ground(self, question: Question) -> None:
        upload = question.overhead
        if question.bounds is not None:
            from cvsegguide.geo import Bounds, GeoReference

            bounds = Bounds(*question.bounds).validated("bounds")
            gsd: float | None = GeoReference.from_bounds(bounds, upload.height, upload.width).gsd
        else:
            gsd = question.gsd if upload.gsd is None else upload.gsd
        if gsd is None:
            return
        area = upload.height * upload.width * gsd**2 / 1e6
        most = self._settings.limits.ground_km2
        if area > most:
            raise InputError(
                f"{upload.name}: covers {area:.3g} km² at {gsd:.3g} m per pixel; at most {most:g} "
                "km² are searched here, so cut out the area in question"
            )

    @staticmethod
    def _names(question: Question) -> dict[Path, str]:
        return {
            question.overhead.path: question.overhead.name,
            question.street.path: question.street.name,
        }

    def _explain(self, job: Job, error: Exception) -> str:
        if isinstance(error, CVSegGuideError):
            return for_page(str(error), self._names(job.question))
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return "these pictures are too large for this machine's memory"
        traceback.print_exception(error, file=sys.stderr)
        return "something went wrong that should not; the server's terminal says what"


@contextlib.contextmanager
def notes() -> Iterator[list[str]]:
    """What answers of this thread assume, meanwhile.

    :class:`warnings.catch_warnings` is for processes of one thread.
    """
    _listen_for_warnings()
    _notes.found = []
    try:
        yield _notes.found
    finally:
        _notes.found = None


def _listen_for_warnings() -> None:
    """Let :func:`notes` collect, thread by thread; other warnings go where they went."""
    warnings.simplefilter("always", InferenceWarning)
    if getattr(warnings.showwarning, "_collects", False):
        return
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **options: Any) -> None:
        found = getattr(_notes, "found", None)
        if found is not None and issubclass(category, InferenceWarning):
            found.append(str(message))
        else:
            usual(message, category, *rest, **options)

    show._collects = True  # type: ignore[attr-defined]
    warnings.showwarning = show


def _write_files(answer: "Localization", result: Result) -> None:
    from cvsegguide.viz.localization import save_with_figure

    folder = save_with_figure(answer, result.folder / "files", _truth_of(result))
    layers.write_areas(answer, folder / "areas.geojson")
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for path in sorted(folder.iterdir()):
            if path.name != ARCHIVE:
                out.write(path, path.name)
    result.size = _size(result.folder)


def _truth_of(result: Result) -> tuple[float, float] | None:
    truth = result.page["truth"]
    return None if truth is None else (truth["row"], truth["col"])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
