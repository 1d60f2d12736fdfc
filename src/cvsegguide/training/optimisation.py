"""Optimiser, parameter groups and the learning-rate schedule."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Trainable parameters in two groups: matrices decay; vectors and scalars do not.

    Biases, norm weights and temperatures have no scale that decay could usefully shrink.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def warmup_cosine(step: int, warmup: int, total: int, floor: float = 0.01) -> float:
    """Factor on the learning rate: linear from 1/warmup to 1, then a cosine down to ``floor``.

    Args:
        step: Optimiser steps taken so far.
        warmup: Steps of the linear rise.
        total: Steps of the whole run; afterwards the factor stays at ``floor``.
        floor: Final factor.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(max((step - warmup) / max(total - warmup, 1), 0.0), 1.0)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def create_optimizer(
    model: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) on :func:`parameter_groups`."""
    return torch.optim.AdamW(parameter_groups(model, weight_decay), lr=learning_rate)


def create_schedule(
    optimizer: torch.optim.Optimizer, schedule: str, warmup: int, total: int, floor: float = 0.01
) -> LambdaLR:
    """``"cosine"`` (:func:`warmup_cosine`) or ``"constant"`` (with the same warm-up)."""
    if schedule == "constant":
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(warmup, 1)))
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total, floor))
