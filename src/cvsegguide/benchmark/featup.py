"""The FeatUp model: a pair at published size, and the memory that it takes."""

from collections.abc import Iterator

from cvsegguide.benchmark.memory import peak_of_process
from cvsegguide.benchmark.networks import build, forward, training_step
from cvsegguide.benchmark.registry import Measurement

_CODE = """
import contextlib, torch
torch.set_num_threads({threads})
from cvsegguide.benchmark.networks import build, pairs
from cvsegguide.models.linear import plain_path
model = build("{name}", variant="{variant}")
with torch.inference_mode(), {context}:
    model(*pairs(model, 1))
"""


def measure(quick: bool = False) -> Iterator[Measurement]:
    """Both variants; memory is that of a whole process, PyTorch and parameters included."""
    import torch

    name, repeats = ("featup-small", 3) if quick else ("featup", 5)
    for variant in ("published", "corrected"):
        model = build(name, variant=variant)
        yield forward(f"{name} {variant}", model, 1, repeats)
        parameters = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
        if variant == "corrected" and not quick:  # half a minute a step on the plain path
            yield training_step(f"{name} {variant}", model, 1, 1)
        peaks = [
            peak_of_process(
                _CODE.format(
                    threads=torch.get_num_threads(), name=name, variant=variant, context=context
                )
            )
            for context in ("contextlib.nullcontext()", "plain_path()")
        ]
        yield Measurement(
            f"{name} {variant}, one pair, peak memory",
            peaks[0],
            "MB",
            peaks[1],
            "the plain path",
            f"a fresh process, {parameters:.0f} MB of parameters included",
        )
