"""Benchmarks: what they report is what they measure."""

import json
import time
from pathlib import Path

import pytest
import torch

from cvsegguide.benchmark.measurement import Task, measure
from cvsegguide.cli.main import main


def test_a_value_is_of_one_unit() -> None:
    def value(unit: str) -> float:
        return Task("four pairs", lambda: None, amount=4, unit=unit).value(2.0)

    assert (value("s"), value("ms"), value("pairs/s")) == (0.5, 500.0, 2.0)


def test_time_is_that_of_a_run_that_is_warm() -> None:
    lengths = iter([1.0, 0.0, 0.5, 0.0])
    (row,) = measure(Task("sleep", lambda: time.sleep(next(lengths)), unit="s", repeats=3))
    assert row.value < 0.5 <= max(row.values)
    assert len(row.values) == 3


def test_memory_is_what_a_run_adds() -> None:
    rows = measure(Task("a hundred megabytes", lambda: b"x" * 100_000_000, memory=True))
    for row in rows[1:]:  # Linux alone tells
        assert row.unit == "MB"
        assert 80 < row.value < 250


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU there is a failure to see")
def test_report_and_a_failure_that_loses_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    assert main(["benchmark", "gpu", "segment", "--quick", "--json", "--out", str(path)]) == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report == json.loads(path.read_text())
    assert report["failures"] == [{"subject": "gpu", "error": "InputError: no CUDA device is here"}]
    assert "gpu failed: InputError: no CUDA device is here" in printed.err
    assert [row["name"] for row in report["measurements"]] == [
        "segment 1240 x 1240 pixels",
        "segment 1240 x 1240 pixels, memory added",
    ]
    assert report["measurements"][0]["value"] > 0
    assert report["machine"]["cores"] >= 1
