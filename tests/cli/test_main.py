"""The command table, its habits and errors, and what it must not import."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cvsegguide import progress
from cvsegguide.cli.commands import COMMANDS
from cvsegguide.cli.main import main
from helpers.commands import refusal, run_python

HEAVY = ("torch", "lightning", "matplotlib", "rasterio", "numba", "pandas", "timm", "skimage")


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``code``."""
    program = f"import sys, json\n{code}\njson.dump(sorted(sys.modules), sys.stderr)"
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr))


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``cvsegguide`` is ours."""
    script = f'cvsegguide() {{ "{sys.executable}" -m cvsegguide "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_import_is_light() -> None:
    assert not loaded_after("import cvsegguide").intersection(HEAVY)


def test_help_is_light() -> None:
    """That of every command but those whose options Lightning parses, and completion."""
    lines = [["--help"], ["completion", "bash"], ["data", "check", "--help"]]
    lines += [[name, "--help"] for name, entry in COMMANDS.items() if not entry.raw]
    code = (
        "from cvsegguide.cli.main import main\n"
        f"for argv in {lines!r}:\n"
        "    try: main(argv)\n"
        "    except SystemExit as end: assert end.code == 0"
    )
    assert not loaded_after(code).intersection(HEAVY)


@pytest.mark.parametrize(
    "words",
    [
        *([name] for name, entry in COMMANDS.items() if not entry.raw),
        ["data", "check"],
        ["data", "link"],
        ["data", "sightlines"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: cvsegguide {' '.join(words)}" in out
    assert "--quiet" in out
    assert "--verbose" in out
    _, _, after = out.partition("\nexample")
    assert f"cvsegguide {' '.join(words)}" in after, "one example each"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize(
    "argv",
    [["fly"], ["--fly"], ["-v"], ["benchmark", "nonsense"], ["benchmark", "--fly"], ["data"]],
)
def test_wrong_usage_is_one_line_and_status_two(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refusal(argv, capsys)


def test_version_names_torch_and_device(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from cvsegguide import __version__

    assert main(["--version"]) == 0
    line = capsys.readouterr().out
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.backends.mps.is_available():
        assert f", device {device}" in line
    assert line.startswith(f"cvsegguide {__version__}, torch {torch.__version__}, device ")
    assert main(["--version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["torch"]) == (__version__, torch.__version__)


# -- faults ---------------------------------------------------------------------------------


def library_that_fails(folder: Path, error: str) -> dict[str, str]:
    """An environment in which numba, which `synth` needs, does not import."""
    (folder / "numba.py").write_text(f"raise {error}\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


@pytest.mark.parametrize(
    ("error", "status", "last", "lines"),
    [
        ("ZeroDivisionError('oh')", 1, "this is a fault of cvsegguide; please report", 5),
        ("MemoryError('9 GiB')", 1, "out of memory: take smaller batches or images (9 GiB)", 1),
        ("OSError(13, 'Denied', 'runs/x')", 2, "runs/x: cannot be written (Denied)", 1),
        ("OSError(17, 'There', 'runs/x')", 2, "runs/x: cannot be written (There)", 1),
    ],
)
def test_faults_of_others(error: str, status: int, last: str, lines: int, tmp_path: Path) -> None:
    environment = library_that_fails(tmp_path, error)
    done = shell(f'cvsegguide synth "{tmp_path}/city" --tiles 1', **environment)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"cvsegguide: error: {last}")
    assert ("Traceback" in done.stderr) == (lines > 1)
    assert (done.stderr.count("\n") > 1) == (lines > 1)


def test_verbose_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "nowhere", "-v"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-2].startswith("cvsegguide: error: nowhere")
    assert "data: exit status 2" in error.splitlines()[-1]


def test_quiet_and_verbose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    words = ["synth", str(tmp_path), "--tiles", "1", "--panoramas", "1", "--workers", "1"]
    said = f"{tmp_path} written\n"
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert not progress.enabled()
    assert main([*words, "-v"]) == 0
    out, error = capsys.readouterr()
    assert out == said
    assert "cvsegguide: version " in error
    assert "synth: exit status 0" in error
    assert main(words) == 0
    assert progress.enabled()
    assert capsys.readouterr().out == said


def test_colours_are_for_terminals_and_for_those_who_force_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    main(["fly"])
    assert "\x1b" not in capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["fly"])
    assert "\x1b[1;31merror\x1b[0m: there is no command" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    main(["fly"])
    assert "\x1b" not in capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    main(["fly"])
    assert "\x1b" in capsys.readouterr().err


def test_a_slip_of_the_hand_is_told_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(["lokalise"], capsys)
    assert "no command 'lokalise'; did you mean 'localize'?" in said
    assert "did you mean" not in refusal(["fly"], capsys)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["demo", "--out", "file"], "--out file: file is a file, not a folder"),
        (["demo", "--out", "file/deep/er"], "--out file/deep/er: file is a file, not a folder"),
        (["demo", "--out", ""], "--out: the name is empty"),
        (["localize", "a.tif", "b.jpg", "--out", "file"], "--out file: file is a file"),
        (["segment", "a.tif", "--out", "folder"], "--out folder: is a folder, not a file"),
        (["segment", "a.tif", "--out", "file/a.tif"], "--out file/a.tif: file is a file"),
        (["figures", "--out", "file"], "--out file: file is a file, not a folder"),
    ],
)
def test_where_nothing_can_be_written_is_said_before_anything_is_done(
    words: list[str],
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert refusal(words, capsys, tmp_path).startswith(fault)


# -- in a real shell ------------------------------------------------------------------------


def test_a_reader_that_has_enough() -> None:
    """``| head`` and a reader that is gone before the first line: no word about it on stderr."""
    done = shell("set -o pipefail; cvsegguide completion bash | head -1")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    done = shell("cvsegguide data --help | true; echo ${PIPESTATUS[0]}")
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")
    # For sure: the pipe is closed before the process begins to speak.
    done = shell("{ sleep 0.2; cvsegguide completion bash; echo $? >&2; } | true")
    assert done.stderr == "141\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_half_written(tmp_path: Path, number: int, status: int) -> None:
    """A city of many tiles is asked to end as soon as its first tile is on the disk."""
    words = ["synth", str(tmp_path / "city"), "--tiles", "400", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cvsegguide", *words], stderr=subprocess.PIPE, text=True
    )
    while not any(tmp_path.rglob("*.jpg")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == status, error
    assert error == ("cvsegguide: interrupted\n" if number == signal.SIGINT else "")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if path.name.startswith(".")] == []
    # parts that were not finished are made anew; what says that a city is whole comes last
    assert not (tmp_path / "city" / "synthcity.json").exists()


def completions(line: str, tmp_path: Path) -> list[str]:
    """What bash is told for a line with the cursor at its end."""
    answer = tmp_path / "answer"
    subprocess.run(
        [sys.executable, "-m", "cvsegguide"],
        env={
            **os.environ,
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_SHELL": "bash",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_TYPE": "9",
            "_ARGCOMPLETE_COMP_WORDBREAKS": " \"'><=;|&(:",
        },
        cwd=tmp_path,
        check=True,
    )
    return [word.strip() for word in answer.read_text().split("\013") if word.strip()]


def test_completion_knows_commands_options_and_names(tmp_path: Path) -> None:
    (tmp_path / "synthetic.tif").touch()
    assert completions("cvsegguide loc", tmp_path) == ["localize"]
    assert set(completions("cvsegguide data ", tmp_path)) >= {"check", "link", "sightlines"}
    assert "--quiet" in completions("cvsegguide data check --", tmp_path)
    assert completions("cvsegguide localize --model synth", tmp_path) == [
        "synthcity",
        "synthcity-mst",
        "synthetic.tif",
    ]
    assert completions("cvsegguide fit --config geometric-v", tmp_path) == [
        "geometric-vigor-cross",
        "geometric-vigor-same",
    ]
    assert completions("cvsegguide completion f", tmp_path) == ["fish"]


def test_completion_in_bash(tmp_path: Path) -> None:
    """The script that is printed, in the shell that it is for."""
    done = shell(
        f'cvsegguide completion bash > "{tmp_path}/script" && . "{tmp_path}/script" && '
        "complete -p cvsegguide"
    )
    assert done.returncode == 0, done.stderr
    assert "_python_argcomplete cvsegguide" in done.stdout
    for name in ("zsh", "fish"):
        done = shell(f"cvsegguide completion {name}")
        assert "cvsegguide" in done.stdout
        assert done.stderr == ""
