"""Building networks whose parameters are about to be read from a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_KEPT = {"requires_grad_", "detach_"}


class _Unfilled(TorchFunctionMode):
    """Leaves out what fills or changes a parameter in place."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        in_place = name.endswith("_") and not name.endswith("__") and name not in _KEPT
        if in_place and args and isinstance(args[0], nn.Parameter):
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def parameters_unfilled() -> Iterator[None]:
    """Networks built within it have parameters of the right shapes with no values in them.

    Memory that nobody writes to is not used either. The ``meta`` device would do as much, but
    what it cannot do natively, ``randn`` or ``eye``, it finds in Python, and imports the compiler
    and a computer algebra system with it: seconds. Buffers have their values. The random state
    stays as it is.
    """
    with torch.random.fork_rng(devices=[]), _Unfilled():
        yield
