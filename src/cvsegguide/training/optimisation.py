"""Optimiser, parameter groups and the learning-rate schedule."""

import math

from torch import nn
from torch.autograd.graph import increment_version
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cvsegguide.allocation import keep_for_training


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Trainable parameters in two groups: matrices decay; vectors and scalars do not.

    Biases, norm weights and temperatures have no scale that decay could usefully shrink.
    """
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, object]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
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


def create_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019) on :func:`parameter_groups`.

    For a network on a CPU the process keeps what a step frees for the next one
    (:mod:`cvsegguide.allocation`), and a step goes over each parameter once, on all threads.
    """
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    if on_cpu:
        keep_for_training()
    optimizer = AdamW(parameter_groups(model, weight_decay), lr=learning_rate)
    if on_cpu:
        _step_at_once(optimizer)
    return optimizer


def _step_at_once(optimizer: AdamW) -> None:
    """Take PyTorch's fused steps.

    Not by the constructor's argument, behind which Lightning refuses to clip gradients under
    autocast. And the fused step on a CPU does not count as a change of a parameter, by which the
    networks know that what they keep of it is outdated.
    """

    def count(optimizer: Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                increment_version(parameter)

    for group in optimizer.param_groups:
        group["fused"] = True
    optimizer.register_step_post_hook(count)


def create_schedule(
    optimizer: AdamW, schedule: str, warmup: int, total: int, floor: float = 0.01
) -> LambdaLR:
    """``"cosine"`` (:func:`warmup_cosine`) or ``"constant"`` (with the same warm-up)."""
    if schedule == "constant":
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(warmup, 1)))
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total, floor))
