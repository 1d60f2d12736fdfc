"""Position and heading errors as streaming metrics."""

import numpy as np
import torch
from torch import Tensor

from cvsegguide.evaluation.streaming import RECALL_THRESHOLDS, SampleMetric, error_figures


class PositionError(SampleMetric):
    """Distance between estimated and true position, in metres on the ground.

    Args:
        resamples: Bootstrap resamples behind the 95 % intervals; 0 for none.
    """

    columns = ("error", "lateral", "longitudinal")

    def __init__(self, resamples: int = 0) -> None:
        super().__init__()
        self.resamples = resamples

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
        self.add(error=torch.hypot(south, east), lateral=across.abs(), longitudinal=along.abs())

    def compute(self) -> dict[str, float]:
        """``count``, those of :func:`~cvsegguide.evaluation.streaming.error_figures` in metres,
        and the same as ``lateral_`` and ``longitudinal_`` where directions are known (without
        count and intervals)."""
        error = self.column("error")
        result = {"count": float(len(error))}
        result |= error_figures(error, RECALL_THRESHOLDS, self.resamples)
        for name in ("lateral", "longitudinal"):
            figures = error_figures(self.column(name), RECALL_THRESHOLDS)
            result.update({f"{name}_{key}": value for key, value in figures.items()})
        return result


class HeadingError(SampleMetric):
    """Absolute angle between estimated and true heading, in degrees."""

    columns = ("error",)

    def update(self, estimate: Tensor, truth: Tensor) -> None:
        """Add ``(B,)`` headings in degrees; NaN estimates (the model cannot tell) are left out."""
        turn = (estimate.float() - truth.float() + 180.0).remainder(360.0) - 180.0
        self.add(error=turn.abs())

    def compute(self) -> dict[str, float]:
        """``count`` and quantiles of the known ones; empty without any."""
        error = self.column("error")
        known = int(np.isfinite(error).sum())
        return {"count": float(known), **error_figures(error)} if known else {}
