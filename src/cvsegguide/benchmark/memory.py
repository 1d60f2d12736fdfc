"""Peak memory of this process or of a fresh one."""

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable

from cvsegguide.errors import CVSegGuideError


def peak_of(function: Callable[[], object]) -> float | None:
    """Megabytes by which calling ``function`` raises the process's resident memory at its peak.

    Linux only, where a process may reset its own peak; None elsewhere.
    """
    function()
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        before = _status("VmRSS")
        function()
        return (_status("VmHWM") - before) / 1e3
    except (OSError, AttributeError):
        return None


def _status(field: str) -> float:
    with open("/proc/self/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return float(line.split()[1]) * 1.024
    raise OSError(f"no {field}")


# Where Linux tells, from there: the peak of getrusage begins with the parent's memory.
_END = """
import sys
try:
    with open("/proc/self/status") as lines:
        print([int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")][0])
except (OSError, IndexError):
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def peak_of_process(code: str) -> float:
    """Peak resident memory in megabytes of a Python process that runs ``code`` and nothing else.

    Raises:
        CVSegGuideError: It fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", code + _END], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CVSegGuideError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    return int(done.stdout.split()[-1]) / 1e6
