"""Losses against arithmetic, and what they do to gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cvsegguide.data.sample import Batch, collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.training.losses import (
    PosteriorLoss,
    PublishedLoss,
    dice_loss,
    expected_distance,
    gaussian_label,
    landcover_loss,
    position_nll,
)
from cvsegguide.training.recipes import create_loss
from helpers.tiny import TinyNetwork, TinyPairs


def spike(row: int, col: int, size: int = 8) -> Tensor:
    log = torch.full((1, size, size), -math.inf)
    log[0, row, col] = 0.0
    return log


def test_label_sums_to_one_and_has_the_position_as_mean() -> None:
    position = torch.tensor([[10.2, 20.7], [31.9, 0.1], [5.5, 6.5]])
    label = gaussian_label(position, (32, 40), torch.tensor([1.0, 0.5, 0.01]))
    assert torch.allclose(label.sum(dim=(1, 2)), torch.ones(3))
    rows, cols = torch.arange(32) + 0.5, torch.arange(40) + 0.5
    mean = torch.stack([(label.sum(2) * rows).sum(1), (label.sum(1) * cols).sum(1)], 1)
    assert torch.allclose(mean[0], position[0], atol=1e-3)
    # A label far narrower than a pixel is the pixel.
    assert label[2, 5, 6] == pytest.approx(1.0)


def test_position_nll_is_one_for_a_uniform_posterior() -> None:
    label = gaussian_label(torch.tensor([[3.0, 4.0]]), (8, 8), torch.tensor([0.7]))
    uniform = torch.full((1, 8, 8), -math.log(64))
    assert position_nll(uniform, label).item() == pytest.approx(1.0)
    assert position_nll(torch.log(label), label).item() < 1.0


def test_position_nll_without_mass_where_the_label_is_zero() -> None:
    label = torch.zeros(1, 8, 8)
    label[0, 2, 3] = 1.0
    assert position_nll(spike(2, 3), label).item() == 0.0


def test_expected_distance() -> None:
    position = torch.tensor([[3.5, 4.5]])
    assert expected_distance(spike(3, 4), position).item() == 0.0
    # 3 rows and 4 columns away are 5 pixels, of a tile that is 8 high.
    assert expected_distance(spike(6, 0), position).item() == pytest.approx(5 / 8)


def test_position_losses_pull_towards_the_camera() -> None:
    """One step down the gradient makes the true pixel likelier and its opposite less likely."""
    scores = torch.zeros(1, 8, 8, requires_grad=True)
    log = scores.flatten(1).log_softmax(1).reshape(1, 8, 8)
    position = torch.tensor([[1.5, 1.5]])
    label = gaussian_label(position, (8, 8), torch.tensor([0.5]))
    (position_nll(log, label) + expected_distance(log, position)).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1, 1] < 0 < scores.grad[0, 7, 7]


def test_dice_of_perfect_and_of_wrong_predictions() -> None:
    target = torch.tensor([[[0, 1], [1, 255]]])
    right = 50.0 * functional.one_hot(target.clamp(max=1), 2).movedim(-1, 1).float()
    assert dice_loss(right, target, smooth=0.0).item() == pytest.approx(0.0, abs=1e-6)
    assert dice_loss(-right, target, smooth=0.0).item() == pytest.approx(1.0, abs=1e-6)


def test_ignored_pixels_have_no_gradient() -> None:
    target = torch.tensor([[[0, 1], [2, 255]]])
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    landcover_loss(scores, target).backward()
    assert scores.grad is not None
    assert (scores.grad[0, :, 1, 1] == 0).all()
    assert (scores.grad[0, :, 0, 0] != 0).all()


def test_only_ignored_pixels() -> None:
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = landcover_loss(scores, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0.0


@pytest.fixture
def batch() -> Batch:
    pairs = TinyPairs(3)
    return collate([pairs[i] for i in range(3)])


def losses_of(
    loss: PosteriorLoss | PublishedLoss, batch: Batch
) -> tuple[dict[str, Tensor], TinyNetwork]:
    torch.manual_seed(0)
    network = TinyNetwork()
    assert batch.landcover is not None
    target = batch.landcover.long() % 4
    return loss(network, network(batch.overhead, batch.street), batch, target), network


def test_published_position_term_trains_nothing(batch: Batch) -> None:
    terms, _ = losses_of(PublishedLoss(), batch)
    assert set(terms) == {"landcover", "heatmap", "position"}
    assert terms["position"].item() > 0
    assert not terms["position"].requires_grad
    assert terms["heatmap"].requires_grad


def test_corrected_terms_all_train(batch: Batch) -> None:
    terms, network = losses_of(PosteriorLoss(), batch)
    assert set(terms) == {"landcover", "heatmap", "position", "distance"}
    for name, term in terms.items():
        network.zero_grad()
        term.backward(retain_graph=True)
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters()), (
            name
        )


def test_weights_scale_and_switch_off(batch: Batch) -> None:
    plain, _ = losses_of(PosteriorLoss({"position": 1.0}), batch)
    double, _ = losses_of(PosteriorLoss({"position": 2.0, "heatmap": 0.0}), batch)
    assert double["position"].item() == pytest.approx(2 * plain["position"].item())
    assert "heatmap" not in double


def test_unknown_terms_and_recipes() -> None:
    with pytest.raises(ConfigurationError, match="no term 'speed'"):
        PosteriorLoss({"speed": 1.0})
    with pytest.raises(ConfigurationError, match="no loss 'wishful'"):
        create_loss("wishful")
    with pytest.raises(ConfigurationError, match="position_sigma_m"):
        create_loss("posterior", None, 0.0)
