"""Encoders of both branches: EfficientNet-Lite0 is timm's, as is any but the plain one."""

import pytest
import timm
import torch

from cvsegguide.errors import ConfigurationError
from cvsegguide.models import create_model
from cvsegguide.models.backbones.convolutional import has_lite0_weights, lite0_weights
from cvsegguide.models.geometric.lite0 import WIDTHS, Lite0Encoder
from cvsegguide.models.registry import from_config, to_config


@pytest.mark.parametrize("levels", [4, 5])
def test_the_maps_are_those_of_timms_network(levels: int) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
    ours = Lite0Encoder(levels).eval()
    ours.load_imagenet(theirs.state_dict())
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = theirs((image - 0.5) / 0.5)
        maps = ours((image - 0.45) / 0.25)
    assert [part.shape[1] for part in maps] == list(WIDTHS[:levels])
    for part, other in zip(maps, expected, strict=False):
        torch.testing.assert_close(part, other, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(not has_lite0_weights(), reason="the package with the weights is not installed")
def test_a_network_starts_from_imagenet_and_its_weights_stand_alone() -> None:
    options = {"overhead_encoder": "lite0", "overhead_widths": (16, 16, 24, 32)}
    model = create_model("geometric", pretrained=True, **options)
    stem = lite0_weights()["conv_stem.weight"]
    assert torch.equal(model.overhead_branch.encoder.conv_stem.weight, stem)
    assert "pretrained" not in model.config()
    assert model.config()["overhead_encoder"] == "lite0"


def test_an_encoder_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"overhead_encoder: timm .* 'renset'"):
        create_model("geometric-tiny", overhead_encoder="renset")
    with pytest.raises(ConfigurationError, match="overhead_encoder: lite0 has 5 levels, got 6"):
        create_model("geometric", overhead_encoder="lite0", overhead_widths=(8,) * 6)
    with pytest.raises(ConfigurationError, match=r"street_encoder: .* 8, 16, 32; 6 levels"):
        create_model(
            "geometric",
            street_encoder="convnext_atto",
            street_widths=(8,) * 6,
            street_depths=(0,) * 6,
        )
    with pytest.raises(ConfigurationError, match="pretrained: there are no weights for plain"):
        create_model("geometric", pretrained=True)


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "vit_small_patch14_dinov2"],
)
def test_any_backbone_of_timm_serves_both_branches(name: str) -> None:
    """Convolutional pyramids and vision transformers, patches of 14 too; maps as large as ours."""
    torch.manual_seed(1)
    plain = create_model("geometric-tiny").eval()
    model = create_model("geometric-tiny", overhead_encoder=name, street_encoder=name).eval()
    overhead, street = torch.rand(1, 3, *model.overhead_size), torch.rand(1, 3, *model.street_size)
    with torch.no_grad():
        found, expected = model(overhead, street), plain(overhead, street)
        turned = model(overhead, street.roll(64, dims=3))
    assert found.heatmap.shape == expected.heatmap.shape
    assert found.landcover.shape == expected.landcover.shape
    assert not torch.allclose(found.heatmap, turned.heatmap)
    assert from_config(to_config(model)).config() == model.config()
