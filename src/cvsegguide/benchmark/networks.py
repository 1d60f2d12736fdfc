"""What the benchmarks of the networks share: pairs, and a fast path beside its plain one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.hub import load_model
from cvsegguide.models.linear import plain_path
from cvsegguide.models.registry import create_model

SHIPPED = "synthcity"
"""Name of the bundled weights of the geometric network."""

PLAIN = "the plain path: no oneDNN, blocks, rows or kept constants"


def build(name: str, **overrides: Any) -> LocalizationModel:
    """A network in evaluation mode with weights that are the same every time.

    ``geometric`` is the network that ships, with its weights: by default the configuration has
    another encoder.
    """
    torch.manual_seed(0)
    if name == "geometric" and not overrides:
        return load_model(SHIPPED).eval()
    model = create_model(name, **overrides).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1 and parameter.requires_grad and not bool(parameter.any()):
            nn.init.normal_(parameter, std=0.02)  # branches that start silent would hide faults
    return model


def pairs(model: LocalizationModel, batch: int) -> tuple[Tensor, Tensor]:
    """Overhead and street images of the network's input sizes."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(batch, 3, *model.overhead_size, generator=generator),
        torch.rand(batch, 3, *model.street_size, generator=generator),
    )


def plainly(function: Callable[[], Any]) -> Callable[[], Any]:
    """``function`` without the networks' fast paths."""

    def run() -> Any:
        with plain_path():
            return function()

    return run


def forward(
    label: str, model: LocalizationModel, batch: int, repeats: int, **arguments: Any
) -> Measurement:
    """Seconds a pair of the fast path and of the plain one, and how far they are apart."""
    inputs = pairs(model, batch)

    def run() -> Tensor:
        with torch.inference_mode():
            heatmap: Tensor = model(*inputs, **arguments).heatmap
            return heatmap

    plain = plainly(run)
    difference = float((run() - plain()).abs().max())
    fast, slow = median_seconds(run, plain, repeats=repeats)
    size = "one pair" if batch == 1 else f"batch of {batch}, a pair"
    note = f"{threads()}; outputs differ by at most {difference:.1e}"
    return Measurement(f"{label}, {size}", fast / batch, "s", slow / batch, PLAIN, note)


def training_step(
    label: str,
    model: LocalizationModel,
    batch: int,
    repeats: int,
    halved: bool = False,
    **arguments: Any,
) -> Measurement:
    """Seconds a pair of forward, backward and AdamW; ``arguments`` go to the network.

    Memory is kept between steps, as in training, for both paths. With ``halved`` the fast path
    computes under autocast to bfloat16, and the plain one in float32 as ever, with PyTorch's own
    loop over parameters.
    """
    from cvsegguide.training.optimisation import create_optimizer

    overhead, street = pairs(model, batch)
    model.train()
    optimiser = create_optimizer(model, learning_rate=1e-6, weight_decay=0.01)

    def step(halved: bool = halved, quickly: bool = True) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
            prediction = model(overhead, street, **arguments)
        loss = prediction.heatmap.square().mean()
        if prediction.landcover is not None:
            loss = loss + prediction.landcover.float().square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if quickly:
            optimiser.step()
            return
        for group in optimiser.param_groups:
            group["fused"] = None
        torch.optim.AdamW.step(optimiser)

    fast, slow = median_seconds(step, plainly(lambda: step(False, False)), repeats=repeats)
    model.eval()
    name = f"{label}, training step in batches of {batch}{', bf16' if halved else ''}, a pair"
    against = f"{PLAIN}; float32" if halved else PLAIN
    return Measurement(name, fast / batch, "s", slow / batch, against, threads())


def threads() -> str:
    """How many threads PyTorch uses, for notes."""
    count = torch.get_num_threads()
    return f"{count} thread{'' if count == 1 else 's'}"
