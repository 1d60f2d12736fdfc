"""Matching by products of matrices against matching by transforms."""

import pytest
import torch

from cvsegguide.benchmark.networks import build, pairs
from cvsegguide.models.geometric import matching, matching_cuda
from cvsegguide.models.linear import plain_path


@pytest.mark.parametrize("fine", [1, 2, 4])
@pytest.mark.parametrize(
    ("size", "radius", "headings", "tiles"),
    [((64, 64), 32, 1, 2), ((16, 24), 7, 3, 1), ((20, 12), 9, 2, 2)],
)
def test_same_scores(monkeypatch, size, radius, headings, tiles, fine):
    torch.manual_seed(0)
    maps = torch.randn(tiles, 3, *size)
    template = torch.randn(2, headings, 3, 2 * radius + 1, 2 * radius + 1)

    def scores():
        spectrum = matching.transform_map(maps, radius)
        product = matching.correlation(spectrum, template, size)
        return matching.image_of(product, size, radius, fine), spectrum.is_complex()

    expected, transforms = scores()
    monkeypatch.setattr(matching_cuda, "suits", lambda _: True)
    ours, others = scores()
    assert transforms
    assert not others
    assert ours.shape == expected.shape == (2, headings, fine * size[0], fine * size[1])
    assert float((ours - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("headings", [None, [-120.0, 0.0, 77.0]])
def test_same_network(monkeypatch, headings):
    model = build("geometric-tiny")
    inputs = [*pairs(model, 2), None, None if headings is None else torch.tensor(headings)]
    with torch.inference_mode():
        expected = model(*inputs).heatmap
        monkeypatch.setattr(matching_cuda, "suits", lambda _: True)
        ours = model(*inputs).heatmap
    assert not torch.equal(ours, expected)
    assert float((ours - expected).norm() / expected.norm()) < 1e-5


def test_transforms_stay_elsewhere():
    maps = torch.zeros(1)
    assert not matching_cuda.suits(maps)  # on a CPU
    with plain_path(), torch.no_grad():
        assert not matching_cuda.suits(maps)
