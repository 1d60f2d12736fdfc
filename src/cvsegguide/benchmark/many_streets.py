"""Many street views against one tile: what each further one costs."""

from collections.abc import Callable
from typing import Any

import torch

from cvsegguide.benchmark.networks import build, pairs, plainly, threads
from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.models.base import LocalizationModel

STREETS = 8


def matcher(model: LocalizationModel, overhead: torch.Tensor) -> Callable[[torch.Tensor], Any]:
    """Encode one tile; the result localises street views ``(B, 3, h, w)`` in it."""
    network: Any = model
    tile = network.encode_tile(overhead)
    return lambda street: network.match_tile(tile, street)


def measure(quick: bool = False) -> list[Measurement]:
    """One further street view, alone and in a batch, beside a whole pair."""
    results = []
    names = ("geometric", "mst-small") if quick else ("geometric", "mst", "featup")
    with torch.inference_mode():
        for name in names:
            model = build(name)
            overhead, street = pairs(model, STREETS)
            match = matcher(model, overhead[:1])
            repeats = 3 if quick else 7

            def pair(
                model: LocalizationModel = model,
                overhead: torch.Tensor = overhead[:1],
                street: torch.Tensor = street[:1],
            ) -> Any:
                return model(overhead, street)

            whole, plain, single, batch = median_seconds(
                pair,
                plainly(pair),
                lambda match=match, s=street: match(s[:1]),  # type: ignore[misc]
                lambda match=match, s=street: match(s),  # type: ignore[misc]
                repeats=repeats,
            )
            for label, seconds in (("alone", single), (f"of {STREETS} at once", batch / STREETS)):
                results.append(
                    Measurement(
                        f"{name}, a further street view, {label}",
                        seconds,
                        "s",
                        whole,
                        "a whole pair",
                        f"{threads()}; {seconds / plain:.3f} of a pair on the plain path",
                    )
                )
    return results
