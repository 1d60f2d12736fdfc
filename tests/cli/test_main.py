"""The command table, its habits and errors, and what it must not import."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cvsegguide import console, progress
from cvsegguide.cli import main as main_module
from cvsegguide.cli.main import COMMANDS, Command, main
from cvsegguide.errors import InputError

HEAVY = ("torch", "lightning", "matplotlib", "rasterio", "numba", "pandas", "timm", "skimage")


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``code``."""
    program = f"import sys, json\n{code}\njson.dump(sorted(sys.modules), sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
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


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["localize", "--help"],
        ["data", "--help"],
        ["doctor", "--help"],
        ["completion", "bash"],
    ],
)
def test_help_is_light(argv: list[str]) -> None:
    code = (
        "from cvsegguide.cli.main import main\n"
        f"try: main({argv!r})\nexcept SystemExit as end: assert end.code == 0"
    )
    assert not loaded_after(code).intersection(HEAVY)


def explained(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The help of a command."""
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: cvsegguide ")
    return out


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
    out = explained(words, capsys)
    assert f"usage: cvsegguide {' '.join(words)}" in out
    assert "--quiet" in out
    assert "--verbose" in out
    _, _, after = out.partition("\nexample")
    assert f"cvsegguide {' '.join(words)}" in after, "one example each"


@pytest.mark.slow
def test_help_of_training_has_the_common_options_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--json" in out
    assert "--quiet" in out
    assert "example:\n  cvsegguide predict --" in out


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
    try:
        status = main(argv)
    except SystemExit as end:
        status = int(end.code or 0)
    out, error = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert error.startswith("cvsegguide: error: ")
    assert error.count("\n") == 1


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


# -- a command that does as it is told ------------------------------------------------------


class Obedient:
    """Stands for a command's module."""

    def __init__(self, body: object) -> None:
        self.body = body

    def add_arguments(self, parser: object) -> None:
        pass

    def run(self, arguments: object) -> int:
        self.body()  # type: ignore[operator]
        return 0


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes ``cvsegguide obey`` do something."""

    def make(body: object) -> None:
        monkeypatch.setitem(sys.modules, "cvsegguide.cli.obey", Obedient(body))  # type: ignore[arg-type]
        monkeypatch.setitem(
            main_module.COMMANDS, "obey", Command("cvsegguide.cli.obey", "do as told")
        )

    yield make
    main(["--version"])  # puts the settings back


def fails(error: BaseException) -> object:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "status", "last"),
    [
        (InputError("a.tif: is\nno raster"), 2, "cvsegguide: error: a.tif: is no raster"),
        (KeyboardInterrupt(), 130, "cvsegguide: interrupted"),
        (ZeroDivisionError("oh"), 1, "cvsegguide: error: this is a fault of cvsegguide"),
        (MemoryError("9 GiB"), 1, "cvsegguide: error: out of memory"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_exit_statuses(
    command: object,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    last: str,
) -> None:
    command(fails(error))  # type: ignore[operator]
    assert main(["obey"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(last)
    unexpected = isinstance(error, ZeroDivisionError)
    assert ("Traceback" in err) == unexpected
    assert (err.count("\n") > 1) == unexpected
    if isinstance(error, InputError):
        main(["obey", "-v"])
        assert "Traceback" in capsys.readouterr().err


def test_quiet_and_verbose(
    command: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        console.note("working")
        console.detail("step 3")
        console.done("x.tif written", {"file": "x.tif"})
        bars.append(progress.enabled())

    bars: list[bool] = []
    command(body)  # type: ignore[operator]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["obey"]) == 0
    assert capsys.readouterr() == ("x.tif written\n", "working\n")
    assert main(["obey", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["obey", "-v"]) == 0
    out, error = capsys.readouterr()
    assert out == "x.tif written\n"
    assert "cvsegguide: step 3\n" in error
    assert "obey: exit status 0" in error
    assert bars == [True, False, True]


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
    assert main(["lokalise"]) == 2
    assert "no command 'lokalise'; did you mean 'localize'?" in capsys.readouterr().err
    assert main(["fly"]) == 2
    assert "did you mean" not in capsys.readouterr().err


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
    module = __import__(COMMANDS[words[0]].module, fromlist=["run"])
    monkeypatch.setattr(module, "run", lambda arguments: pytest.fail("it began"))
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"cvsegguide: error: {fault}")
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("kind", [FileExistsError, NotADirectoryError, PermissionError])
def test_a_library_that_cannot_write_somewhere_is_no_fault_of_ours(
    kind: type[OSError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    number = {FileExistsError: 17, NotADirectoryError: 20, PermissionError: 13}[kind]

    def run(arguments: object) -> int:
        raise kind(number, os.strerror(number), "runs/mine")

    monkeypatch.setattr("cvsegguide.cli.demo.run", run)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == (
        f"cvsegguide: error: runs/mine: cannot be written ({os.strerror(number)})\n"
    )


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


SLOW = """
import os, signal, sys, threading, time
from cvsegguide.cli import main
from cvsegguide.io.atomic import atomic_path

class Slow:
    def add_arguments(parser): pass
    def run(arguments):
        with atomic_path(sys.argv[2]) as path:
            path.write_text("half")
            threading.Timer(0.2, os.kill, (os.getpid(), int(sys.argv[3]))).start()
            time.sleep(60)

sys.modules["slow"] = Slow
main.COMMANDS["slow"] = main.Command("slow", "sleep")
words, sys.argv[1:] = sys.argv[1:], ["slow", *sys.argv[2:]]
Slow.add_arguments = lambda parser: parser.add_argument("rest", nargs="*")
sys.exit(main.main())
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_nothing_half_written(tmp_path: Path, number: int, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW, "slow", str(tmp_path / "file"), str(int(number))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


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
        "synthcity-randomised",
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
