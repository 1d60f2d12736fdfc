"""Optimiser, parameter groups and the learning-rate schedule."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version
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


class AdamW(torch.optim.AdamW):
    """PyTorch's, whose steps on a CPU go over each parameter once, on all threads.

    These are PyTorch's fused steps. They are not asked for by the constructor's argument, behind
    which Lightning refuses to clip gradients under autocast; nor do they depend on the options of
    a checkpoint that is loaded. Two things are made good about them: they walk through memory,
    so that gradients and moments have to lie as their parameter does, and they do not count as
    a change of the parameter, by which networks know that what they keep of it is outdated.
    """

    def step(self, closure: Any = None) -> Any:
        """See :meth:`torch.optim.AdamW.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        changed = []
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            fused = all(p.device.type == "cpu" and p.is_floating_point() for p in parameters)
            group["fused"] = True if fused else None
            if fused:
                changed += parameters
        for parameter in changed:
            self._align(parameter)
        super().step()
        for parameter in changed:
            increment_version(parameter)
        return loss

    def _align(self, parameter: Tensor) -> None:
        strides = parameter.stride()
        assert parameter.grad is not None
        if parameter.grad.stride() != strides:
            parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
        state = self.state.get(parameter, {})
        for name in ("exp_avg", "exp_avg_sq"):
            if name in state and state[name].stride() != strides:
                state[name] = torch.empty_like(parameter).copy_(state[name])


def create_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019) on :func:`parameter_groups`.

    For a network on a CPU the process keeps what a step frees for the next one
    (:mod:`cvsegguide.allocation`).
    """
    if all(parameter.device.type == "cpu" for parameter in model.parameters()):
        keep_for_training()
    return AdamW(parameter_groups(model, weight_decay), lr=learning_rate)


def create_schedule(
    optimizer: AdamW, schedule: str, warmup: int, total: int, floor: float = 0.01
) -> LambdaLR:
    """``"cosine"`` (:func:`warmup_cosine`) or ``"constant"`` (with the same warm-up)."""
    if schedule == "constant":
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(warmup, 1)))
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total, floor))
