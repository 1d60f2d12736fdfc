"""Features of a frozen backbone are computed once, and change nothing."""

import re
import signal
from pathlib import Path

import pytest
import torch
import yaml

from cvsegguide.cli.main import main
from helpers.brooklyn_queens import make_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    make_tree(folder, tiles=2, panoramas=2)
    return folder


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


def counts(capfd: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """Pictures that the last run found in the cache, and those it computed."""
    read, computed = re.findall(r"(\d+) read, (\d+) computed", capfd.readouterr().err)[-1]
    return int(read), int(computed)


@pytest.mark.parametrize("trained_upsampler", [True, False])
def test_losses_are_the_same_and_a_second_run_computes_nothing(
    tree: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], trained_upsampler: bool
) -> None:
    """Of a frozen upsampler the mean of a street view is kept, too."""
    cache = ["--feature_cache", str(tmp_path / "features")]
    plain = fit(tree, tmp_path / "plain", trained_upsampler=trained_upsampler)
    assert len(plain) == len(set(plain)) > 2, "it trains"
    first = fit(tree, tmp_path / "first", *cache, trained_upsampler=trained_upsampler)
    read, computed = counts(capfd)
    assert 0 < computed <= 8 <= read == 16 - computed, "every picture once, not once an epoch"
    second = fit(tree, tmp_path / "second", *cache, trained_upsampler=trained_upsampler)
    assert counts(capfd) == (16, 0)
    # The order of additions in a batch of one picture may differ from that in one of two.
    assert first == pytest.approx(plain, rel=1e-5)
    assert second == pytest.approx(plain, rel=1e-5)
    assert not list((tmp_path / "features").rglob(".*")), "temporary files"
    # What one kind of upsampler reads does for the overhead pictures of the other alone.
    fit(tree, tmp_path / "other", *cache, trained_upsampler=not trained_upsampler)
    assert 0 < counts(capfd)[1] <= 4, "street views"


@pytest.mark.parametrize("interrupted", [1, 3])
def test_an_interrupted_run_goes_on_to_the_very_same_losses(
    tree: Path, tmp_path: Path, interrupted: int
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


def test_quarter_turns_and_mirrors_have_features_of_their_own(tree: Path, tmp_path: Path) -> None:
    turned = (
        "[{class_path: cvsegguide.data.transforms.Rotate},"
        " {class_path: cvsegguide.data.transforms.Mirror}]"
    )
    cache = ["--feature_cache", str(tmp_path / "features")]
    fit(tree, tmp_path / "plain", *cache)
    with_cache = fit(tree, tmp_path / "cached", *cache, transforms=turned)
    assert with_cache == pytest.approx(fit(tree, tmp_path / "not", transforms=turned), rel=1e-5)


def test_other_weights_are_another_cache_and_damage_is_mended(
    tree: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cache = ["--feature_cache", str(tmp_path / "features")]
    expected = fit(tree, tmp_path / "first", *cache)
    files = sorted((tmp_path / "features").rglob("*.safetensors"))
    fit(tree, tmp_path / "other", *cache, "--seed_everything", "1")
    assert len(list((tmp_path / "features").rglob("*.safetensors"))) == 2 * len(files)
    files[0].write_bytes(files[0].read_bytes()[:100])
    assert fit(tree, tmp_path / "mended", *cache) == pytest.approx(expected, rel=1e-5)
    assert counts(capfd)[1] in (1, 2), "a tile may come twice in a batch"


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
