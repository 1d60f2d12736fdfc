"""Progress on stderr: a bar in a terminal, nothing in a pipe or log or with ``--quiet``."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from cvsegguide.console import settings

Item = TypeVar("Item")


def enabled() -> bool:
    """Whether progress is shown: stderr is a terminal, and nobody asked for quiet."""
    return not settings.quiet and sys.stderr is not None and sys.stderr.isatty()


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` and draw a progress bar on stderr while they are consumed.

    Args:
        items: What to iterate over.
        description: A few words in front of the bar.
        total: How many there are; by default ``len(items)`` where it has one.
    """
    if not enabled():
        yield from items
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=description)
