"""Compilation of functions that run once per ray."""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that makes no arrays, without counting references to those it is given.

    Counting costs two atomic operations per array and call, more than a ray's geometry. The
    function must not allocate: the compiler refuses it then. Only other kernels can call it: what
    Python would call it through takes longer to compile than the function.
    """
    return _compiled(function)


def inlined(function: Function) -> Function:
    """As :func:`kernel`, for long functions that every ray calls: put where the call is.

    A call hands over each array as seven words; with a scene's tables that took a fifth of a
    picture's time.
    """
    return _compiled(function, forceinline=True)


def entry(function: Function) -> Function:
    """As :func:`kernel`, for one that Python calls."""
    return _compiled(function, no_cpython_wrapper=False)


def typed(signature: str) -> Callable[[Function], Function]:
    """As :func:`kernel`, for one signature alone.

    Without it there would be a version for every constant that a caller passes.
    """

    def decorate(function: Function) -> Function:
        return _compiled(function, signature)

    return decorate


def _compiled(
    function: Function, *signature: str, no_cpython_wrapper: bool = True, **options: Any
) -> Function:
    from cvsegguide.synth.compiled import cached

    return cached(
        function,
        *signature,
        _nrt=False,
        no_cpython_wrapper=no_cpython_wrapper,
        no_cfunc_wrapper=True,
        **options,
    )
