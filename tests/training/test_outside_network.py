"""A network and a loss in a file outside of the package go through every command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.inference.localizer import Localizer
from helpers.commands import run_python
from helpers.tiny import TinyPairs, write_config

SOURCE = Path(__file__).resolve().parents[1] / "helpers" / "outside_network.py"
SHORT = ["--trainer.max_epochs", "2"]


@pytest.fixture(autouse=True)
def _forget_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports from its own folder is gone when it ends."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_networks", None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the user's file, a configuration, pictures and a drive."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(SOURCE, folder / "my_networks.py")
    write_config(folder / "mine.yaml", model={"network": "my_networks.Colours"})
    sample = TinyPairs(1, 300)[0]
    for name, picture in (("overhead", sample.overhead), ("street", sample.street)):
        pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "drive.csv").write_text("street,forward,turn\nstreet.png,,\nstreet.png,0,0\n")
    monkeypatch.chdir(folder)
    return folder


def test_every_command_takes_it(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "mine.yaml", "--out", "run", *SHORT]) == 0
    assert {"config.json", "model.safetensors", "README.md"} <= set(os.listdir("run"))
    assert main(["test", "--config", "run/config.yaml", "--out", "test", "--no-pictures"]) == 0
    assert json.loads(Path("test/metrics.json").read_text())["position"]["mean"] < 3.0

    sample = TinyPairs(1, 300)[0]
    pair = ["overhead.png", "street.png"]
    options = ["--gsd", "0.5", "--model", "run", "--device", "cpu"]
    assert main(["localize", *pair, *options, "--out", "result"]) == 0
    found = json.loads(Path("result/result.json").read_text())
    assert np.hypot(found["row"] - sample.row, found["col"] - sample.col) < 4.0

    drive = ["drive.csv", "--overhead", "overhead.png", "--gsd", "0.5", "--model", "run"]
    assert main(["track", *drive, "--device", "cpu", "--out", "drive", "--no-animation"]) == 0
    assert len(pd.read_parquet("drive/track.parquet")) == 2

    assert main(["export", "--model", "run", "--out", "run.onnx"]) == 0
    capfd.readouterr()
    assert main(["localize", *pair, "--gsd", "0.5", "--model", "run.onnx", "--json"]) == 0
    exported = json.loads(capfd.readouterr().out)
    assert (exported["row"], exported["col"]) == pytest.approx(
        (found["row"], found["col"]), abs=0.01
    )


def test_a_run_says_where_its_network_came_from(project: Path, tmp_path: Path) -> None:
    """In a process of its own: found beside the run, and named where it is not."""
    assert main(["fit", "--config", "mine.yaml", "--out", "run", *SHORT]) == 0

    def localize(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["localize", "overhead.png", "street.png", "--gsd", "0.5", "--json", *words]
        path = str(SOURCE.parents[2] / "src")  # and not the project, which `fit` has put there
        return run_python("-P", "-m", "cvsegguide", *command, cwd=folder, PYTHONPATH=path)

    done = localize(project, "--model", "run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "run"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("overhead.png", "street.png"):
        shutil.copy(project / name, elsewhere)
    done = localize(elsewhere, "--model", str(project / "run"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "'my_networks.Colours' cannot be imported" in line
    assert str(project / "my_networks.py") in line, "where it came from"


@pytest.mark.parametrize("path", ["my_networks.Colours", "my_networks.SOURCE", "subprocess.Popen"])
def test_nothing_else_than_a_network_is_made(
    project: Path, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    """A configuration from somebody else cannot have any class called."""
    assert main(["fit", "--config", "mine.yaml", "--out", "run", *SHORT]) == 0
    config = Path("run/config.json")
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "model": path}))
    if path == content["model"]:
        Localizer.from_pretrained("run")
        return
    capfd.readouterr()
    assert main(["localize", "overhead.png", "street.png", "--model", "run"]) == 2
    assert f"'{path}' " in capfd.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--model.losses", "my_networks.Surprise"],
        ["--model.losses", "{class_path: my_networks.Surprise, init_args: {unit: 2.0}}"],
    ],
    ids=["path", "class_path"],
)
def test_a_loss_of_ones_own(
    project: Path, capfd: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["fit", "--config", "mine.yaml", "--out", "run", *SHORT, *options]) == 0
    recorded = yaml.safe_load(Path("run/config.yaml").read_text())["model"]["losses"]
    assert recorded == yaml.safe_load(options[1])
    assert "## Losses\n\nmy_networks.Surprise\n" in Path("run/README.md").read_text()
    arguments = ["--config", "run/config.yaml", "--out", "test", "--no-pictures"]
    assert main(["test", *arguments]) == 0
    capfd.readouterr()
    wrong = ["--model.losses", "my_networks.Colours", "--out", "other"]
    assert main(["fit", "--config", "mine.yaml", *wrong]) == 2
    assert "losses: 'my_networks.Colours' is no LocalizationLoss" in capfd.readouterr().err
