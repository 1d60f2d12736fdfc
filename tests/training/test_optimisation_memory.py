"""Memory that a step of training frees stays with the process."""

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes
import resource
import sys

from cvsegguide.allocation import keep_for_training

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
if sys.argv[1] == "kept":
    assert keep_for_training()


def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    maps = [library.malloc(20 << 20) for _ in range(8)]
    for each in maps:
        library.memset(each, 1, 20 << 20)
    for each in reversed(maps):
        library.free(each)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


print([step() for _ in range(4)][-1])
"""


def faults(how: str) -> int:
    """Pages that the fourth of four steps asks the system for."""
    command = [sys.executable, "-P", "-c", _PROGRAM, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of GNU's C library")
def test_a_step_asks_the_system_for_no_memory_that_the_one_before_had() -> None:
    assert faults("kept") < 1000
    assert faults("default") > 10_000
