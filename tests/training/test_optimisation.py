"""Which parameters decay, and how the learning rate goes."""

import pytest
import torch

from cvsegguide.training.optimisation import create_optimizer, create_schedule
from helpers.tiny import TinyNetwork


def test_matrices_decay_and_vectors_do_not() -> None:
    """Without a gradient a step of AdamW changes a parameter by its decay alone."""
    model = TinyNetwork()
    model.cover.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = create_optimizer(model, learning_rate=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in model.state_dict().items():
        decays = value.ndim > 1 and not name.startswith("cover")
        assert torch.allclose(value, (0.95 if decays else 1.0) * before[name]), name


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", [0.5, 1.0, 1.0, 0.55, 0.1, 0.1]), ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0])],
)
def test_rise_and_fall_of_the_learning_rate(schedule: str, expected: list[float]) -> None:
    """Two steps of warm-up, half a cosine down to a tenth over the other two, then no further."""
    optimizer = create_optimizer(TinyNetwork(), learning_rate=2.0, weight_decay=0.0)
    steps = create_schedule(optimizer, schedule, warmup=2, total=4, floor=0.1)
    found = []
    for _ in expected:
        found.append(steps.get_last_lr()[0] / 2.0)
        optimizer.step()
        steps.step()
    assert found == pytest.approx(expected)
