"""The corrected networks: sizes, guidance, posterior, what they learn."""

import pytest
import torch
import torch.nn.functional as F

from cvsegguide.errors import ConfigurationError
from cvsegguide.models import create_model

TINY = ["mst-tiny", "featup-tiny"]


def pair(size: int = 64, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(batch, 3, size, size, generator=generator),
        torch.rand(batch, 3, 32, 128, generator=generator),
    )


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("guidance", ["predicted", "none", "truth"])
@pytest.mark.parametrize("size", [64, 96, 160])
def test_any_multiple_of_the_stride(name: str, guidance: str, size: int) -> None:
    model = create_model(name, guidance=guidance).eval()
    landcover = torch.ones(2, size, size, dtype=torch.uint8) if guidance == "truth" else None
    with torch.no_grad():
        out = model(*pair(size), landcover)
        posterior = model.log_posterior(out).exp()
    assert out.heatmap.shape == (2, 1, size, size)
    assert (out.landcover is None) == (guidance == "truth")
    if out.landcover is not None:
        assert out.landcover.shape == (2, 4, size, size)
    assert posterior.shape == (2, size, size)
    torch.testing.assert_close(posterior.sum(dim=(1, 2)), torch.ones(2))


@pytest.mark.parametrize("name", TINY)
def test_published_variant_returns_sigmoids_and_fixes_the_size(name: str) -> None:
    model = create_model(name, variant="published").eval()
    with torch.no_grad():
        out = model(*pair())
        torch.testing.assert_close(model.segment(pair()[0]), out.landcover)
        torch.testing.assert_close(
            model.log_posterior(out).exp(),
            out.heatmap[:, 0] / out.heatmap.sum(dim=(2, 3), keepdim=True)[:, 0],
        )
    assert 0 < out.heatmap.min() < out.heatmap.max() < 1
    with pytest.raises(ConfigurationError, match="64 x 64 only"):
        model(*pair(96))


@pytest.mark.parametrize("name", TINY)
def test_training_mode_is_deterministic(name: str) -> None:
    """No dropout on the output of a head."""
    model = create_model(name, frozen=True) if "featup" in name else create_model(name)
    model.train()
    with torch.no_grad():
        first, second = model(*pair()), model(*pair())
    torch.testing.assert_close(first.heatmap, second.heatmap)
    torch.testing.assert_close(first.landcover, second.landcover)


def test_truth_guides_the_heatmap() -> None:
    torch.manual_seed(0)
    model = create_model("mst-tiny", guidance="truth", variant="published").eval()
    road = torch.full((2, 64, 64), 6, dtype=torch.uint8)
    with torch.no_grad():
        on_road = model(*pair(), road).heatmap
        on_building = model(*pair(), torch.full_like(road, 5)).heatmap
        water = model(*pair(), torch.full_like(road, 4)).heatmap
        grass = model(*pair(), torch.full_like(road, 2)).heatmap
    assert (on_road - on_building).abs().max() > 1e-3
    torch.testing.assert_close(water, grass)  # both are 'other'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"guidance": "oracle"}, "guidance"),
        ({"variant": "better"}, "variant"),
        ({"overhead_size": [60, 64]}, "multiple of 32"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        create_model("mst-tiny", **arguments)


def test_wrong_inputs() -> None:
    with pytest.raises(ConfigurationError, match="no model 'nothing'"):
        create_model("nothing")
    model = create_model("mst-tiny")
    overhead, street = pair()
    with pytest.raises(ConfigurationError, match="street views"):
        model(overhead, street[:1])
    with pytest.raises(ConfigurationError, match="overhead: has shape"):
        model(overhead[0], street)
    with pytest.raises(ConfigurationError, match="needs land cover"):
        create_model("mst-tiny", guidance="truth")(overhead, street)


def test_small_network_fits_three_pairs() -> None:
    """It shows that gradients reach every part; three random pairs say nothing of more."""
    torch.manual_seed(0)
    model = create_model("mst-tiny").train()
    overhead, street = pair(batch=3)
    overhead = F.interpolate(F.avg_pool2d(overhead, 8), scale_factor=8.0)
    label = (overhead[:, 0] > 0.5).long()
    place = torch.tensor([[13, 40], [50, 22], [30, 31]])
    target = place[:, 0] * 64 + place[:, 1]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(120):
        out = model(overhead, street)
        loss = F.cross_entropy(out.landcover, label)
        loss = loss + F.nll_loss(model.log_posterior(out).flatten(1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert not unused
    model.eval()
    with torch.no_grad():
        out = model(overhead, street)
    best = out.heatmap.flatten(1).argmax(1)
    error = (torch.stack([best // 64, best % 64], 1) - place).float().norm(dim=1)
    assert error.max() < 6
    assert (out.landcover.argmax(1) == label).float().mean() > 0.9
