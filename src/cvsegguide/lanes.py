"""Lanes: inputs side by side, each on a thread of its own, where PyTorch would share each out.

Layers of small maps are too short to be shared between threads: those meet, and wait for one
another, at each. Independent inputs need not meet, and each keeps its maps in its core's own cache.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_FULL = 0.75
"""How busy lanes have to be, on the average: three inputs keep two of them busy so far."""

MOST = 8
"""Lanes there may be. With more threads PyTorch shares out every layer, as it does by itself."""


def lanes_for(count: int, most: int = MOST) -> int:
    """How many lanes ``count`` inputs go down: PyTorch's threads, or 1 where those would idle.

    One also where gradients are wanted, since those would have to meet, and under autocast.

    Args:
        count: Inputs.
        most: Lanes there may be: each takes the memory that an input takes.
    """
    threads = torch.get_num_threads()
    alone = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    if alone or not 2 <= threads <= min(count, most):
        return 1
    return threads if count / (-(-count // threads) * threads) >= _FULL else 1


def parts(count: int, together: int, most: int = MOST) -> list[slice]:
    """Which of ``count`` inputs go through a network at once: as few groups as keep lanes busy.

    Args:
        count: Inputs.
        together: How many of them a group has, at most.
        most: As for :func:`lanes_for`.
    """
    lanes = lanes_for(count, most)
    groups = max(1, min(count, lanes * -(-count // (lanes * together))))
    bounds = [count * index // groups for index in range(groups + 1)]
    return [slice(*both) for both in pairwise(bounds)]


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``function`` of every item, in order; side by side where :func:`lanes_for` says so.

    Args:
        function: As for :func:`submit`; what it raises is raised here.
        items: Independent of one another.
    """
    lanes = lanes_for(len(items))
    if lanes < 2:
        return [function(item) for item in items]
    futures = [submit(function, item, lanes) for item in items]
    try:
        return [future.result() for future in futures]
    finally:
        cancel(futures)


def submit(function: Callable[[Item], Result], item: Item, lanes: int) -> "Future[Result]":
    """``function`` of an item, in one of so many lanes.

    Args:
        function: Computes on a CPU without gradients; it runs with the caller's inference mode,
            and PyTorch uses one thread in it.
        item: Its argument.
        lanes: As :func:`lanes_for` said.
    """
    inference = torch.is_inference_mode_enabled()

    def run() -> Result:
        with torch.inference_mode() if inference else torch.no_grad():
            return function(item)

    return _pool(lanes).submit(run)


def cancel(futures: Iterable["Future[Any]"]) -> None:
    """Leave out what has not begun, after an error."""
    for future in futures:
        future.cancel()


@contextmanager
def working(lanes: int) -> Iterator[None]:
    """Within it, lanes get work by :func:`submit` while the caller computes, too, on one thread.

    What it would share with other threads of PyTorch's would be waited for by those, spinning, on
    the cores that the lanes need. Threads of the process that compute with PyTorch for the first
    time meanwhile begin with one thread, too.
    """
    if lanes < 2:
        yield
        return
    _pool(lanes)
    with using_threads(1):
        yield


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Within it, PyTorch shares out layers between ``count`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "lane")
    started = threading.Barrier(threads)

    def begin() -> None:
        torch.get_num_threads()  # else the thread's first operation took what others begin with
        torch.set_num_threads(1)  # of this thread; and of threads to come, which is put right below
        started.wait(timeout=60)

    try:
        for future in [pool.submit(begin) for _ in range(threads)]:
            future.result()
    finally:
        torch.set_num_threads(before)
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has no such threads
