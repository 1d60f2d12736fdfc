"""Bootstrap intervals of figures (Efron and Tibshirani 1993): percentiles over resamples."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray


def percentile_interval(
    figures: Callable[[NDArray[np.int64]], ArrayLike],
    groups: int | ArrayLike,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile interval of figures over resamples of samples, or of whole groups of them.

    Args:
        figures: Takes the indices of a resample's samples, one of them as often as it was drawn,
            and returns a figure or ``(F,)`` of them. A NaN is left out of the percentiles.
        groups: ``(N,)`` the group of each sample: samples of one are alike, hence all of a group
            are drawn or none. Or the number of samples where each stands for itself.
        resamples: Number of resamples.
        level: Coverage of the interval.
        seed: Seed of the resampling.

    Returns:
        ``(low, high)``, each of the shape that ``figures`` returns.
    """
    table = np.array(
        [figures(indices) for indices in _resampled(groups, resamples, seed)], dtype=np.float64
    )
    tail = (1.0 - level) / 2
    low, high = np.nanquantile(table, [tail, 1.0 - tail], axis=0)
    return low, high


def _resampled(groups: int | ArrayLike, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The indices of each resample's samples."""
    generator = np.random.default_rng(seed)
    if isinstance(groups, int):
        for _ in range(resamples):
            yield generator.integers(groups, size=groups)
        return
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(index == number) for number in range(len(names))]
    for _ in range(resamples):
        drawn = generator.integers(len(names), size=len(names))
        yield np.concatenate([members[number] for number in drawn])
