"""Training and testing the rows of an ablation table, one after another or several at a time."""

import glob
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.errors import ConfigurationError, CVSegGuideError
from cvsegguide.evaluation.ablation_table import (
    SETTINGS,
    TablePlan,
    TableRun,
    evaluation_entries,
    heading_error,
)
from cvsegguide.io.atomic import write_text

LOG = "log.txt"
"""What a row's processes said, in its folder, where several rows run at a time."""

_SIGNALLED = 128
"""Exit statuses above this say that a signal ended a process."""

Execute = Callable[[list[str], Path], int]


class Stopped(CVSegGuideError):
    """An ablation that was asked to stop."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped on request; the same command goes on from there")
        self.exit_status = 128 + number


def evaluations(plan: TablePlan, searching: bool) -> list[tuple[str, str, str]]:
    """Test set, knowledge of the heading, and folder of the results, in a row's folder.

    Args:
        plan: The plan.
        searching: Whether the row's network searches headings.
    """
    return [
        (test.name, heading, f"test/{test.name}-{heading}")
        for test in plan.tests
        for heading in plan.headings
        if heading != "unknown" or searching
    ]


def is_tested(folder: Path) -> bool:
    """Whether a test left its results in a folder."""
    return (folder / "metrics.json").is_file()


def is_trained(folder: Path) -> bool:
    """Whether a row's training has come to its end."""
    return (folder / "row.json").is_file() and (folder / "model.safetensors").is_file()


def run_table(
    plan: TablePlan,
    out: Path,
    searching: Mapping[str, bool],
    execute: Execute,
    say: Callable[[str], None],
    workers: int | None = None,
    jobs: int = 1,
) -> list[str]:
    """Train and test every row as far as that has not been done.

    A row that fails is told of and left, the others go on.

    Args:
        plan: What to train.
        out: Folder of the ablation; a row's folder in it has the row's name.
        searching: By the row's name, whether its network searches headings.
        execute: Runs ``fit`` or ``test`` with its options, given the row's folder.
        say: Tells the user how far it is.
        workers: Processes that read data, for every row; results do not depend on it.
        jobs: Rows that run at a time.

    Returns:
        What failed.

    Raises:
        ConfigurationError: A row in the folder was made with other settings, or tested on other
            data under the name of a test set.
        CVSegGuideError: The user asked it to stop.
    """
    runs = plan.rows()
    failed: list[str] = []
    texts = {run.name: plan.settings(run) for run in runs}
    for run in runs:
        folder = out / run.name
        settings = folder / SETTINGS
        begun = is_trained(folder) or (folder / "last.ckpt").exists()
        known = settings.read_text(encoding="utf-8") if begun and settings.exists() else None
        if known not in (None, texts[run.name]):
            raise ConfigurationError(
                f"{folder}: was made with other settings (compare {settings.name}); "
                "another --out starts afresh"
            )
        _check_tests(plan, folder)

    def work(number: int, run: TableRun) -> None:
        label = f"row {number} of {len(runs)}: {run}"
        folder = out / run.name
        try:
            _train(plan, run, folder, texts[run.name], workers, execute, lambda: say(label))
            _test(plan, run, folder, searching[run.variant.name], workers, execute, say, label)
        except Exception as error:  # hours of other rows must not be lost with it
            if getattr(error, "exit_status", 0) > _SIGNALLED:
                raise
            text = " ".join(str(error).split()) or type(error).__name__
            failed.append(text if text.startswith(str(run)) else f"{run}: {text}")
            say(f"{label}: failed: {text}")

    if jobs == 1:
        from cvsegguide.data.resident import kept_sets

        with kept_sets():
            for number, run in enumerate(runs, 1):
                work(number, run)
        return failed
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work, number, run) for number, run in enumerate(runs, 1)]
        done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
        for future in done:
            future.result()
    return failed


