"""The comparison of segmentation networks at a tiny size."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.scripts import load


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("compare_segmentation")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red buildings, grey roads, green rest; 70 x 80 pixels."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    colors = {0: (40, 120, 40), 5: (200, 60, 50), 6: (120, 120, 125)}
    for split, count in (("train", 4), ("val", 2)):
        (root / split).mkdir()
        for number in range(count):
            ids = np.zeros((70, 80), np.uint8)
            top, left = generator.integers(5, 35, 2)
            ids[top : top + 25, left : left + 25] = 5
            ids[:, 60:70] = 6
            image = np.zeros((70, 80, 3), np.uint8)
            for value, color in colors.items():
                image[ids == value] = color
            Image.fromarray(image).save(root / split / f"{number}.jpg", quality=95)
            Image.fromarray(ids).save(root / split / f"{number}_landcover.png")
    return root


def arguments(pictures: Path, out: Path, *more: str) -> list[str]:
    return [str(pictures), "--out", str(out), "--batch", "2", "--crop", "64", *more]


def test_a_network_learns_and_a_second_run_only_reads(
    script, pictures, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setitem(script.RATES, "geometric", 1e-2)
    run = arguments(pictures, tmp_path, "--networks", "geometric-tiny", "--steps", "60")
    assert script.main(run) == 0
    figures = json.loads((tmp_path / "geometric-tiny.json").read_text())
    assert figures["iou"]["building"] > 0.5
    assert figures["low"]["building"] <= figures["iou"]["building"] <= figures["high"]["building"]
    assert sum(map(sum, figures["confusion"])) == 2 * 70 * 80
    table = (tmp_path / "comparison.md").read_text()
    assert capsys.readouterr().out == table
    assert f"{100 * figures['iou']['building']:.1f} [" in table
    before = (tmp_path / "geometric-tiny.json").stat().st_mtime_ns
    assert script.main(run) == 0
    assert (tmp_path / "geometric-tiny.json").stat().st_mtime_ns == before
    other = arguments(pictures, tmp_path, "--networks", "geometric-tiny", "--steps", "61")
    assert script.main(other) == 2
    assert "other settings" in capsys.readouterr().err


def test_all_networks_see_the_same(script, pictures) -> None:
    found = script.Pictures.of(pictures / "train")
    first = script.batch_of(found, 3, 2, 64, seed=1)
    again = script.batch_of(found, 3, 2, 64, seed=1)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], script.batch_of(found, 4, 2, 64, seed=1)[0])
    images, truths = first
    # Pictures and truth are turned alike: the reddest pixels are the buildings.
    red = images[:, 0] - images[:, 1]
    # (but for what JPEG does to edges).
    assert red[truths == 0].quantile(0.1) > red[truths == 2].quantile(0.9)


def test_windows_cover_the_picture(script) -> None:
    assert script.windows(600, 192) == [0, 136, 272, 408]
    assert script.windows(192, 192) == [0]
    assert script.windows(70, 64) == [0, 6]


def test_iou_by_hand(script) -> None:
    matrix = np.array([[6, 2, 0], [1, 3, 0], [1, 0, 7]])
    assert script.iou(matrix).tolist() == pytest.approx([6 / 10, 3 / 6, 7 / 8])


def test_channels_that_are_neither_are_joined(script) -> None:
    from cvsegguide.models import create_model

    model = create_model("geometric-tiny").eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        joined = script.OverheadSegmenter(model)(image).softmax(dim=1)
        whole = model.segment(image).softmax(dim=1)
    for place, name in enumerate(("building", "road")):
        assert joined[:, place] == pytest.approx(whole[:, model.channels.index(name)], abs=1e-5)


def test_a_u_net_in_the_same_harness(script, pictures, tmp_path) -> None:
    pytest.importorskip("segmentation_models_pytorch", reason="the extra 'compare'")
    run = arguments(pictures, tmp_path, "--networks", "unet", "--steps", "1", "--limit", "1")
    assert script.main(run) == 0
    assert json.loads((tmp_path / "unet.json").read_text())["parameters"] == 14_328_499


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (["--crop", "50"], "--crop"),
        (["--steps", "0"], "--steps"),
        (["--networks", "blob"], "blob"),
        (["--networks", "unet-blob"], "unet-blob"),
        (["--crop", "96"], "--crop 96"),
    ],
)
def test_faults(script, pictures, tmp_path, capsys, more, fault) -> None:
    options = arguments(pictures, tmp_path / "out", "--networks", "geometric-tiny", *more)
    if "unet-blob" in more:
        pytest.importorskip("segmentation_models_pytorch", reason="the extra 'compare'")
    assert script.main(options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("compare_segmentation: error: ")
    assert fault in error
