"""The networks on a GPU: bf16 beside the plain float32 path. Needs CUDA."""

import statistics
import sys
from collections.abc import Callable

from cvsegguide.benchmark.registry import Measurement

BATCH = 32


def measure(quick: bool = False) -> list[Measurement]:
    """Batches of 32 under bf16 autocast in channels-last order; the upsampler's bandwidth.

    Without CUDA nothing is measured, and a line on stderr says so.
    """
    import torch

    if not torch.cuda.is_available():
        print("benchmark gpu: no CUDA device is here; nothing was measured", file=sys.stderr)
        return []
    from cvsegguide.benchmark.networks import PLAIN, build, pairs
    from cvsegguide.models.linear import plain_path

    device = torch.device("cuda")
    repeats, batch = (3, 4) if quick else (9, BATCH)
    results = []
    for name in ("geometric", "mst", "featup"):
        model = build(name).to(device)
        inputs = tuple(image.to(device) for image in pairs(model, batch))

        def plain(model: torch.nn.Module = model, inputs: tuple = inputs) -> torch.Tensor:  # type: ignore[type-arg]
            with torch.inference_mode(), plain_path():
                return model(*inputs).heatmap  # type: ignore[no-any-return]

        def fast(model: torch.nn.Module = model, inputs: tuple = inputs) -> torch.Tensor:  # type: ignore[type-arg]
            with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
                return model(*inputs).heatmap.float()  # type: ignore[no-any-return]

        slow = _seconds(plain, repeats)
        expected = plain()
        model.to(memory_format=torch.channels_last)
        quick_seconds = _seconds(fast, repeats)
        difference = float((fast() - expected).abs().max() / expected.abs().max())
        results.append(
            Measurement(
                f"{name} on the GPU, batch of {batch}, a pair",
                1000 * quick_seconds / batch,
                "ms",
                1000 * slow / batch,
                f"float32, {PLAIN}",
                f"bf16 autocast, channels-last; outputs differ by {difference:.1e} of the largest",
            )
        )
        del model
    results.append(_upsampler(repeats, 1 if quick else 4))
    return results


def _upsampler(repeats: int, batch: int) -> Measurement:
    """The last step, 128 -> 256 with 384 channels, beside reading and writing its maps once."""
    import torch

    from cvsegguide.models.upsamplers import blocks

    device, channels, side = torch.device("cuda"), 384, 128
    source = torch.randn(batch, side, side, channels, device=device)
    kernel = torch.randn(batch, 49, 2 * side, 2 * side, device=device) / 7
    target = torch.empty(batch, 2 * side, 2 * side, channels, device=device)

    def step() -> None:
        with torch.inference_mode():
            for image in range(batch):
                blocks.enlarge(source[image], kernel[image], 3)

    def floor() -> None:
        target.view(batch, 4, side, side, channels).copy_(source[:, None])
        kernel.sum()

    return Measurement(
        "upsampler step 128 -> 256 on the GPU",
        1000 * _seconds(step, repeats),
        "ms",
        1000 * _seconds(floor, repeats),
        "memory bandwidth: reading map and weights, writing the result",
        f"batch of {batch}, 384 channels, float32",
    )


def _seconds(function: Callable[[], object], repeats: int) -> float:
    import torch

    times = []
    for turn in range(repeats + 2):
        start, end = (
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        if turn > 1:
            times.append(float(start.elapsed_time(end)) / 1000)
    return statistics.median(times)
