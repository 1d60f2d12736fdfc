"""Position and heading errors as streaming metrics."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from cvsegguide.evaluation.bootstrap import bootstrap_intervals
from cvsegguide.evaluation.states import collected

RECALL_THRESHOLDS = (1.0, 3.0, 5.0, 10.0)
"""Metres within which a localisation counts as found."""


def _summary(values: Tensor) -> dict[str, float]:
    """Mean, median, quartiles and 90 % quantile of finite values."""
    values = values[torch.isfinite(values)]
    if not len(values):
        return {}
    levels = torch.tensor([0.25, 0.5, 0.75, 0.9], dtype=torch.float64, device=values.device)
    p25, median, p75, p90 = _quantiles(values, levels).tolist()
    return {"mean": values.mean().item(), "median": median, "p25": p25, "p75": p75, "p90": p90}


def _quantiles(values: Tensor, levels: Tensor) -> Tensor:
    """Linear interpolation between order statistics, for any number of values."""
    ordered = values.sort().values
    at = levels * (len(ordered) - 1)
    low = at.floor().long()
    high = at.ceil().long()
    return torch.lerp(ordered[low], ordered[high], at - low)


class PositionError(Metric):
    """Distance between estimated and true position, in metres on the ground.

    Keeps three numbers a sample, never an image: a million samples take 12 MB.

    Args:
        thresholds: Metres of the recalls.
        resamples: Bootstrap resamples behind the 95 % intervals; 0 for none.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    error: list[Tensor]
    lateral: list[Tensor]
    longitudinal: list[Tensor]

    def __init__(self, thresholds: Sequence[float] = RECALL_THRESHOLDS, resamples: int = 0) -> None:
        super().__init__()
        self.thresholds = tuple(thresholds)
        self.resamples = resamples
        for name in ("error", "lateral", "longitudinal"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self, estimate: Tensor, truth: Tensor, gsd: Tensor, azimuth: Tensor | None = None
    ) -> None:
        """Add B samples.

        Args:
            estimate, truth: ``(B, 2)`` row and column in overhead pixels.
            gsd: ``(B,)`` metres per overhead pixel.
            azimuth: ``(B,)`` direction of the street or vehicle in degrees clockwise from north,
                NaN where unknown; splits the error into a part along it (longitudinal) and a
                part across it (lateral).
        """
        offset = (estimate - truth).float() * gsd.float()[:, None]
        south, east = offset[:, 0], offset[:, 1]
        if azimuth is None:
            azimuth = torch.full_like(south, torch.nan)
        angle = torch.deg2rad(azimuth.float())
        along = east * angle.sin() - south * angle.cos()
        across = east * angle.cos() + south * angle.sin()
        self.error.append(torch.hypot(south, east))
        self.lateral.append(across.abs())
        self.longitudinal.append(along.abs())

    def compute(self) -> dict[str, float]:
        """``mean``, ``median``, ``p25``, ``p75``, ``p90`` (m), ``recall_{t}m``, ``count``, and
        the same as ``lateral_`` and ``longitudinal_`` where directions are known (no count);
        with ``resamples`` also ``mean_low``, ``mean_high`` and so on for mean, median, recalls."""
        error = collected(self.error)
        result = {"count": float(len(error)), **_summary(error)}
        result.update(self._recalls(error))
        if self.resamples:
            intervals = bootstrap_intervals(error.numpy(), self.thresholds, self.resamples)
            for name, (low, high) in intervals.items():
                result[f"{name}_low"], result[f"{name}_high"] = low, high
        for name in ("lateral", "longitudinal"):
            part = collected(getattr(self, name))
            part = part[torch.isfinite(part)]
            summary = _summary(part)
            if summary:
                summary.update(self._recalls(part))
                result.update({f"{name}_{key}": value for key, value in summary.items()})
        return result

    def _recalls(self, values: Tensor) -> dict[str, float]:
        if not len(values):
            return {}
        return {
            f"recall_{threshold:g}m": (values <= threshold).double().mean().item()
            for threshold in self.thresholds
        }


class HeadingError(Metric):
    """Absolute angle between estimated and true heading, in degrees."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    error: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("error", default=[], dist_reduce_fx="cat")

    def update(self, estimate: Tensor, truth: Tensor) -> None:
        """Add ``(B,)`` headings in degrees; NaN estimates (the model cannot tell) are left out."""
        turn = (estimate.float() - truth.float() + 180.0).remainder(360.0) - 180.0
        self.error.append(turn.abs())

    def compute(self) -> dict[str, float]:
        """``mean``, ``median``, quantiles and ``count`` of the known ones; empty without any."""
        error = collected(self.error)
        error = error[torch.isfinite(error)]
        return {"count": float(len(error)), **_summary(error)} if len(error) else {}
