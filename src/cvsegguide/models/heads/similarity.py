"""Cosine similarity of every overhead place with one street descriptor."""

import torch
from torch import Tensor, nn


class PooledSimilarity(nn.Module):
    """Project both views, pool the street view, compare.

    The projected overhead map is never made. For an overhead feature a, projection W a + b and
    descriptor v, the cosine needs v W a + v b and the norm of W a + b, whose square is
    a (W'W) a + 2 b'W a + b'b.

    Args:
        overhead_channels, street_channels: Channels of the features.
        descriptor_channels: Channels of the space in which they are compared.
    """

    def __init__(
        self, overhead_channels: int, street_channels: int, descriptor_channels: int
    ) -> None:
        super().__init__()
        self.overhead = nn.Conv2d(overhead_channels, descriptor_channels, 1)
        self.street = nn.Conv2d(street_channels, descriptor_channels, 1)

    def forward(self, overhead: Tensor, pooled: Tensor) -> Tensor:
        """Compare.

        Args:
            overhead: ``(B, C, H, W)`` overhead features.
            pooled: ``(B, D, 1, 1)`` mean of the street features (a 1x1 convolution commutes with
                the mean).

        Returns:
            ``(B, 1, H, W)`` cosines.
        """
        descriptor = nn.functional.normalize(self.street(pooled).flatten(1), dim=1)
        weight = self.overhead.weight.flatten(1)
        bias = self.overhead.bias
        assert bias is not None
        batch, channels, height, width = overhead.shape
        places = overhead.reshape(batch, channels, height * width)
        direction = (descriptor @ weight)[:, None, :]
        product = direction @ places + (descriptor @ bias)[:, None, None]
        gram = weight.T @ weight
        square = (places * (gram @ places)).sum(dim=1, keepdim=True)
        square = square + 2 * (bias @ weight)[None, None, :] @ places + bias @ bias
        cosine = product * torch.rsqrt(square.clamp_min(1e-12))
        return cosine.reshape(batch, 1, height, width)
