"""The Lightning module that trains, evaluates and runs every localisation network."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from cvsegguide.data.sample import Batch
from cvsegguide.errors import ConfigurationError, TrainingError
from cvsegguide.evaluation.evaluator import Evaluator, Row, flat
from cvsegguide.evaluation.examples import compass_errors
from cvsegguide.evaluation.predictions import NEEDS_TRUTH
from cvsegguide.inference.prediction import predict
from cvsegguide.io.atomic import atomic_path
from cvsegguide.landcover import ClassScheme, scheme_of
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.headings import FINE_STEP, heading_grid
from cvsegguide.models.hub import load_model
from cvsegguide.models.registry import create_model
from cvsegguide.training.optimisation import create_optimizer, create_schedule, find_parts
from cvsegguide.training.recipes import create_loss
from cvsegguide.training.seeding import mixed_seed, seed_everywhere

MONITOR = "val/error_median_m"
"""What the best checkpoint is chosen by."""

HEADING_SHARE = 0.25
"""Share of the training steps in which several headings are tried, for networks that search."""


class LocalizationTask(LightningModule):
    """Trains a network to find where a street view was taken, and measures how well it does.

    Args:
        network: Name of a model configuration (``mst``, ``mst-small``, ``featup``, ...) or the
            dotted path of a :class:`~cvsegguide.models.base.LocalizationModel`, whose file may lie
            in the working directory.
        network_arguments: What to change in the configuration; constructor arguments.
        weights: Weights to start from: anything that ``Localizer.from_pretrained`` reads. The
            network then comes from there, and ``network`` is not looked at.
        losses: ``posterior``, ``geometric`` for networks that give evidence, or ``published`` for
            the recipe of the original system; or the dotted path of a
            :class:`~cvsegguide.training.losses.LocalizationLoss`, alone or as ``{class_path: path,
            init_args: {...}}``. By default what the network is made for
            (:attr:`LocalizationModel.default_loss`).
        loss_weights: Factors of single terms; see :mod:`cvsegguide.training.losses`.
        position_sigma_m: Width of the label of the position loss, metres (by default the loss's
            own, 0.5).
        learning_rate: Peak learning rate of AdamW.
        learning_rate_factors: By name of a part of the network (``overhead_branch.encoder``), what
            its learning rate is multiplied by, 0 to 1. Below 1 its batch norms stay in evaluation
            mode; at 0 the part is frozen.
        weight_decay: Decay of matrices; vectors do not decay.
        schedule: ``cosine`` (down to ``final_factor`` at the last step) or ``constant``.
        warmup_steps: Optimiser steps over which the learning rate rises; at most a tenth of the
            run.
        final_factor: Last learning rate as a share of the peak.
        class_scheme: TOML file of the land-cover classes; by default the built-in
            one that has the network's channels.
        heading_turns: Wrong headings tried beside the true one in about a quarter of the training
            steps, for networks that search headings; 0 trains with known headings alone.
        heading_error: Largest error in degrees of the compass that validation and tests simulate:
            the heading given to the network is off by a number drawn evenly from both sides (by
            the sample's name, so the same in every run), and networks that search headings search
            so far. 180: the heading is unknown.
        seed: Every random draw of step k is a function of this and k.
    """

    def __init__(
        self,
        network: str = "mst-small",
        network_arguments: dict[str, Any] | None = None,
        weights: str | None = None,
        losses: str | dict[str, Any] | None = None,
        loss_weights: dict[str, float] | None = None,
        position_sigma_m: float | None = None,
        learning_rate: float = 3e-4,
        learning_rate_factors: dict[str, float] | None = None,
        weight_decay: float = 0.05,
        schedule: Literal["cosine", "constant"] = "cosine",
        warmup_steps: int = 500,
        final_factor: float = 0.01,
        class_scheme: str | None = None,
        heading_turns: int = 0,
        heading_error: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ConfigurationError(f"must be above 0, got {learning_rate}", "learning_rate")
        if warmup_steps < 0:
            raise ConfigurationError(f"must not be negative, got {warmup_steps}", "warmup_steps")
        if not 0.0 <= heading_error <= 180.0:
            raise ConfigurationError(f"must lie in 0..180, got {heading_error}", "heading_error")
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.final_factor = final_factor
        self.seed = seed
        self.heading_turns = heading_turns
        self.heading_error = heading_error
        seed_everywhere(mixed_seed(seed, 0x1A17))
        if weights is not None:
            self.network: LocalizationModel = load_model(weights).train()
        else:
            self.network = create_model(network, **(network_arguments or {}))
        channels = self.network.channels
        self.scheme = ClassScheme.from_file(class_scheme) if class_scheme else scheme_of(channels)
        if tuple(self.scheme.channels) != tuple(channels):
            raise ConfigurationError(
                f"'{self.scheme.name}' has the channels {', '.join(self.scheme.channels)}, the "
                f"network {', '.join(self.network.channels)}",
                parameter="class_scheme",
            )
        self.factors = dict(learning_rate_factors or {})
        parts = find_parts(self.network, self.factors)
        self.kept = [parts[name] for name, factor in self.factors.items() if factor < 1.0]
        for name, factor in self.factors.items():
            if factor == 0.0:
                parts[name].requires_grad_(False)
        self.train()
        recipe = losses or self.network.default_loss
        self.loss = create_loss(recipe, loss_weights, position_sigma_m)
        self.loss_name = str(recipe if isinstance(recipe, str) else recipe.get("class_path"))
        self.validation = Evaluator(self.network.channels, self.scheme, full=False)
        self.evaluation = Evaluator(self.network.channels, self.scheme)
        self.figures: dict[str, Any] = {}
        lookup = torch.from_numpy(self.scheme.channel_lookup.copy())
        self.register_buffer("lookup", lookup, persistent=False)

    def forward(self, batch: Batch) -> Prediction:
        """Run the network on a batch of samples as data sets yield them."""
        heading, search = batch.heading, None
        if self.heading_error and not self.training:
            heading = heading + compass_errors(batch.id, self.heading_error).to(heading)
            search = heading_grid(self.heading_error, heading.device)
        if not self.network.searches_headings:
            search = None
        elif self.training:
            search = self._training_turns(heading.device)
        return predict(
            self.network, batch.overhead, batch.street, heading, batch.fov, batch.landcover, search
        )

    def _training_turns(self, device: torch.device) -> Tensor | None:
        """Rotations of a training step, the true one (to within half a step) first, or None."""
        if not self.heading_turns or float(torch.rand(())) >= HEADING_SHARE:
            return None
        turns = torch.rand(self.heading_turns + 1) * 360.0 - 180.0
        # half of the wrong ones are nearly right: those are hard
        near = 4.0 + 12.0 * torch.rand(len(turns) // 2)
        turns[1 : 1 + len(near)] = near * torch.where(torch.rand(len(near)) < 0.5, -1.0, 1.0)
        turns[0] = (float(torch.rand(())) - 0.5) * FINE_STEP
        return turns.to(device)

    def target(self, batch: Batch) -> Tensor | None:
        """``(B, H, W)`` land cover as channel indices, 255 where ignored, or None."""
        if batch.landcover is None:
            return None
        lookup: Tensor = self.get_buffer("lookup")
        return lookup[batch.landcover.long()]

    def on_fit_start(self) -> None:
        """Let processes validate different numbers of batches.

        DistributedDataParallel broadcasts buffers before every forward pass, of validation too,
        which would wait for a process that has no batch left.
        """
        wrapped = self.trainer.strategy.model
        if isinstance(wrapped, torch.nn.parallel.DistributedDataParallel):
            wrapped.broadcast_buffers = False

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Give the step its own random state, so that a resumed run draws the same numbers."""
        seed_everywhere(mixed_seed(self.seed, self.current_epoch, batch_idx, self.global_rank))

    def train(self, mode: bool = True) -> "LocalizationTask":
        """See :meth:`torch.nn.Module.train`; parts that keep what they know are left in eval."""
        super().train(mode)
        for part in self.kept:
            part.eval()
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch; raises TrainingError when it is not finite."""
        _check_positions(batch)
        prediction = self(batch)
        terms = self.loss(self.network, prediction, batch, self.target(batch))
        if not terms:
            raise ConfigurationError(
                "every term is switched off or lacks its labels", parameter="losses"
            )
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise self._not_finite(batch, terms)
        figures = {f"train/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(figures, batch_size=len(batch))
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(batch))
        return total

    def _not_finite(self, batch: Batch, terms: dict[str, Tensor]) -> TrainingError:
        step = self.global_step
        values = ", ".join(f"{name} {value.item():g}" for name, value in terms.items())
        folder = Path(self.trainer.default_root_dir)
        path = folder / f"nonfinite-step{step}-rank{self.global_rank}.pt"
        content = asdict(batch.to("cpu"))
        content["bounds"] = [None if b is None else tuple(b) for b in batch.bounds]
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
        return TrainingError(
            f"the loss of step {step} is not finite ({values}); its batch ({', '.join(batch.id)}) "
            f"is saved as {path}"
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation figures."""
        self._measure(self.validation, batch)

    def on_validation_epoch_start(self) -> None:
        """Begin afresh."""
        self.validation.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures: ``val/error_median_m``, ``val/position/...`` and so on."""
        figures = self.validation.compute()
        self.figures = figures
        self.log(MONITOR, figures["position"]["median"], prog_bar=True)
        self.log_dict({f"val/{name}": value for name, value in flat(figures).items()})

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, list[Row]]:
        """Add a batch to the figures; returns its ``rows`` of the table of predictions."""
        return {"rows": self._measure(self.evaluation, batch)}

    def on_test_epoch_start(self) -> None:
        """Begin afresh."""
        self.evaluation.reset()

    def on_test_epoch_end(self) -> None:
        """Leave the figures in :attr:`figures`."""
        self.figures = self.evaluation.compute()

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, list[Row]]:
        """``rows`` of the table of predictions; without truth where a sample has none."""
        known = torch.isfinite(batch.position).all(dim=1)
        position = torch.where(known[:, None], batch.position, torch.zeros_like(batch.position))
        rows = self._measure(self.evaluation, replace(batch, position=position))
        for row, is_known in zip(rows, known.tolist(), strict=True):
            if not is_known:
                for column in NEEDS_TRUTH:
                    row.pop(column, None)
        return {"rows": rows}

    def _measure(self, evaluator: Evaluator, batch: Batch) -> list[Row]:
        _check_positions(batch)
        prediction = self(batch)
        log_posterior = self.network.log_posterior(prediction)
        return evaluator.update(prediction, log_posterior, batch, self.target(batch))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up; see :mod:`cvsegguide.training.optimisation`."""
        optimizer = create_optimizer(
            self.network, self.learning_rate, self.weight_decay, self.factors
        )
        total = int(self.trainer.estimated_stepping_batches)
        warmup = min(self.warmup_steps, total // 10)
        schedule = create_schedule(optimizer, self.schedule, warmup, total, self.final_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _check_positions(batch: Batch) -> None:
    """Raise ConfigurationError for samples whose place nobody knows."""
    unknown = ~torch.isfinite(batch.position).all(dim=1)
    if unknown.any():
        name = batch.id[int(unknown.int().argmax())]
        raise ConfigurationError(f"{name}: the camera has no position: only predict takes that")
