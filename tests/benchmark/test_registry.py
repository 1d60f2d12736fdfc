"""Benchmarks through the command line, with a stand-in subject whose figures are known."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cvsegguide.benchmark import registry
from cvsegguide.cli.main import main


def test_median_and_ratio_reach_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = ModuleType("cvsegguide.benchmark.standin")
    subject.measure = lambda quick: [  # type: ignore[attr-defined]
        registry.Measurement("answer", 1.5, "s", 6.0, "slow way", f"quick={quick}")
    ]
    monkeypatch.setitem(sys.modules, subject.__name__, subject)
    monkeypatch.setattr(registry, "SUBJECTS", ("standin",))
    path = tmp_path / "report.json"
    assert main(["benchmark", "standin", "--quick", "--json", "--out", str(path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(path.read_text())
    (row,) = report["measurements"]
    assert row["ratio"] == 0.25
    assert row["note"] == "quick=True"
    assert report["machine"]["cores"] >= 1


def test_a_failure_loses_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(quick: bool) -> Iterator[registry.Measurement]:
        yield registry.Measurement("before", 1.0, "s")
        raise RuntimeError("no memory\nand more")

    subjects = {"fragile": breaks, "sound": lambda quick: [registry.Measurement("after", 2.0, "s")]}
    for name, measure in subjects.items():
        module = ModuleType(f"cvsegguide.benchmark.{name}")
        module.measure = measure  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "SUBJECTS", tuple(subjects))
    path = tmp_path / "report.json"
    assert main(["benchmark", "--out", str(path)]) == 1
    report = json.loads(path.read_text())
    assert [row["name"] for row in report["measurements"]] == ["before", "after"]
    assert report["failures"] == [{"subject": "fragile", "error": "RuntimeError: no memory"}]
    assert set(report["seconds"]) == set(subjects)
    printed = capsys.readouterr()
    assert "after" in printed.out
    assert "fragile failed: RuntimeError: no memory" in printed.err


def test_functions_take_turns() -> None:
    calls: list[str] = []
    first, second = registry.median_seconds(
        lambda: calls.append("a"),
        lambda: (calls.append("b"), time.sleep(0.01)),
        repeats=3,
        warmup=1,
    )
    assert calls == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert first < second
