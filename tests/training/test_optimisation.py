"""Steps of the optimiser on a CPU: PyTorch's own, and seen by what networks keep of weights."""

import copy

import pytest
import torch
from torch.optim import AdamW

from cvsegguide.models.linear import plain_path
from cvsegguide.models.registry import create_model
from cvsegguide.training.optimisation import create_optimizer, parameter_groups


def stepped(model: torch.nn.Module, optimizer: AdamW, count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("name", ["geometric", "mst-small"])
def test_evaluation_sees_what_a_step_changed(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, overhead_size=(64, 64), street_size=(64, 256)).eval()
    images = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 256)
    with torch.no_grad():
        before = [model(*images).heatmap for _ in range(2)][-1]  # weights are kept from here on
        stepped(model, create_optimizer(model, learning_rate=1e-3, weight_decay=0.0), 1)
        after = model(*images).heatmap
        with plain_path():
            expected = model(*images).heatmap
    assert float((after - before).abs().max()) > 1e-3
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["geometric", "mst-small"])
def test_steps_are_those_of_adamw(name: str) -> None:
    ours = create_model(name, overhead_size=(64, 64), street_size=(64, 256))
    theirs = copy.deepcopy(ours)
    optimizer = create_optimizer(ours, learning_rate=1e-2, weight_decay=0.1)
    loop = AdamW(parameter_groups(theirs, 0.1), lr=1e-2, foreach=False, fused=False)
    # gradients that lie in memory as no parameter in channels-last order does
    for a, b in zip(stepped(ours, optimizer, 5), stepped(theirs, loop, 5), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert all(group["fused"] for group in optimizer.param_groups)


def test_a_checkpoint_of_other_steps_is_gone_on_with() -> None:
    ours = create_model("geometric", overhead_size=(64, 64), street_size=(64, 256))
    theirs = copy.deepcopy(ours)
    loop = AdamW(parameter_groups(theirs, 0.1), lr=1e-2, foreach=False, fused=False)
    stepped(theirs, loop, 2)
    saved = copy.deepcopy(loop.state_dict())
    for state in saved["state"].values():  # moments in another order
        for moment in ("exp_avg", "exp_avg_sq"):
            state[moment] = state[moment].contiguous()
    ours.load_state_dict(theirs.state_dict())
    optimizer = create_optimizer(ours, learning_rate=1e-2, weight_decay=0.1)
    optimizer.load_state_dict(saved)
    before = [parameter._version for parameter in ours.parameters()]
    for a, b in zip(stepped(ours, optimizer, 2), stepped(theirs, loop, 2), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert all(group["fused"] for group in optimizer.param_groups)
    versions = zip(before, [parameter._version for parameter in ours.parameters()], strict=True)
    assert all(after >= known + 2 for known, after in versions)
    copied = copy.deepcopy(optimizer)
    assert type(copied) is type(optimizer)
