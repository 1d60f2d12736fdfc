"""Saving, loading, converting; errors that name the parameter."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cvsegguide.cli.main import main
from cvsegguide.errors import CheckpointError
from cvsegguide.models import (
    create_model,
    load_featup_upsampler,
    load_model,
    load_published,
    save_model,
)
from cvsegguide.models import published as published_module
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.featup import FeatUpModel
from cvsegguide.models.hub import DEFAULT, bundled_weights
from cvsegguide.models.published import published_name, unread_parameters
from cvsegguide.models.registry import read_configurations
from helpers.commands import refusal


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(1, 3, 64, 64, generator=generator), torch.rand(
        1, 3, 32, 128, generator=generator
    )


def same(first: LocalizationModel, second: LocalizationModel) -> None:
    with torch.no_grad():
        torch.testing.assert_close(first(*inputs()).heatmap, second(*inputs()).heatmap)


def as_published(model: LocalizationModel) -> dict[str, torch.Tensor]:
    """What the original code would have saved."""
    state = {published_name(model, name): value for name, value in model.state_dict().items()}
    if not isinstance(model, FeatUpModel):
        for name, shape in unread_parameters(model).items():
            state.setdefault(name, torch.zeros(shape))
    return state


@pytest.fixture(params=["mst", "featup"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LocalizationModel:
    """A tiny network that takes the place of the published size."""
    torch.manual_seed(0)
    name = request.param

    def tiny(name: str, **overrides: object) -> LocalizationModel:
        return create_model(f"{name}-tiny", **overrides)

    monkeypatch.setattr(published_module, "create_model", tiny)
    return create_model(f"{name}-tiny", variant="published").eval()


@pytest.mark.parametrize("name", ["mst-tiny", "featup-tiny"])
@pytest.mark.parametrize("variant", ["corrected", "published"])
def test_saved_and_loaded(tmp_path: Path, name: str, variant: str) -> None:
    model = create_model(name, variant=variant).eval()
    save_model(model, tmp_path / "m", card={"license": "apache-2.0", "Data": "nothing at all"})
    assert "nothing at all" in (tmp_path / "m" / "README.md").read_text()
    for source in (tmp_path / "m", tmp_path / "m" / "model.safetensors"):
        again = load_model(source)
        assert not again.training
        assert again.config() == model.config()
        same(model, again)


def test_bundled_names() -> None:
    assert DEFAULT in bundled_weights()
    assert load_model(DEFAULT).overhead_size == (256, 256)
    with pytest.raises(CheckpointError, match=rf"nowhere: .*{DEFAULT}"):
        load_model("nowhere")


def test_published_file_is_recognised(small: LocalizationModel, tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    torch.save({"epoch": 1, "state_dict": as_published(small)}, path)
    loaded = load_model(path)
    assert loaded.config() == small.config()
    same(small, loaded)


def test_convert(small: LocalizationModel, tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    torch.save({"state_dict": as_published(small)}, path)
    assert main(["convert", str(path), str(tmp_path / "out")]) == 0
    same(small, load_model(tmp_path / "out"))


@pytest.mark.parametrize("fault", ["missing", "extra", "misshapen"])
def test_parameters_that_do_not_fit(small: LocalizationModel, tmp_path: Path, fault: str) -> None:
    state = as_published(small)
    name = "transformer.depth.3.bias"
    if fault == "missing":
        del state[name]
    elif fault == "misshapen":
        state[name] = torch.zeros(7)
    else:
        name = "transformer.depth.9.bias"
        state[name] = torch.zeros(7)
    path = tmp_path / "model.pth.tar"
    torch.save({"state_dict": state}, path)
    backbone = str(small.config()["model"])
    with pytest.raises(CheckpointError, match=rf"model\.pth\.tar: .*'{name}'") as caught:
        load_published(path, backbone=backbone)
    assert "\n" not in str(caught.value)


def test_another_architecture(
    small: LocalizationModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.pth.tar"
    torch.save({"state_dict": {"conv1.weight": torch.zeros(3)}}, path)
    assert "other.pth.tar" in refusal(["convert", path, tmp_path / "out"], capsys, tmp_path)


def test_featup_upsampler_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    donor = create_model("featup-tiny", variant="published")
    model = create_model("featup-tiny", variant="published")
    assert isinstance(donor, FeatUpModel)
    assert isinstance(model, FeatUpModel)
    prefix = "aerial."
    state = {
        name.removeprefix(prefix): value + 1
        for name, value in as_published(donor).items()
        if name.startswith((prefix + "upsampler", prefix + "model"))
    }
    path = tmp_path / "jbu.ckpt"
    torch.save({"state_dict": {**state, "downsampler.x": torch.zeros(1)}, "epoch": 1}, path)
    load_featup_upsampler(model, path)
    for view in (model.overhead, model.street):
        for name, value in view.upsampler.state_dict().items():
            torch.testing.assert_close(value, donor.overhead.upsampler.state_dict()[name] + 1)
    del state["upsampler.up1.range_temp"]
    torch.save({"state_dict": state}, path)
    with pytest.raises(CheckpointError, match=r"jbu\.ckpt: .*up1\.range_temp"):
        load_featup_upsampler(model, path)


def test_every_configuration_can_be_built() -> None:
    for name in read_configurations():
        model = create_model(name)
        if name.startswith(("mst", "featup")):
            assert model.channels == ("tree canopy", "building", "road", "other impervious")


def _change(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": None}, "no network 'None'"),
        ({"model": ["mst"]}, "no network"),
        ({"embed_dim": -24}, "embed_dim"),
        ({"embed_dim": 2**40}, "mst"),
        ({"heads": [0, 0, 0, 0]}, "heads"),
        ({"depths": [1]}, "depths"),
        ({"group_size": 4.5}, "group_size"),
        ({"overhead_size": [64]}, "overhead_size"),
        ({"gsd": 0}, "gsd"),
        ({"gsd": "nan"}, "gsd"),
        ({"street_extent": [0, 0]}, "street_extent"),
        ({"bogus": 1}, "bogus"),
    ],
)
def test_configurations_that_make_no_network(
    tmp_path: Path, values: dict[str, object], words: str
) -> None:
    save_model(create_model("mst-tiny"), tmp_path)
    _change(tmp_path, **values)
    with pytest.raises(CheckpointError, match=r"config\.json: ") as caught:
        load_model(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(tmp_path: Path, kind: torch.dtype) -> None:
    model = create_model("mst-tiny").eval()
    save_model(model.to(kind), tmp_path)
    same(load_model(tmp_path), model.float())


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    save_model(create_model("mst-tiny").to(torch.float32), tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    save_file({name: value.int() for name, value in state.items()}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="is not floating point"):
        load_model(tmp_path)


def test_saving_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(create_model("mst-tiny"), tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_figures_of_merit_may_be_numpy_numbers(small: LocalizationModel, tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    content = {"epoch": 1, "state_dict": as_published(small), "best_acc1": np.float64(3.5)}
    torch.save(content, path)
    same(small, load_published(path, backbone=str(small.config()["model"])))


def test_nobody_at_the_hub_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub
    from huggingface_hub.utils import logging

    def ask(url: str, timeout: float) -> None:
        logging.get_logger("huggingface_hub.file_download").warning("Retrying in 1s")
        raise OSError(
            "404 Client Error. (Request ID: 1)\n\nNo network. Please check your connection\nfor a "
            "while"
        )

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", ask)
    before = logging.get_verbosity()
    with pytest.raises(CheckpointError, match=r"^nobody/nothing: .*\(No network\); "):
        load_model("nobody/nothing")
    assert logging.get_verbosity() == before
    assert capfd.readouterr().err == "looking for nobody/nothing on the Hugging Face Hub\n"


def test_saved_files_follow_the_umask(tmp_path: Path, small: LocalizationModel) -> None:
    before = os.umask(0o027)
    try:
        save_model(small, tmp_path / "saved")
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "saved").iterdir()}
    assert modes == dict.fromkeys(("model.safetensors", "config.json", "README.md"), 0o640)
