"""Freed memory that stays with the process, counted by the pages that the system hands out."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from cvsegguide.allocation import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "keep" else False
import torch
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        first = torch.ones(5_000_000)  # 20 MB each
        second = first + 1
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(done, pages())
"""


def asked(argument: str, program: str = PROGRAM, **environment: str) -> tuple[bool, int]:
    """Whether it was done, and pages handed out for 400 MB in pieces of 20."""
    output = subprocess.run(
        [sys.executable, "-c", program, argument],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout.split()
    return output[0] == "True", int(output[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own setting")
def test_freed_memory_is_used_again() -> None:
    done, pages = asked("keep")
    assert done
    assert pages < 1000, "400 MB are a hundred thousand pages of 4 kB"


def test_what_the_user_has_chosen_stays() -> None:
    done, _ = asked("keep", MALLOC_TRIM_THRESHOLD_="131072")
    assert not done


IN_THREADS = """
import ctypes, sys, tempfile, threading
from cvsegguide.allocation import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "keep" else False
meet = threading.Barrier(4)
def work():
    held = [bytearray(100_000) for _ in range(20)]
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.fclose.argtypes = [ctypes.c_void_p]
with tempfile.NamedTemporaryFile("r") as file:
    stream = library.fopen(file.name.encode(), b"w")
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(done, file.read().count("<heap "))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own setting")
def test_threads_share_what_is_kept() -> None:
    """Stores of memory after four threads; each by itself hands back what it holds in pieces."""
    assert asked("keep", IN_THREADS) == (True, 1)
    assert asked("not", IN_THREADS)[1] > 1
    assert asked("keep", IN_THREADS, MALLOC_ARENA_MAX="8")[1] > 1  # the user's own choice
