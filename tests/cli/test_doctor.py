"""The report on an installation, healthy and otherwise."""

import json
import os
from pathlib import Path

import pytest

from cvsegguide.cli import doctor
from cvsegguide.cli.main import main
from cvsegguide.errors import CheckpointError


@pytest.fixture(scope="module")
def findings() -> dict[tuple[str, str], doctor.Finding]:
    """What it finds here, without a network: torch is asked once for all tests."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket.connect", refuse)
        patch.setattr("socket.getaddrinfo", refuse)
        return {(finding.group, finding.name): finding for finding in doctor.examine()}


def test_this_installation_works(findings: dict[tuple[str, str], doctor.Finding]) -> None:
    import torch

    assert [finding for finding in findings.values() if finding.state == "broken"] == []
    assert "synthcity" in findings["works", "bundled weights"].text
    assert findings["versions", "torch"].text.split("+")[0] == torch.__version__.split("+")[0]
    assert findings["machine", "device"].text.split()[0].split(":")[0] in ("cpu", "cuda", "mps")
    assert "PROJ" in findings["works", "coordinate systems"].text
    for finding in findings.values():
        assert "\n" not in finding.text
        assert finding.remedy or finding.state == "ok", "what is amiss has a remedy"
    for name in ("onnxruntime", "aiohttp", "playwright"):
        assert any(name in f"{entry.name} {entry.text}" for entry in findings.values())


def test_json_and_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        doctor.Finding("versions", "python", "ok", "3.11"),
        doctor.Finding("extras", "app", "absent", "no aiohttp", "pip install 'cvsegguide[app]'"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: rows)
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert report["findings"][1]["remedy"] == "pip install 'cvsegguide[app]'"
    rows.append(doctor.Finding("works", "bundled weights", "broken", "gone", "reinstall"))
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["healthy"] is False
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "broken: bundled weights" in out
    assert "-> pip install 'cvsegguide[app]'" in out
    assert main(["--version", "-v", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["version"]


def test_a_fault_is_found_and_does_not_end_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise CheckpointError("weights/synthcity: no model.safetensors in this folder")

    def collapse() -> None:
        raise RuntimeError("nothing to see")

    for name in ("_torchvision", "_coordinates", "_geotiff", "_kernels", "_figures", "_training"):
        monkeypatch.setattr(doctor, name, lambda: "fine")
    monkeypatch.setattr(doctor, "_weights", refuse)
    monkeypatch.setattr(doctor, "_machine", collapse)
    states = {(finding.group, finding.name): finding for finding in doctor.examine()}
    weights = states["works", "bundled weights"]
    assert weights.state == "broken"
    assert "no model.safetensors" in weights.text
    assert states["machine", "machine"].state == "broken"
    assert states["works", "figures"].state == "ok"


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata,
        "requires",
        lambda name: ["absent-core>=1", "numpy>=999", "absent-web>=5; extra == 'web'"],
    )
    versions = {finding.name: finding for finding in doctor._versions()}
    assert versions["absent-core"].state == "broken"
    assert versions["absent-core"].remedy == "pip install 'absent-core>=1'"
    assert versions["numpy"].state == "weak"
    extras = {finding.name: finding for finding in doctor._extras()}
    assert extras["web"].state == "absent"
    assert extras["web"].remedy == "pip install 'cvsegguide[web]'"


def test_folders_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    assert doctor._writable(tmp_path / "not" / "yet")[0]
    assert not (tmp_path / "not").exists(), "looking changes nothing"
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: str(file / "below"))
    found = {finding.name: finding for finding in doctor._folders()}["temporary files"]
    assert found.state == "broken"
    assert "TMPDIR" in found.remedy
    assert os.listdir(tmp_path) == ["file"]
