"""``cvsegguide COMMAND ...``: finds the command's module and runs it.

What all commands share lives here, so that their modules need not know of it: ``--quiet``,
``--verbose``, an example in the help, errors in one line, the exit status, and the end of a pipe.
``docs/command-line.md`` describes it.
"""

import argparse
import errno
import importlib
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvsegguide import __version__, console
from cvsegguide.errors import ConfigurationError, CVSegGuideError, InferenceWarning

OK, UNEXPECTED, BAD_INPUT, INTERRUPTED, TERMINATED, NO_READER = 0, 1, 2, 130, 143, 141
"""Exit statuses; those above 128 are 128 and the number of the signal, as shells count."""


@dataclass(frozen=True)
class Command:
    """A row of the command table.

    Attributes:
        module: Imported when the command is used. It has ``add_arguments(parser)`` and
            ``run(arguments) -> int``, or, when ``raw``, ``run(argv) -> int`` with an own parser
            and ``add_frequent_arguments(parser, name)``.
        summary: One line for ``--help``.
        raw: The module parses the arguments itself (LightningCLI).
        example: What ``--help`` shows behind the command's name, one a line.
    """

    module: str
    summary: str
    raw: bool = False
    example: str = ""


COMMANDS = {
    "demo": Command(
        "cvsegguide.cli.demo",
        "make a small synthetic city and localise street views in it",
        example="--out demo",
    ),
    "localize": Command(
        "cvsegguide.cli.localize",
        "localise one street view in an overhead image",
        example="overhead.tif street.jpg --heading 0 --out result",
    ),
    "track": Command(
        "cvsegguide.cli.track",
        "follow a camera along a drive",
        example="drive/drive.csv --start -44.99 40.74 --out result",
    ),
    "segment": Command(
        "cvsegguide.cli.segment",
        "land cover of a raster of any size",
        example="overhead.tif --out landcover.tif",
    ),
    "synth": Command(
        "cvsegguide.cli.synth",
        "make a synthetic city, or views of a real place",
        example="city --tiles 64 --seed 1 --validation 8 --test 8",
    ),
    "data": Command("cvsegguide.cli.data", "check, link and prepare a data set"),
    "fit": Command(
        "cvsegguide.cli.fit",
        "train a model",
        raw=True,
        example="--config geometric-synthcity --root city --out run",
    ),
    "validate": Command(
        "cvsegguide.cli.fit",
        "evaluate on the validation split",
        raw=True,
        example="--config run/config.yaml --out results",
    ),
    "test": Command(
        "cvsegguide.cli.fit",
        "evaluate on the test split",
        raw=True,
        example="--config geometric-synthcity --weights synthcity --root city --out results",
    ),
    "predict": Command(
        "cvsegguide.cli.fit",
        "localise every pair of a data set",
        raw=True,
        example="--pairs pairs.csv --weights synthcity --out results",
    ),
    "ablate": Command(
        "cvsegguide.cli.ablate",
        "what parts are worth: rows, table and plot",
        example="--root city --steps 300 --out ablation",
    ),
    "figures": Command(
        "cvsegguide.cli.figures",
        "draw samples and what models make of them, as in the paper",
        example="--root city --models synthcity --count 3",
    ),
    "convert": Command(
        "cvsegguide.cli.convert",
        "published checkpoint to safetensors",
        example="checkpoint.pth.tar converted",
    ),
    "export": Command(
        "cvsegguide.cli.export",
        "a network as ONNX or as a torch.export program",
        example="--model synthcity --out synthcity.onnx",
    ),
    "app": Command(
        "cvsegguide.cli.app", "a web page to try it on, on this machine", example="--open"
    ),
    "benchmark": Command(
        "cvsegguide.cli.benchmark", "speed and memory on this machine", example="localize --quick"
    ),
    "doctor": Command(
        "cvsegguide.cli.doctor", "what is installed, which device, what works", example="--json"
    ),
    "completion": Command("cvsegguide.cli.completion", "completion of words by TAB, for a shell"),
}


class _Help(argparse.HelpFormatter):
    """Wraps texts, but leaves those alone that have lines of their own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)


_PLACES = {
    errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
}  # fmt: skip
"""Faults of the place that something was to be written to."""


class _Parser(argparse.ArgumentParser):
    """Errors in one line, as everywhere."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, **options})

    def error(self, message: str) -> None:  # type: ignore[override]
        console.complain("error", f"{message} (see `{self.prog} --help`)")
        self.exit(BAD_INPUT)


