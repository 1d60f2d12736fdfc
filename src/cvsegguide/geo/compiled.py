"""How functions are compiled by numba, typed, so that strict type checks see through it.

The first call takes seconds; what it makes is kept in numba's cache on disk.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def cached(function: Kernel, *signature: str, **options: Any) -> Kernel:
    """Compile with numba and these options; cached on disk where some folder can be written to."""
    options = {"error_model": "numpy", **options}
    njit: Any = numba.njit  # its type declarations lack some of the options
    try:
        return cast(Kernel, njit(*signature, cache=True, **options)(function))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    return cast(Kernel, njit(*signature, **options)(function))
