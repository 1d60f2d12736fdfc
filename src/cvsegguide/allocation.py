"""Memory that networks give back and ask for again, without the operating system in between.

What a layer leaves is freed and is what the next layer needs. The C library returns large pieces to
the system, which hands out fresh pages, zeros them first, and does so one by one: a third of the
time of a small network on a CPU.
"""

import ctypes
import os

KEPT = 512
"""Megabytes of freed memory that stay with the process."""

_OF_TRAINING = 2047  # the most that glibc takes

_AHEAD = 256
"""Megabytes that a training process asks the system for at a time."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # of glibc's mallopt

_LARGEST = 32
"""Megabytes of the largest piece that comes from kept memory; glibc takes no more."""

_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory(megabytes: int = KEPT, ahead: int = 0) -> bool:
    """Let this process keep memory that it has freed.

    Its threads share one store of it; each by itself would give back what it holds in pieces.

    It does so for good, for everything in the process: call it where the process is your own, and
    before it has threads. It does nothing where the C library is another one than glibc, or where
    an environment variable of the user's says something else (``MALLOC_TRIM_THRESHOLD_`` and the
    like).

    Args:
        megabytes: How much, below 2048.
        ahead: Megabytes that it asks the system for at a time, 0 for the library's own choice.

    Returns:
        Whether it was done.
    """
    if any(name in os.environ for name in _CHOSEN):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - others have no such function
        choose = library.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    options = [(_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, megabytes)]
    if ahead:
        options.append((_TOP_PAD, ahead))
    done = [choose(option, value << 20) == 1 for option, value in options]
    if "MALLOC_ARENA_MAX" not in os.environ:
        done.append(choose(_ARENA_MAX, 1) == 1)
    return all(done)


def keep_for_training() -> bool:
    """As :func:`keep_freed_memory`, all that a step of training frees: the next needs the same."""
    return keep_freed_memory(_OF_TRAINING, ahead=_AHEAD)
