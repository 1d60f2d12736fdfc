"""Lists of tensors that metrics keep."""

import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat


def collected(state: list[Tensor] | Tensor) -> Tensor:
    """A state of kind ``cat`` as one float64 tensor on the CPU; empty before any update.

    Metrics keep float32 on the device (not every device has float64) and figure in float64 here.
    """
    if isinstance(state, list) and not state:
        return torch.zeros(0, dtype=torch.float64)
    return dim_zero_cat(state).cpu().double()
