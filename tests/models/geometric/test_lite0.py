"""EfficientNet-Lite0 as the overhead encoder is timm's, from which its weights come."""

import pytest
import timm
import torch

from cvsegguide.errors import ConfigurationError
from cvsegguide.models import create_model
from cvsegguide.models.backbones.convolutional import has_lite0_weights, lite0_weights
from cvsegguide.models.geometric.lite0 import WIDTHS, Lite0Encoder


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


def test_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *names: None)
    with pytest.raises(ConfigurationError, match=r"pretrained: .* pretrained: false starts"):
        create_model("geometric", overhead_encoder="lite0", pretrained=True)


def test_an_encoder_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match="overhead_encoder: must be one of"):
        create_model("geometric", overhead_encoder="resnet")
    with pytest.raises(ConfigurationError, match="overhead_widths: lite0 has 5 levels, got 6"):
        create_model("geometric", overhead_encoder="lite0", overhead_widths=(8,) * 6)
    with pytest.raises(ConfigurationError, match="pretrained"):
        create_model("geometric", pretrained=True)
