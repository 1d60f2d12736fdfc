"""Exponential moving average of the weights."""

from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from cvsegguide.errors import ConfigurationError


class EMA(WeightAveraging):
    """Validates, tests and saves a moving average of the weights instead of the last ones.

    The average runs over as many steps as there have been, up to ``1 / (1 - decay)``: the factor
    is ``min(decay, (1 + t) / (10 + t))``, as in TensorFlow's ``ExponentialMovingAverage``, so that
    the random start is forgotten soon. Buffers are copied, not averaged. In a checkpoint
    ``state_dict`` holds the average, and ``current_model_state`` what training goes on from.

    Args:
        decay: Share of the average that a step keeps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ConfigurationError(f"must lie in [0, 1), got {decay}", parameter="ema")
        super().__init__(use_buffers=False, multi_avg_fn=_Average(decay))


class _Average:
    def __init__(self, decay: float) -> None:
        self.decay = decay

    @torch.no_grad()
    def __call__(self, averages: list[Tensor], currents: list[Tensor], count: Any) -> None:
        seen = float(count)  # one for all: on a GPU it waits for the device
        decay = min(self.decay, (1.0 + seen) / (10.0 + seen))
        torch._foreach_lerp_(averages, currents, 1.0 - decay)
