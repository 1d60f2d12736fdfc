"""What a feature extractor is that networks take by name."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class FeatureExtractor(nn.Module, ABC):
    """A map of features of an image of any size.

    A sibling is one file with a sub-class, and its line in
    :data:`cvsegguide.models.backbones.FEATURES`; then ``backbone: NAME`` in a configuration makes
    it for any name that :meth:`takes` says yes to.

    Args:
        name: Of the backbone.
        pretrained: Load published weights.
        arguments: Its further arguments.

    Attributes:
        width: Channels of the map.
        patch_size: Input pixels per feature; a power of two for networks that upsample.
        mean, deviation: What images in [0, 1] are normalised with, by channel.
    """

    width: int
    patch_size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    @abstractmethod
    def takes(cls, name: str) -> bool:
        """Whether ``name`` is one of its backbones."""

    @classmethod
    @abstractmethod
    def create(cls, name: str, pretrained: bool, arguments: dict[str, Any]) -> "FeatureExtractor":
        """Build the backbone ``name``.

        Raises:
            ConfigurationError: It cannot be built, or an argument is not known.
        """

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)``, normalised, to ``(B, width, H / patch_size, W / patch_size)``."""
