"""Which parameters decay, and how the learning rate goes."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from cvsegguide.data.sample import Batch
from cvsegguide.errors import ConfigurationError
from cvsegguide.training.module import LocalizationTask
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


def test_parts_learn_slower_or_not_at_all() -> None:
    """The frozen one keeps its weights and norms, the slow one its norms, the rest neither."""
    frozen, slow = "overhead_branch.encoder", "street_branch.encoder"
    task = LocalizationTask(
        "geometric-tiny",
        network_arguments={"overhead_encoder": "lite0"},
        learning_rate=1e-3,
        learning_rate_factors={frozen: 0.0, slow: 0.1},
        warmup_steps=0,
        schedule="constant",
    )
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    batch = Batch(
        id=["a", "b"],
        overhead=torch.rand(2, 3, *task.network.overhead_size),
        street=torch.rand(2, 3, *task.network.street_size),
        landcover=None,
        position=torch.full((2, 2), 20.0),
        heading=torch.zeros(2),
        fov=torch.full((2,), 360.0),
        gsd=torch.full((2,), task.network.gsd),
        bounds=[None, None],
    )
    options = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    Trainer(max_steps=2, accelerator="cpu", enable_model_summary=False, **options).fit(
        task,
        DataLoader([batch, batch], batch_size=None),  # type: ignore[arg-type]
    )
    moved: dict[str, set[str]] = {}
    for name, value in task.network.state_dict().items():
        part = next((part for part in (frozen, slow) if name.startswith(part)), "rest")
        kind = "norms" if "running" in name else "weights"
        if not torch.equal(value, before[name]):
            moved.setdefault(part, set()).add(kind)
    assert moved == {slow: {"weights"}, "rest": {"weights", "norms"}}
    rates = {group["lr"] for group in task.trainer.optimizers[0].param_groups}
    assert sorted(rates) == pytest.approx([1e-4, 1e-3])


def test_parts_that_do_not_exist_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"learning_rate_factors: .* no part 'encoder'"):
        LocalizationTask("geometric-tiny", learning_rate_factors={"encoder": 0.0})
