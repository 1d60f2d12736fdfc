"""``cvsegguide completion bash | zsh | fish``: completion of commands, options and names by TAB.

The script that it prints asks the program itself at every TAB (argcomplete), so that it never
lags behind: commands, options, bundled weights and configurations, files. Only the module of the
command on the line is imported, and none of them imports torch for its options.
"""

import argparse
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cvsegguide.cli.commands import COMMANDS
from cvsegguide.cli.parsing import add_common_arguments

SHELLS = {
    "bash": 'eval "$(cvsegguide completion bash)"    in ~/.bashrc',
    "zsh": 'eval "$(cvsegguide completion zsh)"     in ~/.zshrc, behind compinit',
    "fish": "cvsegguide completion fish | source     in ~/.config/fish/config.fish",
}

_PACKAGE = Path(__file__).resolve().parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = "Print a script that lets a shell complete cvsegguide's words by TAB."
    lines = "\n".join(f"  {line}" for line in SHELLS.values())
    parser.epilog = f"examples:\n{lines}"
    parser.add_argument("shell", choices=list(SHELLS), help="which shell")


def run(arguments: argparse.Namespace) -> int:
    """Print; exit status 0."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["cvsegguide"], shell=arguments.shell).strip())
    return 0


def answer() -> None:
    """Answer the shell, which has put the line into the environment; does not return."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(full_parser(words[1] if len(words) > 1 else ""))


def full_parser(command: str) -> argparse.ArgumentParser:
    """A parser of the whole line, with the options of one command.

    Args:
        command: The only one whose module is imported.
    """
    parser = argparse.ArgumentParser(prog="cvsegguide")
    parser.add_argument("--version", action="store_true", help="versions and device")
    jobs = parser.add_subparsers()
    for name, entry in COMMANDS.items():
        job = jobs.add_parser(name, help=entry.summary)
        if name == command:
            if entry.raw:
                importlib.import_module(entry.module).add_frequent_arguments(job, name)
            else:
                importlib.import_module(entry.module).add_arguments(job)
            add_common_arguments(job, json=entry.json)
            _add_completers(job)
    return parser


def _names_and_files(names: list[str], files: bool = True) -> Callable[..., list[str]]:
    from argcomplete.completers import FilesCompleter

    find = FilesCompleter()

    def complete(prefix: str, **rest: Any) -> list[str]:
        found = [name for name in names if name.startswith(prefix)]
        return [*found, *find(prefix, **rest)] if files else found

    return complete


def _add_completers(parser: argparse.ArgumentParser) -> None:
    """Names of bundled weights, configurations and devices where an option takes them."""
    from argcomplete.completers import DirectoriesCompleter

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for job in set(action.choices.values()):
                _add_completers(job)
            continue
        completer: Any = None
        if action.dest in ("model", "weights"):
            completer = _names_and_files(_entries("weights", "*/config.json"))
        elif action.dest == "config":
            completer = _names_and_files(_entries("configs", "*.yaml"))
        elif action.dest == "device":
            completer = _names_and_files(["auto", "cpu", "cuda", "mps"], files=False)
        elif action.metavar == "DIR":
            completer = DirectoriesCompleter()
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]


def _entries(folder: str, pattern: str) -> list[str]:
    """Names of what the package brings: a file's own, or that of the folder it marks."""
    found = sorted((_PACKAGE / folder).glob(pattern))
    return [path.parent.name if "/" in pattern else path.stem for path in found]
