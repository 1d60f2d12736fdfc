"""The networks at their published sizes: a pair, a further street view, a training step."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from cvsegguide.benchmark.measurement import Task
from cvsegguide.errors import InputError
from cvsegguide.inference.localizer import Localizer
from cvsegguide.models import LocalizationModel, create_model, load_model

WEIGHTS = "synthcity"
"""The bundled weights; other networks are measured with weights drawn at random."""

CIRCLE = torch.arange(64) * 5.625 - 180
"""The headings that are tried when nothing is known of it."""

TURNS = torch.tensor([0.0, 40.0, -75.0, 160.0])
"""Headings of a quarter of the training steps of the recipes that ship."""


def on_cpu(quick: bool) -> Iterator[Task]:
    """Every network on the processor."""
    yield from _answers("cpu", quick, batches=(1, 8))
    yield from _training_steps("cpu", quick, batch=2 if quick else 8)


def on_gpu(quick: bool) -> Iterator[Task]:
    """Every network on the first CUDA device.

    Raises:
        InputError: There is none.
    """
    if not torch.cuda.is_available():
        raise InputError("no CUDA device is here")
    batch = 4 if quick else 32
    yield from _answers("cuda", quick, batches=(1, batch))
    yield from _training_steps("cuda", quick, batch)


def _answers(device: str, quick: bool, batches: tuple[int, ...]) -> Iterator[Task]:
    published = ("mst-small",) if quick else ("mst", "featup")
    variants = [(name, kind) for name in published for kind in ("published", "corrected")]
    repeats = 3 if quick else 9
    for name, variant in [("geometric", ""), *variants]:
        # as the localizer prepares it
        model = Localizer(build_network(name, variant), device=device).model
        overhead, street = random_pairs(model, max(batches), device)

        def run(function: Callable[..., Any], *inputs: Any, **options: Any) -> Callable[[], None]:
            return lambda: _infer(device, function, *inputs, **options)

        label = f"{name} {variant}".strip()
        for batch in batches if name == "geometric" or device != "cpu" else batches[:1]:
            inputs = overhead[:batch], street[:batch]
            size = "a pair" if batch == 1 else f"a pair, {batch} at once"
            yield Task(f"{label}: {size}", run(model, *inputs), batch, repeats=repeats)
        pair = overhead[:1], street[:1]
        if model.searches_headings:
            circle = run(model, *pair, headings=CIRCLE.to(device))
            yield Task(f"{label}: a pair, heading unknown", circle, repeats=repeats)
        with torch.inference_mode():
            tile: Any = model.encode_tile(overhead[:1])
        for count in (1, 8):
            views = street[:count]
            size = "alone" if count == 1 else f"{count} at once"
            further = run(model.match_tile, tile, views)
            yield Task(
                f"{label}: a further street view, {size}", further, len(views), repeats=repeats
            )


def _infer(device: str, function: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    half = device != "cpu"  # what `--precision auto` takes
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=half):
        function(*inputs, **options)
    _synchronize(device)


def _training_steps(device: str, quick: bool, batch: int) -> Iterator[Task]:
    steps: list[tuple[str, str, Tensor | None]] = [
        ("geometric", "training step", None),
        ("geometric", f"training step, {len(TURNS)} headings", TURNS.to(device)),
        ("mst-small" if quick else "mst", "training step", None),
    ]
    for name, label, headings in steps:
        options = {} if headings is None else {"headings": headings}
        for half in (False, True):
            precision = "bf16" if half else "float32"
            yield Task(
                f"{name}: {label}, {precision}, a pair",
                training_step(build_network(name), batch, device, half, **options),
                amount=batch,
                repeats=2 if quick else 5,
                note=f"forward, backward and AdamW in batches of {batch}",
            )


def training_step(
    model: LocalizationModel, batch: int, device: str, half: bool, **options: Tensor
) -> Callable[[], None]:
    """A step of a network in training; ``options`` go to its ``forward``.

    Args:
        model: The network.
        batch: Pairs of a step.
        device: Where it trains.
        half: Compute under autocast to bfloat16.
    """
    model = model.to(device).train()
    overhead, street = random_pairs(model, batch, device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            prediction = model(overhead, street, **options)
        loss = prediction.heatmap.float().square().mean()
        if prediction.landcover is not None:
            loss = loss + prediction.landcover.float().square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        _synchronize(device)

    return step


def build_network(name: str, variant: str = "") -> LocalizationModel:
    """A network of that name, in evaluation mode, the same every time.

    Args:
        name: Of the registry; ``geometric`` is the one that ships, with its weights.
        variant: ``published`` or ``corrected``, or nothing for the default.
    """
    if name == "geometric":
        return load_model(WEIGHTS).eval()
    torch.manual_seed(0)
    return create_model(name, **({"variant": variant} if variant else {})).eval()


def random_pairs(model: LocalizationModel, batch: int, device: str) -> tuple[Tensor, Tensor]:
    """Overhead images ``(batch, 3, H, W)`` and street views of the network's input sizes."""
    generator = torch.Generator().manual_seed(0)
    overhead = torch.rand(batch, 3, *model.overhead_size, generator=generator)
    street = torch.rand(batch, 3, *model.street_size, generator=generator)
    return overhead.to(device), street.to(device)


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
