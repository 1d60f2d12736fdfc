"""A network of a few thousand parameters and a data set from arithmetic, for tests of training."""

import math
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional

from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.sample import Sample
from cvsegguide.geo import Bounds
from cvsegguide.landcover import NYC
from cvsegguide.models.base import LocalizationModel, Prediction

SIZE = 32
GSD = 0.5


class TinyNetwork(LocalizationModel):
    """Matches a descriptor of the street view with every overhead pixel; dropout, so that random
    states matter."""

    def __init__(self, width: int = 8, guidance: str = "none", dropout: float = 0.1) -> None:
        super().__init__()
        self.overhead_size = (SIZE, SIZE)
        self.street_size = (8, 32)
        self.street_extent = (90.0, 360.0)
        self.gsd = GSD
        self.guidance = guidance
        self.channels = tuple(NYC.channels)
        self.width = width
        self.overhead = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.street = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.GELU(), nn.Flatten())
        self.descriptor = nn.Linear(width * 3 * 15, width)
        self.dropout = nn.Dropout(dropout)
        self.cover = nn.Conv2d(width, 4, 1)
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        features = self.overhead(overhead)
        descriptor = self.dropout(self.descriptor(self.street(street)))
        similarity = torch.einsum("bchw,bc->bhw", functional.normalize(features, dim=1), descriptor)
        return Prediction(self.cover(features), self.scale * similarity[:, None])

    def segment(self, overhead: Tensor) -> Tensor:
        scores: Tensor = self.cover(self.overhead(overhead))
        return scores

    def config(self) -> dict[str, Any]:
        return {"width": self.width, "guidance": self.guidance}


class TinyPairs(CrossViewDataset):
    """Tiles with a road, a building and a coloured square; the camera stands in the square, and
    the street view shows its colour.

    Args:
        length: Number of samples.
        first: Number of the first, so that splits differ.
        broken: Sample whose overhead image is NaN, or -1.
    """

    def __init__(self, length: int = 13, first: int = 0, broken: int = -1) -> None:
        super().__init__(SIZE, None, None)
        self.length = length
        self.first = first
        self.broken = broken

    def __len__(self) -> int:
        return self.length

    def sample_id(self, index: int) -> str:
        return f"tiny-{self.first + index}"

    def __getitem__(self, index: int) -> Sample:
        index = self._checked_index(index)
        number = self.first + index
        generator = torch.Generator().manual_seed(number)
        overhead = 0.2 + 0.1 * torch.rand(3, SIZE, SIZE, generator=generator)
        cover = torch.full((SIZE, SIZE), 7, dtype=torch.uint8)
        cover[:, 14:18] = 6
        cover[:6, :6] = 5
        cover[0, 31] = 0
        overhead[:, :, 14:18] = 0.5
        row, col = (4 + 24 * torch.rand(2, generator=generator)).tolist()
        color = torch.rand(3, generator=generator)
        top, left = int(row) - 2, int(col) - 2
        overhead[:, top : top + 5, left : left + 5] = color[:, None, None]
        street = color[:, None, None].expand(3, 8, 32).clone()
        if index == self.broken:
            overhead.fill_(math.nan)
        rows = torch.arange(SIZE) + 0.5
        sightline = torch.exp(-((rows[:, None] - row) ** 2 + (rows - col) ** 2) / (2 * 8.0**2))
        west = -73.9 + 0.001 * number
        return Sample(
            id=self.sample_id(index),
            overhead=overhead,
            street=street,
            landcover=cover,
            row=row,
            col=col,
            heading=0.0,
            fov=360.0,
            gsd=GSD,
            bounds=Bounds(west, 40.7, west + 0.0002, 40.70015),
            sightline=sightline.float(),
        )


class LossTrace(Callback):
    """Appends ``step loss`` of every batch to a file, and may send its own process a signal.

    Args:
        path: The file.
        signal_at: Batches after which the signal is sent; 0 for never.
        number: The signal.
        group: Send it to the whole group of the process, as Ctrl-C does; and wait, so that what
            happens to the others is seen.
    """

    def __init__(
        self, path: str, signal_at: int = 0, number: int = 15, group: bool = False
    ) -> None:
        self.path = Path(path)
        self.group = group
        self.signal_at = signal_at
        self.number = number

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        with self.path.open("a") as file:
            names = " ".join(batch.id)
            file.write(f"{done} {float(outputs['loss']).hex()} {names}\n")
        if self.signal_at == done:
            if not self.group:
                os.kill(os.getpid(), self.number)
                return
            # from another process: readers tell what comes from their parent
            command = ["kill", f"-{self.number}", "--", f"-{os.getpgid(0)}"]
            subprocess.run(command, start_new_session=True, check=True)
            time.sleep(0.5)


def tiny_config(**changes: Any) -> dict[str, Any]:
    """A configuration that trains the tiny network on the tiny pairs in a second."""

    def pairs(length: int, first: int) -> dict[str, Any]:
        init = {"length": length, "first": first}
        return {"class_path": "helpers.tiny.TinyPairs", "init_args": init}

    config: dict[str, Any] = {
        "model": {
            "network": "helpers.tiny.TinyNetwork",
            "learning_rate": 0.01,
            "warmup_steps": 2,
        },
        "data": {
            "train": pairs(13, 0),
            "val": pairs(7, 100),
            "test": pairs(7, 200),
            "batch_size": 3,
            "num_workers": 0,
        },
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "devices": 1, "logger": False},
    }
    for name, values in changes.items():
        config[name] = {**config[name], **values} if isinstance(values, dict) else values
    return config


def write_config(path: Path, **changes: Any) -> Path:
    """Write :func:`tiny_config` as YAML."""
    path.write_text(yaml.safe_dump(tiny_config(**changes)))
    return path
