"""PyTorch's own threads for compiled loops.

PyTorch's operations on a CPU run on a team of OpenMP's threads, which wait for the next operation
spinning. Threads of one's own would share their cores with those; so compiled loops go to the team
itself, by the entry that GCC's compiled code has (``GOMP_parallel`` of libgomp).
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

_WORTH = 1 << 20
"""Numbers in a map from which sharing, 30 microseconds, pays."""

_PART = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _library() -> Any:
    """The OpenMP that PyTorch runs on; None where it is another than GCC's, or cannot be told."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        with open("/proc/self/maps", encoding="utf-8") as lines:
            words = [line.split(maxsplit=5) for line in lines if "libgomp" in line]
        beside_torch = {each[-1].strip() for each in words if "/torch" in each[-1]}
        if len(beside_torch) != 1:
            return None
        library: Any = ctypes.CDLL(beside_torch.pop())
        library.GOMP_parallel.restype = None
        library.GOMP_parallel.argtypes = [_PART, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        library.omp_get_thread_num.restype = ctypes.c_int
        library.omp_get_num_threads.restype = ctypes.c_int
    except (OSError, AttributeError):
        return None
    return library


def has_team() -> bool:
    """Whether :func:`shared` can share: PyTorch has one thread, or runs on GCC's OpenMP."""
    return torch.get_num_threads() == 1 or _library() is not None


def shared(run: Callable[[slice, int], None], length: int, numbers: int) -> None:
    """Call ``run`` with each part of ``range(length)`` and its number, on PyTorch's threads.

    Args:
        run: Leaves Python for most of its time.
        length: Of what is shared.
        numbers: How many numbers it goes over. A few are not shared.
    """
    parts = min(torch.get_num_threads(), length)
    if parts <= 1 or numbers < _WORTH:
        run(slice(0, length), 0)
        return
    library, failures, done = _library(), [], []

    def part(_: Any) -> None:
        try:
            number, of = library.omp_get_thread_num(), library.omp_get_num_threads()
            for own in range(number, parts, of):  # where fewer threads came than were asked for
                run(slice(length * own // parts, length * (own + 1) // parts), own)
                done.append(own)
        except BaseException as error:  # an exception cannot pass through the team
            failures.append(error)

    # all of them, since a smaller team would end the others' threads
    library.GOMP_parallel(_PART(part), None, torch.get_num_threads(), 0)
    if failures:
        raise failures[0]
    if len(done) < parts:
        raise KeyboardInterrupt  # it came where no exception passes
