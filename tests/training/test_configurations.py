"""Every bundled configuration trains two steps on a made tree, with a tiny network of its kind."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import cvsegguide
from cvsegguide.cli.main import main
from cvsegguide.models.hub import load_model, save_model
from cvsegguide.training.module import LocalizationTask
from data.test_vigor import make_vigor
from helpers.brooklyn_queens import make_tree

FOLDER = Path(cvsegguide.__file__).parent / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SMALL = [
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"),
    *("--trainer.limit_val_batches", "1", "--trainer.logger", "false"),
    *("--data.num_workers", "0", "--data.batch_size", "2", "--trainer.accelerator", "cpu"),
]
WHOLE = ["--trainer.limit_val_batches", "1.0", "--data.eval_batch_size", "17"]
"""All 51 samples are validated on: enough to calibrate."""

SPLITS = ("train", "val", "test")


def tiny(network: str, arguments: str = "{}") -> list[str]:
    """Options that put a tiny network and pictures of its size in a configuration's place."""
    options = ["--model.network", network, "--model.network_arguments", arguments]
    for split in SPLITS:
        data = f"--data.{split}"
        options += [f"{data}.overhead_size", "64", f"{data}.street_size", "[32,128]"]
    return options


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trees")
    make_tree(folder / "bq", tiles=2, panoramas=2)
    make_tree(folder / "many", tiles=3, panoramas=17, street_size=(32, 128))
    make_vigor(folder / "vigor", count=30, pictures=True)
    return {path.name: path for path in folder.iterdir()}


def test_there_is_one_for_each_network_and_data_set() -> None:
    for network in ("mst", "featup", "mst-small", "featup-small", "geometric"):
        for data in ("brooklyn-queens", "vigor-same", "vigor-cross", "synthcity"):
            assert f"{network}-{data}" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_configuration_trains(trees: dict[str, Path], tmp_path: Path, name: str) -> None:
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    kind = content["model"]["network"].split("-")[0]
    arguments = {**content["model"].get("network_arguments", {})}
    arguments.pop("pretrained", None)
    options = tiny(f"{kind}-tiny", str(arguments))
    for split in SPLITS:
        if "overhead_gsd" in content["data"][split]["init_args"]:
            options += [f"--data.{split}.overhead_gsd", "0.9"]
    if "street_range" in content["data"]["train"]["init_args"].get("labels", ()):
        options += ["--data.train.labels", "[landcover]"]  # the made tree has no depth
    root = trees["vigor" if "vigor" in name else "bq"]
    command = ["fit", "--config", name, "--root", str(root), "--out", str(tmp_path / "run")]
    assert main([*command, *options, *SMALL]) == 0
    assert (tmp_path / "run" / "best.ckpt").exists()
    if kind != "geometric" or "synthcity" in name:
        return
    # what the configuration says it tests is what it tests
    for error in ("0", "180"):
        out = tmp_path / f"test{error}"
        command = ["test", "--config", str(tmp_path / "run" / "config.yaml"), "--out", str(out)]
        changed = ["--model.heading_error", error, "--trainer.limit_test_batches", "1"]
        assert main([*command, *changed, "--no-pictures"]) == 0
        found = json.loads((out / "metrics.json").read_text())
        report = (out / "report.md").read_text()
        if "vigor" in name:
            area = name.rpartition("-")[2]
            heading = "known heading" if error == "0" else "unknown heading"
            assert found["published"]["protocol"] == f"VIGOR, {area} area, {heading}"
            assert f"## Published on VIGOR, {area} area, {heading}" in report
            assert f"| this model | {found['position']['mean']:.2f} |" in report
            assert f"| CCVPE | {PUBLISHED_CCVPE[area, error]} |" in report
        else:
            assert "published" not in found


PUBLISHED_CCVPE = {
    ("same", "0"): "3.60 | 1.36",
    ("cross", "0"): "4.97 | 1.68",
    ("same", "180"): "3.74 | 1.42",
    ("cross", "180"): "5.41 | 1.89",
}
"""Mean and median of Xia et al. (TPAMI 2024)."""


