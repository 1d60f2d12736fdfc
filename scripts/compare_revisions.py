"""Time this tree beside another revision, by turns: what `cvsegguide benchmark` measures.

Each revision has a process of its own, which runs this tree's benchmark with its own package.
Prints medians and quartiles. On a machine that others use, set OMP_WAIT_POLICY=passive for both.
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCHMARK = Path("cvsegguide/benchmark")


def answer(subject: str, threads: int, quick: bool) -> None:
    """Make the tasks of a subject one by one; run each as often as stdin asks."""
    with suppress(ImportError):  # what commands did before they were there no more
        from cvsegguide.machine import wait_briefly  # type: ignore[import-not-found]

        wait_briefly()
    with suppress(ImportError):
        from cvsegguide.allocation import keep_freed_memory  # type: ignore[import-not-found]

        keep_freed_memory()
    import torch

    from cvsegguide.benchmark.measurement import peak_megabytes
    from cvsegguide.benchmark.subjects import tasks

    torch.set_num_threads(threads)
    for task in tasks(subject, quick):
        task.run()
        tell({"name": task.name, "unit": task.unit, "repeats": task.repeats, "more": task.memory})
        for line in sys.stdin:
            if line.strip() == "next":
                break
            if line.strip() == "memory":
                tell(peak_megabytes(task.run))
                continue
            begin = time.perf_counter()
            task.run()
            tell(task.value(time.perf_counter() - begin))
    tell(None)


def tell(value: Any) -> None:
    """A line of JSON to the parent."""
    print(json.dumps(value), flush=True)


class Child:
    """A process that runs the tasks of one revision."""

    def __init__(self, source: Path, arguments: list[str], threads: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, question: str = "") -> Any:
        """The answer to a question, or what the process says by itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if question:
            self.process.stdin.write(f"{question}\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a process ended early: see above")
        return json.loads(line)


def compare(before: Child, now: Child, repeats: int | None) -> None:
    """One line for each task, and one for memory where a task measures it."""
    task, _ = before.ask(), now.ask()
    while task is not None:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(max(2, repeats or task["repeats"])):
            for record, child in zip(times, (before, now), strict=True):
                record.append(child.ask("run"))
        low, high = (" ".join(f"{q:.4g}" for q in statistics.quantiles(part)) for part in times)
        ratio = statistics.median(times[1]) / statistics.median(times[0])
        print(f"{task['name']}: before {low}, now {high} {task['unit']}, ratio {ratio:.2f}")
        if task["more"]:
            old, new = before.ask("memory"), now.ask("memory")
            if old and new:
                print(f"{task['name']}, memory added: before {old:.0f}, now {new:.0f} MB")
        sys.stdout.flush()
        task, _ = before.ask("next"), now.ask("next")


def extract(revision: str, folder: Path) -> Path:
    """The sources of a revision, with this tree's benchmark in them."""
    command = ["git", "-C", str(ROOT), "archive", revision, "src"]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        tree.extractall(folder, filter="data")
    source = folder / "src"
    shutil.rmtree(source / BENCHMARK)
    shutil.copytree(ROOT / "src" / BENCHMARK, source / BENCHMARK)
    return source


def main() -> int:
    """Compare subject after subject; exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?", help="of this repository")
    parser.add_argument(
        "subjects",
        nargs="*",
        help="names of `cvsegguide benchmark` (default: localize segment networks)",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, help="of every task (default: as the benchmark)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer networks")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        answer(arguments.child, arguments.threads, arguments.quick)
        return 0
    if arguments.revision is None:
        parser.error("which revision?")
    with tempfile.TemporaryDirectory() as folder:
        before = extract(arguments.revision, Path(folder))
        for subject in arguments.subjects or ["localize", "segment", "networks"]:
            words = [f"--child={subject}", f"--threads={arguments.threads}"]
            words += ["--quick"] if arguments.quick else []
            compare(
                Child(before, words, arguments.threads),
                Child(ROOT / "src", words, arguments.threads),
                arguments.repeats,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