def build_parser() -> argparse.ArgumentParser:
    """The top-level parser: options that stand before the command."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {entry.summary}" for name, entry in COMMANDS.items())
    parser = _Parser(
        prog="cvsegguide",
        usage="cvsegguide [-h] [--version [-v] [--json]] COMMAND ...",
        description="Where in this aerial photograph was this street view taken?",
        epilog=f"commands:\n{table}\n\n`cvsegguide COMMAND --help` explains each.\n\n"
        "example:\n  cvsegguide demo --out demo",
    )
    parser.add_argument(
        "--version",
        action="store_true",
        help="version, that of torch, and the device; with -v all that `doctor` finds",
    )
    add_common_arguments(parser, json=True)
    return parser


def add_common_arguments(parser: argparse.ArgumentParser, json: bool = False) -> None:
    """Add what every command takes to a parser, and to those of its jobs.

    Options that the command has itself under the same names stay.

    Args:
        parser: Parser of a command, with its own options.
        json: Also ``--json``.
    """
    group = parser.add_argument_group("common options")
    rows: tuple[tuple[tuple[str, ...], str, str], ...] = (
        (("--json",), "store_true", "the result as JSON on stdout"),
        (("-q", "--quiet"), "store_true", "errors and results only"),
        (("-v", "--verbose"), "count", "say what is done; -vv: all of it"),
    )
    for names, action_name, text in rows:
        if names == ("--json",) and not json:
            continue
        free = [name for name in names if name not in parser._option_string_actions]
        if free:
            # Without a default: a job's parser must not overwrite what stood before the job.
            group.add_argument(*free, action=action_name, help=text, default=argparse.SUPPRESS)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for job in set(action.choices.values()):
                add_common_arguments(job)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: Command and options; by default those of the process, which then also cleans up when
            it is asked to end (SIGTERM), and answers a shell that completes words.
    """
    if argv is None and "_ARGCOMPLETE" in os.environ:
        from cvsegguide.cli.completion import answer

        answer()
    words = list(sys.argv[1:] if argv is None else argv)
    console.settings.quiet, console.settings.verbose, console.settings.json = False, 0, False
    try:
        try:
            return _dispatch(words, own_process=argv is None)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        print("cvsegguide: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return _report(error)


def _report(error: Exception, name: Callable[[str], str] = str) -> int:
    """Say in a line what went wrong, and return the exit status.

    Args:
        error: What ended the command.
        name: From a parameter's Python name to the option of the command.
    """
    if isinstance(error, BrokenPipeError) and _reader_has_gone():
        # `cvsegguide ... | head`. Python would complain once more at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return NO_READER
    if isinstance(error, CVSegGuideError):
        line, status = error.told(name), error.exit_status
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        line, status = f"out of memory: take smaller batches or images ({error})", UNEXPECTED
    elif isinstance(error, OSError) and error.errno in _PLACES and error.filename:
        # of a library that writes by itself
        line, status = f"{error.filename}: cannot be written ({error.strerror})", BAD_INPUT
    else:
        traceback.print_exc()
        console.complain("error", "this is a fault of cvsegguide; please report the lines above")
        return UNEXPECTED
    if console.settings.verbose:
        traceback.print_exc()
    console.complain("error", line)
    return status


@contextmanager
def _warnings_in_a_line(name: Callable[[str], str]) -> Iterator[None]:
    """What an answer had to assume goes to stderr as ``cvsegguide: warning: ...``."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InferenceWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, *rest: Any, **options: Any) -> None:
            if isinstance(message, InferenceWarning):
                console.complain("warning", message.told(name))
            else:
                usual(message, *rest, **options)

        warnings.showwarning = show
        yield


def _reader_has_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _dispatch(words: list[str], own_process: bool) -> int:
    if not words:
        build_parser().print_help()
        return OK
    name = words[0]
    if name.startswith("-"):
        return _top_level(words)
    if name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        console.complain("error", f"there is no command '{name}'{hint} (see `cvsegguide --help`)")
        return BAD_INPUT
    command = COMMANDS[name]
    start = time.monotonic()
    status = _run_raw(name, words[1:]) if command.raw else _run(name, words[1:], own_process)
    if console.settings.verbose:
        console.detail(f"{name}: exit status {status}, {time.monotonic() - start:.1f} s{_peak()}")
    return status


def _run(name: str, words: list[str], own_process: bool) -> int:
    """Run a command whose options argparse parses."""
    if own_process:
        _end_on_sigterm()
    command = COMMANDS[name]
    module = importlib.import_module(command.module)
    parser = _Parser(prog=f"cvsegguide {name}", description=f"{command.summary.capitalize()}.")
    module.add_arguments(parser)
    parser.epilog = parser.epilog or _example(name)
    add_common_arguments(parser)
    arguments = parser.parse_args(words)
    console.settings.quiet = getattr(arguments, "quiet", False)
    console.settings.verbose = getattr(arguments, "verbose", 0) or 0
    console.settings.json = getattr(arguments, "json", False)
    _log()
    names = option_names(parser, arguments)

    def work() -> int:
        _check_out(parser, arguments)
        return int(module.run(arguments))

    return _named(work, lambda parameter: names.get(parameter, parameter))


def _run_raw(name: str, words: list[str]) -> int:
    """Run a command that parses its own options."""
    module = importlib.import_module(COMMANDS[name].module)
    rest = list(_take_common(words))
    _log()
    frequent = argparse.ArgumentParser()
    module.add_frequent_arguments(frequent, name)
    names = option_names(frequent)

    def option(parameter: str) -> str:
        return f"--{parameter}" if "." in parameter else names.get(parameter, parameter)

    status = _named(lambda: int(module.run([name, *rest])), option)
    if status == OK and {"-h", "--help"}.intersection(rest):
        print(_common_help() + "\n\n" + _example(name))
    return status


def _named(work: Callable[[], int], name: Callable[[str], str]) -> int:
    """Do the work of a command, whose errors and warnings call parameters as its options are."""
    with _warnings_in_a_line(name):
        try:
            return work()
        except CVSegGuideError as error:
            return _report(error, name)


def option_names(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace | None = None
) -> dict[str, str]:
    """How people write each parameter of a command: ``--option``, or ``NAME`` of an argument.

    Args:
        parser: The parser of the command.
        arguments: What it has parsed; says which job of the command was chosen.

    Returns:
        Python name -> what stands in the help.
    """
    names = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            job = getattr(arguments, action.dest, None)
            names.update(option_names(action.choices[job], arguments) if job else {})
        elif action.option_strings:
            names[action.dest] = action.option_strings[-1]
        else:
            names[action.dest] = str(action.metavar or action.dest)
    return names


def _check_out(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Say at once that what is computed could not be written, not after minutes."""
    out = getattr(arguments, "out", None)
    if out is None:
        return
    if not out:
        raise ConfigurationError("the name is empty", "out")
    path = Path(out)
    is_folder = any(action.dest == "out" and action.metavar == "DIR" for action in parser._actions)
    if not is_folder and path.is_dir():
        raise ConfigurationError(f"`out` {path}: is a folder, not a file")
    from cvsegguide.io.atomic import file_in_the_way

    file = file_in_the_way(path if is_folder else path.parent)
    if file is not None:
        raise ConfigurationError(f"`out` {path}: {file} is a file, not a folder")


def _top_level(words: list[str]) -> int:
    """Options without a command."""
    parser = build_parser()
    arguments = parser.parse_args(words)
    if not arguments.version:
        parser.error("which command?")
    as_json = getattr(arguments, "json", False)
    from cvsegguide.cli import doctor

    if getattr(arguments, "verbose", 0):
        return doctor.run(argparse.Namespace(json=as_json))
    found = doctor.versions()
    if as_json:
        console.show(found)
    else:
        torch = found["torch"] or "not installed"
        print(f"cvsegguide {found['version']}, torch {torch}, device {found['device']}")
    return OK


def _take_common(words: list[str]) -> Iterator[str]:
    """Set the common options that stand among those of another parser; yield the others."""
    for word in words:
        if word in ("-q", "--quiet"):
            console.settings.quiet = True
        elif word in ("-v", "-vv", "--verbose"):
            console.settings.verbose += word.count("v") if word != "--verbose" else 1
        elif word == "--json":
            console.settings.json = True
        else:
            yield word


def _common_help() -> str:
    parser = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
    add_common_arguments(parser, json=True)
    return "\n" + parser.format_help().strip()


def _example(name: str) -> str:
    lines = COMMANDS[name].example.splitlines()
    if not lines:
        return ""
    title = "example" if len(lines) == 1 else "examples"
    return "\n".join([f"{title}:", *(f"  cvsegguide {name} {line}" for line in lines)])


def _log() -> None:
    """Let the package and, with ``-vv``, the libraries speak on stderr."""
    level = console.settings.verbose
    if level:
        import logging
        import platform

        console.detail(
            f"version {__version__}, Python {platform.python_version()}, {platform.platform()}, "
            f"process {os.getpid()}"
        )
        logging.basicConfig(
            level=logging.DEBUG if level > 1 else logging.WARNING,
            format="%(name)s: %(message)s",
            stream=sys.stderr,
        )
        logging.getLogger("cvsegguide").setLevel(logging.DEBUG)


def _peak() -> str:
    """The most memory that the process has held so far."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    unit = 2**20 if sys.platform != "darwin" else 2**30
    return f", {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit:.2f} GiB at most"


def _end_on_sigterm() -> None:
    """Let SIGTERM unwind the process, so that half-written files go; not its children."""
    own = os.getpid()

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, end)
