"""The commands fit, validate, test and predict on a tiny network."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.evaluation.predictions import NEEDS_TRUTH
from cvsegguide.models.hub import load_model
from helpers.brooklyn_queens import make_tree
from helpers.commands import run_python
from helpers.tiny import write_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; its configuration is beside it as ``tiny.yaml``."""
    folder = tmp_path_factory.mktemp("trained")
    config = write_config(folder / "tiny.yaml", trainer={"max_epochs": 2})
    assert main(["fit", "--config", str(config), "--out", str(folder / "run")]) == 0
    return folder / "run"


def error_line(capfd: pytest.CaptureFixture[str]) -> str:
    """The only line of an error on stderr."""
    error = capfd.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("cvsegguide: error: ")]
    assert len(lines) == 1, error
    return lines[0]


def test_what_a_run_leaves(trained: Path) -> None:
    assert {"best.ckpt", "last.ckpt", "config.yaml", "run.json"} <= {
        path.name for path in trained.iterdir()
    }
    record = json.loads((trained / "run.json").read_text())
    assert record[0]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record[0]["command"][:3] == ["cvsegguide", "fit", "--config"]
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["model"]["network"] == "helpers.tiny.TinyNetwork"
    assert config["seed_everything"] == 0
    assert not list(trained.glob(".*")), "temporary files"


