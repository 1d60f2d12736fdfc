"""Checkpoint files that are whole, on whatever disk."""

import os
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from cvsegguide.errors import CheckpointError, InputError, TrainingError
from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.checkpoints import read_checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old checkpoint, flushes to disk, then renames.

    A run that dies or runs out of disk while it saves still has its previous checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write ``checkpoint``; raises TrainingError when it cannot be written."""
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError, InputError) as error:
            raise TrainingError(
                f"{path}: the checkpoint cannot be written ({error}); the one before it is whole"
            ) from None

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read tensors and plain values, never code; raises CheckpointError when unusable."""
        return read_training_checkpoint(path)


def read_training_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a training checkpoint, on the CPU.

    Raises:
        CheckpointError: There is none, or it is damaged or unsafe.
    """
    content = read_checkpoint(path)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path}: not a training checkpoint (it has no 'state_dict')")
    return content
