"""Outputs of parts of a batch, as of the whole."""

from dataclasses import fields
from typing import Any, TypeVar

import torch

Output = TypeVar("Output")


def joined(parts: list[Output]) -> Output:
    """Dataclasses of tensors, batch first, or None: each field of all parts, one behind another."""
    whole: dict[str, Any] = {}
    for field in fields(parts[0]):  # type: ignore[arg-type]
        values = [getattr(part, field.name) for part in parts]
        whole[field.name] = None if values[0] is None else torch.cat(values)
    return type(parts[0])(**whole)
