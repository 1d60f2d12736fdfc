"""A task that is timed, what it gave, and the machine that it ran on."""

import ctypes
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from cvsegguide import __version__

LIBRARIES = ("torch", "torchvision", "timm", "lightning", "numpy", "numba", "rasterio", "pillow")


@dataclass(frozen=True)
class Task:
    """Something that is run again and again.

    Attributes:
        name: What it is, in a few words.
        run: Does it once. Returns when it is done, on a GPU too.
        amount: How many of what ``unit`` counts a run does.
        unit: ``"s"`` or ``"ms"`` for the time of one of them, else such as ``"pairs/s"``.
        repeats: How often it is timed, after one run that is not.
        memory: Whether the memory that a run adds at its peak is measured too.
        note: Sizes and the like.
    """

    name: str
    run: Callable[[], object]
    amount: float = 1.0
    unit: str = "ms"
    repeats: int = 7
    memory: bool = False
    note: str = ""

    def value(self, seconds: float) -> float:
        """What a run of so many seconds comes to, in :attr:`unit`."""
        if self.unit == "ms":
            return 1000 * seconds / self.amount
        return seconds / self.amount if self.unit == "s" else self.amount / seconds


@dataclass(frozen=True)
class Measurement:
    """A row of the table.

    Attributes:
        name: What was measured.
        value: The median, in ``unit``.
        unit: ``"s"``, ``"ms"``, ``"MB"``, ``"pairs/s"``, ``"Mpx/s"``.
        note: Sizes and the like.
        values: Each of the runs.
    """

    name: str
    value: float
    unit: str
    note: str = ""
    values: list[float] = field(default_factory=list)


def measure(task: Task) -> list[Measurement]:
    """Time a task, after a run that warms it up."""
    task.run()
    values = []
    for _ in range(task.repeats):
        start = time.perf_counter()
        task.run()
        values.append(task.value(time.perf_counter() - start))
    rows = [Measurement(task.name, statistics.median(values), task.unit, task.note, values)]
    peak = peak_megabytes(task.run) if task.memory else None
    if peak is not None:
        rows.append(Measurement(f"{task.name}, memory added", peak, "MB", task.note, [peak]))
    return rows


def peak_megabytes(run: Callable[[], object]) -> float | None:
    """Megabytes by which a run raises this process's resident memory at its peak.

    Linux alone lets a process reset its own peak; None elsewhere.
    """
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        before = _resident("VmRSS")
        run()
        return (_resident("VmHWM") - before) / 1e6
    except (OSError, AttributeError):
        return None


def _resident(field: str) -> float:
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(field))


def machine() -> dict[str, Any]:
    """Processor, cores, memory, and the versions of the libraries that matter for speed."""
    import torch

    from cvsegguide.console import processor_name, usable_cores  # not in every revision compared

    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_gib": memory,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cvsegguide": __version__,
        **{name: metadata.version(name) for name in LIBRARIES},
    }
