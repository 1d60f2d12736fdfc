"""What networks give: dataclasses of tensors, of which some are None or dataclasses again."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

Output = TypeVar("Output")


def to_float(value: Output) -> Output:
    """``value`` with every floating-point tensor in it in float32; lists and tuples, too."""
    every: Any = value
    if isinstance(every, Tensor):
        every = every.float() if every.is_floating_point() else every
    elif is_dataclass(every) and not isinstance(every, type):
        parts = {field.name: to_float(getattr(every, field.name)) for field in fields(every)}
        every = replace(every, **parts)
    elif isinstance(every, list | tuple):
        every = type(every)(to_float(part) for part in every)
    result: Output = every
    return result
