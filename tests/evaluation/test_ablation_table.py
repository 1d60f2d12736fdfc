"""Ablations by a table of rows: what rows change, what is run, what the report says."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data.configurations import configuration_file
from cvsegguide.errors import ConfigurationError, TrainingError
from cvsegguide.evaluation.ablation_report import difference, median_ratio
from cvsegguide.evaluation.ablation_runs import Processes, Stopped, evaluations, run_table
from cvsegguide.evaluation.ablation_table import (
    EvaluationSet,
    TablePlan,
    check_rows,
    read_table,
)
from cvsegguide.training.callbacks import Interrupted
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
    content: dict[str, Any] = yaml.safe_load(configuration_file("geometric-synthcity").read_text())
    content["model"].pop("network_arguments", None)
    for split in ("train", "val", "test"):
        content["data"][split]["init_args"]["labels"] = ["landcover"]
    return content


def test_every_row_of_the_bundled_table_can_be_trained() -> None:
    table = read_table("geometric")
    bundled = yaml.safe_load(configuration_file("geometric-synthcity").read_text())
    searching = check_rows(TablePlan(bundled, table, steps=1))
    assert table.reference == "full"
    published = ["mst-small", "featup-lite0"]
    assert [name for name, searches in searching.items() if not searches] == published
    parts = ["guidance", "prior", "visibility", "range supervision", "pretraining"]
    for name in ("pooled", "not centred", *(f"no {part}" for part in parts)):
        assert name in searching


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
    plan = TablePlan(content, table, steps=10, evaluations=2, batch_size=8, learning_rate=1e-2)
    full, none, light, mst = (plan.configuration(run) for run in plan.rows())
    assert plan.rows()[1].name == "no-guidance-0"
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
    table = read_table("geometric").chosen(["full", "mst-small"])
    plan = TablePlan(content, table, steps=1, train=["a/b", "c"])
    for run, labels in zip(plan.rows(), (["landcover"], ["landcover", "sightline"]), strict=True):
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
    manifest = TablePlan(content, table, steps=1, train=["m.csv"])
    assert manifest.configuration(plan.rows()[0])["data"]["train"] == [
        {"class_path": "cvsegguide.data.Manifest", "init_args": {"path": "m.csv"}}
    ]


def test_headings_are_asked_of_networks_that_can_answer() -> None:
    tests = [EvaluationSet("one", ())]
    headings = ["known", "5", "unknown"]
    plan = TablePlan(base(), read_table("geometric"), tests=tests, headings=headings, steps=1)
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
        check_rows(TablePlan(base(), read_table(str(path)), steps=1))


def test_faults_of_plans(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = read_table("geometric")
    with pytest.raises(ConfigurationError, match="two test sets are called 'a'"):
        TablePlan(base(), table, tests=[EvaluationSet("a", ()), EvaluationSet("a", ())], steps=1)
    with pytest.raises(ConfigurationError, match="--rows 'charm': the table 'geometric' has full"):
        table.chosen(["charm"])
    assert [row.name for row in table.chosen(["pooled", "full"]).rows] == ["full", "pooled"]
    for heading in ("none", "-1", "181", "nan"):
        with pytest.raises(ConfigurationError, match=f"--headings {heading}: must be known, un"):
            TablePlan(base(), table, headings=[heading], steps=1)
    for command, message in (
        (["--train", "a"], "--train: does not go with --table guidance"),
        (["--table", "geometric", "--networks", "mst"], "--networks: does not go with --table"),
        (["--rows", "full"], "--rows: does not go with --table guidance"),
        (["--resident"], "--resident: does not go with --table guidance"),
        (["--table", "charm"], "--table charm: there is neither such a file nor"),
    ):
        assert main(["ablate", "--steps", "1", "--out", str(tmp_path), *command]) == 2
        assert message in capfd.readouterr().err


def test_difference_of_medians() -> None:
    generator = np.random.default_rng(0)
    reference = generator.exponential(5.0, (2, 101))
    found = difference(reference + 2.0, reference, statistic="median")
    assert found["value"] == pytest.approx(2.0)
    assert found["low"] == pytest.approx(2.0), "every resample says the same"
    outlier = reference.copy()
    outlier[[0, 1], reference.argmax(axis=1)] += 1000.0
    assert difference(outlier, reference, statistic="median")["value"] == pytest.approx(0.0)


def test_ratio_of_medians() -> None:
    generator = np.random.default_rng(0)
    reference = generator.exponential(5.0, (2, 101))
    found = median_ratio(3.0 * reference, reference)
    assert [found[key] for key in ("value", "low", "high")] == pytest.approx([3.0] * 3)
    assert median_ratio(reference + 1.0, reference)["low"] > 1.0


@pytest.mark.slow
def test_ablate_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    city, other = make_tree(tmp_path / "city", tiles=2, panoramas=2), tmp_path / "other"
    make_tree(other, tiles=1, panoramas=2)
    del city
    out = tmp_path / "out"
    mst = {"network": "mst-tiny", "losses": "corrected"}
    rows = {
        "pooled": {"network_arguments": {**SMALL, "pooled": True}},
        "full": {"network_arguments": SMALL},
        "mst": mst,
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(base()))
    table = write_table(tmp_path / "parts.yaml", rows, reference="full", config=str(config))
    command = ["ablate", "--table", str(table), "--root", str(tmp_path / "city")]
    command += ["--out", str(out), "--evaluations", "1", "--workers", "0", "--batch-size", "2"]
    command += ["--steps", "2", "--test", f"here={tmp_path / 'city'}"]
    assert main(command) == 0
    shown = capfd.readouterr()
    assert "row 1 of 3: full, seed 0" in shown.err
    assert "tile centre" in shown.out
    content = json.loads((out / "ablation.json").read_text())
    assert [(b["test"], b["heading"]) for b in content["evaluations"]] == [
        ("here", "known"),
        ("here", "unknown"),
    ]
    known, unknown = content["evaluations"]
    assert [row["name"] for row in known["rows"]] == ["full", "pooled", "mst"]
    assert [row["name"] for row in unknown["rows"]] == ["full", "pooled"], "mst knows no headings"
    assert unknown["rows"][0]["heading_median"] is not None
    assert known["rows"][0]["heading_median"] is None
    for block in (known, unknown):
        tables = [
            pd.read_parquet(out / f"{name}-0/test/here-{block['heading']}/predictions.parquet")
            for name in ("full", "pooled")
        ]
        means = [found.error_m.mean() for found in tables]
        assert block["rows"][0]["mean"] == pytest.approx(means[0])
        assert block["rows"][1]["mean_minus_reference"]["value"] == pytest.approx(
            means[1] - means[0]
        )
    text = (out / "ablation.md").read_text()
    assert "here, heading unknown: mean m" in text
    assert "| pooled-0 | network_arguments: " in text
    with Image.open(out / "ablation.png") as image:
        assert image.size[0] > 1000

    # Nothing finished is repeated: another test set costs its tests alone.
    trained: list[str] = []
    from cvsegguide.cli import fit

    run = fit.run

    def noted(argv: list[str]) -> int:
        trained.append(argv[0])
        return run(argv)

    monkeypatch.setattr(fit, "run", noted)
    assert main([*command, f"there={other}", "--headings", "known"]) == 0
    assert trained == ["test"] * 3
    trained.clear()
    assert main([*command, "--headings", "known", "5", "--rows", "mst", "full"]) == 0
    assert trained == ["test"] * 2
    assert "here, heading off by up to 5°: mean m" in (out / "ablation.md").read_text()
    assert main([*command, f"there={other}", "--headings", "known", "--report-only"]) == 0
    content = json.loads((out / "ablation.json").read_text())
    assert [(b["test"], b["samples"]) for b in content["evaluations"]] == [
        ("here", 4),
        ("there", 2),
    ]
    capfd.readouterr()
    assert main([*command[:-1], f"here={other}"]) == 2
    assert "was tested on other data of that name" in capfd.readouterr().err
    assert main([*command, "--learning-rate", "1"]) == 2
    assert "was made with other settings" in capfd.readouterr().err


def test_a_row_that_fails_does_not_take_the_others_along(tmp_path: Path) -> None:
    rows = {"full": {}, "a": {"network_arguments": {"prior": False}}, "b": {"weights": "w"}}
    table = read_table(str(write_table(tmp_path / "t.yaml", rows)))
    entry = {"class_path": "cvsegguide.data.Manifest", "init_args": {"path": "p"}}
    tests = [EvaluationSet("one", (entry,)), EvaluationSet("two", (entry,))]
    plan = TablePlan(base(), table, tests=tests, headings=["known"], steps=1)
    ran: list[tuple[str, str]] = []

    def execute(argv: list[str], folder: Path) -> int:
        out = Path(argv[argv.index("--out") + 1])
        ran.append((argv[0], str(out.relative_to(tmp_path))))
        if argv[0] == "fit":
            if folder.name == "a-0":
                raise TrainingError("the loss is not finite")
            (folder / "config.yaml").write_text("data: {}")
        if str(out).endswith("full-0/test/one-known"):
            return 1
        return 0

    said: list[str] = []
    searching = dict.fromkeys(rows, True)
    failed = run_table(plan, tmp_path, searching, execute, said.append)
    assert failed == ["full, seed 0: ended with status 1", "a, seed 0: the loss is not finite"]
    assert ran == [
        ("fit", "full-0"),
        ("test", "full-0/test/one-known"),
        ("test", "full-0/test/two-known"),
        ("fit", "a-0"),
        ("fit", "b-0"),
        ("test", "b-0/test/one-known"),
        ("test", "b-0/test/two-known"),
    ]
    assert "row 2 of 3: a, seed 0: failed: the loss is not finite" in said

    def stopped(argv: list[str], folder: Path) -> int:
        raise Interrupted("stopped on request", signal.SIGTERM)

    with pytest.raises(Interrupted):
        run_table(plan, tmp_path, searching, stopped, said.append)


def test_processes_end_with_this_one(tmp_path: Path) -> None:
    sleeper = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    processes = Processes([sys.executable, "-c", sleeper])
    marks = [tmp_path / "a.pid", tmp_path / "b.pid"]
    ends: list[BaseException] = []
    before = signal.getsignal(signal.SIGTERM)

    def work(mark: Path) -> None:
        try:
            processes.execute([str(mark)], tmp_path)
        except Stopped as stop:
            ends.append(stop)

    with processes:
        threads = [threading.Thread(target=work, args=(mark,)) for mark in marks]
        for thread in threads:
            thread.start()
        limit = time.monotonic() + 30
        while not all(mark.exists() and mark.read_text() for mark in marks):
            assert time.monotonic() < limit
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)
        for thread in threads:
            thread.join(30)
    assert [stop.exit_status for stop in ends if isinstance(stop, Stopped)] == [143, 143]
    for mark in marks:
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)
    assert signal.getsignal(signal.SIGTERM) == before
