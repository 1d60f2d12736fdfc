"""The report on an installation, healthy and otherwise."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cvsegguide import __version__
from cvsegguide.cli.main import main
from helpers.commands import run_python


def findings(report: dict[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    return {(entry["group"], entry["name"]): entry for entry in report["findings"]}


def test_this_installation_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert main(["--version", "-v", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["version"], report["healthy"]) == (__version__, True)
    found = findings(report)
    assert "synthcity" in found["works", "localising"]["text"]
    assert found["versions", "torch"]["text"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["machine", "device"]["text"].split()[0].split(":")[0] in ("cpu", "cuda", "mps")
    assert {"onnx", "app", "tensorboard"} <= {name for group, name in found if group == "extras"}
    for finding in found.values():
        assert "\n" not in finding["text"]
        assert finding["remedy"] or finding["state"] == "ok", "what is amiss has a remedy"
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("Everything essential works.\n")


def test_faults_are_found_and_do_not_end_the_report(tmp_path: Path) -> None:
    """A package that does not import, and metadata that ask for what is not there."""
    (tmp_path / "numba.py").write_text("raise ImportError('built for another numpy. Mend it')\n")
    folder = tmp_path / f"cvsegguide-{__version__}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.4", "Name: cvsegguide", f"Version: {__version__}"]
    wanted = ["absent-core>=1", "numpy>=999", "absent-web>=5; extra == 'web'"]
    lines += [f"Requires-Dist: {line}" for line in wanted]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = run_python("-m", "cvsegguide", "doctor", PYTHONPATH=path)
    assert done.returncode == 1, done.stderr
    told = {line.split()[1]: line for line in done.stdout.splitlines() if len(line.split()) > 1}
    for name, state, *texts in (
        ("rendering", "broken", "built for another numpy", "-> reinstall numba"),
        ("absent-core", "broken", "-> pip install 'absent-core>=1'"),
        ("numpy", "broken", "not >=999"),
        ("web", "absent", "-> pip install 'cvsegguide[web]'"),
        ("training", "ok", "lightning.pytorch.cli imports"),
    ):
        assert told[name].split()[0] == state
        for text in texts:
            assert text in told[name]
    broken = done.stdout.splitlines()[-1]
    assert broken.startswith("broken: ")
    assert {"rendering", "absent-core", "numpy"} <= set(broken[8:].split(", "))
