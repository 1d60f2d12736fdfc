"""What a benchmark returns, and the list of those there are."""

import importlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

SUBJECTS = (
    "mst",
    "featup",
    "geometric",
    "many-streets",
    "segment",
    "cold-start",
    "upsampler",
    "localize",
    "preparation",
    "loader",
    "feature-cache",
    "synth",
    "gpu",
)
"""Modules of this package, in the order of measuring. Each has ``measure(quick: bool)``, which
returns or yields :class:`Measurement`."""

clock: Callable[[], float] = time.perf_counter
"""What seconds are counted by. ``time.process_time`` (all threads' time on a core) is steadier on a
machine that others use; then let PyTorch use one thread."""


@dataclass(frozen=True)
class Measurement:
    """One figure beside the reference that was measured in the same run.

    Attributes:
        name: What was measured, e.g. ``"sightline 256 x 256"``.
        value: Median in ``unit``.
        unit: ``"s"``, ``"ms"``, ``"MB"``, ``"pairs/s"``.
        reference: Median of the reference in the same unit, or None when there is none.
        reference_name: What the reference is.
        note: Sizes, thread counts and the like.
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    reference_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """``value / reference``."""
        return None if not self.reference else self.value / self.reference

    def row(self) -> dict[str, Any]:
        """The fields and the ratio, for JSON."""
        return {**asdict(self), "ratio": self.ratio}


def median_seconds(
    *functions: Callable[[], object], repeats: int = 7, warmup: int = 1, wall: bool = False
) -> list[float]:
    """Median seconds of each function; they take turns, so that noise is shared.

    Seconds are those of :data:`clock`, or (``wall``, for what other processes do) of the wall.
    """
    read = time.perf_counter if wall else clock
    for function in functions:
        for _ in range(warmup):
            function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, record in zip(functions, times, strict=True):
            start = read()
            function()
            record.append(read() - start)
    return [statistics.median(record) for record in times]


def run(subject: str, quick: bool = False) -> Iterator[Measurement]:
    """Measure one of :data:`SUBJECTS`; what comes before a failure is yielded."""
    module = importlib.import_module(f"cvsegguide.benchmark.{subject.replace('-', '_')}")
    yield from module.measure(quick=quick)
