"""``cvsegguide COMMAND ...``: finds the command's module and runs it."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cvsegguide import __version__
from cvsegguide.errors import CVSegGuideError


@dataclass(frozen=True)
class Command:
    """A row of the command table.

    Attributes:
        module: Imported when the command is used. It has ``add_arguments(parser)`` and
            ``run(arguments) -> int``, or, when ``raw``, ``run(argv) -> int`` with an own parser.
        summary: One line for ``--help``.
        raw: The module parses the arguments itself (LightningCLI).
    """

    module: str
    summary: str
    raw: bool = False


COMMANDS = {
    "demo": Command(
        "cvsegguide.cli.demo", "make a small synthetic city and localise street views in it"
    ),
    "localize": Command("cvsegguide.cli.localize", "localise one street view in an overhead image"),
    "segment": Command("cvsegguide.cli.segment", "land cover of a raster of any size"),
    "synth": Command("cvsegguide.cli.synth", "make a synthetic city, or views of a real place"),
    "data": Command("cvsegguide.cli.data", "check, link and prepare a data set"),
    "fit": Command("cvsegguide.cli.fit", "train a model", raw=True),
    "validate": Command("cvsegguide.cli.fit", "evaluate on the validation split", raw=True),
    "test": Command("cvsegguide.cli.fit", "evaluate on the test split", raw=True),
    "predict": Command("cvsegguide.cli.fit", "localise every pair of a data set", raw=True),
    "convert": Command("cvsegguide.cli.convert", "published checkpoint to safetensors"),
    "benchmark": Command("cvsegguide.cli.benchmark", "speed and memory on this machine"),
}


def build_parser() -> argparse.ArgumentParser:
    """The top-level parser: options that stand before the command."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {entry.summary}" for name, entry in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="cvsegguide",
        description="Where in this aerial photograph was this street view taken?",
        epilog=f"commands:\n{table}\n\n`cvsegguide COMMAND --help` explains each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cvsegguide {__version__}")
    parser.add_argument("command", metavar="COMMAND", help="one of the commands below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


class _Parser(argparse.ArgumentParser):
    """Errors in one line, as everywhere."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"cvsegguide: error: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv:
        build_parser().print_help()
        return 0
    name = argv[0]
    if name.startswith("-"):
        build_parser().parse_args(argv)
        return 2
    if name not in COMMANDS:
        print(
            f"cvsegguide: error: there is no command '{name}' (see `cvsegguide --help`)",
            file=sys.stderr,
        )
        return 2
    try:
        return _run(name, argv[1:])
    except CVSegGuideError as error:
        print(f"cvsegguide: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("cvsegguide: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`cvsegguide ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(name: str, argv: list[str]) -> int:
    command = COMMANDS[name]
    module = importlib.import_module(command.module)
    if command.raw:
        return int(module.run([name, *argv]))
    parser = _Parser(prog=f"cvsegguide {name}", description=command.summary.capitalize() + ".")
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(argv)))
