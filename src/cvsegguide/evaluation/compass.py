"""The compass that validation and tests simulate."""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor


def compass_errors(names: Sequence[str], largest: float) -> Tensor:
    """``(B,)`` degrees evenly from ``[-largest, largest]``, a function of the samples' names."""
    shares = [zlib.crc32(name.encode()) / 2**32 for name in names]
    return (torch.tensor(shares) * 2.0 - 1.0) * largest