def test_a_run_calibrates_the_search_of_headings_on_its_own(
    trees: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = tiny("geometric-tiny")
    command = ["fit", "--config", "geometric-brooklyn-queens", "--root", str(trees["many"])]
    assert main([*command, *options, *SMALL, *WHOLE, "--out", str(run)]) == 0
    model = load_model(run).state_dict()
    state = torch.load(run / "best.ckpt", weights_only=True)["state_dict"]
    assert float(state["network.search_sharpness"]) == 1.0
    _, known, searched = (run / "README.md").read_text().split("## Calibration")
    assert known.startswith("\n")
    assert searched.startswith(" of searched headings\n")
    assert "from 51 validation samples" in known
    factor = float(searched.partition("times ")[2].partition(",")[0])
    assert float(model["search_sharpness"]) == pytest.approx(factor, rel=5e-3)


def test_export_load_and_train_on(
    trees: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A finished run is a model for the localiser, and weights for another run."""
    run = tmp_path / "run"
    options = tiny("mst-tiny")
    command = ["fit", "--config", "mst-small-brooklyn-queens", "--root", str(trees["bq"])]
    assert main([*command, *options, *SMALL, "--out", str(run)]) == 0
    assert "warning: 2 validation samples are too few to calibrate" in capfd.readouterr().err
    assert "none: 2 validation samples are too few" in (run / "README.md").read_text()
    plain = torch.load(run / "best.ckpt", weights_only=True)["state_dict"]
    temperature = load_model(run).state_dict()["log_temperature"]
    assert torch.equal(temperature, plain["network.log_temperature"]), "as trained"
    run = tmp_path / "calibrated"
    command[4] = str(trees["many"])
    assert main([*command, *options, *SMALL, *WHOLE, "--out", str(run)]) == 0
    model = load_model(run)
    state = torch.load(run / "best.ckpt", weights_only=True)["state_dict"]
    for name, value in model.state_dict().items():
        if name != "log_temperature":  # calibrated on the validation data when it is exported
            assert torch.equal(value, state[f"network.{name}"]), name
    card = (run / "README.md").read_text()
    assert "BrooklynQueens" in card
    assert "from 51 validation samples" in card, "calibrated on what was validated on"
    network = LocalizationTask("ignored", weights=str(run)).network
    assert network.training, "dropout and stochastic depth work in the second training too"
    for source in ("best.ckpt", ""):
        out = tmp_path / f"test{source}"
        arguments = ["--config", str(run / "config.yaml"), "--weights", str(run / source)]
        assert main(["test", *arguments, "--out", str(out)]) == 0
    one, two = (
        pd.read_parquet(tmp_path / name / "predictions.parquet", columns=["id", "row", "col"])
        for name in ("testbest.ckpt", "test")
    )
    pd.testing.assert_frame_equal(one, two, atol=0.05)

    # Other weights for a run's configuration, by either option: they are evaluated, not the run's.
    capfd.readouterr()
    other = tmp_path / "other"
    changed = load_model(run)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_model(changed, other)
    errors = {}
    for option in ("--weights", "--model.weights"):
        out = tmp_path / option.strip("-")
        command = ["test", "--config", str(run / "config.yaml"), option, str(other)]
        assert main([*command, "--out", str(out), "--no-pictures"]) == 0
        errors[option] = pd.read_parquet(out / "predictions.parquet").error_m
        assert json.loads((out / "metrics.json").read_text())["weights"] == str(other)
    pd.testing.assert_series_equal(*errors.values())
    own = pd.read_parquet(tmp_path / "test" / "predictions.parquet").error_m
    assert not np.allclose(own, errors["--model.weights"], atol=0.01)
    assert main([*command, "--weights", str(run), "--out", str(tmp_path / "both")]) == 2
    assert "give one of them" in capfd.readouterr().err
