"""Metrics that keep a few numbers a sample."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from cvsegguide.evaluation.bootstrap import percentile_interval

RECALL_THRESHOLDS = (1.0, 3.0, 5.0, 10.0)
"""Metres within which a localisation counts as found."""


class SampleMetric(Metric):
    """Keeps :attr:`columns` of every sample, never an image: of a million samples 4 MB a column.

    They are float32 on the device (not every device has float64); figures are made in float64.
    """

    full_state_update = False
    is_differentiable = False
    columns: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        for name in self.columns:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def add(self, **values: Tensor) -> None:
        """Add ``(B, ...)`` numbers of B samples to each of the columns."""
        for name in self.columns:
            getattr(self, name).append(values[name].float())

    def last(self, name: str) -> Tensor:
        """What the latest update added to a column."""
        latest: Tensor = getattr(self, name)[-1]
        return latest

    def column(self, name: str) -> NDArray[np.float64]:
        """``(N, ...)`` numbers of all samples, of all processes; empty before any update."""
        state = getattr(self, name)
        if isinstance(state, list) and not state:
            return np.zeros(0)
        numbers: NDArray[np.float64] = dim_zero_cat(state).cpu().double().numpy()
        return numbers


def error_figures(
    errors: NDArray[np.float64], thresholds: Sequence[float] = (), resamples: int = 0
) -> dict[str, float]:
    """Figures of errors; those that are not finite are left out.

    Args:
        errors: ``(N,)`` in metres (or degrees), in any order. Or ``(S, N)``, all finite: of S runs
            on the same samples. A figure is then the mean of the runs' figures, and a resample
            takes a sample with all its runs, for they are alike.
        thresholds: Limits of the recalls, in the same unit.
        resamples: Bootstrap resamples behind the 95 % intervals; 0 for none.

    Returns:
        ``mean``, ``median``, ``p25``, ``p75``, ``p90``, ``recall_{t}m``; with ``resamples`` also
        ``mean_low``, ``mean_high`` and so on for mean, median and recalls. Empty without errors.
    """
    if errors.ndim == 1:
        errors = np.sort(errors[np.isfinite(errors)])[None]
    if not errors.size:
        return {}
    names = ["mean", "median", *(f"recall_{value:g}m" for value in thresholds)]

    def figures(indices: NDArray[np.int64]) -> list[float]:
        drawn = errors[:, indices]
        within = [float((drawn <= value).mean()) for value in thresholds]
        return [float(drawn.mean()), float(np.median(drawn, axis=1).mean()), *within]

    count = errors.shape[1]
    result = dict(zip(names, figures(np.arange(count)), strict=True))
    for share in (25, 75, 90):
        result[f"p{share}"] = float(np.percentile(errors, share, axis=1).mean())
    if resamples:
        ends = percentile_interval(figures, count, resamples)
        for name, low, high in zip(names, *ends, strict=True):
            result[f"{name}_low"], result[f"{name}_high"] = float(low), float(high)
    return result
