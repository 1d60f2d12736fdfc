"""What networks give: dataclasses of tensors, of which some are None or dataclasses again."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Output = TypeVar("Output")


def changed(value: Output, change: Callable[[Tensor], Tensor]) -> Output:
    """``value`` with ``change`` of every tensor in it; lists and tuples are gone through, too."""
    every: Any = value
    if isinstance(every, Tensor):
        every = change(every)
    elif is_dataclass(every) and not isinstance(every, type):
        parts = {field.name: changed(getattr(every, field.name), change) for field in fields(every)}
        every = replace(every, **parts)
    elif isinstance(every, list | tuple):
        every = type(every)(changed(part, change) for part in every)
    result: Output = every
    return result


def joined(parts: list[Output]) -> Output:
    """Dataclasses of tensors, batch first, or None: each field of all parts, one behind another."""
    whole: dict[str, Any] = {}
    for field in fields(parts[0]):  # type: ignore[arg-type]
        values = [getattr(part, field.name) for part in parts]
        whole[field.name] = None if values[0] is None else torch.cat(values)
    return type(parts[0])(**whole)
