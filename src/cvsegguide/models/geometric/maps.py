"""Maps as arrays of compiled loops, without the compiler, which inference does not need."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Map = Any
"""An array of float32, or of uint16 for bfloat16."""


def array_of(tensor: Tensor) -> NDArray[np.float32] | NDArray[np.uint16]:
    """A tensor of float32 or bfloat16 as an array of the loops, sharing its memory."""
    array: Any = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array  # type: ignore[no-any-return]
