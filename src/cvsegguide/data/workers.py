"""Processes that read data, kept out of what signals say to the run.

Ctrl-C, ``timeout`` and SLURM reach every process of a run, which wants to save before it ends. Its
readers ignore SIGINT and SIGTERM until then, and end when the run tells them to, or when it is
gone. Since multiprocessing ends what is left of them by SIGTERM, and waits, they are told at the
end of the process, too.
"""

import atexit
import signal
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

_SIGNALS = {signal.SIGINT, signal.SIGTERM}

_iterators: "weakref.WeakSet[Any]" = weakref.WeakSet()
_readers: "weakref.WeakSet[Any]" = weakref.WeakSet()


def ignore_signals(worker: int) -> None:
    """What a reader begins with (``worker_init_fn``)."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def iterate(loader: "DataLoader[Any]") -> "Iterator[Any]":
    """``iter(loader)``, whose ``worker_init_fn`` is :func:`ignore_signals`.

    No signal reaches a reader between its start and its deafness: it is started with signals
    blocked.
    """
    with _blocked():
        iterator = iter(loader)
    readers = getattr(iterator, "_workers", None)
    if readers and iterator not in _iterators:
        _iterators.add(iterator)
        _readers.update(readers)
        # After torch's own, which it registered for each reader: the last one goes first.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    return iterator


@contextmanager
def _blocked() -> "Iterator[None]":
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_all() -> None:
    for iterator in list(_iterators):
        iterator._shutdown_workers()
    for reader in list(_readers):
        if reader.is_alive():  # in a read that does not return
            reader.kill()
