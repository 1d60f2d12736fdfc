"""A temperature that depends on the answer, where the answer is about more or less than a tile."""

import numpy as np
import pytest
import torch

from cvsegguide.inference.localizer import Localizer
from cvsegguide.models.registry import create_model


@pytest.mark.parametrize("shape", [(40, 52), (64, 64), (64, 110)])
def test_padding_has_no_say_in_the_temperature(shape: tuple[int, int]) -> None:
    """The posterior is a power of the plain one: by how much its best pixel exceeds the mean."""
    torch.manual_seed(0)
    model = create_model("geometric-tiny").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.sharpen(20.0)
    rng = np.random.default_rng(0)
    overhead = rng.integers(0, 256, (*shape, 3), np.uint8)
    street = rng.integers(0, 256, (64, 256, 3), np.uint8)
    localizer = Localizer(model, device="cpu")

    def log_posterior() -> np.ndarray:
        found = localizer.localize(overhead, street, gsd=model.gsd, heading=20.0).posterior
        return np.log(found.astype(np.float64))

    plain = log_posterior()
    localizer.model.adapt_temperature(0.5, 1.5)
    expected = plain * ((plain.max() - plain.mean()) / 0.5) ** 1.5
    expected -= np.log(np.exp(expected - expected.max()).sum()) + expected.max()
    found = log_posterior()
    likely = expected > expected.max() - 12
    np.testing.assert_allclose(found[likely], expected[likely], atol=0.02)
    assert float(np.abs(found - plain)[likely].max()) > 0.1
