"""The demonstration, with a small untrained network in the place of the bundled weights."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from cvsegguide.cli.main import main
from cvsegguide.models import create_model
from cvsegguide.models.hub import save_model
from helpers.commands import refusal


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    torch.manual_seed(0)
    sizes = {"overhead_size": [256, 256], "street_size": [128, 512]}
    save_model(create_model("geometric-tiny", **sizes), folder / "model")
    out = folder / "out"
    arguments = ["demo", "--out", str(out), "--tiles", "2", "--samples", "3"]
    assert main([*arguments, "--model", str(folder / "model"), "--json"]) == 0
    return out


def test_metrics_agree_with_the_table_of_predictions(demonstration: Path) -> None:
    figures = json.loads((demonstration / "metrics.json").read_text())
    table = pq.read_table(demonstration / "predictions.parquet").to_pydict()
    errors = table["error_m"]
    assert 1 <= len(errors) <= 3
    assert figures["position"]["mean"] == pytest.approx(sum(errors) / len(errors))
    for i, error in enumerate(errors):
        rows = table["row"][i] - table["row_true"][i]
        cols = table["col"][i] - table["col_true"][i]
        assert error == pytest.approx(table["gsd"][i] * (rows**2 + cols**2) ** 0.5, abs=1e-3)
    assert {"center", "uniform"} & set(figures["baselines"])


def test_the_report_has_its_pictures(demonstration: Path) -> None:
    page = (demonstration / "report.html").read_text()
    names = {path.name for path in (demonstration / "pictures").iterdir()}
    assert {"errors.png", "calibration.png", "best.jpg"} <= names
    assert page.count("<img ") == len(names)
    assert len(page) < 3_000_000


def test_best_and_worst_are_localised_with_all_files(demonstration: Path) -> None:
    wanted = {"result.json", "posterior.tif", "landcover.tif", "regions.geojson", "figure.png"}
    for name in ("best", "median", "worst"):
        assert {path.name for path in (demonstration / name).iterdir()} == wanted


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [("--tiles", 0, "--tiles"), ("--samples", -1, "--samples"), ("--model", "none", "none")],
)
def test_faults_leave_nothing_behind(
    option: str, value: object, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fault in refusal(["demo", "--out", tmp_path / "out", option, value], capsys, tmp_path)
