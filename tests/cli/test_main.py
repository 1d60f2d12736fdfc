"""The command table, its errors, and what it must not import."""

import json
import subprocess
import sys

import pytest

from cvsegguide.cli.main import COMMANDS, main

HEAVY = ("torch", "lightning", "matplotlib", "rasterio", "numba", "pandas", "timm", "skimage")


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``code``."""
    program = f"import sys, json\n{code}\njson.dump(sorted(sys.modules), sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr))


def test_import_is_light() -> None:
    assert not loaded_after("import cvsegguide").intersection(HEAVY)


@pytest.mark.parametrize("argv", [["--help"], ["localize", "--help"], ["data", "--help"]])
def test_help_is_light(argv: list[str]) -> None:
    code = (
        "from cvsegguide.cli.main import main\n"
        f"try: main({argv!r})\nexcept SystemExit as end: assert end.code == 0"
    )
    assert not loaded_after(code).intersection(HEAVY)


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if not entry.raw])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: cvsegguide {name}" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("argv", [["fly"], ["benchmark", "nonsense"], ["benchmark", "--fly"]])
def test_wrong_usage_is_one_line_and_status_two(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(argv)
    except SystemExit as end:
        status = int(end.code or 0)
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("cvsegguide: error: ")
    assert error.count("\n") == 1
