"""The best class of each pixel."""

import torch

from cvsegguide.inference.scores import best_channel


def test_of_equals_the_first() -> None:
    scores = torch.tensor([[-3.0, 1.0], [2.0, 1.0], [2.0, 1.0], [-1e9, -2.0]])[:, None, :]
    assert best_channel(scores).tolist() == [[1, 0]]
    far = torch.tensor([1e30, -1e30, float("-inf")])[:, None, None].expand(3, 2, 2)
    assert best_channel(far.contiguous()).tolist() == [[0, 0], [0, 0]]


def test_close_scores_are_told_apart() -> None:
    one = torch.tensor(1.0)
    more = torch.nextafter(one, torch.tensor(2.0))
    assert best_channel(torch.stack((one, more, one))[:, None, None]).item() == 1
    tiny = torch.tensor([1e-38, 2e-38, 0.0])
    assert best_channel(tiny[:, None, None]).item() == 1