def _check_tests(plan: TablePlan, folder: Path) -> None:
    """Raise ConfigurationError where results of other data have the name of a test set."""
    for test in plan.tests:
        settings = folder / f"test-{test.name}.yaml"
        done = any(map(is_tested, folder.glob(f"test/{glob.escape(test.name)}-*")))
        if not done or not settings.is_file():
            continue
        known = yaml.safe_load(settings.read_text("utf-8"))["data"]["test"]
        if known != yaml.safe_load(yaml.safe_dump(evaluation_entries(plan, test))):
            raise ConfigurationError(
                f"--test {test.name}: {folder} was tested on other data of that name (compare "
                f"{settings.name}); give these another (NAME=PATH)"
            )


def _train(
    plan: TablePlan,
    run: TableRun,
    folder: Path,
    text: str,
    workers: int | None,
    execute: Execute,
    begin: Callable[[], None],
) -> None:
    if is_trained(folder):
        return
    begin()
    write_text(folder / SETTINGS, text)
    resumed = (folder / "last.ckpt").exists()
    start = time.monotonic()
    options = ["--config", str(folder / SETTINGS), *plan.arguments, "--out", str(folder)]
    if workers is not None:
        options += ["--data.num_workers", str(workers)]
    _successful(execute(["fit", *options, "--resume"], folder), run, folder)
    seconds = round(time.monotonic() - start, 1)
    write_text(folder / "row.json", json.dumps({"fit_seconds": None if resumed else seconds}))


def _test(
    plan: TablePlan,
    run: TableRun,
    folder: Path,
    searching: bool,
    workers: int | None,
    execute: Execute,
    say: Callable[[str], None],
    label: str,
) -> None:
    entries = {test.name: evaluation_entries(plan, test) for test in plan.tests}
    fault: Exception | None = None
    for name, heading, place in evaluations(plan, searching):
        if is_tested(folder / place):
            continue
        say(f"{label}: testing on {name}, heading {heading}")
        # beside config.yaml, so that `test` finds the run
        content: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        content["data"]["test"] = entries[name]
        settings = folder / f"test-{name}.yaml"
        write_text(settings, yaml.safe_dump(content, sort_keys=False))
        options = ["--config", str(settings), "--out", str(folder / place), "--no-pictures"]
        options += ["--model.heading_error", f"{heading_error(heading):g}"]
        if workers is not None:
            options += ["--data.num_workers", str(workers)]
        try:
            _successful(execute(["test", *options], folder), run, folder)
        except Exception as error:  # the other test sets may do
            if getattr(error, "exit_status", 0) > _SIGNALLED:
                raise
            fault = fault or error
    if fault is not None:
        raise fault


def _successful(status: int, run: TableRun, folder: Path) -> None:
    if status:
        said = ""
        if (folder / LOG).is_file():
            lines = (folder / LOG).read_text("utf-8", errors="replace").splitlines()
            said = f": {lines[-1].strip()}" if lines else ""
        raise ConfigurationError(f"{run}: ended with status {status}{said}")


class Processes:
    """Runs commands as processes of their own, and ends them when this one is to end.

    As a context it answers SIGINT and SIGTERM: the processes get a SIGTERM, save and stop.

    Args:
        program: What is run with ``fit`` or ``test`` and their options.
    """

    def __init__(self, program: Sequence[str] = (sys.executable, "-m", "cvsegguide")) -> None:
        self.program = tuple(program)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._signal = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Processes":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *unused: object) -> None:
        self._end()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self._signal = number
        self._end()

    def _end(self) -> None:
        for process in tuple(self._running):
            if process.poll() is None:
                process.terminate()

    def execute(self, argv: list[str], folder: Path) -> int:
        """Run the program with ``argv``; what it says goes to the row's log.

        Raises:
            Stopped: This process was asked to end.
        """
        self._check()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("ab") as log:
            # in a session of its own: a Ctrl-C reaches it once, through this process
            process = subprocess.Popen(
                [*self.program, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            with self._lock:
                self._running.add(process)
            try:
                self._end_late(process)
                status = process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)
        self._check()
        return status

    def _end_late(self, process: "subprocess.Popen[bytes]") -> None:
        """End a process that was being started when the signal came."""
        if self._signal:
            process.terminate()

    def _check(self) -> None:
        if self._signal:
            raise Stopped(self._signal)
