"""The geometric network, which is the default: heading known and unknown, a training step."""

from collections.abc import Iterator

import torch

from cvsegguide.benchmark.networks import build, forward, training_step
from cvsegguide.benchmark.registry import Measurement
from cvsegguide.models.linear import has_bfloat16


def measure(quick: bool = False) -> Iterator[Measurement]:
    """One pair and batches at the size of the bundled weights."""
    name, repeats = ("geometric", 3) if quick else ("geometric", 9)
    model = build(name)
    yield forward(f"{name}, heading known", model, 1, repeats)
    if not quick:
        yield forward(f"{name}, heading known", model, 8, repeats)
    if getattr(model, "searches_headings", False):
        from cvsegguide.models.headings import heading_grid

        headings = heading_grid(180.0)
        assert headings is not None
        label = f"{name}, heading unknown ({len(headings)} tried)"
        yield forward(label, model, 1, repeats, headings=headings)
    batch = 2 if quick else 8
    # a quarter of the steps of the recipes that ship have several headings
    turns = torch.tensor([0.0, 40.0, -75.0, 160.0])
    for halved in (False, True) if has_bfloat16() else (False,):
        yield training_step(name, model, batch, repeats // 2, halved)
        label = f"{name}, 4 headings"
        yield training_step(label, model, batch, repeats // 2, halved, headings=turns)
