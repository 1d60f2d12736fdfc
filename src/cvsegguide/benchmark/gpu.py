"""The networks on a GPU beside their plain float32 path, and the upsampler beside its floor.

Needs CUDA. A row that cannot be measured is a line on stderr, and the others follow.
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cvsegguide.benchmark.registry import Measurement

BATCH = 32
DEVICE = "cuda"

ALLOWED = 1e-4
"""Relative error that float32 kernels may have."""

_CACHED = 4e8
"""Bytes, more than caches of devices hold."""

_REFERENCE = "plain float32, eager, TF32 off"


def measure(quick: bool = False) -> list[Measurement]:
    """Batches of 32: plain float32, the fast paths, bf16, recorded, compiled; the upsampler.

    Without CUDA nothing is measured, and a line on stderr says so.
    """
    import torch

    if not torch.cuda.is_available():
        print("benchmark gpu: no CUDA device is here; nothing was measured", file=sys.stderr)
        return []
    rows = _Rows()
    with rows.attempt("copy"):
        rows.bandwidth = _bandwidth()
        print(f"benchmark gpu: copies move {rows.bandwidth / 1e12:.2f} TB/s", file=sys.stderr)
    _upsampler(rows, quick)
    for places, channels in ((64, 96), (32, 192), (16, 384)):
        with rows.attempt(f"layer norm of {channels} channels"):
            _norm(rows, BATCH * places * places, channels)
    batch = 4 if quick else BATCH
    for name in ("geometric", "mst", "featup"):
        with rows.attempt(name):
            _network(rows, name, batch)
    for name in ("geometric", "mst"):
        with rows.attempt(f"{name}, training step"):
            _training(rows, name, batch)
    if not quick:
        for name in ("geometric", "mst"):
            with rows.attempt(f"{name}, compiled"):
                _compiled(rows, name, batch)
    return rows.found


class _Rows:
    """Measurements, each said on stderr as soon as it is there."""

    def __init__(self) -> None:
        self.found: list[Measurement] = []
        self.bandwidth = 0.0
        self.reference: dict[str, float] = {}
        self._start = time.perf_counter()

    def add(
        self,
        name: str,
        value: float,
        reference: float | None,
        reference_name: str,
        note: str = "",
        unit: str = "ms",
    ) -> None:
        self.found.append(Measurement(name, value, unit, reference, reference_name, note))
        ratio = "" if not reference else f", {reference / value:.2f} x faster than {reference_name}"
        after = time.perf_counter() - self._start
        print(f"[{after:4.0f} s] {name}: {value:.4g} {unit}{ratio}; {note}", file=sys.stderr)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Go on when something within fails."""
        import torch

        try:
            yield
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"benchmark gpu: {what}: {type(error).__name__}: {first[:300]}", file=sys.stderr)
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:
            print(f"benchmark gpu: after {what}: {str(error).splitlines()[0]}", file=sys.stderr)


def _bandwidth() -> float:
    """Bytes a second, read and written together, of a large copy on the device."""
    import torch

    source = torch.randn(1 << 28, device=DEVICE)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / _seconds(lambda: target.copy_(source))


