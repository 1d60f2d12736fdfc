"""Ablations: what rows change, what is run, what the report says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data.configurations import read_configuration
from cvsegguide.errors import ConfigurationError
from cvsegguide.experiments.ablation import Plan, check_rows
from cvsegguide.experiments.ablation_report import compare
from cvsegguide.experiments.ablation_runs import evaluations
from cvsegguide.experiments.ablation_table import read_table
from cvsegguide.models.backbones.convolutional import has_lite0_weights
from helpers.brooklyn_queens import make_tree

SMALL = {
    "features": 8,
    "overhead_size": [64, 64],
    "street_size": [32, 128],
    "gsd": 0.9,
    "overhead_widths": [8, 8, 8, 8],
    "street_widths": [8, 8, 8, 8],
}


def write_table(path: Path, rows: dict[str, Any], **more: Any) -> Path:
    path.write_text(yaml.safe_dump({"rows": rows, **more}, sort_keys=False))
    return path


def base() -> dict[str, Any]:
    """The bundled configuration without what changes with its recipe."""
    content = read_configuration("geometric-synthcity")
    content["model"].pop("network_arguments", None)
    for split in ("train", "val", "test"):
        content["data"][split]["init_args"]["labels"] = ["landcover"]
    return content


def test_every_row_of_a_bundled_table_can_be_trained() -> None:
    plan = Plan(read_configuration("geometric-synthcity"), read_table("geometric"), steps=1)
    published = ["mst-small", "featup-lite0"]
    found = check_rows(plan)
    assert [name for name, searches in found.items() if not searches] == published
    parts = ["guidance", "prior", "visibility", "range supervision", "pretraining"]
    for name in ("pooled", "not centred", *(f"no {part}" for part in parts)):
        assert name in found


def test_the_rows_of_guidance_differ_in_guidance_and_recipe() -> None:
    table = read_table("guidance")
    assert len(table.choose().rows) == 6
    names = [row.name for row in table.rows if "featup" not in row.name or has_lite0_weights()]
    table = table.choose([name for name in names if "dino" not in name])
    plan = Plan(read_configuration("mst-small-synthcity"), table, steps=10, augmentation=False)
    assert not any(check_rows(plan).values())
    models = {run.row.name: plan.configuration(run) for run in plan.runs()}
    none, true = (models[f"mst {guidance}"] for guidance in ("none", "truth"))
    arguments = none["model"]["network_arguments"]
    assert arguments["overhead_size"] == [64, 64]
    assert arguments["street_size"] == [32, 128]
    assert arguments["gsd"] == pytest.approx(4 * 0.2262)
    assert none["data"] == true["data"]
    assert none["data"]["test"]["init_args"]["street_size"] == [32, 128]
    assert {**arguments, "guidance": "truth"} == true["model"]["network_arguments"]
    published = models["mst published"]["model"]
    assert (published["losses"], published["network_arguments"]["variant"]) == ("published",) * 2


def test_rows_change_what_they_name(tmp_path: Path) -> None:
    rows = {
        "full": {},
        "No  guidance!": {"network_arguments": {"guidance": "none"}},
        "weights": {"loss_weights": {"prior": 0}},
        "mst": {
            "network": "mst-tiny",
            "losses": "corrected",
            "batch_size": 5,
            "learning_rate_factor": 0.5,
            "sightlines": True,
        },
    }
    content = base()
    content["model"]["network_arguments"] = {"features": 16, "gsd": 0.3}
    content["model"]["loss_weights"] = {"position": 3.0}
    content["model"]["weights"] = "elsewhere"
    table = read_table(str(write_table(tmp_path / "t.yaml", rows)))
    changes = {"data.batch_size": 8, "model.learning_rate": 1e-2}
    plan = Plan(content, table, steps=10, evaluations=2, changes=changes)
    full, none, light, mst = (plan.configuration(run) for run in plan.runs())
    assert plan.runs()[1].name == "no-guidance-0"
    assert full["model"]["network_arguments"] == {"features": 16, "gsd": 0.3}
    assert "weights" not in full["model"], "they would bring a network of their own"
    assert none["model"].pop("network_arguments") == {
        "features": 16,
        "gsd": 0.3,
        "guidance": "none",
    }
    assert light["model"].pop("loss_weights") == {"position": 3.0, "prior": 0}
    for row in (none, light):  # and nothing else
        assert row["data"] == full["data"]
        assert row["trainer"] == full["trainer"]
        assert {**full["model"], **row["model"]} == full["model"]
    assert full["trainer"]["max_steps"] == 10
    assert full["data"]["train"]["init_args"]["labels"] == ["landcover"]
    # The other network gets nothing of the first one's but the size of a pixel.
    assert mst["model"]["network_arguments"] == {"gsd": 0.3}
    assert mst["model"]["learning_rate"] == 5e-3
    for name in ("loss_weights", "heading_turns", "position_sigma_m"):
        assert name not in mst["model"]
    assert mst["data"]["transforms"] == full["data"]["transforms"]
    assert mst["data"]["train"]["init_args"]["labels"] == ["landcover", "sightline"]
    assert mst["trainer"]["max_steps"] * 5 == 80, "as many pairs as 10 steps of 8"
    assert mst["trainer"]["limit_train_batches"] == 8


def test_several_trees_are_read_as_the_configured_one() -> None:
    content = base()
    content["data"]["train"]["init_args"]["overhead_size"] = 64
    table = read_table("geometric").choose(["full", "mst-small"])
    plan = Plan(content, table, steps=1, train=["a/b", "c"])
    for run, labels in zip(plan.runs(), (["landcover"], ["landcover", "sightline"]), strict=True):
        arguments = {"city": "brooklyn", "labels": labels, "overhead_size": 64}
        assert plan.configuration(run)["data"]["train"] == [
            {
                "class_path": "cvsegguide.data.BrooklynQueens",
                "init_args": {"root": place, **arguments},
            }
            for place in ("a/b", "c")
        ]
    assert content["data"]["train"]["init_args"]["labels"] == ["landcover"], "not written to"
    content["data"]["train"] = {"class_path": "cvsegguide.data.Manifest"}
    manifest = Plan(content, table, steps=1, train=["m.csv"])
    assert manifest.configuration(plan.runs()[0])["data"]["train"] == [
        {"class_path": "cvsegguide.data.Manifest", "init_args": {"path": "m.csv"}}
    ]


def test_headings_are_asked_of_networks_that_can_answer() -> None:
    headings = ["known", "5", "unknown"]
    plan = Plan(base(), read_table("geometric"), tests={"one": ()}, headings=headings, steps=1)
    folders = [place for *_, place in evaluations(plan, searching=True)]
    assert folders == ["test/one-known", "test/one-5", "test/one-unknown"]
    assert [place for *_, place in evaluations(plan, searching=False)] == folders[:2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "has no rows"),
        ({"a": {"network_arguments": 1}}, "row 'a': network_arguments must hold entries"),
        ({"a": {"batch_size": 0}}, "row 'a': batch_size is 0"),
        ({"a": {"weights": "w", "network": "mst"}}, "row 'a': weights bring their own network"),
        ({"a b": {}, "a-b": {}}, "needs a name of its own"),
        ({"a": {"loss_weights": {"charm": 1}}}, "row 'a': loss_weights: there is no term 'charm'"),
        ({"a": {"network_arguments": {"charm": 1}}}, "row 'a': model 'geometric'"),
    ],
)
def test_faults_of_tables(tmp_path: Path, rows: dict[str, Any], message: str) -> None:
    path = write_table(tmp_path / "t.yaml", rows)
    with pytest.raises(ConfigurationError, match=message):
        check_rows(Plan(base(), read_table(str(path)), steps=1))


def test_faults_of_plans(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_tree(tmp_path / "city", tiles=1, panoramas=1)
    city = str(tmp_path / "city")
    for command, message in (
        (["--table", "charm"], "--table: there is neither a file 'charm' nor"),
        (["--rows", "charm"], "--rows: the table 'guidance' has mst none, mst predicted"),
        (["--test", f"a={city}", f"a={city}"], "--test: two test sets are called 'a'"),
        (["--test", f"a/b={city}"], "cannot name a folder"),
        (["--batch-size", "0"], "--batch-size: must be at least 1, got 0"),
        (["--epochs", "1"], "--steps, --epochs: give one of them"),
        (["--root", city], f"{tmp_path / 'city' / 'test'}: no such folder"),
        (["--test", str(tmp_path / "nowhere")], f"{tmp_path / 'nowhere'}: no such folder"),
        (["--report-only"], "no row of the ablation is finished"),
        *(
            (["--headings", heading], f"--headings: must be known, unknown or degrees from 0 to 180"
             f", got {heading}")
            for heading in ("none", "-1", "181", "nan")
        ),
    ):  # fmt: skip
        assert main(["ablate", "--steps", "1", "--out", str(tmp_path / "out"), *command]) == 2
        assert message in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_comparisons_are_paired() -> None:
    generator = np.random.default_rng(0)
    reference = generator.exponential(20.0, (1, 201))
    found = compare(reference - 1.0, reference)
    for name in ("mean_difference", "median_difference"):  # every sample says the same
        assert [found[name][key] for key in ("value", "low", "high")] == pytest.approx([-1.0] * 3)
    threefold = compare(3.0 * reference, reference)["median_ratio"]
    assert [threefold[key] for key in ("value", "low", "high")] == pytest.approx([3.0] * 3)
    noisy = compare(generator.permutation(reference.T).T, reference)["mean_difference"]
    assert noisy["value"] == pytest.approx(0.0)
    assert noisy["low"] < -2 < 2 < noisy["high"]
    outlier = reference.copy()
    outlier[0, reference.argmax()] += 1000.0
    assert compare(outlier, reference)["median_difference"]["value"] == pytest.approx(0.0)


@pytest.mark.slow
def test_ablate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_tree(tmp_path / "city", tiles=2, panoramas=2)
    make_tree(tmp_path / "other", tiles=1, panoramas=2)
    out = tmp_path / "out"
    rows = {
        "mst": {"network": "mst-tiny", "losses": "corrected", "against": "full"},
        "full": {"network_arguments": SMALL},
        "burst": {"network_arguments": SMALL, "learning_rate_factor": 1e30},
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(base()))
    table = write_table(tmp_path / "parts.yaml", rows, reference="full", config=str(config))
    command = ["ablate", "--table", str(table), "--root", str(tmp_path / "city")]
    command += ["--out", str(out), "--evaluations", "1", "--workers", "0", "--batch-size", "2"]
    command += ["--steps", "2"]
    here, there = f"here={tmp_path / 'city'}", f"there={tmp_path / 'other'}"
    # A row that fails does not take the others along.
    assert main([*command, "--test", here]) == 2
    shown = capfd.readouterr()
    assert "row 1 of 3: full, seed 0" in shown.err
    assert "error: not finished: burst, seed 0: ended with status 1: " in shown.err
    assert "finite" in shown.err.splitlines()[-1]
    assert "tile centre" in shown.out
    command += ["--rows", "full", "mst"]
    content = json.loads((out / "ablation.json").read_text())
    assert content["missing"] == ["burst-0"]
    known, unknown = content["evaluations"]
    assert [(b["test"], b["heading"]) for b in (known, unknown)] == [
        ("here", "known"),
        ("here", "unknown"),
    ]
    assert [row["name"] for row in known["rows"]] == ["full", "mst"]
    assert [row["name"] for row in unknown["rows"]] == ["full"], "mst knows no headings"
    assert unknown["rows"][0]["heading_median"] is not None
    assert known["rows"][0]["heading_median"] is None
    full, mst = (
        pd.read_parquet(out / f"{name}-0/test/here-known/predictions.parquet").error_m.mean()
        for name in ("full", "mst")
    )
    assert known["rows"][0]["mean"] == pytest.approx(full)
    assert known["rows"][1]["mean_difference"]["value"] == pytest.approx(mst - full)
    text = (out / "ablation.md").read_text()
    assert "## here, heading unknown (4 street views" in text
    assert "| full-0 | network_arguments: " in text
    assert "Command: `cvsegguide ablate --table " in text
    with Image.open(out / "ablation.png") as image:
        assert image.size[0] > 1000

    # Nothing finished is repeated: another test set costs its tests alone.
    before = (out / "full-0" / "row.json").stat().st_mtime_ns
    capfd.readouterr()
    assert main([*command, "--test", here, there, "--headings", "known", "--json"]) == 0
    shown = capfd.readouterr()
    content = json.loads(shown.out)
    assert content == json.loads((out / "ablation.json").read_text())
    assert shown.err.count("testing on there, heading known") == 2
    assert "testing on here" not in shown.err
    assert (out / "full-0" / "row.json").stat().st_mtime_ns == before
    sizes = [(block["test"], block["samples"]) for block in content["evaluations"]]
    assert sizes == [("here", 4), ("there", 2)]
    command += ["--test"]
    assert main([*command, here, "--headings", "5", "--report-only"]) == 2, "nothing is tested so"
    assert main([*command, here.replace("city", "other")]) == 2
    assert "was tested on other data called 'here'" in capfd.readouterr().err
    assert main([*command, here, "--learning-rate", "1"]) == 2
    assert "was made with other settings" in capfd.readouterr().err


def test_an_interrupted_ablation_ends_its_process(tmp_path: Path) -> None:
    """The row writes into a pipe once it runs: nothing here waits for a clock."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sleeper = f"import os, time; print(os.getpid(), file=open({str(pipe)!r}, 'w')); time.sleep(60)"
    parent = f"""
import pathlib, signal, sys
folder = pathlib.Path({str(tmp_path)!r})
from cvsegguide.experiments.ablation_runs import Process
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
Process(program=[sys.executable, "-c", {sleeper!r}]).execute([], folder, "")
"""
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        row = int(pipe.read_text())
        process.terminate()
        assert process.wait() == 7
    with pytest.raises(ProcessLookupError):
        os.kill(row, 0)
