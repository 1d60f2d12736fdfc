"""Random states as a function of where a run is, so that a resumed run draws the same numbers."""

import random

import numpy as np
import torch


def mixed_seed(*parts: int) -> int:
    """A 32-bit seed out of several whole numbers >= 0, well mixed."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def seed_everywhere(seed: int) -> None:
    """Set the random states of Python, NumPy and PyTorch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - other people's code draws from it
    torch.manual_seed(seed)
