"""``cvsegguide completion bash | zsh | fish``: completion of commands, options and names by TAB.

The script that it prints asks the program itself at every TAB (argcomplete), so that it never
lags behind: commands, options, bundled weights and configurations, files. Only the module of the
command on the line is imported, and none of them imports torch for its options.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from cvsegguide.cli.commands import COMMANDS, load
from cvsegguide.cli.parsing import add_common_arguments

SHELLS = {
    "bash": 'eval "$(cvsegguide completion bash)"    in ~/.bashrc',
    "zsh": 'eval "$(cvsegguide completion zsh)"     in ~/.zshrc, behind compinit',
    "fish": "cvsegguide completion fish | source     in ~/.config/fish/config.fish",
}

DEVICES = ["auto", "cpu", "cuda", "mps"]

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
                load(name).add_frequent_arguments(job, name)
            else:
                load(name).add_arguments(job)
            add_common_arguments(job, json=entry.json)
            _add_completers(job)
    return parser


def _add_completers(parser: argparse.ArgumentParser) -> None:
    """Names of bundled weights, configurations and devices where an option takes them."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    weights = [path.parent.name for path in sorted(_PACKAGE.glob("weights/*/config.json"))]
    configurations = [path.stem for path in sorted(_PACKAGE.glob("configs/*.yaml"))]
    names = {"model": weights, "weights": weights, "config": configurations, "device": DEVICES}
    find = FilesCompleter()

    def complete(prefix: str, action: argparse.Action, **rest: Any) -> list[str]:
        found = [name for name in names[action.dest] if name.startswith(prefix)]
        return found if action.dest == "device" else [*found, *find(prefix, **rest)]

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for job in set(action.choices.values()):
                _add_completers(job)
        elif action.dest in names:
            action.completer = complete  # type: ignore[attr-defined]
        elif action.metavar == "DIR":
            action.completer = DirectoriesCompleter()  # type: ignore[attr-defined]
