"""``cvsegguide figures``: which samples and models get into the pictures, and what is refused."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data import BrooklynQueens
from cvsegguide.models import create_model
from cvsegguide.models.hub import save_model
from helpers.brooklyn_queens import make_tree
from helpers.commands import refusal


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of two tiles with two panoramas each, and an untrained model."""
    folder = tmp_path_factory.mktemp("figures")
    make_tree(folder / "bq")
    torch.manual_seed(0)
    save_model(create_model("mst-tiny"), folder / "model")
    return folder


def ids(world: Path) -> list[str]:
    dataset = BrooklynQueens(world / "bq", "queens", labels=("landcover",))
    return [dataset.sample_id(index) for index in range(len(dataset))]


def record(folder: Path) -> dict:
    return json.loads((folder / "comparison.json").read_text())


def test_samples_by_id_and_models_by_title(world, tmp_path, capsys) -> None:
    names = ids(world)
    model = str(world / "model")
    line = f"--root {world / 'bq'} --models One={model} Two={model} --out {tmp_path} --dpi 50"
    line += f" --formats png pdf --ids {names[2]} {names[1][-12:]}"
    assert main(["figures", *line.split()]) == 0
    out = capsys.readouterr().out.split()
    assert out == [str(tmp_path / f"comparison.{kind}") for kind in ("png", "pdf", "json")]
    found = record(tmp_path)
    assert list(found) == [names[2], names[1]]
    assert list(found[names[2]]) == ["One", "Two"]
    assert found[names[2]]["One"] == found[names[2]]["Two"]
    assert Image.open(tmp_path / "comparison.png").size[0] == 358


def test_best_and_worst_of_a_table(world, tmp_path) -> None:
    names = ids(world)
    table = tmp_path / "predictions.parquet"
    pq.write_table(pa.table({"id": names, "error_m": [3.0, 9.0, 1.0, 2.0]}), table)
    config = tmp_path / "config.yaml"
    init = {"root": "elsewhere", "city": "queens", "labels": ["landcover"]}
    entry = {"class_path": "cvsegguide.data.BrooklynQueens", "init_args": init}
    config.write_text(yaml.safe_dump({"data": {"test": entry}}))
    line = f"--config {config} --root {world / 'bq'} --best 2 --worst 1 --predictions {table}"
    line += f" --models {world / 'model'} --per-page 2 --dpi 40 --out {tmp_path / 'out'}"
    assert main(["figures", *line.split()]) == 0
    assert list(record(tmp_path / "out")) == [names[2], names[3], names[1]]
    names = ["comparison-1.png", "comparison-2.png", "comparison.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_another_city_by_an_argument_of_the_data_set(world, tmp_path) -> None:
    line = f"--root {world / 'bq'} --data city=brooklyn labels=[landcover] --count 1 --dpi 40"
    assert (
        main(["figures", *line.split(), "--models", str(world / "model"), "--out", str(tmp_path)])
        == 0
    )
    (name,) = record(tmp_path)
    assert name not in ids(world)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "--root or --config"),
        (["--root", "."], "known data sets"),
        (["--root", "BQ", "--ids", "nobody"], "--ids: nobody"),
        (["--root", "BQ", "--best", "1"], "--predictions"),
        (["--root", "BQ", "--best", "1", "--predictions", "nofile"], "nofile"),
        (["--root", "BQ", "--best", "-1"], "--best"),
        (["--root", "BQ", "--data", "city"], "--data city"),
        (["--root", "BQ", "--data", "city=nowhere"], "city"),
        (["--root", "BQ", "--data", "town=queens"], "town"),
        (["--config", "no.yaml"], "no.yaml"),
        (["--root", "BQ", "--models", "nomodel"], "nomodel"),
        (["--root", "BQ", "--count", "1", "--ids", "a"], "--count"),
    ],
)
def test_faults_are_named_and_leave_nothing(world, tmp_path, monkeypatch, capsys, arguments, fault):
    monkeypatch.chdir(tmp_path)
    arguments = [str(world / "bq") if part == "BQ" else part for part in arguments]
    assert fault in refusal(["figures", *arguments], capsys, tmp_path)
