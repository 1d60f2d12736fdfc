"""The joint bilateral upsampler against a direct translation of its formula."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.models.upsamplers.joint_bilateral import (
    JointBilateralStack,
    JointBilateralUpsampler,
)


def unfolded(step: JointBilateralUpsampler, source: Tensor, guidance: Tensor) -> Tensor:
    """The formula written down directly: every window unfolded, then one weighted sum."""
    size = (2 * source.shape[2], 2 * source.shape[3])
    kernel = step.kernel(F.adaptive_avg_pool2d(guidance, size))
    enlarged = F.interpolate(source, size=size, mode="bicubic", align_corners=False)
    padded = F.pad(enlarged, [step.radius] * 4, mode="reflect")
    batch, channels = source.shape[:2]
    windows = F.unfold(padded, step.diameter).reshape(batch, channels, -1, *size)
    return torch.einsum("bcphw,bphw->bchw", windows, kernel)


def _stack_unfolded(stack: JointBilateralStack, source: Tensor, guidance: Tensor) -> Tensor:
    for step in stack.steps:
        assert isinstance(step, JointBilateralUpsampler)
        source = unfolded(step, source, guidance)
    result: Tensor = source + 0.1 * stack.mix(source)
    return result


def measure(quick: bool) -> list[Measurement]:
    """One 16 -> 32 step, the whole stack on a small map, and the pooled shortcut."""
    channels, side = (96, 4) if quick else (384, 8)
    repeats = 3 if quick else 7
    generator = torch.Generator().manual_seed(0)
    stack = JointBilateralStack(channels).eval()
    step = stack.steps[0]
    assert isinstance(step, JointBilateralUpsampler)
    features = torch.randn(1, channels, 16, 16, generator=generator)
    image = torch.rand(1, 3, 256, 256, generator=generator)
    small = torch.randn(1, channels, side, side, generator=generator)
    crop = torch.rand(1, 3, 16 * side, 16 * side, generator=generator)
    note = f"{channels} channels, {torch.get_num_threads()} threads"
    name = "every window unfolded"
    with torch.inference_mode():
        fast, slow = median_seconds(
            lambda: step(features, image), lambda: unfolded(step, features, image), repeats=repeats
        )
        whole, whole_slow = median_seconds(
            lambda: stack(small, crop), lambda: _stack_unfolded(stack, small, crop), repeats=repeats
        )
        pooled, mean = median_seconds(
            lambda: stack.pooled(small, crop),
            lambda: stack(small, crop).mean(dim=(2, 3)),
            repeats=repeats,
        )
    bytes_full = channels * 49 * (16 * side) ** 2 * 4 / 1e6
    bytes_sum = channels * (16 * side) ** 2 * 4 / 1e6
    return [
        Measurement("upsampler step 16 -> 32", fast, "s", slow, name, note),
        Measurement(
            f"upsampler stack {side} -> {16 * side}",
            whole,
            "s",
            whole_slow,
            name,
            f"{note}; largest array {bytes_sum:.0f} MB against {bytes_full:.0f} MB",
        ),
        Measurement(
            f"mean over the upsampled map {side} -> {16 * side}",
            pooled,
            "s",
            mean,
            "upsample, then average",
            note,
        ),
    ]
