"""What a run was: its configuration, versions, revision and machine, beside its checkpoints."""

import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from cvsegguide import __version__
from cvsegguide.io.atomic import write_text

RECORD = "run.json"

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")


class RunRecord(SaveConfigCallback):
    """Writes ``config.yaml`` and ``run.json`` into the folder of the run when training starts.

    ``config.yaml`` serves every sub-command; whoever is given it finds the run beside it.
    ``run.json`` is a list with an entry per start: a resumed run adds one.
    """

    def __init__(self, parser: Any, config: Any, directory: str, argv: Sequence[str]) -> None:
        super().__init__(parser, config, overwrite=True, save_to_log_dir=False)
        self.directory = Path(directory)
        self.argv = list(argv)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write both files (called by Lightning in the first process only)."""
        config = self.config.clone()
        for name in ("config", "out", "resume"):
            config.pop(name, None)
        # Not checked, since these few are missing; the whole has been checked before.
        text = self.parser.dump(config, skip_unset=False, skip_validation=True)
        write_text(self.directory / "config.yaml", text)
        path = self.directory / RECORD
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            entries = []
        run = {
            "accelerator": type(trainer.accelerator).__name__,
            "devices": trainer.num_devices,
            "processes": trainer.world_size,
            "precision": str(trainer.precision),
            "from_checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
        }
        entries.append({**describe_machine(self.argv), **run})
        write_text(path, json.dumps(entries, indent=2) + "\n")


def describe_machine(argv: Sequence[str]) -> dict[str, Any]:
    """Time, command (its arguments are given), versions, git revision, hardware."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["cvsegguide", *argv],
        "python": platform.python_version(),
        "versions": {"cvsegguide": __version__, **{name: version(name) for name in _PACKAGES}},
        "git": git_revision(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


def git_revision() -> str | None:
    """Revision of the source tree, with ``-dirty`` when it has changes; None outside one."""
    folder = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
