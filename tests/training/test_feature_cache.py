"""Features of a frozen backbone are computed once, and change nothing."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cvsegguide.cli.main import main
from cvsegguide.models.backbones.vit import VisionTransformerFeatures
from cvsegguide.models.upsamplers.joint_bilateral import JointBilateralStack
from cvsegguide.training.feature_cache import FeatureCache
from helpers.brooklyn_queens import make_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    make_tree(folder, tiles=2, panoramas=2)
    return folder


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that the backbone was given."""
    counts: list[int] = []
    forward = VisionTransformerFeatures.forward

    def counted(self: VisionTransformerFeatures, image: torch.Tensor) -> torch.Tensor:
        counts.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(VisionTransformerFeatures, "forward", counted)
    return counts


def fit(
    tree: Path,
    folder: Path,
    *options: str,
    transforms: str = "null",
    frozen: bool = True,
    trained_upsampler: bool = True,
    signal_at: int = 0,
) -> list[float]:
    """Losses of a run of two epochs with a frozen backbone, the upsampler trained."""
    arguments = {"root": str(tree), "city": "brooklyn", "overhead_size": 64}
    data = {
        "class_path": "cvsegguide.data.BrooklynQueens",
        "init_args": {**arguments, "street_size": [32, 128]},
    }
    folder.mkdir(parents=True, exist_ok=True)
    trace = folder / "losses.txt"
    config = {
        "model": {
            "network": "featup-tiny",
            "network_arguments": {"frozen": frozen, "trained_upsampler": trained_upsampler},
            "learning_rate": 0.01,
            "warmup_steps": 0,
        },
        "data": {"train": data, "batch_size": 2, "num_workers": 0},
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "callbacks": [
                {
                    "class_path": "helpers.tiny.LossTrace",
                    "init_args": {"path": str(trace), "signal_at": signal_at},
                }
            ],
        },
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = ["fit", "--config", str(path), "--data.transforms", transforms]
    status = main([*command, "--out", str(folder / "run"), *options])
    assert status == (128 + signal.SIGTERM if signal_at else 0)
    return [float.fromhex(line.split()[1]) for line in trace.read_text().splitlines()]


def test_losses_are_the_same_and_a_second_run_computes_nothing(
    tree: Path, tmp_path: Path, computed: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    plain = fit(tree, tmp_path / "plain")
    without = sum(computed)
    assert len(plain) == len(set(plain)) > 2, "it trains"
    computed.clear()
    cache = ["--feature_cache", str(tmp_path / "features")]
    first = fit(tree, tmp_path / "first", *cache)
    assert sum(computed) == without // 2, "every picture once, not once an epoch"
    shown = capfd.readouterr().err
    assert f"{sum(computed)} computed" in shown
    files = list((tmp_path / "features").rglob("*.safetensors"))
    assert len(files) <= sum(computed)
    computed.clear()
    second = fit(tree, tmp_path / "second", *cache)
    assert computed == []
    # The order of additions in a batch of one picture may differ from that in one of two.
    assert first == pytest.approx(plain, rel=1e-5)
    assert second == pytest.approx(plain, rel=1e-5)
    assert not list((tmp_path / "features").rglob(".*")), "temporary files"


def test_a_frozen_upsampler_pools_a_street_view_once(
    tree: Path, tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the street view is constant, too, when all of its branch is frozen."""
    pooled: list[int] = []
    original = JointBilateralStack.pooled

    def counted(stack: JointBilateralStack, source: torch.Tensor, guidance: torch.Tensor) -> Any:
        pooled.append(len(source))
        return original(stack, source, guidance)

    monkeypatch.setattr(JointBilateralStack, "pooled", counted)
    plain = fit(tree, tmp_path / "plain", trained_upsampler=False)
    without = sum(pooled)
    pooled.clear()
    cache = ["--feature_cache", str(tmp_path / "features")]
    first = fit(tree, tmp_path / "first", *cache, trained_upsampler=False)
    assert sum(pooled) == without // 2
    pooled.clear()
    computed.clear()
    second = fit(tree, tmp_path / "second", *cache, trained_upsampler=False)
    assert pooled == []
    assert computed == []
    assert first == pytest.approx(plain, rel=1e-5)
    assert second == pytest.approx(plain, rel=1e-5)
    # A trained upsampler makes another mean of the same picture.
    fit(tree, tmp_path / "trained", *cache)
    assert pooled


@pytest.mark.parametrize("interrupted", [1, 3])
def test_an_interrupted_run_goes_on_to_the_very_same_losses(
    tree: Path, tmp_path: Path, computed: list[int], interrupted: int
) -> None:
    """In the first epoch, when half of the features are there, and in the second."""
    whole = fit(tree, tmp_path / "whole", "--feature_cache", str(tmp_path / "one"))
    assert len(whole) == 4
    cache = ["--feature_cache", str(tmp_path / "two")]
    parted = fit(tree, tmp_path / "parted", *cache, signal_at=interrupted)
    assert parted == whole[:interrupted]
    assert fit(tree, tmp_path / "parted", *cache, "--resume") == whole
    states = [
        torch.load(tmp_path / name / "run" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "parted")
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_quarter_turns_and_mirrors_have_features_of_their_own(
    tree: Path, tmp_path: Path, computed: list[int]
) -> None:
    turned = (
        "[{class_path: cvsegguide.data.transforms.Rotate},"
        " {class_path: cvsegguide.data.transforms.Mirror}]"
    )
    cache = ["--feature_cache", str(tmp_path / "features")]
    fit(tree, tmp_path / "plain", *cache)
    with_cache = fit(tree, tmp_path / "cached", *cache, transforms=turned)
    assert with_cache == pytest.approx(fit(tree, tmp_path / "not", transforms=turned), rel=1e-5)


def test_other_weights_are_another_cache_and_damage_is_mended(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = torch.rand(3, 3, 32, 32)
    arguments = {"depth": 1, "embed_dim": 24, "num_heads": 2}
    one, two = (
        VisionTransformerFeatures("vit_tiny_patch16_224", arguments=arguments).eval()
        for _ in range(2)
    )
    cache = FeatureCache(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(cache(one, image), one(image), rtol=0, atol=0)
        assert (cache.read, cache.computed) == (0, 3)
        torch.testing.assert_close(cache(two, image), two(image), rtol=0, atol=0)
        assert (cache.read, cache.computed) == (0, 6)
        file = sorted(tmp_path.rglob("*.safetensors"))[0]
        file.write_bytes(file.read_bytes()[:100])
        both = [FeatureCache(tmp_path), FeatureCache(tmp_path)]
        for backbone, again in zip((one, two), both, strict=True):
            torch.testing.assert_close(again(backbone, image.flip(0)), backbone(image.flip(0)))
        assert sum(again.computed for again in both) == 1
        third = FeatureCache(tmp_path)
        third(one, image)
        third(two, image)
        assert (third.read, third.computed) == (6, 0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"transforms": "[{class_path: cvsegguide.data.transforms.Photometric}]"}, "Photometric"),
        ({"frozen": False}, "no frozen backbone"),
    ],
    ids=["photometric", "not frozen"],
)
def test_what_cannot_be_cached_is_refused(
    tree: Path,
    tmp_path: Path,
    computed: list[int],
    capfd: pytest.CaptureFixture[str],
    options: dict[str, object],
    word: str,
) -> None:
    with pytest.raises(AssertionError):
        fit(tree, tmp_path / "run", "--feature_cache", str(tmp_path / "f"), **options)  # type: ignore[arg-type]
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert "error: --feature_cache: " in error
    assert word in error
