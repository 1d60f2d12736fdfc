"""Compilation of functions that run once per ray."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that makes no arrays, without counting references to those it is given.

    Counting costs two atomic operations per array and call, more than a ray's geometry. The
    function must not allocate: the compiler refuses it then.
    """
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}
    return cast(Function, numba.njit(**options)(function))
