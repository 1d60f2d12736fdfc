"""All metrics of one run, fed batch by batch."""

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.data.sample import Batch
from cvsegguide.evaluation.baselines import RESAMPLES, Baselines
from cvsegguide.evaluation.position import HeadingError, PositionError
from cvsegguide.evaluation.posterior import (
    PosteriorScores,
    RegionScores,
    read_posterior,
)
from cvsegguide.evaluation.segmentation import LandCoverScores
from cvsegguide.geo import GeoReference, wrap_degrees
from cvsegguide.inference.posterior import refined_mode
from cvsegguide.inference.prediction import predict
from cvsegguide.inference.regions import rank_at, regions
from cvsegguide.landcover import NYC, ClassScheme, scheme_of
from cvsegguide.models.base import LocalizationModel, Prediction

Row = dict[str, Any]


def estimate_position(log_posterior: Tensor) -> Tensor:
    """``(B, 2)`` row and column of the mode of ``(B, H, W)``, refined below a pixel.

    The same estimate as that of :class:`cvsegguide.Localizer`.
    """
    modes = [refined_mode(scores) for scores in log_posterior.float().cpu().numpy()]
    return torch.tensor(modes, dtype=torch.float32, device=log_posterior.device).reshape(-1, 2)


class Evaluator(nn.Module):
    """Position, heading, posterior, regions, land cover and baselines in one pass.

    Args:
        channels: Names of the land-cover channels that the model predicts.
        scheme: Class scheme of the data set's land cover.
        full: Also regions, baselines and bootstrap intervals, which cost time: for testing, not
            for the validation between two epochs.
    """

    def __init__(
        self, channels: Sequence[str], scheme: ClassScheme = NYC, full: bool = True
    ) -> None:
        super().__init__()
        self.full = full
        self.position = PositionError(resamples=RESAMPLES if full else 0)
        self.heading = HeadingError()
        self.posterior = PosteriorScores()
        self.landcover = LandCoverScores(channels)
        self.regions = RegionScores()
        self.baselines = Baselines(scheme.ids)

    def update(
        self,
        prediction: Prediction,
        log_posterior: Tensor,
        batch: Batch,
        target: Tensor | None,
    ) -> list[Row]:
        """Add a batch and return a row per sample for the table of predictions.

        Args:
            prediction: What the network returned.
            log_posterior: ``(B, H, W)`` log-probabilities; where the overhead image has no data
                they are taken as zero, as localisation does.
            batch: The truth.
            target: ``(B, H, W)`` land cover as channel indices, 255 where ignored, or None.
        """
        log_posterior = _where_valid(log_posterior.float(), batch.valid)
        height, width = log_posterior.shape[-2:]
        estimate = estimate_position(log_posterior)
        self.position.update(estimate, batch.position, batch.gsd, batch.heading)
        reading = read_posterior(log_posterior, batch.position, batch.gsd)
        self.posterior.update(reading, height * width, self.position.last("error"))
        if prediction.landcover is not None and target is not None:
            self.landcover.update(prediction.landcover, target)
        columns: dict[str, list[Any]] = {
            "id": list(batch.id),
            "row": estimate[:, 0].tolist(),
            "col": estimate[:, 1].tolist(),
            "row_true": batch.position[:, 0].tolist(),
            "col_true": batch.position[:, 1].tolist(),
            "error_m": self.position.last("error").tolist(),
            "p_true": reading.p_true.tolist(),
            "nll": reading.nll.tolist(),
            "mass_above": reading.mass_above.tolist(),
            "hdr50_area_m2": reading.hdr_area_m2[:, 0].tolist(),
            "hdr90_area_m2": reading.hdr_area_m2[:, 1].tolist(),
            "gsd": batch.gsd.tolist(),
            "lateral_m": self.position.last("lateral").tolist(),
            "longitudinal_m": self.position.last("longitudinal").tolist(),
        }
        columns.update(self._coordinates(batch, estimate, (height, width)))
        heading = prediction.heading
        if heading is not None:
            self.heading.update(heading, batch.heading)
            columns["heading_true"] = _from_true_north(batch, batch.heading)
            columns["heading"] = _from_true_north(batch, heading)
        if self.full:
            columns.update(self._regions(log_posterior, batch))
            self.baselines.update(
                batch.position, batch.gsd, (height, width), batch.id, batch.landcover
            )
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _regions(self, log_posterior: Tensor, batch: Batch) -> dict[str, list[Any]]:
        posteriors = log_posterior.exp().cpu().numpy()
        # Beside a GPU this is what a test waits for; SciPy's filters let other threads run.
        with ThreadPoolExecutor(min(len(batch), os.cpu_count() or 1, 8)) as pool:
            found = list(pool.map(regions, posteriors))
        shape = posteriors.shape[1:]
        ranks = [
            rank_at(own, shape, row, col)
            for own, (row, col) in zip(found, batch.position.tolist(), strict=True)
        ]
        ranked = [[region.probability for region in own] for own in found]
        true = [own[rank - 1] if rank else 0.0 for own, rank in zip(ranked, ranks, strict=True)]
        device = log_posterior.device
        self.regions.update(torch.tensor(ranks, device=device), torch.tensor(true, device=device))
        return {"region_rank_true": ranks, "region_p_true": true, "region_p": ranked}

    @staticmethod
    def _coordinates(batch: Batch, estimate: Tensor, size: tuple[int, int]) -> dict[str, list[Any]]:
        places: list[tuple[float | None, float | None]] = []
        for reference, bounds, (row, col) in zip(
            _references(batch), batch.bounds, estimate.tolist(), strict=True
        ):
            if reference is None and bounds is not None:
                reference = GeoReference.from_bounds(bounds, *size)
            if reference is None:
                places.append((None, None))
            else:
                lon, lat = reference.resized(*size).rowcol_to_lonlat(row, col)
                places.append((float(lon), float(lat)))
        return {"lon": [lon for lon, _ in places], "lat": [lat for _, lat in places]}

    def compute(self) -> dict[str, Any]:
        """Figures by group: ``position``, ``heading``, ``posterior``, ``regions``, ``landcover``
        (with ``confusion``: pixels by true and predicted class, and ``classes``), ``baselines``.
        Groups without figures are left out."""
        result: dict[str, Any] = {"position": self.position.compute()}
        if self.heading.update_called:
            result["heading"] = self.heading.compute()
        result["posterior"] = self.posterior.compute()
        if self.full:
            result["regions"] = self.regions.compute()
        result["landcover"] = self.landcover.compute()
        if self.full:
            result["baselines"] = self.baselines.compute()
        return {name: group for name, group in result.items() if group}

    def reset(self) -> None:
        """Forget everything."""
        for metric in self.children():
            metric.reset()  # type: ignore[operator]


