"""The folder of a run: where it lies, which weights it holds, what its data are called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvsegguide.errors import CheckpointError, ConfigurationError
from cvsegguide.training.callbacks.record import RECORD
from cvsegguide.training.callbacks.resume import LAST
from cvsegguide.training.checkpoint_io import read_checkpoint
from cvsegguide.training.module import LocalizationTask

BEST = "best.ckpt"
"""The epoch with the lowest validation median error."""

_MODEL_WEIGHTS = re.compile(r"--model\.weights(=|$)")


@dataclass(frozen=True)
class Place:
    """Where a sub-command writes, and the training checkpoint that it reads, if any."""

    out: Path
    weights: Path | None


def find_place(subcommand: str, options: Any, argv: Sequence[str] = ()) -> Place:
    """Find the folder and the weights of a sub-command.

    Args:
        subcommand: Its name.
        options: Its options; ``weights`` and ``model.weights`` are filled in.
        argv: Its command line: ``--model.weights`` there names what is evaluated, in the
            ``config.yaml`` of a run it is what training began with.

    Raises:
        ConfigurationError: No weights are named, or two, or the folder holds a run already.
        CheckpointError: The weights are not there.
    """
    if options.get("root") is not None:
        raise ConfigurationError("root: belongs on the command line, --root DIR")
    if options.get("pairs") is not None:
        raise ConfigurationError("pairs: belongs on the command line, --pairs TABLE")
    weights: Path | None = None
    config = _config_file(options)
    name = config.stem if config else "run"
    run = config.parent if config and (config.parent / RECORD).exists() else None
    if subcommand == "fit":
        out = _folder(Path(options.out or run or Path("runs") / name))
        if (out / LAST).exists() and not options.resume:
            raise ConfigurationError(
                f"{out}: holds a run already: --resume goes on with it, another --out starts afresh"
            )
        return Place(out, None)
    source = options.weights
    given = options.model.weights if any(_MODEL_WEIGHTS.match(word) for word in argv) else None
    if given is not None and source not in (None, given):
        raise ConfigurationError(
            f"--weights {source}, --model.weights {given}: give one of them, what is evaluated"
        )
    if run is not None and source is None:
        source = options.weights = given
    if source is None and run is not None:  # model.weights is what the run started from
        source = options.weights = str(run)
    if source is None and options.model.weights is None:
        raise ConfigurationError(
            f"--weights: say which weights to {subcommand} (folder of a run, .ckpt, or a name)"
        )
    home = Path("results") / name
    if source is not None:
        path = Path(source)
        if path.is_dir() and not (path / "model.safetensors").exists():
            found = [path / file for file in (BEST, LAST) if (path / file).exists()]
            if not found:
                raise CheckpointError(
                    f"{path}: holds neither model.safetensors nor {BEST} nor {LAST}"
                )
            path = found[0]
        if path.suffix == ".ckpt":
            if not path.is_file():
                raise CheckpointError(f"{path}: there is no such checkpoint")
            weights = path
        else:
            options.model.weights = source
        if Path(source).exists():
            folder = Path(source) if Path(source).is_dir() else Path(source).parent
            home = folder / subcommand
    return Place(_folder(Path(options.out or home)), weights)


def _folder(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"--out {out}: is a file; results need a folder")
    return out


def _config_file(options: Any) -> Path | None:
    configs = options.get("config") or []
    return Path(str(getattr(configs[0], "relative", configs[0]))) if configs else None


def listed(value: Any) -> list[Any]:
    """A list of what may be one thing, several or none."""
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def data_name(options: Any, split: str) -> str:
    """What the data sets of a split are called, for people."""
    given = options.data.get(split)
    names = [str(entry.class_path).rsplit(".", 1)[-1] for entry in listed(given) if entry]
    return ", ".join(names) or "unknown"


def one_line(error: BaseException) -> str:
    """Another library's message in one line."""
    return " ".join(str(error).split())[:300]


def load_task_weights(task: LocalizationTask, path: Path) -> None:
    """Put the network of a training checkpoint into a task.

    Raises:
        CheckpointError: The file is unusable, or of another network; names what differs.
    """
    prefix = "network."
    state = {
        name.removeprefix(prefix): value
        for name, value in read_checkpoint(path)["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        task.network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: is of another network ({one_line(error)})") from None
