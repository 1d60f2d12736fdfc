"""The folder of a run: where it lies, which weights it holds, what its data are called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from cvsegguide.data.configurations import as_list
from cvsegguide.data.datamodule import DataModule
from cvsegguide.errors import CheckpointError, ConfigurationError
from cvsegguide.training.callbacks.record import RECORD
from cvsegguide.training.checkpoint_io import read_training_checkpoint
from cvsegguide.training.module import LocalizationTask
from cvsegguide.training.options import LAST

BEST = "best.ckpt"
"""The epoch with the lowest validation median error."""

_MODEL_WEIGHTS = re.compile(r"--model\.weights(=|$)")


@dataclass(frozen=True)
class Run:
    """A sub-command that has run, for what is written at its end.

    Attributes:
        subcommand: Its name.
        options: Its options.
        argv: Its command line, as the user wrote it.
        out: Folder of the run or of the results.
        task: The network and how it is trained.
        trainer: What ran it.
        datamodule: Its data.
    """

    subcommand: str
    options: Any
    argv: Sequence[str]
    out: Path
    task: LocalizationTask
    trainer: Trainer
    datamodule: DataModule

    def data_name(self, split: str) -> str:
        """What the data sets of a split are called, for people."""
        entries = as_list(self.options.data.get(split))
        names = [str(entry.class_path).rsplit(".", 1)[-1] for entry in entries if entry]
        return ", ".join(names) or "unknown"


def find_place(subcommand: str, options: Any, argv: Sequence[str]) -> tuple[Path, Path | None]:
    """Find the folder and the weights of a sub-command.

    Args:
        subcommand: Its name.
        options: Its options; ``weights`` and ``model.weights`` are filled in.
        argv: Its command line: ``--model.weights`` there names what is evaluated, in the
            ``config.yaml`` of a run it is what training began with.

    Returns:
        Where it writes, and the training checkpoint that it reads, if any.

    Raises:
        ConfigurationError: No weights are named, or two, or the folder holds a run already.
        CheckpointError: The weights are not there.
    """
    for name in ("root", "pairs"):
        if options.get(name) is not None:
            raise ConfigurationError("belongs on the command line", parameter=name)
    config = _config_file(options)
    name = config.stem if config else "run"
    run = config.parent if config and (config.parent / RECORD).exists() else None
    if subcommand == "fit":
        out = _folder(Path(options.out or run or Path("runs") / name))
        if (out / LAST).exists() and not options.resume:
            raise ConfigurationError(
                f"{out}: holds a run already: `resume` goes on with it, another `out` starts afresh"
            )
        return out, None
    source = _source(subcommand, options, argv, run)
    if source is None:  # the weights that the configuration itself names
        return _folder(Path(options.out or Path("results") / name)), None
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    home = folder / subcommand if path.exists() else Path("results") / name
    weights = _checkpoint(path)
    if weights is None:
        options.model.weights = source
    return _folder(Path(options.out or home)), weights


def _source(subcommand: str, options: Any, argv: Sequence[str], run: Path | None) -> str | None:
    """What is evaluated; None: what the configuration names."""
    given = options.model.weights if any(_MODEL_WEIGHTS.match(word) for word in argv) else None
    if given is not None and options.weights not in (None, given):
        raise ConfigurationError(
            f"{options.weights}, and `model.weights` {given}: give one of them, what is evaluated",
            parameter="weights",
        )
    if run is not None and options.weights is None:
        # model.weights of a run's configuration is what it started from
        options.weights = given or str(run)
    if options.weights is None and options.model.weights is None:
        raise ConfigurationError(
            f"say which weights to {subcommand} (folder of a run, .ckpt, or a name)",
            parameter="weights",
        )
    source: str | None = options.weights
    return source


def _checkpoint(path: Path) -> Path | None:
    """The training checkpoint that a source is or holds; None for weights of another kind."""
    if path.is_dir() and not (path / "model.safetensors").exists():
        found = [path / file for file in (BEST, LAST) if (path / file).exists()]
        if not found:
            raise CheckpointError(f"{path}: holds neither model.safetensors nor {BEST} nor {LAST}")
        return found[0]
    if path.suffix != ".ckpt":
        return None
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    return path


def _folder(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"{out} is a file; results need a folder", parameter="out")
    return out


def _config_file(options: Any) -> Path | None:
    configs = options.get("config") or []
    return Path(str(getattr(configs[0], "relative", configs[0]))) if configs else None


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
        for name, value in read_training_checkpoint(path)["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        task.network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: is of another network ({one_line(error)})") from None
