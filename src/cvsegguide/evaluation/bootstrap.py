"""Bootstrap intervals of headline figures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

Interval = tuple[float, float]


def bootstrap_intervals(
    errors: ArrayLike,
    recalls: Sequence[float] = (),
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of mean, median and recalls (Efron and Tibshirani 1993).

    The values are sorted first, so that the order in which processes deliver them is of no
    consequence, and quantiles of a resample cost a cumulative sum instead of a sort.

    Args:
        errors: ``(N,)`` errors in metres; entries that are not finite are left out.
        recalls: Thresholds in metres.
        resamples: Number of resamples.
        level: Coverage of the intervals.
        seed: Seed of the resampling.

    Returns:
        ``"mean"``, ``"median"`` and ``"recall_{t}m"`` to ``(low, high)``; empty without values.
    """
    values = np.sort(np.asarray(errors, dtype=np.float64).ravel())
    values = values[np.isfinite(values)]
    count = len(values)
    if count == 0:
        return {}
    generator = np.random.default_rng(seed)
    below = [np.searchsorted(values, threshold, side="right") for threshold in recalls]
    table = np.empty((resamples, 2 + len(below)))
    for row in table:
        weights = np.bincount(generator.integers(count, size=count), minlength=count)
        cumulative = np.cumsum(weights)
        row[0] = weights @ values / count
        low, high = np.searchsorted(cumulative, [(count - 1) // 2 + 1, count // 2 + 1])
        row[1] = (values[low] + values[high]) / 2
        for i, index in enumerate(below):
            row[2 + i] = cumulative[index - 1] / count if index else 0.0
    tail = (1.0 - level) / 2
    lows, highs = np.quantile(table, [tail, 1.0 - tail], axis=0)
    names = ["mean", "median", *(f"recall_{threshold:g}m" for threshold in recalls)]
    return {
        name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)
    }
