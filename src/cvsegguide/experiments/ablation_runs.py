"""Training and testing the rows of an ablation, one after another.

Each row is an ordinary run of ``fit``, then one of ``test`` for every test set and knowledge of
the heading, as processes, in a folder of its own, so that an interrupted ablation goes on where it
was.
"""

import glob
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.errors import ConfigurationError
from cvsegguide.experiments.ablation import Plan, Run, heading_error
from cvsegguide.io.atomic import write_text

SETTINGS = "ablation.yaml"
"""What a row is trained with, in its folder."""

LOG = "log.txt"
"""What a row's processes said, in its folder."""


def evaluations(plan: Plan, searching: bool) -> list[tuple[str, str, str]]:
    """Test set, knowledge of the heading, and folder of the results, in a row's folder.

    Args:
        plan: The plan.
        searching: Whether the row's network searches headings.
    """
    return [
        (test, heading, f"test/{test}-{heading}")
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


def run_rows(
    plan: Plan,
    out: Path,
    searching: Mapping[str, bool],
    say: Callable[[str], None],
    workers: int | None = None,
) -> list[str]:
    """Train and test every row as far as that has not been done.

    A row that fails is told of and left, the others go on. An interruption lets the process save
    and stop before it goes on its way.

    Args:
        plan: What to train.
        out: Folder of the ablation; a row's folder in it has the row's name.
        searching: By the row's name, whether its network searches headings.
        say: Tells the user how far it is.
        workers: Processes that read data, for every row; results do not depend on it.

    Returns:
        What failed.

    Raises:
        ConfigurationError: A row in the folder was made with other settings, or tested on other
            data under the name of a test set.
    """
    runs = plan.runs()
    for run in runs:
        _check_settings(plan, run, out / run.name)
    failed: list[str] = []
    process = Process(say, workers)
    for number, run in enumerate(runs, 1):
        label = f"row {number} of {len(runs)}: {run}"
        try:
            _train(plan, run, out / run.name, process, label)
            _test(plan, run, out / run.name, searching[run.row.name], process, label)
        except ConfigurationError as error:  # hours of other rows must not be lost with it
            failed.append(f"{run}: {error}")
            say(f"{label}: failed: {error}")
    return failed


def _check_settings(plan: Plan, run: Run, folder: Path) -> None:
    """Raise ConfigurationError where a folder holds results of other settings or test data."""
    path = folder / SETTINGS
    begun = is_trained(folder) or (folder / "last.ckpt").exists()
    if begun and path.exists() and path.read_text(encoding="utf-8") != plan.settings(run):
        raise ConfigurationError(
            f"{folder}: was made with other settings (compare {SETTINGS}); another `out` starts "
            "afresh"
        )
    for test in plan.tests:
        settings = folder / f"test-{test}.yaml"
        done = any(map(is_tested, folder.glob(f"test/{glob.escape(test)}-*")))
        if not done or not settings.is_file():
            continue
        known = yaml.safe_load(settings.read_text("utf-8"))["data"]["test"]
        if known != yaml.safe_load(yaml.safe_dump(plan.test_entries(test))):
            raise ConfigurationError(
                f"{folder} was tested on other data called '{test}' (compare "
                f"{settings.name}); give these another name (NAME=PATH)",
                parameter="test",
            )


def _train(plan: Plan, run: Run, folder: Path, process: "Process", label: str) -> None:
    if is_trained(folder):
        return
    write_text(folder / SETTINGS, plan.settings(run))
    resumed = (folder / "last.ckpt").exists()
    start = time.monotonic()
    options = ["--config", str(folder / SETTINGS), "--out", str(folder), "--resume"]
    options += [] if plan.root is None else ["--root", plan.root]
    process.execute(["fit", *options], folder, label)
    seconds = None if resumed else round(time.monotonic() - start, 1)
    write_text(folder / "row.json", json.dumps({"fit_seconds": seconds}))


def _test(
    plan: Plan, run: Run, folder: Path, searching: bool, process: "Process", label: str
) -> None:
    entries = {test: plan.test_entries(test) for test in plan.tests}
    faults: list[ConfigurationError] = []
    for name, heading, place in evaluations(plan, searching):
        if is_tested(folder / place):
            continue
        # beside config.yaml, so that `test` finds the run
        content: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        content["data"]["test"] = entries[name]
        settings = folder / f"test-{name}.yaml"
        write_text(settings, yaml.safe_dump(content, sort_keys=False))
        options = ["--config", str(settings), "--out", str(folder / place), "--no-pictures"]
        options += ["--model.heading_error", f"{heading_error(heading):g}"]
        try:
            said = f"{label}: testing on {name}, heading {heading}"
            process.execute(["test", *options], folder, said)
        except ConfigurationError as error:  # the other test sets may do
            faults.append(error)
    if faults:
        raise faults[0]


@dataclass(frozen=True)
class Process:
    """Runs commands as processes of their own.

    Attributes:
        say: Tells the user what begins.
        workers: Processes that read data; None leaves that to the configuration.
        program: What is run with ``fit`` or ``test`` and their options.
    """

    say: Callable[[str], None] = print
    workers: int | None = None
    program: Sequence[str] = (sys.executable, "-m", "cvsegguide")

    def execute(self, argv: list[str], folder: Path, label: str) -> None:
        """Run the program with ``argv``; what it says goes to the log in ``folder``.

        An interruption asks it to save and end (SIGTERM), and waits until it has.

        Raises:
            ConfigurationError: It ended with another status than 0; the message has its last line.
        """
        folder.mkdir(parents=True, exist_ok=True)
        options = [] if self.workers is None else ["--data.num_workers", str(self.workers)]
        self.say(f"{label} ({folder / LOG})")
        with (folder / LOG).open("ab") as log:
            # in a session of its own: a Ctrl-C reaches it once, through this process
            process = subprocess.Popen(
                [*self.program, *argv, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                status = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if status:
            lines = (folder / LOG).read_text("utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            raise ConfigurationError(f"ended with status {status}: {last}")
