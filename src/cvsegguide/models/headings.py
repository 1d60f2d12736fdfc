"""Which headings are tried, and which of them was it. PyTorch is loaded for tensors alone."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

STEP = 5.625
"""Degrees between the headings tried when nothing is known: two columns of the polar grid."""

FINE_STEP = 2.8125
"""Degrees between the headings tried about a known one, at most."""


def headings_to_try(error: float) -> NDArray[np.float32] | None:
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
        return ((np.arange(count) - count // 2) * (360.0 / count)).astype(np.float32)
    either_way = max(1, round(error / FINE_STEP + 0.49))
    return np.linspace(-error, error, 2 * either_way + 1, dtype=np.float32)


def heading_grid(error: float, device: "torch.device | str" = "cpu") -> "torch.Tensor | None":
    """:func:`headings_to_try` as a tensor."""
    import torch

    headings = headings_to_try(error)
    return None if headings is None else torch.from_numpy(headings).to(device)


def best_heading(log: Any, turns: Any) -> Any:
    """The most probable of evenly spaced rotations, refined between them.

    The vertex of the parabola through the maximum of ``log`` and its neighbours; on a full circle
    the first and the last are neighbours.

    Args:
        log: ``(B, K)`` log-probabilities, an array or a tensor.
        turns: ``(K,)`` degrees, evenly spaced, rising, of the same library.

    Returns:
        ``(B,)`` degrees in [-180, 180), of the same library.
    """
    count = len(turns)
    best = log.argmax(1)
    heading = turns[best]
    if count > 1:
        step = float(turns[1] - turns[0])
        circle = abs(count * step - 360.0) < 1e-3
        index = np.arange(len(log))
        low, middle, high = (log[index, (best + move) % count] for move in (-1, 0, 1))
        with np.errstate(invalid="ignore"):
            slope, curvature = low - high, low - 2 * middle + high
        bent = (curvature < 0) & (curvature > -np.inf)
        if not circle:
            bent = bent & (best > 0) & (best < count - 1)
        slope[~bent], curvature[~bent] = 0, -1
        heading = heading + (slope / (2 * curvature)).clip(-0.5, 0.5) * step
    return (heading + 180.0) % 360.0 - 180.0
