"""The geometric network through the doors that every network has."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.registry import create_model, from_config


def pair(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    overhead = torch.rand(count, 3, 64, 64, generator=generator)
    return overhead, torch.rand(count, 3, 32, 128, generator=generator)


def test_shapes_and_probabilities() -> None:
    model = create_model("geometric-tiny").eval()
    with torch.no_grad():
        prediction = model(*pair())
        posterior = model.log_posterior(prediction).exp()
    assert prediction.heatmap.shape == (2, 1, 64, 64)
    assert prediction.landcover is not None
    assert prediction.landcover.shape == (2, 8, 64, 64)
    assert torch.allclose(posterior.sum(dim=(1, 2)), torch.ones(2), atol=1e-5)
    assert torch.allclose(model.segment(pair()[0]), prediction.landcover, atol=1e-5)


def test_other_sizes_pass() -> None:
    model = create_model("geometric-tiny").eval()
    with torch.no_grad():
        prediction = model(torch.rand(1, 3, 96, 128), pair(1)[1])
    assert prediction.heatmap.shape == (1, 1, 96, 128)


def test_turning_both_views_turns_the_answer() -> None:
    """The street branch turns with the picture; so must what it is matched with."""
    torch.manual_seed(1)
    model = create_model("geometric-tiny").eval()
    _, street = pair(1)
    with torch.no_grad():
        features = model.encode_street(street)
        rolled = model.encode_street(street.roll(32, dims=-1))
    assert torch.allclose(features.features.roll(8, dims=-1), rolled.features, atol=1e-4)
    assert torch.allclose(features.visibility.roll(8, dims=-1), rolled.visibility, atol=1e-4)


def test_averaged_over_quarter_turns_the_answer_turns_with_the_pair() -> None:
    torch.manual_seed(2)
    overhead, street = pair(1)
    for rotations, exact in ((4, True), (1, False)):
        torch.manual_seed(1)
        model = create_model("geometric-tiny", test_time_rotations=rotations).eval()
        with torch.no_grad():
            straight = model.log_posterior(model(overhead, street))
            # clockwise: what lay in the north lies in the east
            moved = model(overhead.rot90(-1, (2, 3)), street.roll(street.shape[-1] // 4, -1))
            turned = model.log_posterior(moved)
        close = torch.allclose(straight.rot90(-1, (1, 2)), turned, atol=1e-4)
        assert close == exact


def test_black_columns_are_not_seen() -> None:
    model = create_model("geometric-tiny").eval()
    _, street = pair(1)
    street[..., :64] = 0
    with torch.no_grad():
        seen = model.encode_street(street).visibility.sigmoid()
    assert seen[..., 1:15].max() < 1e-3
    assert seen[..., 17:31].max() > 1e-2


def test_guidance_modes() -> None:
    overhead, street = pair(1)
    landcover = torch.randint(1, 9, (1, 64, 64), dtype=torch.uint8)
    model = create_model("geometric-tiny", guidance="truth").eval()
    with torch.no_grad():
        first = model(overhead, street, landcover).heatmap
        second = model(overhead, street, landcover.flip(-1)).heatmap
    assert not torch.allclose(first, second)
    with pytest.raises(ConfigurationError, match="land cover"):
        model(overhead, street)
    with pytest.raises(ConfigurationError, match="guidance: must be one of"):
        create_model("geometric-tiny", guidance="maybe")


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    from cvsegguide.models.hub import load_model, save_model

    torch.manual_seed(2)
    model = create_model("geometric-tiny").eval()
    assert from_config(model.config()).config() == model.config()
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    with torch.no_grad():
        assert torch.allclose(model(*pair()).heatmap, again(*pair()).heatmap, atol=1e-5)


@pytest.mark.parametrize("part", ["prior", "visibility", "pooled"])
def test_parts_can_be_left_out(part: str) -> None:
    torch.manual_seed(3)
    whole = create_model("geometric-tiny").eval()
    model = create_model("geometric-tiny", **{part: part == "pooled"}).eval()
    model.load_state_dict(whole.state_dict())
    with torch.no_grad():
        expected, found = whole(*pair()).heatmap, model(*pair()).heatmap
    assert not torch.allclose(expected, found, atol=1e-3)
    assert from_config(model.config()).config() == model.config()


@pytest.mark.parametrize("centred", [True, False])
def test_what_the_whole_tile_shares_tells_nothing_of_the_place(centred: bool) -> None:
    torch.manual_seed(5)
    model = create_model("geometric-tiny", centred=centred).eval()
    overhead, street = pair(1)
    with torch.no_grad():
        above = model.encode_tile(overhead)

        def heatmap(features: torch.Tensor) -> torch.Tensor:
            return model.match_tile(replace(above, features=features), street).heatmap

        expected = heatmap(above.features)
        rim = torch.nn.functional.pad(
            torch.zeros_like(above.features[..., 1:-1, 1:-1]), (1,) * 4, value=1.0
        )
        shared = torch.linspace(-1.0, 1.0, above.features.shape[1]).view(1, -1, 1, 1)
        for change in (shared, rim * shared):
            found = heatmap(above.features + change)
            assert torch.allclose(found, expected, atol=1e-4) == centred
        # what a part of it shows does
        inner = above.features.clone()
        inner[..., 3:5, 3:5] += shared
        assert not torch.allclose(heatmap(inner), expected, atol=1e-3)


def test_a_pooled_street_view_does_not_know_where_north_is() -> None:
    torch.manual_seed(4)
    model = create_model("geometric-tiny", pooled=True, visibility=False).eval()
    overhead, street = pair(1)
    with torch.no_grad():
        first = model(overhead, street).heatmap
        turned = model(overhead, street.roll(40, dims=-1)).heatmap
    assert torch.allclose(first, turned, atol=1e-4)


@pytest.mark.parametrize("encoder", ["plain", "lite0"])
def test_prepared_for_inference_it_answers_the_same(encoder: str) -> None:
    torch.manual_seed(6)
    model = create_model("geometric-tiny", overhead_encoder=encoder)
    images = pair(4)
    with torch.no_grad():
        for _ in range(3):
            model(*images)  # norms that have seen something
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(part.weight, 0.5, 1.5)
                torch.nn.init.normal_(part.bias)
        expected = model.eval()(*images)
        prepared = model.prepare_inference()
        found = prepared(*images)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in prepared.modules())
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules())
    torch.testing.assert_close(found.heatmap, expected.heatmap, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.landcover, expected.landcover, rtol=1e-3, atol=1e-3)


def test_one_tile_serves_many_street_views() -> None:
    torch.manual_seed(7)
    model = create_model("geometric-tiny").eval()
    overhead, street = pair(3)
    with torch.no_grad():
        tile = model.encode_tile(overhead[:1])
        for headings in (None, torch.tensor([0.0, 90.0, 200.0])):
            expected = model(overhead[:1].expand(3, -1, -1, -1), street, None, headings)
            for _ in range(2):  # the second time from what is cached
                found = model.match_tile(tile, street, headings)
                torch.testing.assert_close(found.heatmap, expected.heatmap, rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(found.landcover, expected.landcover)
