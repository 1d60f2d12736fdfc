"""The weights in the package: small, readable, and what their cards say."""

import pytest
import torch
from safetensors import safe_open

from cvsegguide.models.hub import bundled_weights, load_model

TOTAL = 20e6
"""Bytes that all weights in the package may take."""


def test_all_together_are_small() -> None:
    sizes = {
        name: sum(file.stat().st_size for file in folder.iterdir())
        for name, folder in bundled_weights().items()
    }
    assert sum(sizes.values()) < TOTAL, sizes
    assert sizes["synthcity-mst"] < 8e6


def test_half_precision_on_disk_is_single_in_memory() -> None:
    folder = bundled_weights()["synthcity-mst"]
    with safe_open(folder / "model.safetensors", "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"F16"}
    model = load_model("synthcity-mst")
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert model.config()["model"] == "mst"
    assert model.guidance == "predicted"


@pytest.mark.parametrize("name", sorted(bundled_weights()))
def test_every_one_answers(name: str) -> None:
    model = load_model(name)
    height, width = model.overhead_size
    torch.manual_seed(0)
    with torch.no_grad():
        prediction = model(torch.rand(1, 3, height, width), torch.rand(1, 3, *model.street_size))
        posterior = model.log_posterior(prediction).exp()
    assert posterior.shape == (1, height, width)
    assert posterior.sum().item() == pytest.approx(1.0, abs=1e-4)
