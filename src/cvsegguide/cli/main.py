"""``cvsegguide COMMAND ...``: finds the command's module and runs it.

What all commands share lives here and in :mod:`cvsegguide.cli.parsing`, so that their modules need
not know of it: ``--quiet``, ``--verbose``, an example in the help, errors in one line, the exit
status, and the end of a pipe. ``docs/command-line.md`` describes it.
"""

import argparse
import errno
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from cvsegguide import __version__, console
from cvsegguide.cli.commands import COMMANDS, load
from cvsegguide.cli.parsing import (
    BAD_INPUT,
    Parser,
    add_common_arguments,
    check_out,
    option_names,
    set_common,
    take_common_arguments,
)
from cvsegguide.errors import CVSegGuideError, InferenceWarning

OK, UNEXPECTED, INTERRUPTED, TERMINATED, NO_READER = 0, 1, 130, 143, 141
"""Exit statuses; those above 128 are 128 and the number of the signal, as shells count."""

_PLACES = (
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR),
    *(errno.EROFS, errno.ENOSPC, errno.EDQUOT),
)
"""Faults of the place that something was to be written to."""


def build_parser() -> argparse.ArgumentParser:
    """The top-level parser: options that stand before the command."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {entry.summary}" for name, entry in COMMANDS.items())
    parser = Parser(
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
    add_common_arguments(parser)
    return parser


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
        return _run_without_command(words)
    if name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        console.complain("error", f"there is no command '{name}'{hint} (see `cvsegguide --help`)")
        return BAD_INPUT
    start = time.monotonic()
    if COMMANDS[name].raw:
        status = _run_raw(name, words[1:])
    else:
        if own_process:
            _end_on_sigterm()
        status = _run(name, words[1:])
    if console.settings.verbose:
        console.detail(f"{name}: exit status {status}, {time.monotonic() - start:.1f} s")
    return status


def _run_without_command(words: list[str]) -> int:
    """Options of the top level."""
    parser = build_parser()
    arguments = parser.parse_args(words)
    if not arguments.version:
        parser.error("which command?")
    from cvsegguide.cli import doctor

    set_common(arguments)
    if console.settings.verbose:
        return doctor.run(arguments)
    found = doctor.versions()
    torch = found["torch"] or "not installed"
    line = f"cvsegguide {found['version']}, torch {torch}, device {found['device']}"
    console.done(line, found)
    return OK


def _run(name: str, words: list[str]) -> int:
    """Run a command whose options argparse parses."""
    command = COMMANDS[name]
    module = load(name)
    parser = Parser(prog=f"cvsegguide {name}", description=f"{command.summary.capitalize()}.")
    module.add_arguments(parser)
    parser.epilog = parser.epilog or f"example:\n  cvsegguide {name} {command.example}"
    add_common_arguments(parser, json=command.json)
    arguments = parser.parse_args(words)
    arguments.command = ["cvsegguide", name, *words]
    set_common(arguments)
    _start_log()
    names = option_names(parser, arguments)

    def work() -> int:
        check_out(parser, arguments)
        return int(module.run(arguments))

    return _call_parameters(lambda parameter: names.get(parameter, parameter), work)


def _run_raw(name: str, words: list[str]) -> int:
    """Run a command that parses its own options."""
    command = COMMANDS[name]
    module = load(name)
    rest = take_common_arguments(words)
    _start_log()
    frequent = argparse.ArgumentParser()
    module.add_frequent_arguments(frequent, name)
    names = option_names(frequent)

    def option(parameter: str) -> str:
        return f"--{parameter}" if "." in parameter else names.get(parameter, parameter)

    status = _call_parameters(option, lambda: int(module.run([name, *rest])))
    if status == OK and {"-h", "--help"}.intersection(rest):
        common = Parser(add_help=False, usage=argparse.SUPPRESS)
        add_common_arguments(common)
        common.epilog = f"example:\n  cvsegguide {name} {command.example}"
        print("\n" + common.format_help().strip())
    return status


def _call_parameters(name: Callable[[str], str], work: Callable[[], int]) -> int:
    """Do the work of a command; its errors and warnings call parameters by their options."""
    usual = warnings.showwarning

    def show(message: Warning | str, *rest: Any, **options: Any) -> None:
        if isinstance(message, InferenceWarning):
            console.complain("warning", message.told(name))
        else:
            usual(message, *rest, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", InferenceWarning)
        warnings.showwarning = show
        try:
            return work()
        except CVSegGuideError as error:
            return _report(error, name)


def _start_log() -> None:
    """Let the package and, with ``-vv``, the libraries speak on stderr."""
    level = console.settings.verbose
    if not level:
        return
    import logging
    import platform

    python = platform.python_version()
    console.detail(
        f"version {__version__}, Python {python}, {platform.platform()}, process {os.getpid()}"
    )
    logging.basicConfig(
        level=logging.DEBUG if level > 1 else logging.WARNING,
        format="%(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("cvsegguide").setLevel(logging.DEBUG)


def _end_on_sigterm() -> None:
    """Let SIGTERM unwind the process, so that half-written files go; not its children."""
    own = os.getpid()

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, end)
