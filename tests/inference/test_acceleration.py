"""Precision on its way from the command line to the products, and what goes along with it."""

import numpy as np
import pytest
import torch
from torch import nn

from cvsegguide.cli.main import main
from cvsegguide.errors import ConfigurationError
from cvsegguide.inference import acceleration
from cvsegguide.inference.acceleration import Recorded, accelerated
from cvsegguide.inference.localizer import Localizer
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.registry import create_model

CPU = torch.device("cpu")


class Typed(LocalizationModel):
    """Notes the type of a product in every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.overhead_size, self.street_size = (32, 32), (8, 32)
        self.street_extent, self.gsd, self.guidance = (90.0, 360.0), 0.5, "predicted"
        self.channels = ("tree", "building")
        self.mix = nn.Linear(3, 2)
        self.types: list[torch.dtype] = []

    def segment(self, overhead):
        scores = self.mix(overhead.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        self.types.append(scores.dtype)
        return scores

    def forward(self, overhead, street, landcover=None):
        scores = self.segment(overhead)
        return Prediction(scores, scores[:, :1])

    def log_posterior(self, prediction):
        return prediction.heatmap[:, 0].flatten(1).log_softmax(1).view_as(prediction.heatmap[:, 0])


def pictures():
    generator = np.random.default_rng(0)
    return (
        generator.integers(0, 256, (32, 32, 3), np.uint8),
        generator.integers(0, 256, (64, 128, 3), np.uint8),
    )


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)],
)
def test_localizer_computes_in_the_precision_asked_for(precision, expected):
    model = Typed()
    localizer = Localizer(model, device="cpu", precision=precision)
    overhead, street = pictures()
    result = localizer.localize(overhead, street, gsd=0.5)
    ids = localizer.segment(overhead, gsd=0.5)
    assert model.types
    assert set(model.types) == {expected}
    assert result.posterior.dtype == np.float32
    assert float(result.posterior.sum()) == pytest.approx(1, abs=1e-5)
    exact = Localizer(model, device="cpu", precision="fp32").segment(overhead, gsd=0.5)
    assert (ids == exact).mean() > 0.98


def test_results_are_float32_whatever_the_precision():
    model = create_model("mst-tiny").eval()
    quick = accelerated(model, CPU, "bf16")
    overhead, street = torch.rand(1, 3, *model.overhead_size), torch.rand(1, 3, *model.street_size)
    with torch.inference_mode():
        ours, exact = quick(overhead, street), model(overhead, street)
    assert ours.heatmap.dtype == ours.landcover.dtype == torch.float32
    assert not torch.equal(ours.heatmap, exact.heatmap)
    torch.testing.assert_close(ours.heatmap, exact.heatmap, rtol=0.1, atol=0.1)
    assert quick.gsd == model.gsd
    assert quick.channels == model.channels


def test_float32_on_a_cpu_is_the_model_itself():
    model = Typed()
    assert accelerated(model, CPU, "auto") is model
    with pytest.raises(ConfigurationError, match="'half'"):
        accelerated(model, CPU, "half")


def test_command_line_passes_the_precision_on(monkeypatch, tmp_path, capsys):
    given = []

    def from_pretrained(source, device="auto", precision="auto"):
        given.append(precision)
        raise ConfigurationError("stop here")

    monkeypatch.setattr(Localizer, "from_pretrained", from_pretrained)
    weights = ["--model", str(tmp_path)]
    assert main(["localize", "a.tif", "b.jpg", "--precision", "bf16", *weights]) == 2
    assert main(["segment", "a.tif", "--out", "o.tif", "--precision", "fp16", *weights]) == 2
    assert main(["segment", "a.tif", "--out", "o.tif", *weights]) == 2
    assert given == ["bf16", "fp16", "auto"]
    capsys.readouterr()
    file = ["--model", str(tmp_path / "network.onnx")]
    assert main(["localize", "a.tif", "b.jpg", "--precision", "bf16", *file]) == 2
    assert "--precision bf16: an ONNX file computes in fp32" in capsys.readouterr().err


def test_patches_by_depth_and_light_norms(monkeypatch):
    cuts = []
    by_depth = acceleration._by_depth
    monkeypatch.setattr(
        acceleration, "_by_depth", lambda *given: cuts.append(1) or by_depth(*given)
    )
    image = torch.rand(2, 3, 32, 48)
    norm = nn.LayerNorm(16)
    nn.init.normal_(norm.weight)
    rows = torch.randn(5, 16)
    with torch.inference_mode():
        for side in (4, 8, 16, 32):
            patches = nn.Conv2d(3, 5, side, stride=4, padding=(side - 4) // 2)
            with acceleration._Light():
                ours = patches(image)
            torch.testing.assert_close(ours, patches(image), rtol=0, atol=1e-5)
        with acceleration._Light():
            other = nn.Conv2d(4, 5, 3, padding=1)(torch.rand(1, 4, 8, 8))
        expected = norm(rows)
        monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: True)
        monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: torch.bfloat16)
        with acceleration._Light():
            light = norm(rows)
            wide = nn.functional.interpolate(image.bfloat16(), scale_factor=2.0, mode="bilinear")
    assert len(cuts) == 4
    assert wide.dtype == torch.bfloat16
    assert other.shape == (1, 5, 8, 8)
    assert light.dtype == torch.bfloat16
    torch.testing.assert_close(light.float(), expected, rtol=0.03, atol=0.03)


def test_without_a_gpu_nothing_is_recorded():
    recorded = Recorded(lambda x: x + 1)
    for _ in range(3):
        assert torch.equal(recorded(torch.zeros(2)), torch.ones(2))
    assert recorded.recorded == 0
