"""What the computer is: processor and cores."""

import os
import platform
import sys


def usable_cores() -> int:
    """Cores that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_WAIT = "50000"
"""Times around a loop that a thread waits for more work, about a millisecond, before it sleeps."""


def wait_briefly() -> bool:
    """Let PyTorch's idle threads leave their cores sooner, to whatever else the process does.

    They wait spinning, several milliseconds by default: in the way of threads that read and write
    files, and of :mod:`cvsegguide.lanes`. It takes effect where PyTorch is not loaded yet and runs
    on GNU's OpenMP, and nothing is done where an environment variable of the user's says how to
    wait.

    Returns:
        Whether it was done.
    """
    chosen = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    if "torch" in sys.modules or any(name in os.environ for name in chosen):
        return False
    os.environ["GOMP_SPINCOUNT"] = _WAIT
    return True


def processor_name() -> str:
    """As the system calls it, such as ``AMD EPYC 9B45``."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