def _network(rows: _Rows, name: str, batch: int) -> None:
    import torch

    from cvsegguide.benchmark.networks import build, pairs
    from cvsegguide.inference.acceleration import Recorded, autocast, exact_products
    from cvsegguide.models.linear import plain_path

    device = torch.device(DEVICE)
    model = build(name).to(device)
    overhead, street = (image.to(device) for image in pairs(model, batch))
    expected: torch.Tensor | None = None

    def run(*inputs: torch.Tensor) -> Any:
        with torch.inference_mode():
            prediction = model(*inputs)
            return prediction.heatmap, prediction.landcover

    def plain() -> Any:
        # The plain FeatUp path at 32 pairs may not fit: parts of what does.
        parts = []
        with plain_path():
            for first in range(0, batch, size):
                part = slice(first, first + size)
                parts.append(run(overhead[part], street[part])[0])
        return torch.cat(parts)

    size = batch
    with exact_products():
        try:
            expected = plain().float()
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            size = max(1, batch // 8)
            expected = plain().float()
        seconds, memory = _costs(plain, 3)
    reference = 1000 * seconds / batch
    rows.reference[name] = reference
    parts = "" if size == batch else f", {size} at a time"
    label = f"{name} on the GPU, batch of {batch}, a pair"
    rows.add(f"{label}: plain float32", reference, None, "", f"TF32 off{parts}; {memory}")
    with rows.attempt(f"{name}: TF32"):
        seconds, memory = _costs(plain, 3)
        rows.add(
            f"{label}: plain float32 as PyTorch sets it",
            1000 * seconds / batch,
            reference,
            _REFERENCE,
            f"TF32 in convolutions only{parts}; {memory}",
        )

    def row(what: str, function: Callable[[], Any], note: str) -> None:
        with rows.attempt(f"{name}: {what}"):
            heatmap = function()[0].float()
            assert expected is not None
            apart = float((heatmap - expected).norm() / expected.norm())
            # the best pixel of a heatmap, the best class of a pixel of land cover
            ours, theirs = (
                each.flatten(1).argmax(1) if each.shape[1] == 1 else each.argmax(1)
                for each in (heatmap, expected)
            )
            same = (ours == theirs).float().mean()
            del heatmap, ours, theirs
            seconds, memory = _costs(function)
            note = f"{note}; outputs differ by {apart:.1e}, {float(same):.1%} of the maxima "
            rows.add(
                f"{label}: {what}",
                1000 * seconds / batch,
                reference,
                _REFERENCE,
                f"{note}are at the same place; {memory}",
            )

    with exact_products():
        row("float32, fast paths", lambda: run(overhead, street), "TF32 off")

    def half(*inputs: torch.Tensor) -> Any:
        with autocast(device, torch.bfloat16):
            return run(*inputs)

    row("bf16", lambda: half(overhead, street), "autocast")
    model.to(memory_format=torch.channels_last)
    above, around = (
        image.contiguous(memory_format=torch.channels_last) for image in (overhead, street)
    )
    row("bf16, channels last", lambda: half(above, around), "autocast")
    for light in (False, True):
        recorded = Recorded(run, torch.bfloat16, light)

        def replay(recorded: Recorded = recorded) -> Any:
            with torch.inference_mode():
                return recorded(above, around)

        with rows.attempt(f"{name}: recording"):
            replay()
            replay()
            if not recorded.recorded:
                raise RuntimeError(f"not recorded: {recorded.reason}")
        kept = ", norms in bf16" if light else ""
        row(f"bf16, channels last{kept}, CUDA graph", replay, "autocast")

    def segment(image: torch.Tensor) -> Any:
        with torch.inference_mode():
            return (model.segment(image),)

    with rows.attempt(f"{name}: segment"):
        with exact_products(), plain_path():
            expected = torch.cat([segment(part)[0].float() for part in torch.split(overhead, size)])

            def plainly() -> None:
                for part in torch.split(overhead, size):
                    segment(part)

            reference, _ = _costs(plainly, 3)
            reference *= 1000 / batch
        recording = Recorded(segment, torch.bfloat16)

        def replayed() -> Any:
            with torch.inference_mode():
                return recording(above)

        replayed()
        replayed()
        label = f"{name} on the GPU, land cover alone, batch of {batch}, a tile"
        row("bf16, channels last, CUDA graph", replayed, "autocast")


def _compiled(rows: _Rows, name: str, batch: int) -> None:
    import torch

    from cvsegguide.benchmark.networks import build, pairs
    from cvsegguide.inference.acceleration import autocast

    device = torch.device(DEVICE)
    model = build(name).to(device).to(memory_format=torch.channels_last)
    inputs = [
        image.to(device).contiguous(memory_format=torch.channels_last)
        for image in pairs(model, batch)
    ]
    compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)

    def run() -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch.inference_mode(), autocast(device, torch.bfloat16):
            return compiled(*inputs).heatmap

    start = time.perf_counter()
    run()
    run()
    torch.cuda.synchronize()
    note = f"{time.perf_counter() - start:.0f} s to compile"
    seconds, memory = _costs(run)
    rows.add(
        f"{name} on the GPU, batch of {batch}, a pair: bf16, torch.compile with CUDA graphs",
        1000 * seconds / batch,
        rows.reference.get(name),
        _REFERENCE,
        f"{note}; {memory}",
    )


