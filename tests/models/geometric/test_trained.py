"""Training on a CPU: fast paths against plain PyTorch in float64."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from cvsegguide.lanes import using_threads
from cvsegguide.models.geometric import residual, team
from cvsegguide.models.geometric.layers import Merge, Residual, convolution, unit
from cvsegguide.models.geometric.lite0 import InvertedResidual, Lite0Encoder, Separable
from cvsegguide.models.geometric.polar import (
    PolarGrid,
    template_coordinates,
    to_metric_each,
    turned,
)
from cvsegguide.models.linear import has_bfloat16, plain_path
from cvsegguide.models.registry import create_model

BLOCKS = {
    "separable": lambda: Separable(12, 8, 3),
    "filters of 3": lambda: InvertedResidual(12, 12, 3, 1, 6),
    "filters of 3, stride 2": lambda: InvertedResidual(12, 20, 3, 2, 6),
    "filters of 5": lambda: InvertedResidual(12, 20, 5, 1, 6),
    "filters of 5, stride 2": lambda: InvertedResidual(12, 20, 5, 2, 6),
    "many channels": lambda: InvertedResidual(12, 12, 5, 1, 50),
    "unit": lambda: unit(convolution(12, 20)),
    "strided unit": lambda: unit(convolution(12, 20, 5, 2)),
    "circular unit": lambda: unit(convolution(12, 20, circular=True)),
    "residual": lambda: Residual(12),
    "circular residual": lambda: Residual(12, circular=True),
}


@pytest.fixture(autouse=True, params=[1, 2])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of one thread, and of two that share every loop."""
    monkeypatch.setattr(team, "_WORTH", 0)
    with using_threads(request.param):
        if not team.has_team():
            pytest.skip("PyTorch's threads are not those of GCC's OpenMP")
        yield request.param


def grown(module: nn.Module) -> nn.Module:
    """With norms, biases and running statistics that are nowhere what they start as."""
    torch.manual_seed(3)
    with torch.no_grad():
        for values in (*module.parameters(), *module.buffers()):
            if values.ndim == 1:
                values.uniform_(0.5, 1.5)
    return module.train()


def trained(module: nn.Module, *inputs: Tensor) -> dict[str, Tensor]:
    """Output, all gradients and the running statistics after a step of training."""
    inputs = tuple(each.clone().requires_grad_() for each in inputs)
    module.zero_grad(set_to_none=True)
    output = module(*inputs)
    weights = torch.rand(output.shape, generator=torch.Generator().manual_seed(5))
    (output * weights.to(output)).sum().backward()
    result = {"output": output.detach()}
    result |= {f"input {number}": each.grad for number, each in enumerate(inputs)}
    result |= {name: each.grad for name, each in module.named_parameters()}
    return result | {name: each.clone() for name, each in module.named_buffers()}


def farthest(module: nn.Module, *inputs: Tensor) -> float:
    """Of everything: the largest difference to float64, as a share of its largest value."""
    exact = trained(copy.deepcopy(module).double(), *(each.double() for each in inputs))
    found = trained(module, *inputs)
    assert found.keys() == exact.keys()
    return max(
        float((found[name] - value).abs().max() / value.abs().max())
        for name, value in exact.items()
    )


@pytest.mark.parametrize("name", BLOCKS)
def test_a_step_of_training_is_that_of_float64(name: str) -> None:
    block = grown(BLOCKS[name]())
    image = torch.rand(5, 12, 14, 24, generator=torch.Generator().manual_seed(1)) - 0.3
    assert farthest(block, image) < 1e-4
    assert type(block(image).grad_fn).__name__ in ("_NormClipBackward", "_InvertedResidualBackward")
    with plain_path():
        assert "Backward0" in type(block(image).grad_fn).__name__


@pytest.mark.parametrize("name", BLOCKS)
def test_one_under_autocast_is_as_near_as_pytorchs(name: str) -> None:
    """Maps of bfloat16: gradients lie as far from float64's as those of PyTorch's own autocast."""
    if not has_bfloat16():
        pytest.skip("this processor does not compute in bfloat16")
    block = grown(BLOCKS[name]())
    image = torch.rand(5, 12, 14, 24, generator=torch.Generator().manual_seed(1)) - 0.3

    def halved() -> dict[str, Tensor]:
        twin = copy.deepcopy(block)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return trained(twin, image)

    exact = trained(copy.deepcopy(block).double(), image.double())
    found = halved()
    with plain_path():
        plain = halved()
    assert found["output"].dtype == torch.bfloat16
    for what, value in exact.items():
        if not value.is_floating_point():
            continue
        scale = float(value.norm()) + 1e-12
        apart, usual = (float((each[what] - value).norm()) / scale for each in (found, plain))
        assert apart < max(1.5 * usual, 0.02), (what, apart, usual)


