"""EfficientNet-Lite0 as the frozen backbone of FeatUp."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import timm
import torch
from PIL import Image

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.backbones.convolutional import (
    LITE0,
    ConvolutionalFeatures,
    lite0_weights,
)
from cvsegguide.models.featup import FeatUpModel
from cvsegguide.models.hub import load_model, save_model
from cvsegguide.models.registry import create_model

EGYPTIAN_CAT, ESPRESSO = 285, 967
"""ImageNet classes."""

SIZES = {"overhead_size": [64, 64], "street_size": [32, 128]}


def picture(name: str) -> torch.Tensor:
    """The middle of one of scikit-image's pictures as the network was trained on."""
    image = Image.fromarray(getattr(skimage.data, name)())
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((224, 224))
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    return (values - 0.5) / 0.5


def test_the_weights_recognise_a_cat_and_a_coffee() -> None:
    model = timm.create_model(LITE0)
    model.load_state_dict(lite0_weights())
    model.eval()
    with torch.no_grad():
        assert model(picture("chelsea")).argmax().item() == EGYPTIAN_CAT
        assert model(picture("coffee")).argmax().item() == ESPRESSO


def test_features_are_those_of_the_whole_network() -> None:
    whole = timm.create_model(LITE0, features_only=True)
    weights = {name: value for name, value in lite0_weights().items() if name in whole.state_dict()}
    whole.load_state_dict(weights)
    whole.eval()
    image = picture("coffee")
    for stride, stage, width in ((8, 2, 40), (16, 3, 112)):
        part = ConvolutionalFeatures(pretrained=True, stride=stride).eval()
        with torch.no_grad():
            features = part(image)
            expected = whole(image)[stage]
        assert part.width == width
        torch.testing.assert_close(features, expected)
        assert features.shape == (1, width, 224 // stride, 224 // stride)


def test_upsampler_learns_and_backbone_does_not() -> None:
    torch.manual_seed(0)
    model = create_model("featup-lite0", **SIZES).train()
    assert isinstance(model, FeatUpModel)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # the first step moves only the silent second layer of the heatmap's head
        prediction = model(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 32, 128))
        assert prediction.landcover is not None
        loss = prediction.heatmap.square().mean() + prediction.landcover.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not {name for name in changed if ".backbone." in name}
    for part in ("overhead.upsampler.steps.0.range_proj.0.weight", "overhead.reduce.weight"):
        assert part in changed
    assert not model.overhead.backbone.training
    assert model.overhead.upsampler.training


def test_a_frozen_model_comes_back_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = create_model("featup-lite0", pretrained=True, **SIZES).eval()
    save_model(model, tmp_path)
    pair = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 32, 128)
    with torch.no_grad():
        expected = model(*pair).heatmap
    found = importlib.util.find_spec

    def absent(name: str, *arguments: object) -> object:
        return None if "lite0" in name else found(name)

    monkeypatch.setattr("importlib.util.find_spec", absent)
    again = load_model(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(again(*pair).heatmap, expected)
    with pytest.raises(ConfigurationError, match=r"cvsegguide\[ablation\]"):
        create_model("featup-lite0", pretrained=True)


def test_a_stride_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match="no features at stride 5"):
        ConvolutionalFeatures(stride=5)
