"""Which headings are tried, and which it was: :mod:`cvsegguide.models.headings` in numpy."""

import numpy as np
from numpy.typing import NDArray

STEP = 5.625
FINE_STEP = 2.8125


def heading_rotations(error: float) -> NDArray[np.float32] | None:
    """Rotations ``(K,)`` to try, as :func:`cvsegguide.models.headings.heading_grid`."""
    if error <= 0:
        return None
    if error >= 180:
        count = round(360 / STEP)
        return ((np.arange(count) - count // 2) * (360.0 / count)).astype(np.float32)
    either_way = max(1, round(error / FINE_STEP + 0.49))
    return np.linspace(-error, error, 2 * either_way + 1, dtype=np.float32)


def best_headings(log: NDArray[np.float32], turns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Degrees ``(B,)``, as :func:`cvsegguide.models.headings.best_heading`."""
    count = len(turns)
    if count == 1:
        return np.repeat(turns, len(log))
    step = float(turns[1] - turns[0])
    circle = abs(count * step - 360.0) < 1e-3
    best = log.argmax(axis=1)
    index = np.arange(len(log))
    inner = np.ones(len(log), bool) if circle else (best > 0) & (best < count - 1)
    low, middle, high = (log[index, (best + move) % count] for move in (-1, 0, 1))
    curvature = low - 2 * middle + high
    bent = inner & np.isfinite(curvature) & (curvature < 0)
    offset = np.where(bent, (low - high) / (2 * np.where(bent, curvature, -1.0)), 0.0)
    heading = turns[best] + np.clip(offset, -0.5, 0.5) * step
    return np.asarray((heading + 180.0) % 360.0 - 180.0, np.float32)
