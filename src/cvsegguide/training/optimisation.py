"""Optimiser, parameter groups and the learning-rate schedule."""

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from cvsegguide.errors import ConfigurationError


def find_parts(model: nn.Module, factors: Mapping[str, float]) -> dict[str, nn.Module]:
    """The modules of ``model`` that ``factors`` names, such as ``overhead_branch.encoder``.

    Raises:
        ConfigurationError: There is no such module, or a factor lies outside of 0 to 1.
    """
    parts = dict(model.named_modules())
    for name, factor in factors.items():
        if name not in parts:
            raise ConfigurationError(f"the network has no part '{name}'", "learning_rate_factors")
        if not 0.0 <= factor <= 1.0:
            raise ConfigurationError(
                f"{name}: must lie in 0..1, got {factor:g}", "learning_rate_factors"
            )
    return {name: parts[name] for name in factors}


def parameter_groups(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    factors: Mapping[str, float] | None = None,
) -> list[dict[str, object]]:
    """Trainable parameters by learning rate, and by whether they decay.

    Matrices decay; vectors and scalars do not: biases, norm weights and temperatures have no scale
    that decay could usefully shrink.

    Args:
        model: The network.
        learning_rate: Of everything else.
        weight_decay: Of matrices.
        factors: By name of a part, what its learning rate is multiplied by.
    """
    factor_of: dict[nn.Parameter, float] = {}
    for name, part in find_parts(model, factors or {}).items():
        factor_of.update(dict.fromkeys(part.parameters(), (factors or {})[name]))
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor_of.get(parameter, 1.0), decay), []).append(parameter)
    return [
        {"params": members, "lr": learning_rate * factor, "weight_decay": decay}
        for (factor, decay), members in sorted(groups.items(), reverse=True)
    ]


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
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    factors: Mapping[str, float] | None = None,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) on :func:`parameter_groups`."""
    groups = parameter_groups(model, learning_rate, weight_decay, factors)
    return torch.optim.AdamW(groups, lr=learning_rate)


def create_schedule(
    optimizer: torch.optim.Optimizer, schedule: str, warmup: int, total: int, floor: float = 0.01
) -> LambdaLR:
    """``"cosine"`` (:func:`warmup_cosine`) or ``"constant"`` (with the same warm-up)."""
    if schedule == "constant":
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(warmup, 1)))
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total, floor))
