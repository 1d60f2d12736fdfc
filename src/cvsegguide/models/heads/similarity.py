"""Cosine similarity of every overhead place with one street descriptor."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.linear import fast_paths, linear


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
        count, channels, height, width = overhead.shape
        places = overhead.permute(0, 2, 3, 1).reshape(count, height * width, channels)
        if count == 1:
            product = direction @ places[0].T
        else:
            product = (places @ direction[:, :, None])[..., 0]
        if inverse_length is None:
            inverse_length = self.inverse_length(overhead)
        cosine = (product + offset[:, None]) * inverse_length
        return cosine.reshape(-1, 1, height, width)

    def inverse_length(self, overhead: Tensor) -> Tensor:
        """One over the length of each place's projection ``(B, H W)``, from ``(B, C, H, W)``."""
        count, channels = overhead.shape[:2]
        places = overhead.permute(0, 2, 3, 1).reshape(count, -1, channels)
        return torch.rsqrt(self.square(places).clamp_min(1e-12))

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

    @property
    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight ``(D, C)`` and bias ``(D,)`` of the overhead features' projection."""
        assert self.overhead.bias is not None
        return self.overhead.weight.flatten(1), self.overhead.bias

    def square(self, places: Tensor) -> Tensor:
        """Squared length ``(...)`` of the projections of features ``(..., C)``."""
        weight, bias = self.projection
        descriptor_channels, channels = weight.shape
        count = places.numel() // channels
        # Few places: the projection itself is cheaper than the Gram matrix.
        few = fast_paths() and count * (descriptor_channels - channels) < weight.numel()
        if few:
            return linear(places, weight, bias).square().sum(-1)
        return self.square_of(weight, bias)(places)

    @staticmethod
    def square_of(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
        """The function of ``(..., C)`` that gives squared lengths of ``weight x + bias``."""
        gram, both = linear(weight.t(), weight.t()), 2 * (bias @ weight)
        constant = bias @ bias

        def square(places: Tensor) -> Tensor:
            return (places * linear(places, gram, both)).sum(-1) + constant

        return square
