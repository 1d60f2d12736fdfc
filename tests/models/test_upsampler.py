"""The upsampler against its formula, written down directly."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cvsegguide.models.upsamplers.joint_bilateral import (
    JointBilateralStack,
    JointBilateralUpsampler,
)


def oracle(step: JointBilateralUpsampler, source: Tensor, guidance: Tensor) -> Tensor:
    """Every factor of the formula by itself, every window unfolded (FeatUp, section 3.2)."""
    height, width = 2 * source.shape[2], 2 * source.shape[3]
    small = F.adaptive_avg_pool2d(guidance, (height, width))
    keys = step.range_proj(small)
    d, r = step.diameter, step.radius
    windows = F.unfold(F.pad(keys, [r] * 4, mode="reflect"), d)
    windows = windows.reshape(keys.shape[0], keys.shape[1], d * d, height, width)
    range_kernel = (step.range_temp.exp() * (windows * keys[:, :, None]).sum(1)).softmax(1)
    axis = torch.linspace(-1, 1, d)
    spatial = torch.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * step.sigma_spatial**2))
    kernel = range_kernel * spatial.reshape(1, d * d, 1, 1)
    kernel = kernel / kernel.sum(1, keepdim=True)
    kernel = kernel + 0.1 * step.fixup_proj(torch.cat([kernel, small], 1))
    large = F.interpolate(source, size=(height, width), mode="bicubic")
    patches = F.unfold(F.pad(large, [r] * 4, mode="reflect"), d)
    patches = patches.reshape(*source.shape[:2], d * d, height, width)
    return torch.einsum("bcphw,bphw->bchw", patches, kernel)


def enlarge(step: JointBilateralUpsampler, source: Tensor, guidance: Tensor) -> Tensor:
    """``(B, C, 2 h, 2 w)`` as the step has it."""
    size = (2 * source.shape[2], 2 * source.shape[3])
    kernel = step.kernel(F.adaptive_avg_pool2d(guidance, size))
    return step.enlarge(source.movedim(1, -1), kernel).movedim(-1, 1)


@pytest.fixture
def step() -> JointBilateralUpsampler:
    torch.manual_seed(0)
    module = JointBilateralUpsampler().eval()
    with torch.no_grad():
        module.range_temp.fill_(0.3)
        module.sigma_spatial.fill_(0.8)
    return module


@pytest.mark.parametrize("repeats", [1, 1800])
def test_step_equals_formula(step: JointBilateralUpsampler, repeats: int) -> None:
    """Also where the result is too large to be made at once."""
    source, guidance = torch.randn(2, 5, 6, 8), torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        found = enlarge(step, source.repeat(1, repeats, 1, 1), guidance)
        expected = oracle(step, source, guidance).repeat(1, repeats, 1, 1)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_windows_in_mixed_precision(step: JointBilateralUpsampler) -> None:
    """bfloat16 keeps 8 bits; what is not cast must not meet what is."""
    guidance = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        exact = step.kernel(guidance)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = step.kernel(guidance)
    assert mixed.dtype == exact.dtype
    torch.testing.assert_close(mixed, exact, atol=2e-2, rtol=0)


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_windows_of_any_radius(radius: int) -> None:
    torch.manual_seed(2)
    module = JointBilateralUpsampler(radius=radius).eval()
    source, guidance = torch.randn(1, 3, 16, 8), torch.rand(1, 3, 32, 16)
    with torch.no_grad():
        expected = oracle(module, source, guidance)
        torch.testing.assert_close(enlarge(module, source, guidance), expected, atol=1e-5, rtol=0)


def test_gradients_equal_those_of_formula(step: JointBilateralUpsampler) -> None:
    source = torch.randn(2, 5, 4, 6, requires_grad=True)
    guidance = torch.rand(2, 3, 16, 24)
    probe = torch.randn(2, 5, 8, 12)
    inputs = [source, *step.parameters()]
    ours = torch.autograd.grad((enlarge(step, source, guidance) * probe).sum(), inputs)
    theirs = torch.autograd.grad((oracle(step, source, guidance) * probe).sum(), inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_pooled_is_the_mean_of_the_map(mode: type) -> None:
    torch.manual_seed(1)
    stack = JointBilateralStack(7, steps=2).eval()
    source, guidance = torch.randn(2, 7, 4, 8), torch.rand(2, 3, 16, 32)
    with mode():
        mean = stack(source, guidance).mean(dim=(2, 3), keepdim=True)
        torch.testing.assert_close(stack.pooled(source, guidance), mean, atol=1e-5, rtol=0)
