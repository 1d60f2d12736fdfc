"""What the parsers of all commands have in common, and how options are called."""

import argparse
from pathlib import Path
from typing import Any

from cvsegguide import console
from cvsegguide.errors import ConfigurationError
from cvsegguide.io.atomic import file_in_the_way

BAD_INPUT = 2

_COMMON: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("--json",), "store_true", "the result as JSON on stdout"),
    (("-q", "--quiet"), "store_true", "errors and results only"),
    (("-v", "--verbose"), "count", "say what is done; -vv: all of it"),
)


class _Help(argparse.HelpFormatter):
    """Wraps texts, but leaves those alone that have lines of their own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Errors in one line, as everywhere."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, **options})

    def error(self, message: str) -> None:  # type: ignore[override]
        console.complain("error", f"{message} (see `{self.prog} --help`)")
        self.exit(BAD_INPUT)


def add_common_arguments(parser: argparse.ArgumentParser, json: bool = True) -> None:
    """Add what every command takes to a parser, and to those of its jobs.

    Options that the command has itself under the same names stay.

    Args:
        parser: Parser of a command, with its own options.
        json: Also ``--json``, as the command has a result.
    """
    group = parser.add_argument_group("common options")
    for names, action_name, text in _COMMON if json else _COMMON[1:]:
        free = [name for name in names if name not in parser._option_string_actions]
        if free:
            # Without a default: a job's parser must not overwrite what stood before the job.
            group.add_argument(*free, action=action_name, help=text, default=argparse.SUPPRESS)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for job in set(action.choices.values()):
                add_common_arguments(job, json)


def add_options(target: Any, *rows: tuple[str, Any, str]) -> None:
    """Add options and arguments, a row each, with their defaults in the help.

    Args:
        target: A parser, or a group of its options.
        rows: ``("--name METAVAR", type, help)`` each; ``--name METAVAR=1.5`` has a default, as
            many metavars as there are ask for as many values, and ``...`` for one or more. The
            type ``bool`` makes a switch, a tuple is what may be chosen from, and a name without
            dashes is an argument that must be there.
    """
    for spelling, kind, text in rows:
        words, _, default = spelling.partition("=")
        name, *metavars = words.split()
        if kind is bool:
            target.add_argument(name, action="store_true", help=text)
            continue
        options: dict[str, Any] = {"type": kind, "help": text}
        if isinstance(kind, tuple):
            options |= {"type": type(kind[0]), "choices": kind}
        if default:
            options |= {"default": options["type"](default), "help": f"{text} (default: {default})"}
        if not name.startswith("-"):
            name, metavars = name.lower(), [name]
        if metavars[-1:] == ["..."]:
            options |= {"nargs": "+", "action": "extend"}
            metavars.pop()
        elif len(metavars) > 1:
            options["nargs"] = len(metavars)
        if metavars:
            options["metavar"] = tuple(metavars) if len(metavars) > 1 else metavars[0]
        target.add_argument(name, **options)


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options among ``names`` that were given, as keyword arguments of the library."""
    values = {name: getattr(arguments, name) for name in names}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if value is not None and value is not False
    }


def refuse(arguments: argparse.Namespace, reason: str, *names: str) -> None:
    """Complain of options that would be ignored.

    Raises:
        ConfigurationError: One of ``names`` was given.
    """
    for name in given(arguments, *names):
        raise ConfigurationError(reason, name)


def check_least(arguments: argparse.Namespace, least: int, *names: str) -> None:
    """Complain of numbers that are too small; of options that were not given there are none.

    Raises:
        ConfigurationError: One of ``names`` lies below ``least``.
    """
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise ConfigurationError(f"must be at least {least}, got {value}", name)


def set_common(arguments: argparse.Namespace) -> None:
    """Let the console follow the common options."""
    console.settings.quiet = getattr(arguments, "quiet", False)
    console.settings.verbose = getattr(arguments, "verbose", 0) or 0
    console.settings.json = getattr(arguments, "json", False)


def take_common_arguments(words: list[str]) -> list[str]:
    """Set the common options that stand among those of another parser; the other words."""
    parser = Parser(add_help=False)
    add_common_arguments(parser)
    arguments, rest = parser.parse_known_args(words)
    set_common(arguments)
    return rest


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


def check_out(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Say at once that what is computed could not be written, not after minutes.

    Raises:
        ConfigurationError: ``--out`` is empty, or something else stands in its place.
    """
    out = getattr(arguments, "out", None)
    if out is None:
        return
    if not out:
        raise ConfigurationError("the name is empty", "out")
    path = Path(out)
    is_folder = any(action.dest == "out" and action.metavar == "DIR" for action in parser._actions)
    if not is_folder and path.is_dir():
        raise ConfigurationError(f"`out` {path}: is a folder, not a file")
    file = file_in_the_way(path if is_folder else path.parent)
    if file is not None:
        raise ConfigurationError(f"`out` {path}: {file} is a file, not a folder")
