"""Optimiser, parameter groups, the learning-rate schedule, and memory between steps."""

import ctypes
import math
import sys

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


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


def keep_freed_memory() -> bool:
    """Let the process keep what a step of training frees for the next, with GNU's C library.

    By default that returns the end of its heap to the system again and again, whose pages cost more
    to get back than many a map costs to compute. It holds for the whole process, which keeps its
    greatest size until it ends.

    Returns:
        Whether the library has such a setting and took it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD (the most that is taken), M_TOP_PAD of malloc.h
    options = ((-1, 2**31 - 1), (-3, 32 << 20), (-2, 256 << 20))
    return all(set_option(*option) == 1 for option in options)


def create_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019) on :func:`parameter_groups`.

    A network on a CPU gets :func:`keep_freed_memory` with it.
    """
    if all(parameter.device.type == "cpu" for parameter in model.parameters()):
        keep_freed_memory()
    return AdamW(parameter_groups(model, weight_decay), lr=learning_rate)


def create_schedule(
    optimizer: AdamW, schedule: str, warmup: int, total: int, floor: float = 0.01
) -> LambdaLR:
    """``"cosine"`` (:func:`warmup_cosine`) or ``"constant"`` (with the same warm-up)."""
    if schedule == "constant":
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(warmup, 1)))
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total, floor))
