"""Which headings are tried, and which of them was it."""

import torch
from torch import Tensor

STEP = 5.625
"""Degrees between the headings tried when nothing is known: two columns of the polar grid."""

FINE_STEP = 2.8125
"""Degrees between the headings tried about a known one, at most."""


def heading_grid(error: float, device: torch.device | str = "cpu") -> Tensor | None:
    """Rotations to try when a heading may be wrong by up to ``error`` degrees either way.

    Returns:
        ``(K,)`` degrees in rising order, 0 among them: the whole circle for 180 or more, else as
        many as cover ``[-error, error]`` in steps of at most :data:`FINE_STEP`. None for 0: the
        heading is taken as it is.
    """
    if error <= 0:
        return None
    if error >= 180:
        count = round(360 / STEP)
        return (torch.arange(count, device=device) - count // 2) * (360.0 / count)
    either_way = max(1, round(error / FINE_STEP + 0.49))
    return torch.linspace(-error, error, 2 * either_way + 1, device=device)


def best_heading(log: Tensor, turns: Tensor) -> Tensor:
    """The most probable of evenly spaced rotations, refined between them.

    The vertex of the parabola through the maximum of ``log`` and its neighbours; on a full circle
    the first and the last are neighbours.

    Args:
        log: ``(B, K)`` log-probabilities.
        turns: ``(K,)`` degrees, evenly spaced, rising.

    Returns:
        ``(B,)`` degrees in [-180, 180).
    """
    count = len(turns)
    if count == 1:
        return turns.expand(len(log))
    step = float(turns[1] - turns[0])
    circle = abs(count * step - 360.0) < 1e-3
    best = log.argmax(dim=1)
    index = torch.arange(len(log), device=log.device)
    before, after = best - 1, best + 1
    inner = torch.ones_like(best, dtype=torch.bool)
    if not circle:
        inner = (before >= 0) & (after < count)
    low = log[index, before % count].float()
    middle = log[index, best].float()
    high = log[index, after % count].float()
    curvature = low - 2 * middle + high
    bent = inner & torch.isfinite(curvature) & (curvature < 0)
    offset = torch.where(bent, (low - high) / (2 * torch.where(bent, curvature, -1.0)), 0.0)
    heading = turns[best] + offset.clamp(-0.5, 0.5) * step
    return (heading + 180.0).remainder(360.0) - 180.0
