"""What networks give: dataclasses of tensors, of which some are None or dataclasses again."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

Output = TypeVar("Output")


def change_tensors(value: Output, change: Callable[[Tensor], Tensor]) -> Output:
    """``value`` with ``change`` of every tensor in it; lists and tuples are gone through, too."""
    every: Any = value
    if isinstance(every, Tensor):
        every = change(every)
    elif is_dataclass(every) and not isinstance(every, type):
        parts = {
            field.name: change_tensors(getattr(every, field.name), change)
            for field in fields(every)
        }
        every = replace(every, **parts)
    elif isinstance(every, list | tuple):
        every = type(every)(change_tensors(part, change) for part in every)
    result: Output = every
    return result