def _training(rows: _Rows, name: str, batch: int) -> None:
    import torch

    from cvsegguide.benchmark.networks import build, pairs
    from cvsegguide.inference.acceleration import autocast, exact_products
    from cvsegguide.models.linear import plain_path

    device = torch.device(DEVICE)
    model = build(name).to(device).train()
    initial = copy.deepcopy(model.state_dict())
    inputs = [image.to(device) for image in pairs(model, batch)]

    def step(dtype: torch.dtype | None) -> Callable[[], None]:
        model.load_state_dict(initial)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=1e-6)

        def run() -> None:
            with autocast(device, dtype):
                prediction = model(*inputs)
                loss = prediction.heatmap.float().square().mean()
                if prediction.landcover is not None:
                    loss = loss + prediction.landcover.float().square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

        return run

    with exact_products(), plain_path():
        slow, memory = _costs(step(None), 3)
    label = f"{name} on the GPU, training step in batches of {batch}, a pair"
    rows.add(f"{label}: plain float32", 1000 * slow / batch, None, "", f"TF32 off; {memory}")
    for what, last in (("bf16", False), ("bf16, channels last", True)):
        with rows.attempt(f"{label}: {what}"):
            if last:
                model.to(memory_format=torch.channels_last)
            seconds, memory = _costs(step(torch.bfloat16))
            note = f"autocast; {memory}"
            rows.add(
                f"{label}: {what}", 1000 * seconds / batch, 1000 * slow / batch, _REFERENCE, note
            )


def _upsampler(rows: _Rows, quick: bool) -> None:
    import torch

    from cvsegguide.models.upsamplers.joint_bilateral import (
        JointBilateralUpsampler,
        triton_kernels,
    )

    device = torch.device(DEVICE)
    module = triton_kernels(torch.empty(1, 1, 64, 64, device=device), 3)
    if module is None:
        print("benchmark gpu: Triton is not here; the upsampler was not measured", file=sys.stderr)
        return
    step = JointBilateralUpsampler().to(device).eval()
    with torch.no_grad():
        step.range_temp.fill_(0.3)
        step.sigma_spatial.fill_(0.8)
    for size in ((3, 21, 33, 50), (2, 384, 64, 64), (1, 7, 5, 9)):
        for dtype in (torch.float32, torch.bfloat16):
            with rows.attempt(f"upsampler, exactness at {size}, {dtype}"):
                _exactness(rows, step, size, dtype)
    for dtype in (torch.float32, torch.bfloat16):
        with rows.attempt(f"upsampler, {dtype}"), torch.inference_mode():
            _upsampler_step(rows, module, step, 1 if quick else 4, dtype)


def _upsampler_step(rows: _Rows, module: Any, step: Any, batch: int, dtype: Any) -> None:
    """The last step, 128 to 256 with 384 channels, and its parts."""
    import torch

    from cvsegguide.inference.acceleration import autocast
    from cvsegguide.models.linear import plain_path

    device, side, channels = torch.device(DEVICE), 128, 384
    guidance = torch.rand(batch, 3, 2 * side, 2 * side, device=device)
    low = torch.randn(batch, side, side, channels, device=device, dtype=dtype)
    source = low.permute(0, 3, 1, 2)
    weights = step.kernel(guidance).to(dtype)
    with autocast(device, None if dtype == torch.float32 else dtype):
        folded = step.ready(guidance)
    ones = torch.ones(batch, 2 * side, 2 * side, device=device, dtype=dtype)

    def fold() -> Any:
        with autocast(device, None if dtype == torch.float32 else dtype):
            return step.ready(guidance)

    item, pixels = source.element_size(), batch * (2 * side) ** 2
    small, large = source.numel() * item, 4 * source.numel() * item
    given, kept = weights.numel() * item, folded.numel() * item
    short = str(dtype).rpartition(".")[2]
    name = f"upsampler step 128 -> 256 on the GPU, {short}"
    note = f"batch of {batch}, {channels} channels"
    for what, function, moved in (
        (name, lambda: step.apply_kernel(source, folded), small + given + large),
        (f"{name}: folding given weights", lambda: module.fold(weights, 3), given + kept),
        (
            f"{name}: transposed, one channel",
            lambda: module.transposed(ones, folded, 3),
            kept + pixels * item * 5 // 4,
        ),
        (
            "window weights at 256 x 256 on the GPU, float32",
            lambda: step.kernel(guidance),
            pixels * 4 * (3 + 32 + 49),
        ),
        (f"window weights at 256 x 256 on the GPU, folded, {short}", fold, pixels * 140 + kept),
    ):
        with rows.attempt(what):
            seconds = _seconds(function)
            rows.add(
                what,
                1000 * seconds,
                1000 * moved / rows.bandwidth,
                "bytes read and written once, at the speed of a copy",
                f"{note}; {moved / 1e6:.0f} MB, {moved / seconds / 1e12:.2f} TB/s",
            )
    with rows.attempt(f"{name}: plain"), plain_path():
        slow = _seconds(lambda: step.apply_kernel(source, weights), 3)
        rows.add(f"{name}: plain path", 1000 * slow, None, "", f"{note}, shifted sums")
        slow = _seconds(lambda: step.kernel(guidance), 3)
        rows.add("window weights at 256 x 256: plain path", 1000 * slow, None, "", note)


