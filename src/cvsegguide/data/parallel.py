"""Many small jobs over threads, a few in flight at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def bounded_map(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Iterator[Result]:
    """Yield ``function(job)`` as results come, in no fixed order.

    Jobs are drawn as they are needed, so that neither jobs nor results pile up in memory. Threads
    do for jobs that decode, encode or compute in compiled code, which runs beside Python's.

    Args:
        function: Called in a thread; what it raises is raised here.
        jobs: Drawn in the caller's thread.
        workers: Number of threads.
    """
    jobs = iter(jobs)
    with ThreadPoolExecutor(workers) as pool:
        waiting: set[Future[Result]] = set()
        try:
            while True:
                for job in islice(jobs, 8 * workers - len(waiting)):
                    waiting.add(pool.submit(function, job))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()
