"""How kernels are compiled, typed, so that strict type checks see through it.

No fast-math anywhere: the same numbers must come out of every window and every worker.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.geo.compiled import Kernel, cached

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]


_OPTIONS = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: Kernel) -> Kernel:
    """Compile a function that makes arrays or that Python calls."""
    return cached(function, no_cfunc_wrapper=True)


def kernel(function: Kernel) -> Kernel:
    """Compile a function that makes no arrays, without counting references to those it is given.

    Counting costs two atomic operations per array and call, more than a ray's geometry. The
    compiler refuses a function that allocates. Only kernels call it: what Python would call it
    through takes longer to compile than the function.
    """
    return cached(function, **_OPTIONS)


def inlined(function: Kernel) -> Kernel:
    """As :func:`kernel`, put where the call is: a call hands over each array as seven words."""
    return cached(function, **_OPTIONS, forceinline=True)


def entry(function: Kernel) -> Kernel:
    """As :func:`kernel`, for one that Python calls."""
    return cached(function, **{**_OPTIONS, "no_cpython_wrapper": False})


def typed(signature: str, **options: Any) -> Callable[[Kernel], Kernel]:
    """As :func:`kernel`, for one signature: else each constant argument makes a version of it."""
    return lambda function: cached(function, signature, **{**_OPTIONS, **options})