def test_test_command(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["test", "--config", str(trained / "config.yaml"), "--out", str(tmp_path / "r")]
    assert main(arguments) == 0
    shown = capfd.readouterr().out
    assert "tile centre" in shown
    assert "land-cover prior" in shown
    figures = json.loads((tmp_path / "r" / "metrics.json").read_text())
    table = pd.read_parquet(tmp_path / "r" / "predictions.parquet")
    assert table["id"].tolist() == [f"tiny-{200 + i}" for i in range(7)]
    distance = 0.5 * ((table.row - table.row_true) ** 2 + (table.col - table.col_true) ** 2) ** 0.5
    assert (distance - table.error_m).abs().max() < 1e-4
    position = figures["position"]
    assert position["mean"] == pytest.approx(table.error_m.mean(), abs=1e-5)
    assert position["median"] == pytest.approx(table.error_m.median(), abs=1e-5)
    assert position["mean_low"] <= position["mean"] <= position["mean_high"]
    assert figures["posterior"]["nll"] == pytest.approx(table.nll.mean(), abs=1e-4)
    assert figures["regions"]["hit_1"] == pytest.approx((table.region_rank_true == 1).mean())
    assert set(figures["baselines"]) == {"tile centre", "uniform", "land-cover prior"}
    assert figures["landcover"]["confusion"][3][3] > 0
    # The ignored pixel of each tile counts for nothing.
    assert sum(map(sum, figures["landcover"]["confusion"])) == 7 * (32 * 32 - 1)
    assert table.lon.between(-73.71, -73.69).all()
    report = (tmp_path / "r" / "report.md").read_text()
    assert "| model |" in report
    assert "Confusion" in report
    page = (tmp_path / "r" / "report.html").read_text()
    assert page.count("<img ") == 4


def test_reports_without_pictures_and_json_and_nothing_else(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", str(trained / "config.yaml"), "--json", "-q"]
    reports = {}
    for command, *options in (("test", "--no-pictures"), ("validate",), ("predict",)):
        out = ["--out", str(tmp_path / command)]
        assert main([command, *config, *out, *options]) == 0
        shown, error = capfd.readouterr()
        reports[command] = json.loads(shown)
        assert error == ""
    assert reports["predict"]["rows"] == 7
    assert reports["test"]["position"]["count"] == reports["validate"]["position"]["count"] == 7
    assert "<img " not in (tmp_path / "test" / "report.html").read_text()
    assert not (tmp_path / "test" / "pictures").exists()
    assert "<img " not in (tmp_path / "validate" / "report.html").read_text()


def test_predict_writes_the_same_rows(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = str(trained / "config.yaml")
    for command in ("test", "predict"):
        capfd.readouterr()
        assert main([command, "--config", config, "--out", str(tmp_path / command)]) == 0
    path = tmp_path / "predict" / "predictions.parquet"
    points = path.with_suffix(".geojson")
    assert capfd.readouterr().out == f"{path}: 7 rows, of data.test (TinyPairs)\n"
    tables = [
        pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("test", "predict")
    ]
    pd.testing.assert_frame_equal(*tables)
    assert sorted((tmp_path / "predict").iterdir()) == [points, path]
    collection = json.loads(points.read_text())
    assert [feature["id"] for feature in collection["features"]] == tables[1]["id"].tolist()


def test_predict_localises_pairs_whose_place_nobody_knows(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A table with pictures and nothing else; the rows with a truth keep theirs."""
    picture = Image.new("RGB", (64, 64), (90, 60, 30))
    (tmp_path / "19/154514").mkdir(parents=True)
    picture.save(tmp_path / "19/154514/197033.png")
    picture.resize((256, 64)).save(tmp_path / "street.png")
    pair = "19/154514/197033.png,street.png"
    (tmp_path / "pairs.csv").write_text(f"overhead,street,row,col\n{pair},,\n{pair},5,6\n")
    sizes = {"overhead_size": "16", "street_size": "[8, 32]"}
    arguments = [
        *("--config", str(trained / "config.yaml"), "--pairs", str(tmp_path / "pairs.csv")),
        *(part for name, size in sizes.items() for part in (f"--data.predict.{name}", size)),
    ]
    assert main(["predict", *arguments, "--out", str(tmp_path / "out"), "-q"]) == 0
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert table["row"].notna().all()
    assert table["lon"].between(-180, 180).all()
    for name in NEEDS_TRUTH:
        if name != "heading_true":
            assert table[name].isna().tolist() == [True, False], name
    assert table["row_true"][1] == pytest.approx(5 / 4)
    capfd.readouterr()
    with_truth = ["--data.test", "cvsegguide.data.manifest.Manifest", "--data.test.positions"]
    with_truth += ["optional", "--data.test.path", str(tmp_path / "pairs.csv")]
    for name, size in sizes.items():
        with_truth += [f"--data.test.{name}", size]
    command = ["test", "--config", str(trained / "config.yaml"), "--out", str(tmp_path / "t")]
    assert main([*command, *with_truth]) == 2
    assert "street#1: the camera has no position: only predict" in error_line(capfd)


def test_batch_size_changes_nothing(trained: Path, tmp_path: Path) -> None:
    config = str(trained / "config.yaml")
    for size in ("1", "7"):
        arguments = ["--data.eval_batch_size", size, "--out", str(tmp_path / size)]
        assert main(["test", "--config", config, *arguments]) == 0
    one, seven = (json.loads((tmp_path / size / "metrics.json").read_text()) for size in "17")
    for group in ("position", "posterior", "regions", "landcover", "baselines"):
        assert flattened(one[group]) == pytest.approx(flattened(seven[group]), abs=1e-4), group


def test_sweep(trained: Path, tmp_path: Path) -> None:
    arguments = ["--config", str(trained / "config.yaml"), "--out", str(tmp_path), "--sweep"]
    assert main(["test", *arguments]) == 0
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    assert list(sweep) == [
        "360° view, known heading",
        "180° view, known heading",
        "108° view, known heading",
        "70° view, known heading",
        "360° view, heading ±10°",
        "360° view, heading ±45°",
        "360° view, unknown heading",
    ]
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert sweep["360° view, known heading"]["position"] == pytest.approx(figures["position"])
    # The tiny street views are of one colour: turning them changes nothing, cropping does.
    turned = sweep["360° view, unknown heading"]["position"]
    assert turned == pytest.approx(figures["position"], abs=1e-3)
    assert sweep["70° view, known heading"]["position"]["mean"] != figures["position"]["mean"]
    assert len((tmp_path / "sweep.md").read_text().splitlines()) == 2 + 7 + 3


def flattened(figures: Any) -> list[float]:
    if isinstance(figures, dict):
        return [number for value in figures.values() for number in flattened(value)]
    if isinstance(figures, list):
        return [number for value in figures for number in flattened(value)]
    return [figures] if isinstance(figures, int | float) else []


def two_processes(command: str, config: Path, out: Path, *options: str) -> str:
    """A sub-command on two processes; what it said on stderr. Waits for as long as they run."""
    words = [command, "--config", str(config), "--out", str(out), *options]
    devices = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    done = run_python("-m", "cvsegguide", *words, *devices)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(trained: Path, tmp_path: Path) -> None:
    config = trained / "config.yaml"
    assert main(["test", "--config", str(config), "--out", str(tmp_path / "one")]) == 0
    for command in ("test", "predict"):
        two_processes(command, config, tmp_path / command, "--weights", str(trained))
        tables = [
            pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("one", command)
        ]
        pd.testing.assert_frame_equal(*tables, check_exact=False, atol=1e-4)
        assert [path.name for path in (tmp_path / command).glob(".*")] == []
    one, two = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "test")
    )
    for group in ("position", "posterior", "regions", "landcover", "baselines"):
        assert flattened(two[group]) == pytest.approx(flattened(one[group]), abs=1e-4), group


@pytest.mark.slow
def test_two_processes_train(tmp_path: Path) -> None:
    """Seven validation samples do not divide by two: nobody waits for a batch that never comes."""
    config = write_config(tmp_path / "two.yaml", trainer={"max_epochs": 2})
    said = two_processes("fit", config, tmp_path / "run", "--data.eval_batch_size", "1")
    assert "epoch 2/2" in said
    assert (tmp_path / "run" / "best.ckpt").exists()


def test_best_is_the_best(tmp_path: Path) -> None:
    """best.ckpt is of the epoch whose validation has the smallest median; last.ckpt of the last."""
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": str(tmp_path), "name": "logs"}}
    trainer = {"max_epochs": 4, "logger": logger}
    config = write_config(tmp_path / "best.yaml", trainer=trainer, model={"learning_rate": 0.3})
    assert main(["fit", "--config", str(config), "--out", str(tmp_path / "run")]) == 0
    (path,) = (tmp_path / "logs").rglob("metrics.csv")
    medians = pd.read_csv(path).set_index("epoch")["val/error_median_m"].dropna()
    assert medians.nunique() > 1
    for name, epoch in (("best", medians.idxmin()), ("last", 3)):
        content = torch.load(tmp_path / "run" / f"{name}.ckpt", weights_only=True)
        assert content["epoch"] == epoch


def test_validation_sees_the_average_and_training_goes_on_without(tmp_path: Path) -> None:
    config = write_config(tmp_path / "ema.yaml", trainer={"max_epochs": 1})
    for decay in ("0", "0.5"):
        arguments = ["--out", str(tmp_path / decay), "--ema", decay]
        assert main(["fit", "--config", str(config), *arguments]) == 0
    plain = torch.load(tmp_path / "0" / "last.ckpt", weights_only=True)
    averaged = torch.load(tmp_path / "0.5" / "last.ckpt", weights_only=True)
    name = "network.cover.weight"
    assert torch.equal(plain["state_dict"][name], averaged["current_model_state"][name])
    assert not torch.equal(plain["state_dict"][name], averaged["state_dict"][name])


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.precision", "bf16-mixed"],
        ["--trainer.accumulate_grad_batches", "2", "--trainer.gradient_clip_val", "0.1"],
        ["--model.losses", "published"],
        ["--model.schedule", "constant", "--ema", "0"],
        ["--data.num_workers", "1", "--trainer.overfit_batches", "1"],
        ["--model.network_arguments.guidance", "truth"],
    ],
    ids=["bf16", "accumulate", "published", "constant", "workers", "truth"],
)
def test_flags_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path / "tiny.yaml", trainer={"max_epochs": 1})
    assert main(["fit", "--config", str(config), "--out", "run", *options]) == 0
    assert (tmp_path / "run" / "best.ckpt").exists()


def test_tensorboard_by_default_and_a_line_per_epoch_in_a_pipe(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "tiny.yaml", trainer={"max_epochs": 2, "logger": None})
    assert main(["fit", "--config", str(config), "--out", str(tmp_path / "run")]) == 0
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
    shown = capfd.readouterr()
    lines = [line for line in shown.err.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert "loss" in lines[0]
    assert "validation median" in lines[0]
    assert "\x1b" not in shown.err + shown.out


def test_losses_that_are_not_finite(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = {
        "class_path": "helpers.tiny.TinyPairs",
        "init_args": {"length": 3, "broken": 1},
    }
    config = write_config(tmp_path / "nan.yaml", data={"train": broken})
    assert main(["fit", "--config", str(config), "--out", str(tmp_path / "run")]) == 1
    line = error_line(capfd)
    assert "loss of step 0 is not finite" in line
    assert "tiny-1" in line
    (saved,) = (tmp_path / "run").glob("nonfinite-*.pt")
    batch = torch.load(saved, weights_only=True)
    assert sorted(batch["id"]) == ["tiny-0", "tiny-1", "tiny-2"]
    assert math.isnan(batch["overhead"][batch["id"].index("tiny-1")].mean())


def test_disk_full_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "tiny.yaml", trainer={"max_epochs": 1})
    run = tmp_path / "run"
    assert main(["fit", "--config", str(config), "--out", str(run)]) == 0
    content = (run / "last.ckpt").read_bytes()
    capfd.readouterr()

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    arguments = ["--out", str(run), "--resume", "--trainer.max_epochs", "2"]
    assert main(["fit", "--config", str(config), *arguments]) == 1
    assert "cannot be written" in error_line(capfd)
    assert (run / "last.ckpt").read_bytes() == content
    assert not list(run.glob(".*"))


ABSENT = "{class_path: cvsegguide.data.Manifest, init_args: {path: absent.csv}}"
LARGE = "[{class_path: cvsegguide.data.transforms.Crop, init_args: {scale: [3, 4]}}]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--config", "tiny.yaml", "--model.learning_rate", "fast"], "learning_rate"),
        (["--config", "tiny.yaml", "--model.learning_rate", "-1"], "learning_rate"),
        (["--config", "tiny.yaml", "--model.velocity", "3"], "velocity"),
        (["--config", "tiny.yaml", "--model.losses", "hopeful"], "losses"),
        (["--config", "tiny.yaml", "--model.loss_weights", "{speed: 1}"], "speed"),
        (["--config", "tiny.yaml", "--model.network", "no.such.Network"], "no.such.Network"),
        (["--config", "tiny.yaml", "--model.network_arguments", "{size: 3}"], "size"),
        (["--config", "tiny.yaml", "--data.batch_size", "0"], "batch_size"),
        (["--config", "tiny.yaml", "--data.train", "null"], "data.train"),
        (["--config", "tiny.yaml", "--ema", "1.5"], "--ema: must lie"),
        (["--config", "tiny.yaml", "--trainer.accelerator", "abacus"], "abacus"),
        (["--config", "tiny.yaml", "--trainer.devices", "0"], "devices"),
        (["--config", "tiny.yaml", "--trainer.max_epochs", "x"], "max_epochs"),
        (["--config", "broken.yaml"], "broken.yaml"),
        (["--config", "rooted.yaml"], "root: belongs on the command line"),
        (["--config", "tiny.yaml", "--model.learning_rat", "1"], "learning_rat"),
        (["--config", "tiny.yaml", "--resum"], "--resum"),
        (["--config", "mst-small-synthcity", "--root", "nowhere"], "nowhere: no such folder"),
        (["--config", "mst-huge-mars"], "configuration of that name (featup-brooklyn-queens"),
        (["--config", "tiny.yaml", "--data.train", ABSENT], "error: absent.csv: no such file"),
        (["--config", "tiny.yaml", "--data.val", f"[{ABSENT}]"], "error: absent.csv: no such"),
        (["--config", "tiny.yaml", "--data.transforms", LARGE], "error: Crop: scale"),
        ([], "data.train: no data set is given; --config"),
        (["--config", "tiny.yaml", "--out", "broken.yaml"], "--out: broken.yaml is a file"),
    ],
)
def test_unusable_configurations(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "tiny.yaml")
    write_config(tmp_path / "rooted.yaml", root="nowhere")
    (tmp_path / "broken.yaml").write_text("model: [1, 2\n")
    assert main(["fit", "--out", "run", *options]) == 2
    assert message in error_line(capfd)
    assert (tmp_path / "broken.yaml").read_text() == "model: [1, 2\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--weights"),
        (["--weights", "empty"], "empty"),
        (["--weights", "absent.ckpt"], "absent.ckpt"),
        (["--weights", "wrong.ckpt"], "is of another network"),
        (["--weights", "text.ckpt"], "not a PyTorch checkpoint"),
        (["--weights", "wrong.ckpt", "--out", "text.ckpt"], "--out: text.ckpt is a file; results"),
    ],
)
def test_unusable_weights(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "tiny.yaml")
    (tmp_path / "empty").mkdir()
    content = torch.load(trained / "best.ckpt", weights_only=True)
    content["state_dict"].pop("network.scale")
    torch.save(content, tmp_path / "wrong.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    assert main(["test", "--config", "tiny.yaml", "--out", "out", *options]) == 2
    assert message in error_line(capfd)
    assert not (tmp_path / "out").exists()


def test_bundled_configurations_root_and_the_test_city(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A bundled configuration by name trains on a made tree that ``--root`` names.

    ``fit`` does without the test city; ``test`` says how it is made, and takes it where it is.
    """
    make_tree(tmp_path / "tree", tiles=1, panoramas=2)
    monkeypatch.chdir(tmp_path)
    options = ["--root", "tree", "--model.network", "helpers.tiny.TinyNetwork"]
    options += ["--model.network_arguments", "{}", "--data.num_workers", "0"]
    for split in ("train", "val", "test"):
        options += [f"--data.{split}.overhead_size", "32", f"--data.{split}.street_size", "[8,32]"]
    command = ["--config", "mst-small-synthcity", *options]
    assert main(["fit", *command, "--out", "run", *SHORT]) == 0
    saved = yaml.safe_load(Path("run/config.yaml").read_text())["data"]
    roots = {split: saved[split]["init_args"]["root"] for split in ("train", "val", "test")}
    assert roots == {"train": "tree", "val": "tree", "test": "tree/test"}
    capfd.readouterr()
    command = ["--config", "run/config.yaml"]
    for name in ("test", "predict"):
        assert main([name, *command]) == 2
        line = error_line(capfd)
        assert "error: tree/test: no such folder" in line
        assert "cvsegguide synth tree --tiles N --validation N --test N" in line
    make_tree(tmp_path / "other" / "test", tiles=1, panoramas=2)
    assert main(["predict", *command, "--root", "other"]) == 0
    assert "of data.test (BrooklynQueens)" in capfd.readouterr().out


SHORT = ["--trainer.max_epochs", "1", "--data.num_workers", "0", "--trainer.logger", "false"]


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_help(capfd: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    shown = capfd.readouterr().out
    assert "--model.learning_rate" in shown
    first = " ".join(shown[: shown.index("--seed_everything")].split())
    for option in ("--config", "--root", "--out"):
        assert f"{option} " in first
    assert "bundled configuration" in first
    assert ("--resume" in first) == (command == "fit")
    assert ("--weights" in first) == (command != "fit")
    assert ("--sweep" in first) == (command == "test")
    assert "--json" in shown
    assert "--quiet" in shown
    assert f"example:\n  cvsegguide {command} --" in shown


def test_weights_without_validation_are_the_last(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for kind, changes in (("best", {}), ("last", {"val": None})):
        config = write_config(
            tmp_path / "tiny.yaml", data={**changes, "test": None}, trainer={"max_epochs": 1}
        )
        assert main(["fit", "--config", str(config), "--out", str(tmp_path / kind)]) == 0
        path = tmp_path / kind / "model.safetensors"
        assert f"{kind} weights: {path}" in capfd.readouterr().err
        assert load_model(path.parent).config() == {"width": 8, "guidance": "none"}
