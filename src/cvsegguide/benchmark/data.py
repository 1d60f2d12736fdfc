"""Reading pairs for training, and making them."""

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from cvsegguide.benchmark.localize import texture
from cvsegguide.benchmark.measurement import Task
from cvsegguide.data import DataModule, Manifest
from cvsegguide.synth import generate

PANORAMA = (1664, 3328)
"""Pixels of the street views of Brooklyn & Queens."""


def loader(quick: bool) -> Iterator[Task]:
    """Pairs a second from JPEG panoramas of published size; files come from the page cache."""
    rows = 16 if quick else 64
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        Image.fromarray(texture(256, 256)).save(root / "overhead.jpg")
        Image.fromarray(texture(*PANORAMA)).save(root / "street.jpg", quality=87)
        lines = [f"overhead.jpg,street.jpg,100,{100 + row},0.2262,{row}" for row in range(rows)]
        table = root / "manifest.csv"
        table.write_text("\n".join(["overhead,street,row,col,gsd,id", *lines]) + "\n")
        for workers in (0, 2):
            data = DataModule(Manifest(table), batch_size=8, num_workers=workers)
            batches = data.train_dataloader()
            yield Task(
                f"loading pairs, {workers or 'no'} workers",
                partial(_exhaust, batches),
                amount=rows,
                unit="pairs/s",
                repeats=2 if quick else 5,
                note=f"{PANORAMA[0]} x {PANORAMA[1]} JPEG to 128 x 512",
            )


def _exhaust(batches: Any) -> None:
    for _ in batches:
        pass


def synth(quick: bool) -> Iterator[Task]:
    """Pairs a second of a SynthCity made in this process, everything written to disk."""
    tiles = 4 if quick else 16
    with tempfile.TemporaryDirectory() as folder:
        fresh = (Path(folder) / str(number) for number in count())
        root = generate(next(fresh), tiles, 5, workers=1)  # kernels are compiled
        pairs = len((root / "brooklyn/streetview/images.txt").read_text().splitlines())
        yield Task(
            "SynthCity on one core",
            lambda: generate(next(fresh), tiles, 5, workers=1),
            amount=pairs,
            unit="pairs/s",
            repeats=1 if quick else 3,
            note="street view, depth, land cover and a share of a tile",
        )
