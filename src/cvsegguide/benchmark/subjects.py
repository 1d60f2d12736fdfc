"""The list of what `cvsegguide benchmark` measures."""

import importlib
from collections.abc import Iterator

from cvsegguide.benchmark.measurement import Task

SUBJECTS = {
    "localize": "cvsegguide.benchmark.localize:cold_and_warm",
    "networks": "cvsegguide.benchmark.networks:on_cpu",
    "segment": "cvsegguide.benchmark.localize:segment",
    "gpu": "cvsegguide.benchmark.networks:on_gpu",
}
"""Name -> module and function, ``(quick: bool) -> Iterator[Task]``, in the order of measuring."""


def tasks(name: str, quick: bool) -> Iterator[Task]:
    """The tasks of a subject, each made when it is asked for, with files that last as long.

    Args:
        name: One of :data:`SUBJECTS`.
        quick: Smaller sizes, fewer repetitions.
    """
    module, _, function = SUBJECTS[name].partition(":")
    found: Iterator[Task] = getattr(importlib.import_module(module), function)(quick)
    return found
