"""Localising and segmenting as people do, from files and arrays to answers."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.benchmark.measurement import Task
from cvsegguide.errors import CVSegGuideError, first_sentence
from cvsegguide.inference.localizer import Localizer

STREETS = 8


def cold_and_warm(quick: bool) -> Iterator[Task]:
    """``cvsegguide localize`` from the shell, and in a process that has its weights."""
    repeats = 3 if quick else 9
    overhead, street = texture(256, 256), texture(832, 3328)
    localizer = Localizer.from_pretrained("synthcity", device="cpu")
    gsd = localizer.model.gsd
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("overhead.png", "street.jpg")]
        for file, pixels in zip(files, (overhead, street), strict=True):
            Image.fromarray(pixels).save(file)
        command = [sys.executable, "-m", "cvsegguide", "localize", *files, "--gsd", f"{gsd:g}"]
        yield Task("localize from the shell", lambda: _run(command), repeats=repeats)
    for label, heading in (("known", 0.0), ("unknown", None)):
        yield Task(
            f"localize, heading {label}",
            partial(localizer.localize, overhead, street, gsd=gsd, heading=heading),
            repeats=repeats,
            note="256 x 256 and 832 x 3328 pixels in memory",
        )
    yield Task(
        f"localize_many, each of {STREETS} street views",
        lambda: list(localizer.localize_many(overhead, [street] * STREETS, gsd=gsd)),
        amount=STREETS,
        repeats=repeats,
    )


def segment(quick: bool) -> Iterator[Task]:
    """Rasters of 1.5 and 20 megapixels with the default weights, from file to file."""
    localizer = Localizer.from_pretrained("synthcity", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        for side in (1240,) if quick else (1240, 4480):
            path = Path(folder) / f"{side}.tif"
            write_raster(path, side, localizer.model.gsd)
            yield Task(
                f"segment {side} x {side} pixels",
                partial(localizer.segment, path, path.with_suffix(".out.tif")),
                amount=side**2 / 1e6,
                unit="Mpx/s",
                repeats=1 if quick else 3,
                memory=True,
            )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = first_sentence((done.stderr.strip().splitlines() or ["no message"])[-1])
        raise CVSegGuideError(f"{' '.join(command[1:4])} failed: {reason}")


def texture(height: int, width: int) -> NDArray[np.uint8]:
    """A smooth picture ``(height, width, 3)``: noise makes posteriors that no photograph makes."""
    shape = (height // 16 + 1, width // 16 + 1, 3)
    coarse = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_raster(path: Path, side: int, gsd: float) -> None:
    """A tiled GeoTIFF of smooth texture, ``side`` pixels square at ``gsd`` metres a pixel."""
    import rasterio

    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    place = {"crs": "EPSG:32618", "transform": Affine(gsd, 0, 587000, 0, -gsd, 4511000)}
    shape = {"height": side, "width": side, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **layout) as dataset:
        dataset.write(texture(side, side).transpose(2, 0, 1))
