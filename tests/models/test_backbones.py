"""Backbones by name: timm's, and one that a newcomer adds in a file of their own."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.models import backbones
from cvsegguide.models.backbones import create_backbone
from cvsegguide.models.backbones.base import FeatureExtractor
from cvsegguide.models.hub import load_model, save_model
from cvsegguide.models.registry import create_model


class Patches(FeatureExtractor):
    """Each patch of the image through one linear layer."""

    mean = deviation = (0.5, 0.5, 0.5)

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.patch_size, self.width = side, width
        self.layer = nn.Conv2d(3, width, side, stride=side)

    @classmethod
    def takes(cls, name: str) -> bool:
        return name.startswith("patches")

    @classmethod
    def create(cls, name: str, pretrained: bool, arguments: dict[str, Any]) -> "Patches":
        assert not pretrained
        return cls(int(name.removeprefix("patches")), **arguments)

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.layer(image)
        return features


@pytest.mark.parametrize(
    ("name", "kind", "stride"),
    [
        ("tf_efficientnet_lite0", "ConvolutionalFeatures", 8),
        ("resnet18", "ConvolutionalFeatures", 16),
        ("vit_tiny_patch16_224.augreg_in21k", "VisionTransformerFeatures", 16),
    ],
)
def test_the_name_tells_which(name: str, kind: str, stride: int) -> None:
    transformer = kind.startswith("Vision")
    arguments: dict[str, Any] = {"depth": 1} if transformer else {"stride": stride}
    backbone = create_backbone(name, arguments=arguments).eval()
    assert type(backbone).__name__ == kind
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, 64, 96))
    assert features.shape == (1, backbone.width, 64 // stride, 96 // stride)
    assert backbone.patch_size == stride
    assert len(backbone.mean) == len(backbone.deviation) == 3


def test_names_that_nobody_knows() -> None:
    with pytest.raises(ConfigurationError, match="timm cannot make the backbone 'nothing'"):
        create_backbone("nothing")
    with pytest.raises(ConfigurationError, match="timm cannot make the backbone 'resnet18'"):
        create_backbone("resnet18", arguments={"colour": "green"})


def test_one_class_and_one_line_make_a_backbone_that_a_network_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(backbones, "FEATURES", ((__name__, "Patches"), *backbones.FEATURES))
    model = create_model(
        "featup-tiny", backbone="patches8", backbone_arguments={"width": 12}
    ).eval()
    overhead, street = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 32, 128)
    with torch.no_grad():
        prediction = model(overhead, street)
    assert prediction.heatmap.shape == (1, 1, 64, 64)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert isinstance(again.overhead.backbone, Patches)
    with torch.no_grad():
        torch.testing.assert_close(again(overhead, street).heatmap, prediction.heatmap)
