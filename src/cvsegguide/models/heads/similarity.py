"""Cosine similarity of every overhead place with one street descriptor."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PooledSimilarity(nn.Module):
    """Project both views, pool the street view, compare.

    A large projected overhead map is never made. For an overhead feature a, projection W a + b and
    descriptor v, the cosine needs v W a + v b and the norm of W a + b, whose square is
    a (W'W) a + 2 b'W a + b'b; that costs less where places are many.

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

    def forward(
        self, overhead: Tensor, pooled: Tensor, inverse_length: Tensor | None = None
    ) -> Tensor:
        """Compare.

        Args:
            overhead: ``(B or 1, C, H, W)`` overhead features.
            pooled: ``(B, D, 1, 1)`` mean of the street features (a 1x1 convolution commutes with
                the mean).
            inverse_length: :meth:`inverse_length` of ``overhead``, where it is known.

        Returns:
            ``(B, 1, H, W)`` cosines.
        """
        direction, offset = self.direction(pooled)
        overhead = overhead.expand(pooled.shape[0], -1, -1, -1)
        product = torch.einsum("bchw,bc->bhw", overhead, direction)
        if inverse_length is None:
            inverse_length = self.inverse_length(overhead)
        return ((product + offset[:, None, None]) * inverse_length)[:, None]

    def inverse_length(self, overhead: Tensor) -> Tensor:
        """One over the length of each place's projection, ``(B, H, W)``, from ``(B, C, H, W)``."""
        places = overhead.movedim(1, -1)
        if overhead.shape[2] * overhead.shape[3] < overhead.shape[1]:  # cheaper for few places
            square = F.linear(places, self.overhead.weight.flatten(1), self.overhead.bias)
            return torch.rsqrt(square.square().sum(-1).clamp_min(1e-12))
        return torch.rsqrt(self.squared_length()(places).clamp_min(1e-12))

    def direction(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """What the product with the descriptor is in terms of the overhead features.

        Args:
            pooled: ``(B, D, 1, 1)`` mean of the street features.

        Returns:
            ``(B, C)`` and ``(B,)``: scalar product with features, and what is added to it.
        """
        descriptor = F.normalize(self.street(pooled).flatten(1), dim=1)
        bias = self.overhead.bias
        assert bias is not None
        return descriptor @ self.overhead.weight.flatten(1), descriptor @ bias

    def squared_length(self) -> Callable[[Tensor], Tensor]:
        """The function of features ``(..., C)`` that gives their projections' squared lengths."""
        assert self.overhead.bias is not None
        weight, bias = self.overhead.weight.flatten(1), self.overhead.bias
        gram, both, constant = weight.T @ weight, 2 * (bias @ weight), bias @ bias
        return lambda places: (places * F.linear(places, gram, both)).sum(-1) + constant
