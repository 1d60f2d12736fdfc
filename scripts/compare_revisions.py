"""Time the geometric network of this tree beside that of another revision, by turns.

Each has a process of its own with its own settings of memory and threads, as a command has; the
plain path of `cvsegguide benchmark` shares these with the fast one. Prints medians and quartiles.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BATCH = 8
TASKS = (
    # label, of the other revision, of this one, how often to repeat beside a training step
    ("a pair, heading known", "pair", "pair", 4),
    ("a pair, heading unknown", "search", "search", 4),
    ("a further street view, of 8 at once, beside a pair", "pair", "streets", 4),
    ("a further street view, alone, beside a pair", "pair", "street", 4),
    ("training step, batch of 8, float32", "step", "step", 1),
    ("training step, 4 headings, float32", "turned step", "turned step", 1),
    ("training step, bf16 beside float32", "step", "halved step", 1),
    ("training step, 4 headings, bf16 beside float32", "turned step", "halved turned step", 1),
)


def child(threads: int) -> None:
    """Run the tasks whose names come on stdin; print the seconds of each."""
    with suppress(ImportError):  # of before they were there
        from cvsegguide.machine import wait_briefly

        wait_briefly()
    with suppress(ImportError):
        from cvsegguide.allocation import keep_freed_memory

        keep_freed_memory()
    import torch

    torch.set_num_threads(threads)
    from cvsegguide.models.headings import heading_grid
    from cvsegguide.models.hub import load_model
    from cvsegguide.training.optimisation import AdamW

    model = load_model("synthcity").eval()
    generator = torch.Generator().manual_seed(0)
    overhead = torch.rand(BATCH, 3, *model.overhead_size, generator=generator)
    street = torch.rand(BATCH, 3, *model.street_size, generator=generator)
    turns = torch.tensor([0.0, 40.0, -75.0, 160.0])
    optimizer = AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    def step(halved: bool = False, **arguments: torch.Tensor) -> float:
        model.train()
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
            found = model(overhead, street, **arguments)
        loss = found.heatmap.float().square().mean() + found.landcover.float().square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start

    @torch.inference_mode()
    def pair(**arguments: torch.Tensor | None) -> float:
        model.eval()
        start = time.perf_counter()
        model(overhead[:1], street[:1], **arguments)
        return time.perf_counter() - start

    @torch.inference_mode()
    def further(count: int) -> float:
        model.eval()
        above = model.encode_overhead(overhead[:1])
        model.predict(above, model.encode_street(street[:1]))  # what is kept with a tile
        start = time.perf_counter()
        model.predict(above, model.encode_street(street[:count]))
        return (time.perf_counter() - start) / count

    tasks: dict[str, Callable[[], float]] = {
        "pair": pair,
        "search": lambda: pair(headings=heading_grid(180.0)),
        "streets": lambda: further(BATCH),
        "street": lambda: further(1),
        "step": step,
        "turned step": lambda: step(headings=turns),
        "halved step": lambda: step(halved=True),
        "halved turned step": lambda: step(halved=True, headings=turns),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        print(tasks[line.strip()](), flush=True)


def start(source: Path, threads: int) -> "subprocess.Popen[str]":
    """A child that imports the package from ``source``."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(
        [sys.executable, "-P", __file__, "--child", str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ask(process: "subprocess.Popen[str]", task: str) -> float:
    """Seconds of a task in a child."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{task}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> int:
    """One line for each task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?", help="of this repository")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7, help="of a training step")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child)
        return 0
    if arguments.revision is None:
        parser.error("which revision?")
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "-C", str(root), "archive", arguments.revision, "src"],
            check=True,
            capture_output=True,
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
            tree.extractall(folder, filter="data")
        before = start(Path(folder) / "src", arguments.threads)
        now = start(root / "src", arguments.threads)
        for process in (before, now):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for label, old, new, often in TASKS:
            times: tuple[list[float], list[float]] = ([], [])
            for turn in range(2 + often * arguments.repeats):
                found = ask(before, old), ask(now, new)
                if turn > 1:
                    for record, seconds in zip(times, found, strict=True):
                        record.append(1000 * seconds)
            low, high = (
                " ".join(f"{q:.1f}" for q in statistics.quantiles(record)) for record in times
            )
            ratio = statistics.median(times[1]) / statistics.median(times[0])
            print(f"{label}: before {low} ms, now {high} ms, ratio {ratio:.2f}", flush=True)
        for process in (before, now):
            process.terminate()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
