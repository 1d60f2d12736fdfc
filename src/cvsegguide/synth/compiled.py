"""One way to compile kernels, typed, so that strict type checks see through it."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U64 = NDArray[np.uint64]

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _njit(function: Kernel, **options: Any) -> Kernel:
    """Compile with numba, cached on disk where there is a place for it.

    No fast-math: the same numbers must come out of every window and every worker.
    """
    options["error_model"] = "numpy"
    njit: Any = numba.njit  # its type declarations lack some of the options
    try:
        return cast(Kernel, njit(cache=True, **options)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast(Kernel, njit(**options)(function))


def cached(function: Kernel, *signature: str, **options: Any) -> Kernel:
    """Compile with numba and these options; cached on disk where some folder can be written to.

    No fast-math: the same numbers must come out of every window and every worker.
    """
    options = {"error_model": "numpy", **options}
    njit: Any = numba.njit
    try:
        return cast(Kernel, njit(*signature, cache=True, **options)(function))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    return cast(Kernel, njit(*signature, **options)(function))


def compiled(function: Kernel) -> Kernel:
    """Compile with numba, cached on disk."""
    return cached(function, no_cfunc_wrapper=True)


def inlined(signature: str) -> Callable[[Kernel], Kernel]:
    """As :func:`compiled`, for small helpers that every pixel calls, for one signature alone.

    Without it there would be a version for every constant that a caller passes.
    """

    def decorate(function: Kernel) -> Kernel:
        return cached(
            function, signature, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
        )

    return decorate
