"""Loading: pairs a second, beside a plain reader and beside what a small network eats."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.benchmark.registry import Measurement
from cvsegguide.data.brooklyn_queens import BrooklynQueens
from cvsegguide.data.datamodule import DataModule
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.loading import OrderedLoader
from cvsegguide.data.sample import Batch, Sample, collate
from cvsegguide.geo import Bounds
from cvsegguide.geo.slippy import tile_bounds
from cvsegguide.lanes import using_threads

_FIRST = (154514, 197033)
_STREET = (1664, 3328)
_TILES, _VIEWS = 4, 2
_BATCH = 8


def measure(quick: bool = False) -> list[Measurement]:
    """Pairs a second with 1 and 2 workers, on a made tree with panoramas of the published size.

    Files come from the page cache: the disk is not measured. The plain reader decodes every file
    in full and resizes it, in one process, and draws the same sightlines.
    """
    epochs = 1 if quick else 3
    with _tree() as root, using_threads(1):
        dataset = BrooklynQueens(root, "queens")
        copies: list[CrossViewDataset] = [dataset] * (4 if quick else 8)
        pairs = len(copies) * len(dataset)
        note = f"{_STREET[0]} x {_STREET[1]} JPEG to 128 x 512, tile 256 x 256, sightline drawn"
        plain = _rate_of_plain_reader(dataset, 8 if quick else 24)
        rates = {}
        for workers in (0, 1, 2):
            module = DataModule(copies, batch_size=_BATCH, num_workers=workers)
            rates[workers] = _rate(module.train_dataloader(), pairs, epochs)
        results = [
            Measurement(
                f"loading, {workers or 'no'} worker{'' if workers == 1 else 's'}",
                rate,
                "pairs/s",
                plain,
                "full decoding in one process",
                note,
            )
            for workers, rate in rates.items()
        ]
        module = DataModule(copies, batch_size=_BATCH, num_workers=0)
        results += _against_a_network(module.train_dataloader(), rates[2], quick)
    return results


def _rate(loader: OrderedLoader, pairs: int, epochs: int) -> float:
    """Median over epochs, after one that starts the workers and compiles."""
    rates = []
    for epoch in range(epochs + 1):
        loader.sampler.set_epoch(epoch)
        start = time.perf_counter()
        for _ in loader:
            pass
        rates.append(pairs / (time.perf_counter() - start))
    return float(np.median(rates[1:]))


def _rate_of_plain_reader(dataset: BrooklynQueens, count: int) -> float:
    from cvsegguide.data.sightlines import sightline

    def read(index: int) -> Sample:
        tile, view = dataset.paths(index)
        label = dataset.folder / "labels/landcover" / dataset.tiles[index // _VIEWS].decode()
        overhead = np.asarray(Image.open(tile).convert("RGB"), dtype=np.float32) / 255
        street = np.asarray(Image.open(view).convert("RGB"))
        street = street[_STREET[0] // 4 : -_STREET[0] // 4]
        small = Image.fromarray(street).resize((512, 128), Image.Resampling.BILINEAR)
        cover = np.array(Image.open(label.with_suffix(".png")))
        row, col = dataset.position(index)
        return Sample(
            id=str(index),
            overhead=torch.from_numpy(overhead).permute(2, 0, 1).contiguous(),
            street=torch.from_numpy(np.asarray(small, dtype=np.float32) / 255).permute(2, 0, 1),
            landcover=torch.from_numpy(cover),
            row=row,
            col=col,
            heading=0.0,
            fov=360.0,
            gsd=0.2262,
            bounds=Bounds(*dataset.bounds[index // _VIEWS].tolist()),
            sightline=torch.from_numpy(sightline(cover, row, col)),
        )

    collate([read(0)])
    start = time.perf_counter()
    for first in range(0, count, _BATCH):
        collate([read(index % len(dataset)) for index in range(first, first + _BATCH)])
    return count / (time.perf_counter() - start)


def _against_a_network(loader: OrderedLoader, rate: float, quick: bool) -> list[Measurement]:
    """Two workers beside the forward and the training pass of networks on two cores."""
    from cvsegguide.models import create_model

    batch = next(iter(loader))
    results = []
    cases = [
        (network, create_model(network), name, train)
        for network in ("geometric", "mst-small")
        for name, train in (("forward pass", False), ("forward and backward pass", True))
    ]
    with using_threads(2):
        for network, model, name, train in cases:
            model.train(train)
            seconds = []
            for _ in range(2 if quick else 4):
                start = time.perf_counter()
                _step(model, batch, train)
                seconds.append(time.perf_counter() - start)
            eaten = len(batch) / float(np.median(seconds[1:]))
            results.append(
                Measurement(
                    "loading, 2 workers",
                    rate,
                    "pairs/s",
                    eaten,
                    f"{name} of {network}",
                    f"batch {len(batch)}, network on 2 threads, loader not running beside it",
                )
            )
    return results


def _step(model: torch.nn.Module, batch: Batch, train: bool) -> None:
    with torch.set_grad_enabled(train):
        prediction = model(batch.overhead, batch.street)
        if train:
            loss = prediction.heatmap.square().mean()
            if prediction.landcover is not None:
                loss = loss + prediction.landcover.square().mean()
            loss.backward()
            model.zero_grad(set_to_none=True)


@contextmanager
def _tree() -> Iterator[Path]:
    """A small tree in the layout of Brooklyn & Queens with pictures of a photograph's texture."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        city = root / "queens"
        tiles, views, places = [], [], []
        for index in range(_TILES):
            x, y = _FIRST[0] + index, _FIRST[1]
            tiles.append(f"19/{x}/{y}.jpg")
            _save(city / "overhead/images" / tiles[-1], _texture(generator, 256, 256))
            cover = np.full((256, 256), 6, np.uint8)
            cover[:100, :110] = cover[150:, 150:] = cover[20:90, 170:] = 5
            _save((city / "labels/landcover" / tiles[-1]).with_suffix(".png"), cover)
            west, south, east, north = tile_bounds(19, x, y)
            for number in range(_VIEWS):
                lat = south + (north - south) * (0.3 + 0.3 * number)
                lon = west + (east - west) * 0.5
                views.append(f"{lat:.3f}/{lon:.3f}/{lat:.6f}_{lon:.6f}.jpg")
                places.append(f"{lat:.9f},{lon:.9f}")
                _save(city / "streetview/images" / views[-1], _texture(generator, *_STREET))
        for name, lines in (
            ("overhead/images.txt", tiles),
            ("streetview/images.txt", views),
            ("streetview/locations.txt", places),
        ):
            (city / name).write_text("\n".join(lines) + "\n")
        yield root


def _texture(generator: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Noise whose strength falls with its frequency, as in photographs."""
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(6):
        shape = (max(2, height >> octave), max(2, width >> octave), 3)
        noise = generator.integers(0, 256, shape, dtype=np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        picture += (np.asarray(layer, dtype=np.float32) - 127.5) * 2.0 ** (octave - 5)
    return np.clip(picture / 2 + 127.5, 0, 255).astype(np.uint8)


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=87)  # of no effect on PNG
