"""What the geometric network computes in fewer passes on a CPU, against its plain path."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.linear import plain_path
from cvsegguide.models.registry import create_model


def grown(**overrides: object) -> LocalizationModel:
    """A network whose norms and biases are nowhere what they start as."""
    torch.manual_seed(3)
    model = create_model("geometric-tiny", **overrides).eval()
    with torch.no_grad():
        for name, values in (*model.named_parameters(), *model.named_buffers()):
            of_norm = any(part in name for part in ("norm", ".1.", ".bn", ".bias"))
            if of_norm and values.is_floating_point():
                values.uniform_(0.5, 1.5)
    return model


def views(count: int) -> Tensor:
    street = torch.rand(count, 3, 32, 128, generator=torch.Generator().manual_seed(1))
    for view in range(count):
        street[view, ..., 40 + 5 * view : 60 + 5 * view] = 0  # columns that are not seen
    return street


def apart(model: LocalizationModel, street: Tensor) -> float:
    """The largest difference between both paths' street features."""
    with torch.inference_mode():
        fast = model.encode_street(street)
        with plain_path():
            plain = model.encode_street(street)
    pairs = [(getattr(fast, n), getattr(plain, n)) for n in ("features", "landcover", "visibility")]
    assert all(a.shape == b.shape for a, b in pairs)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("count", [1, 3])
def test_both_paths_of_the_street_branch_agree(count: int) -> None:
    assert apart(grown(), views(count)) < 1e-5


@pytest.mark.parametrize("encoder", ["plain", "lite0"])
def test_both_paths_of_the_overhead_branch_agree(encoder: str) -> None:
    model = grown(overhead_encoder=encoder)
    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        fast = model.encode_overhead(image)
        with plain_path():
            plain = model.encode_overhead(image)
    for name in ("features", "landcover", "prior"):
        first, second = getattr(fast, name), getattr(plain, name)
        assert torch.allclose(first, second, rtol=1e-5, atol=1e-5 * float(second.abs().max()))


def test_what_is_folded_follows_the_parameters() -> None:
    model, street = grown(), views(1)
    assert apart(model, street) < 1e-5
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.3
            elif isinstance(module, nn.Conv2d):
                module.weight *= 1.1
    assert apart(model, street) < 1e-5
    model.load_state_dict(grown().state_dict(), assign=True)
    assert apart(model, street) < 1e-5
    assert apart(copy.deepcopy(model), street) < 1e-5


def test_what_is_packed_follows_the_parameters() -> None:
    """From the second call on weights are in oneDNN's order, for any size and in any copy."""
    model, street = grown(), views(1)
    for size in (64, 64, 96, 32):
        image = torch.rand(1, 3, size, 64, generator=torch.Generator().manual_seed(size))
        with torch.inference_mode():
            fast = model.segment(image)
            with plain_path():
                plain = model.segment(image)
        assert torch.allclose(fast, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))
    for _ in range(3):
        assert apart(model, street) < 1e-5
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight *= 1.1
    for other in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for _ in range(3):
            assert apart(other, street) < 1e-5


def test_gradients_in_evaluation_take_the_plain_path() -> None:
    model = grown()
    features = model.encode_street(views(1)).features
    features.square().sum().backward()
    assert all(p.grad is not None for p in model.street_branch.encoder.parameters())
