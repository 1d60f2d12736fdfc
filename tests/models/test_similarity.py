"""The cosine without the projected map is the cosine with it."""

import torch
import torch.nn.functional as F

from cvsegguide.models.heads.similarity import PooledSimilarity


def test_equals_the_cosine_of_the_projections() -> None:
    torch.manual_seed(0)
    similarity = PooledSimilarity(5, 7, 11).double()
    overhead = torch.randn(2, 5, 4, 6, dtype=torch.float64)
    street = torch.randn(2, 7, 3, 8, dtype=torch.float64)
    # Every place's projection against the mean over all places of the street's.
    expected = F.cosine_similarity(
        similarity.overhead(overhead), similarity.street(street).mean(dim=(2, 3), keepdim=True)
    )[:, None]
    torch.testing.assert_close(
        similarity(overhead, street.mean(dim=(2, 3), keepdim=True)), expected
    )
    assert expected.std() > 0.1


def test_gradients_are_those_of_the_cosine() -> None:
    torch.manual_seed(1)
    similarity = PooledSimilarity(3, 4, 6).double()
    overhead = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    pooled = torch.randn(1, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(similarity, (overhead, pooled))