def _norm(rows: _Rows, count: int, channels: int) -> None:
    """Layer norms of a vision transformer in bf16, the kernel beside PyTorch's; recorded.

    They go over more than the device's caches hold before they come to the same rows again.
    """
    import torch
    import torch.nn.functional as F

    from cvsegguide.models.layer_norm_kernel import layer_norm

    device, dtype = torch.device(DEVICE), torch.bfloat16
    moved = 2 * 2 * count * channels
    several = [
        torch.randn(count, channels, device=device, dtype=dtype)
        for _ in range(1 + int(_CACHED / moved))
    ]
    weight, bias = torch.randn(2, channels, device=device).to(dtype)
    exact = F.layer_norm(several[0].double(), (channels,), weight.double(), bias.double(), 1e-5)
    cases: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "kernel": lambda x: layer_norm(x, weight, bias, 1e-5, dtype),
        "PyTorch's": lambda x: F.layer_norm(x, (channels,), weight, bias, 1e-5),
    }
    for what, function in cases.items():
        with torch.inference_mode():
            apart = float((function(several[0]).double() - exact).norm() / exact.norm())
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for x in several:
                    function(x)
            seconds = _seconds(graph.replay) / len(several)
        rows.add(
            f"layer norm of {count} rows of {channels} on the GPU, bf16, {what}",
            1000 * seconds,
            1000 * moved / rows.bandwidth,
            "bytes read and written once, at the speed of a copy",
            f"one of {len(several)} in a CUDA graph; error {apart:.1e}",
        )


def _exactness(rows: _Rows, step: Any, size: tuple[int, int, int, int], dtype: Any) -> None:
    """Relative error of a step, weights included, on fresh inputs; memory is soiled before."""
    import torch

    from cvsegguide.inference.acceleration import autocast, exact_products
    from cvsegguide.models.linear import plain_path

    device = torch.device(DEVICE)
    batch, channels, height, width = size
    source = torch.randn(*size, device=device)
    guidance = torch.rand(batch, 3, 2 * height, 2 * width, device=device)
    values = torch.randn(batch, 1, 2 * height, 2 * width, device=device)
    oracle = copy.deepcopy(step).double()
    with torch.inference_mode(), exact_products():
        with plain_path():
            weights = step.kernel(guidance)
            double = oracle.kernel(guidance.double())
            expected = oracle.apply_kernel(source.double(), double)
            back = oracle.transposed(values.double(), double)
        soiled = [torch.full_like(expected, torch.nan), torch.full_like(double, torch.nan)]
        del soiled
        with autocast(device, None if dtype == torch.float32 else dtype):
            ours = step.kernel(guidance)
            result = step.apply_kernel(source, step.ready(guidance)).double()
            returned = step.transposed(values, ours).double()
        apart = [
            float((a - b).norm() / b.norm())
            for a, b in (
                (result, expected),
                (ours.double(), double),
                (returned, back),
                (weights.double(), double),
            )
        ]
    exact = dtype == torch.float32
    rows.add(
        f"upsampler, error at {batch} x {channels} x {height} x {width}, {dtype}",
        apart[0],
        ALLOWED if exact else None,
        "what is allowed" if exact else "",
        f"of the norm, against float64; weights {apart[1]:.1e} (plain float32 {apart[3]:.1e}), "
        f"transposed {apart[2]:.1e}",
        "",
    )
    if exact and not max(apart[:3]) <= ALLOWED:
        raise AssertionError(f"errors {apart} are larger than {ALLOWED}")


def _costs(function: Callable[[], object], repeats: int = 10) -> tuple[float, str]:
    """Median seconds, and the most memory that was held, as a note."""
    import torch

    torch.cuda.reset_peak_memory_stats()
    seconds = _seconds(function, repeats)
    return seconds, f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"


def _seconds(function: Callable[[], object], repeats: int = 10) -> float:
    """Median seconds of calls, each between two events and by itself, behind two to warm up.

    Time in which the device waits for launches counts.
    """
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
