"""Feature extractors: those that networks take by name, and CrossFormer, which MST is made of."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvsegguide.models.backbones.base import FeatureExtractor

FEATURES = (
    ("cvsegguide.models.backbones.convolutional", "ConvolutionalFeatures"),
    ("cvsegguide.models.backbones.vit", "VisionTransformerFeatures"),
)
"""Modules and classes; the first that takes a name makes it. A sibling is a line above the last,
which takes every name that timm may know."""


def create_backbone(
    name: str, pretrained: bool = False, arguments: dict[str, Any] | None = None
) -> "FeatureExtractor":
    """Build a feature extractor by its name, such as timm's ``vit_small_patch16_224.dino``.

    Args:
        name: Of the backbone: ``backbone`` of FeatUp's network.
        pretrained: Load published weights.
        arguments: Its further arguments.

    Raises:
        ConfigurationError: There is none of this name, or an argument is not known.
    """
    kinds: list[type[FeatureExtractor]] = [
        getattr(importlib.import_module(module), attribute) for module, attribute in FEATURES
    ]
    kind = next((kind for kind in kinds if kind.takes(name)), kinds[-1])
    return kind.create(name, pretrained, dict(arguments or {}))
