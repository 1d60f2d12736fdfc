"""Memory that networks give back and ask for again, without the operating system in between.

What a layer leaves is freed and is what the next layer needs. The C library returns large pieces to
the system, which hands out fresh pages, zeros them first, and does so one by one: a third of the
time of a small network on a CPU.
"""

import ctypes
import os

KEPT = 512
"""Megabytes of freed memory that stay with the process."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt

_LARGEST = 32
"""Megabytes of the largest piece that comes from kept memory; glibc takes no more."""

_CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let this process keep up to :data:`KEPT` megabytes that it has freed.

    It does so for good, for everything in the process: call it where the process is your own. It
    does nothing where the C library is another one than glibc, or where an environment variable of
    the user's says something else (``MALLOC_TRIM_THRESHOLD_`` and the like).

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
    # In this order: either ends that the library chooses by itself.
    return bool(choose(_MMAP_THRESHOLD, _LARGEST << 20) and choose(_TRIM_THRESHOLD, KEPT << 20))