def _where_valid(log_posterior: Tensor, valid: Tensor | None) -> Tensor:
    """``(B, H, W)`` normalised over the pixels that have data, ``-inf`` elsewhere."""
    if valid is None:
        return log_posterior
    # a tile without any data is left as it is
    usable = valid | ~valid.flatten(1).any(dim=1)[:, None, None]
    masked = log_posterior.masked_fill(~usable, -math.inf)
    return masked.flatten(1).log_softmax(dim=1).view_as(masked)


def _references(batch: Batch) -> list[GeoReference | None]:
    """The frame of every tile, None where it is its bounds spread evenly or unknown."""
    return batch.references or [None] * len(batch)


def _from_true_north(batch: Batch, headings: Tensor) -> list[float]:
    """Headings ``(B,)`` that count from up in the tiles, counted from true north."""
    return [
        heading if reference is None else wrap_degrees(heading + reference.up_azimuth)
        for reference, heading in zip(_references(batch), headings.tolist(), strict=True)
    ]


def flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested figures as ``group/name``; only finite numbers are kept."""
    result: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            result.update(flat(value, f"{prefix}{name}/"))
        elif isinstance(value, int | float) and math.isfinite(value):
            result[f"{prefix}{name}"] = float(value)
    return result


def measure(model: LocalizationModel, evaluator: Evaluator, batch: Batch) -> list[Row]:
    """Localise a batch with a network in evaluation mode and add it to the figures."""
    device = next(model.parameters(), torch.empty(0)).device
    batch = batch.to(device)
    with torch.inference_mode():
        prediction = predict(
            model, batch.overhead, batch.street, batch.heading, batch.fov, batch.landcover
        )
        target = None
        if batch.landcover is not None:
            lookup = torch.from_numpy(scheme_of(model.channels).channel_lookup).to(device)
            target = lookup[batch.landcover.long()]
        return evaluator.update(prediction, model.log_posterior(prediction), batch, target)
