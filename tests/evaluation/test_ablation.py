"""The ablation: its rows, its arithmetic, its files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.errors import ConfigurationError, DatasetError
from cvsegguide.evaluation.ablation import Plan, Row, run_rows
from cvsegguide.evaluation.ablation_report import difference, summary
from helpers.brooklyn_queens import make_tree

BASE: dict[str, Any] = {
    "model": {"network": "x", "network_arguments": {"gsd": 0.2}, "learning_rate": 0.1},
    "data": {"train": {"class_path": "A"}, "test": [{"class_path": "B"}], "batch_size": 4},
}


def test_figures_of_several_seeds() -> None:
    errors = np.array([[1.0, 2.0, 3.0, 10.0], [3.0, 4.0, 5.0, 20.0]])
    figures = summary(errors)
    assert figures["mean"] == pytest.approx(6.0)
    assert figures["median"] == pytest.approx((2.5 + 4.5) / 2)
    assert figures["recall_5m"] == pytest.approx(6 / 8)
    assert figures["mean_of_seeds"] == [4.0, 8.0]
    assert figures["mean_low"] < 6.0 < figures["mean_high"]
    # Samples are drawn, with all their seeds: no interval is wider than the samples' own means.
    assert figures["mean_low"] >= 2.0
    assert figures["mean_high"] <= 15.0


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(0)
    reference = generator.exponential(20.0, (1, 200))
    better = difference(reference - 1.0, reference)
    assert better["value"] == pytest.approx(-1.0)
    assert better["low"] == pytest.approx(-1.0), "every sample says the same"
    assert better["high"] == pytest.approx(-1.0)
    noisy = difference(generator.permutation(reference.T).T, reference)
    assert noisy["value"] == pytest.approx(0.0)
    assert noisy["low"] < -2
    assert noisy["high"] > 2


def test_rows_share_everything_but_their_subject() -> None:
    plan = Plan(BASE, recipes=("corrected", "published"), seeds=(0, 1), steps=10, evaluations=4)
    rows = plan.rows()
    assert len(rows) == len({row.name for row in rows}) == 2 * 3 * 2 * 2
    contents = [plan.configuration(row, Path("f")) for row in rows]
    for content in contents:
        assert content["trainer"] == {
            "max_steps": 10,
            "max_epochs": -1,
            "limit_train_batches": 3,
        }
        assert content["data"] == contents[0]["data"]
        assert content["model"]["learning_rate"] == 0.1
        assert content["model"]["network_arguments"]["gsd"] == pytest.approx(0.8)
        assert content["model"]["network_arguments"]["overhead_size"] == [64, 64]
    assert contents[0]["data"]["test"][0]["init_args"] == {
        "overhead_size": 64,
        "street_size": [32, 128],
    }
    published = contents[rows.index(Row("mst", "truth", "published", 1))]
    assert published["model"]["losses"] == "published"
    assert published["model"]["network_arguments"]["variant"] == "published"
    assert published["seed_everything"] == 1
    frozen = contents[rows.index(Row("featup", "none", "corrected", 0))]["model"]
    assert frozen["network_arguments"]["backbone"] == "tf_efficientnet_lite0"
    assert "init_args" not in BASE["data"]["train"], "the configuration is copied"
    trained = {**BASE, "model": {**BASE["model"], "weights": "w"}}
    trained["trainer"] = {"accumulate_grad_batches": 2}
    other = Plan(trained, steps=10, evaluations=4).configuration(rows[0], Path("f"))
    assert "weights" not in other["model"], "they would stand in for every row's network"
    assert other["trainer"]["limit_train_batches"] == 6, "three steps"
    dino = Plan(BASE, epochs=2, backbone="dino").configuration(rows[0], Path("f"))
    assert "backbone_arguments" not in dino["model"]["network_arguments"]


def test_one_budget() -> None:
    for budget in ({}, {"steps": 1, "epochs": 1}, {"steps": 0}):
        with pytest.raises(ConfigurationError, match="--steps"):
            Plan(BASE, **budget)  # type: ignore[arg-type]


def test_settings_may_change_until_a_row_has_begun(tmp_path: Path) -> None:
    one, two = (Plan(BASE, networks=("mst",), guidance=("none",), steps=steps) for steps in (1, 2))
    ran: list[str] = []

    def fails(argv: list[str]) -> int:
        raise DatasetError("no such folder")

    def runs(argv: list[str]) -> int:
        ran.append(argv[0])
        return 0

    with pytest.raises(DatasetError):
        run_rows(one, tmp_path, fails, print)
    run_rows(two, tmp_path, runs, print)
    assert ran == ["fit", "test"]
    (tmp_path / "mst-none-corrected-0" / "last.ckpt").touch()
    with pytest.raises(ConfigurationError, match="was made with other settings"):
        run_rows(one, tmp_path, runs, print)


def test_faults_of_test_data_are_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And rows of MST alone need no pretrained backbone."""
    make_tree(tmp_path / "city", tiles=1, panoramas=1)
    monkeypatch.setattr("cvsegguide.evaluation.ablation.has_lite0_weights", lambda: False)
    command = ["ablate", "--root", str(tmp_path / "city"), "--out", str(tmp_path / "out")]
    command += ["--networks", "mst", "--steps", "1"]
    assert main(command) == 2
    assert f"error: {tmp_path / 'city' / 'test'}: no such folder" in capfd.readouterr().err
    assert main([*command, "--test-root", str(tmp_path / "nowhere")]) == 2
    assert f"error: {tmp_path / 'nowhere'}: no such folder" in capfd.readouterr().err
    assert main(["ablate", "--out", str(tmp_path / "out"), "--steps", "1"]) == 2
    assert "no such folder" in capfd.readouterr().err, "the data come before the backbone"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ablate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make_tree(tmp_path / "city", tiles=2, panoramas=2)
    out = tmp_path / "out"
    command = ["ablate", "--root", str(tmp_path / "city"), "--test-root", str(tmp_path / "city")]
    command += ["--guidance", "none", "predicted", "--backbone", "efficientnet-lite0"]
    command += ["--evaluations", "1", "--workers", "0", "--no-augmentation", "--out", str(out)]
    assert main([*command, "--steps", "2"]) == 0
    shown = capfd.readouterr()
    assert "row 4 of 4: mst, guidance predicted" in shown.err
    assert "tile centre" in shown.out
    content = json.loads((out / "ablation.json").read_text())
    assert content["backbone"] == "tf_efficientnet_lite0"
    assert content["samples"] == 4
    assert content["missing"] == []
    assert [(group["network"], group["guidance"]) for group in content["groups"]] == [
        ("featup", "none"),
        ("featup", "predicted"),
        ("mst", "none"),
        ("mst", "predicted"),
    ]
    tables = {
        name: pd.read_parquet(out / name / "test" / "predictions.parquet")
        for name in ("mst-none-corrected-0", "mst-predicted-corrected-0")
    }
    means = [table.error_m.mean() for table in tables.values()]
    assert content["groups"][2]["mean"] == pytest.approx(means[0])
    assert content["groups"][3]["mean_minus_none"]["value"] == pytest.approx(means[1] - means[0])
    text = (out / "ablation.md").read_text()
    assert "Command: `cvsegguide ablate --table guidance --root " in text
    for words in ("`tf_efficientnet_lite0`", "| mst | predicted |", "| land-cover prior |"):
        assert words in text
    with Image.open(out / "ablation.png") as image:
        assert image.size[0] > 1000
    assert list((out / "features").rglob("*.safetensors")), "features of the frozen backbone"

    # Finished rows are not repeated; a row that is missing is made, and nothing else.
    trained: list[list[str]] = []
    from cvsegguide.cli import fit

    run = fit.run

    def noted(argv: list[str]) -> int:
        trained.append(argv)
        return run(argv)

    monkeypatch.setattr(fit, "run", noted)
    assert main([*command, "--steps", "2"]) == 0
    assert trained == []
    (out / "mst-none-corrected-0" / "test" / "metrics.json").unlink()
    assert main([*command, "--steps", "2"]) == 0
    assert [argv[0] for argv in trained] == ["fit", "test"]
    again = pd.read_parquet(out / "mst-none-corrected-0" / "test" / "predictions.parquet")
    pd.testing.assert_frame_equal(again, tables["mst-none-corrected-0"])
    capfd.readouterr()
    assert main([*command, "--steps", "2", "--report-only", "--json"]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out) == json.loads((out / "ablation.json").read_text())
    assert main([*command, "--steps", "3"]) == 2
    assert "was made with other settings" in capfd.readouterr().err
    assert main(["ablate", "--report-only", "--steps", "2", "--out", str(tmp_path / "no")]) == 2
