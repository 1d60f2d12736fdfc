"""The features of frozen backbones from disk against computing them, and whole training steps."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F

from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.models.featup import FeatUpModel
from cvsegguide.models.registry import create_model
from cvsegguide.training.feature_cache import FeatureCache

_SMALL = {
    "overhead_size": [64, 64],
    "street_size": [32, 128],
    "feature_channels": 32,
    "key_channels": 8,
    "backbone_arguments": {"stride": 8},
}
_FROZEN = {
    "backbone": "vit_tiny_patch16_224",
    "overhead_size": [64, 64],
    "street_size": [32, 128],
    "hidden_channels": 64,
    "descriptor_channels": 64,
}
_STEPS = 4
"""Pairs in a batch from which on whole training steps are measured: others take minutes."""


def measure(quick: bool) -> list[Measurement]:
    """Features of a pair for each frozen backbone; a training step of the smallest."""
    cases: list[tuple[str, dict[str, Any], int]] = [
        ("featup-lite0", _SMALL, 8),
        ("featup", _FROZEN, 4),
    ]
    if not quick:
        cases = [("featup", {}, 1), ("featup-lite0", {}, 2), *cases]
    results: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, arguments, batch) in enumerate(cases):
            model = create_model(name, **arguments).train()
            assert isinstance(model, FeatUpModel)
            results += _measured(name, model, batch, Path(folder) / str(number), 3 if quick else 5)
    return results


def _measured(
    name: str, model: FeatUpModel, batch: int, folder: Path, repeats: int
) -> list[Measurement]:
    generator = torch.Generator().manual_seed(0)
    overhead = torch.rand(batch, 3, *model.overhead_size, generator=generator)
    street = torch.rand(batch, 3, *model.street_size, generator=generator)
    cache = FeatureCache(folder)

    def features(cached: bool) -> Callable[[], object]:
        def run() -> None:
            model.overhead.cached = cache if cached else None
            with torch.no_grad():
                for image in (overhead, street):
                    model.overhead.features(model.normalise(image))

        return run

    def step(cached: bool) -> Callable[[], object]:
        def run() -> None:
            model.overhead.cached = cache if cached else None
            model.zero_grad()
            prediction = model(overhead, street)
            assert prediction.landcover is not None
            loss = prediction.heatmap.square().mean() + prediction.landcover.square().mean()
            loss.backward()

        return run

    read, computed = median_seconds(features(True), features(False), repeats=repeats)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / batch
    sizes = f"{model.overhead_size[0]} and {model.street_size[0]} x {model.street_size[1]} pixels"
    note = f"{sizes}, batch {batch}, {size / 1000:.0f} kB a pair, {torch.get_num_threads()} threads"
    found = [
        Measurement(
            f"{name}: features of a pair from disk",
            1000 * read / batch,
            "ms",
            1000 * computed / batch,
            "computed",
            note,
        )
    ]
    if batch < _STEPS:
        return found
    with_cache, without = median_seconds(step(True), step(False), repeats=repeats)
    learns = "trained" if model.trained_upsampler else "frozen"
    found.append(
        Measurement(
            f"{name}, upsampler {learns}: training step with cached features",
            with_cache,
            "s",
            without,
            "without cache",
            note,
        )
    )
    if model.trained_upsampler:
        found.append(_constant_share(model, step(True), note))
    return found


def _constant_share(model: FeatUpModel, step: Callable[[], object], note: str) -> Measurement:
    """Share of a step that depends on the pictures alone and could be read from disk at all."""
    spent = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            nonlocal spent
            start = time.process_time()
            result = function(*arguments, **keywords)
            spent += time.process_time() - start
            return result

        return run

    with (
        patch.object(model.overhead, "features", timed(model.overhead.features)),
        patch.object(F, "adaptive_avg_pool2d", timed(F.adaptive_avg_pool2d)),
    ):
        step()
        spent, start = 0.0, time.process_time()
        step()
        whole = time.process_time() - start
    return Measurement(
        "featup-lite0, upsampler trained: cached features and the guidance's sizes, of a step",
        100 * spent / whole,
        "%",
        note=note,
    )
