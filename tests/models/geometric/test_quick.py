"""Matching in fewer passes on a CPU, against the plain path."""

from typing import Any

import pytest
import torch
from torch import Tensor

from cvsegguide.models.headings import heading_grid
from cvsegguide.models.linear import plain_path
from cvsegguide.models.registry import create_model


def network(**overrides: Any) -> Any:
    torch.manual_seed(5)
    model = create_model("geometric-tiny", **overrides).eval()
    with torch.no_grad():
        model.prior_weight.fill_(0.7)
        model.exponent.fill_(0.4)
        model.log_scale.fill_(2.5)
        model.log_agreement.fill_(4.0)
    return model


def images(tiles: int, views: int, size: tuple[int, int] = (64, 64)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    overhead = torch.rand(tiles, 3, *size, generator=generator)
    return overhead, torch.rand(views, 3, 32, 128, generator=generator)


def both(model: Any, tiles: int, views: int, size: tuple[int, int], **arguments: Any) -> list[Any]:
    """Predictions of the quick path, of the same with a tile seen before, and of the plain one."""
    with torch.inference_mode():
        overhead, street = images(tiles, views, size)
        above, around = model.encode_overhead(overhead), model.encode_street(street)
        found = [model.predict(above, around, **arguments) for _ in range(2)]
        with plain_path():
            found.append(model.predict(above, around, **arguments))
    return found


@pytest.mark.parametrize(("tiles", "views"), [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
@pytest.mark.parametrize("error", [None, 10.0, 180.0])
def test_both_paths_agree(
    tiles: int, views: int, size: tuple[int, int], error: float | None
) -> None:
    headings = None if error is None else heading_grid(error)
    first, again, plain = both(network(), tiles, views, size, headings=headings)
    for quick in (first, again):
        assert quick.heatmap.shape == (views, 1, *size)
        assert torch.allclose(quick.heatmap, plain.heatmap, atol=1e-4)
        assert torch.equal(quick.landcover, plain.landcover)
        if error is not None:
            assert torch.allclose(quick.heading_log, plain.heading_log, atol=1e-4)
            assert torch.allclose(quick.heading, plain.heading, atol=0.05)  # of a flat parabola


def test_headings_of_any_order_get_their_own_scores() -> None:
    """Quarters of a circle share templates, whatever stands between them."""
    model = network()
    with torch.inference_mode():
        overhead, street = images(1, 1)
        above, around = model.encode_overhead(overhead), model.encode_street(street)
        turns = torch.tensor([350.0, 80.0, 33.0, -100.0, 170.0, -57.0, 12.5])
        together = model.joint(above, around, turns)
        alone = torch.cat([model.joint(above, around, turn[None]) for turn in turns], dim=1)
        with plain_path():
            plain = model.joint(above, around, turns)
    assert torch.allclose(together, alone, atol=1e-4)
    assert torch.allclose(together, plain, atol=1e-4)
    assert (plain[0, 0] - plain[0, 1]).abs().max() > 1e-2


@pytest.mark.parametrize(
    "overrides",
    [{"guidance": "none"}, {"prior": False}, {"visibility": False}, {"pooled": True}],
    ids=str,
)
def test_both_paths_agree_with_parts_left_out(overrides: dict[str, Any]) -> None:
    first, again, plain = both(network(**overrides), 1, 2, (64, 64), headings=heading_grid(180.0))
    assert torch.allclose(first.heatmap, plain.heatmap, atol=1e-4)
    assert torch.allclose(again.heatmap, plain.heatmap, atol=1e-4)


def test_true_land_cover_is_not_kept_with_the_tile() -> None:
    model = network(guidance="truth")
    truth = torch.randint(1, 9, (1, 64, 64), generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        overhead, street = images(1, 1)
        above, around = model.encode_overhead(overhead), model.encode_street(street)
        first = model.predict(above, around, truth).heatmap
        turned = model.predict(above, around, truth.flip(-1)).heatmap
        with plain_path():
            plain = model.predict(above, around, truth.flip(-1)).heatmap
    assert torch.allclose(turned, plain, atol=1e-4)
    assert (first - turned).abs().max() > 1e-3
