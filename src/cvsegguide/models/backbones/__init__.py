"""Feature extractors, by name.

A sibling is one file here and one line in :data:`BACKBONES`.
"""

import importlib
from typing import Any

from torch import nn

from cvsegguide.errors import ConfigurationError

BACKBONES = {
    "convolutional": ("cvsegguide.models.backbones.convolutional", "ConvolutionalFeatures"),
    "crossformer": ("cvsegguide.models.backbones.crossformer", "CrossFormer"),
    "vit": ("cvsegguide.models.backbones.vit", "VisionTransformerFeatures"),
}
"""Name -> module and class."""


def create_backbone(name: str, **arguments: Any) -> nn.Module:
    """Build a backbone.

    Raises:
        ConfigurationError: There is none of this name.
    """
    if name not in BACKBONES:
        raise ConfigurationError(f"no backbone '{name}' (there are {', '.join(BACKBONES)})")
    module, attribute = BACKBONES[name]
    backbone: nn.Module = getattr(importlib.import_module(module), attribute)(**arguments)
    return backbone