def test_a_network_trains_under_autocast() -> None:
    torch.manual_seed(0)
    model = create_model("geometric-tiny", overhead_encoder="lite0").train()
    overhead, street = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 32, 128)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(overhead, street, headings=torch.tensor([0.0, 50.0]))
    whole = model(overhead, street, headings=torch.tensor([0.0, 50.0]))
    assert found.heatmap.dtype == found.street.rows.dtype == torch.float32
    scale = float(whole.heatmap.detach().abs().max())
    assert torch.allclose(found.heatmap, whole.heatmap, atol=0.05 * scale)
    found.heatmap.square().mean().backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    assert len(gradients) > 0.7 * len(list(model.parameters()))
    assert all(bool(each.isfinite().all()) for each in gradients)
    assert sum(bool(each.any()) for each in gradients) > 0.7 * len(gradients)  # some start as zero


def test_errors_in_a_part_are_raised(threads: int) -> None:
    def run(part: slice, number: int) -> None:
        if part.stop == 10:
            raise ValueError("the last part")

    with pytest.raises(ValueError, match="the last part"):
        team.shared(run, 10, 1 << 24)
    seen: list[tuple[int, int]] = []
    team.shared(lambda part, number: seen.append((part.start, number)), 10, 1 << 24)
    assert sorted(seen) == [(0, 0), (5, 1)][:threads]


@pytest.mark.parametrize("circular", [False, True])
def test_so_is_one_of_two_maps_that_are_merged(circular: bool) -> None:
    merge = grown(Merge(12, 8, 16, circular))
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 12, 6, 8, generator=generator) - 0.5
    fine = torch.rand(3, 8, 12, 16, generator=generator) - 0.5
    assert farthest(merge, coarse, fine) < 1e-4


def test_a_wide_map_is_made_again_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "_CHUNK", 2 * 4 * 16 * 16 * 72)  # two images
    block = grown(InvertedResidual(12, 12, 3, 1, 6))
    image = torch.rand(5, 12, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.3
    assert farthest(block, image) < 1e-4


def test_norms_that_do_not_train_stay_as_they_are() -> None:
    block = grown(InvertedResidual(12, 12, 3, 1, 6))
    block.bn2.eval()
    image = torch.rand(2, 12, 8, 8)
    before = block.bn2.running_mean.clone()
    assert farthest(block, image) < 1e-4
    assert torch.equal(block.bn2.running_mean, before)


def test_parameters_that_are_frozen_get_no_gradient() -> None:
    encoder = Lite0Encoder(3).train()
    encoder.conv_stem.requires_grad_(False)
    encoder.blocks[1].requires_grad_(False)
    encoder(torch.rand(2, 3, 64, 64))[-1].sum().backward()
    assert encoder.conv_stem.weight.grad is None
    assert all(each.grad is None for each in encoder.blocks[1].parameters())
    assert all(each.grad is not None for each in encoder.blocks[0].parameters())


def test_the_running_statistics_of_a_network_are_those_of_its_plain_path() -> None:
    torch.manual_seed(0)
    model = create_model("geometric-tiny", overhead_encoder="lite0").train()
    other = copy.deepcopy(model)
    overhead, street = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 32, 128)
    prediction = model(overhead, street)
    with plain_path():
        plain = other(overhead, street)
    scale = float(plain.heatmap.detach().abs().max())
    assert torch.allclose(prediction.heatmap, plain.heatmap, atol=1e-4 * scale)
    for (name, found), value in zip(model.named_buffers(), other.buffers(), strict=True):
        assert torch.allclose(found, value, rtol=1e-3, atol=1e-4), name


def test_templates_of_several_headings_are_those_of_float64() -> None:
    grid = PolarGrid(directions=24, ranges=7)
    coordinates, _ = template_coordinates(grid, 11, 1.5)
    turns = torch.tensor([0.0, 33.0, -170.0])
    polar = torch.rand(2, 5, 7, 24, generator=torch.Generator().manual_seed(1))

    def templates(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        each = turned(coordinates.to(dtype), turns.to(dtype), grid)
        source = polar.to(dtype, copy=True).requires_grad_()
        result = to_metric_each(source, each)
        (
            result * torch.linspace(-1, 1, result.numel(), dtype=dtype).view_as(result)
        ).sum().backward()
        return result.detach(), source.grad

    for found, exact in zip(templates(torch.float32), templates(torch.float64), strict=True):
        assert found.shape == exact.shape
        assert float((found - exact).abs().max()) < 1e-4 * float(exact.abs().max())
