"""Metrics that keep a few numbers a sample."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from cvsegguide.evaluation.bootstrap import bootstrap_intervals

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
        errors: ``(N,)`` in metres (or degrees).
        thresholds: Limits of the recalls, in the same unit.
        resamples: Bootstrap resamples behind the 95 % intervals; 0 for none.

    Returns:
        ``mean``, ``median``, ``p25``, ``p75``, ``p90``, ``recall_{t}m``; with ``resamples`` also
        ``mean_low``, ``mean_high`` and so on for mean, median and recalls. Empty without errors.
    """
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return {}
    p25, median, p75, p90 = np.quantile(errors, [0.25, 0.5, 0.75, 0.9]).tolist()
    figures = {"mean": float(errors.mean()), "median": median, "p25": p25, "p75": p75, "p90": p90}
    for threshold in thresholds:
        figures[f"recall_{threshold:g}m"] = float((errors <= threshold).mean())
    if resamples:
        for name, (low, high) in bootstrap_intervals(errors, thresholds, resamples).items():
            figures[f"{name}_low"], figures[f"{name}_high"] = low, high
    return figures
