"""What a benchmark returns, and the list of those there are."""

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

SUBJECTS = (
    "upsampler",
    "localize",
    "preparation",
    "loader",
    "synth",
)
"""Modules of this package; each has ``measure(quick: bool) -> list[Measurement]``."""


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
    *functions: Callable[[], object], repeats: int = 7, warmup: int = 1
) -> list[float]:
    """Median wall time of each function; the functions take turns, so that noise is shared."""
    for function in functions:
        for _ in range(warmup):
            function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, record in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in times]


def run(subject: str, quick: bool = False) -> list[Measurement]:
    """Measure one of :data:`SUBJECTS`."""
    module = importlib.import_module(f"cvsegguide.benchmark.{subject}")
    result: list[Measurement] = module.measure(quick=quick)
    return result
