"""What every command says beside its result, and how much of it: ``--quiet``, ``-v``, colours.

Results go to stdout; everything else goes to stderr through here. The command line sets
:data:`settings`; a program that imports the package gets the defaults.
"""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from cvsegguide.errors import CVSegGuideError


@dataclass
class Settings:
    """How the command that runs was asked to speak.

    Attributes:
        quiet: Nothing on stderr but errors and warnings.
        verbose: 0; 1 to say what is done; 2 to let libraries speak as well.
        json: The result is wanted as JSON.
    """

    quiet: bool = False
    verbose: int = 0
    json: bool = False


settings = Settings()


def note(text: str) -> None:
    """A line on stderr for people who watch; not with ``--quiet``."""
    if not settings.quiet:
        print(text, file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """A line on stderr that only ``--verbose`` shows."""
    if settings.verbose:
        print(f"cvsegguide: {text}", file=sys.stderr, flush=True)


def show(value: Any) -> None:
    """The result as JSON on stdout."""
    import json

    print(json.dumps(value, indent=2, default=str))


def done(text: str, value: Any = None) -> None:
    """Say what was written: a line on stdout, or JSON when it is wanted; nothing with ``--quiet``.

    Args:
        text: The line, for people.
        value: The same for machines; printed with ``--quiet`` too when JSON is wanted.
    """
    if settings.json:
        show(value)
    elif not settings.quiet:
        print(text)


def has_colour(stream: IO[str]) -> bool:
    """Whether a stream is for coloured text.

    ``NO_COLOR`` (https://no-color.org) and ``FORCE_COLOR`` (https://force-color.org) decide when
    they are set and not empty, the first before the second; else whether it is a terminal.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def complain(kind: str, text: str, program: str = "cvsegguide") -> None:
    """``PROGRAM: KIND: text`` on stderr in one line, the kind coloured in a terminal."""
    line = " ".join(text.split())
    if has_colour(sys.stderr):
        kind = f"\x1b[1;{31 if kind == 'error' else 33}m{kind}\x1b[0m"
    print(f"{program}: {kind}: {line}", file=sys.stderr, flush=True)


def exit_status(program: str, work: Callable[[], object]) -> int:
    """Do the work of a program of its own; what the user can mend is complained about in a line.

    Args:
        program: Name that the line begins with.
        work: What is done.

    Returns:
        0, or the exit status of the error.
    """
    try:
        work()
    except CVSegGuideError as error:
        complain("error", str(error), program)
        return error.exit_status
    return 0


def usable_cores() -> int:
    """Cores that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """As the system calls it, such as ``AMD EPYC 9B45``."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
