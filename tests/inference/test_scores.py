"""The best class of each pixel from coarse scores, beside their enlargement by PyTorch."""

import pytest
import torch
import torch.nn.functional as F

from cvsegguide.inference.scores import CoarseScores, Scores, best_channel, best_enlarged


def enlarged(coarse: torch.Tensor) -> torch.Tensor:
    return F.interpolate(coarse[None], scale_factor=2, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("shape", [(8, 16, 24), (3, 1, 5), (2, 7, 1), (1, 4, 4)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_best_of_an_enlargement(shape: tuple[int, int, int], channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(shape, generator=generator)
    if channels_last:
        coarse = coarse.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    best = best_enlarged(coarse)
    assert best.dtype == torch.uint8
    assert torch.equal(best, enlarged(coarse).argmax(dim=0).to(torch.uint8))


def test_of_equals_the_first() -> None:
    scores = torch.tensor([[-3.0, 1.0], [2.0, 1.0], [2.0, 1.0], [-1e9, -2.0]])[:, None, :]
    assert best_channel(scores).tolist() == [[1, 0]]
    assert best_enlarged(scores).tolist() == [[1, 1, 1, 0]] * 2
    far = torch.tensor([1e30, -1e30, float("-inf")])[:, None, None].expand(3, 2, 2)
    assert best_channel(far.contiguous()).tolist() == [[0, 0], [0, 0]]


def test_close_scores_are_told_apart() -> None:
    one = torch.tensor(1.0)
    more = torch.nextafter(one, torch.tensor(2.0))
    assert best_channel(torch.stack((one, more, one))[:, None, None]).item() == 1
    tiny = torch.tensor([1e-38, 2e-38, 0.0])
    assert best_channel(tiny[:, None, None]).item() == 1


@pytest.mark.parametrize("rows", [(0, 5), (3, 4), (10, 16), (0, 16)])
@pytest.mark.parametrize("columns", [(0, 24), (1, 23), (7, 8)])
def test_parts_are_cut_from_the_enlargement(
    rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    coarse = torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(3))
    whole = Scores(enlarged(coarse))
    lazy = CoarseScores(coarse)
    assert lazy.shape == whole.shape == (16, 24)
    where = slice(*rows), slice(*columns)
    assert torch.allclose(lazy.part(*where), whole.part(*where), atol=1e-6)
    assert torch.equal(lazy.best(*where), whole.best(*where))
