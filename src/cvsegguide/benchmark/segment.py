"""Land cover of a large raster beside the network alone, and its memory."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cvsegguide.benchmark.memory import peak_of
from cvsegguide.benchmark.networks import build, plainly, threads
from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.inference.lattice import batches, window_starts
from cvsegguide.inference.segmentation import OVERLAP, segment_file, windows
from cvsegguide.io.rasters import open_raster
from cvsegguide.landcover import scheme_of
from cvsegguide.models.base import LocalizationModel

_BATCH = 4


def measure(quick: bool = False) -> Iterator[Measurement]:
    """Pixels a second from GeoTIFF to GeoTIFF, and peak memory as the raster grows.

    The reference is the network alone on as many windows in batches of the same size, counted in
    the raster's pixels as well. The note compares with disjoint tiles, whose every pixel counts.
    """
    sides = (1000, 2000) if quick else (2240, 4480)
    subjects = [("geometric", side) for side in (sides[:1] if quick else sides)]
    if not quick:
        subjects += [("mst-small", 1240), ("mst", 1240)]
    with tempfile.TemporaryDirectory() as folder:
        for name, side in subjects:
            model = build(name)
            path = write_raster(Path(folder) / f"{name}.tif", side, side, model.gsd)
            yield _beside_bare(name, model, path, side, 2 if quick else 3 if side > 3000 else 5)
            if (name, side) != subjects[0]:
                continue
            # Twice the side, and a long strip: neither may need more memory.
            small = peak_of(lambda model=model, path=path: segment(model, path))  # type: ignore[misc]
            for height, width in ((sides[1], sides[0]), (sides[1], sides[1])):
                large = write_raster(Path(folder) / "large.tif", height, width, model.gsd)
                peak = peak_of(lambda model=model, path=large: segment(model, path))  # type: ignore[misc]
                if peak is not None:
                    yield Measurement(
                        f"segment, {name}, {height} x {width} pixels, peak memory added",
                        peak,
                        "MB",
                        small,
                        f"{sides[0]} x {sides[0]} pixels",
                        "grows with the width up to a panel of 8192 pixels, then no more",
                    )


def _beside_bare(
    name: str, model: LocalizationModel, path: Path, side: int, repeats: int
) -> Measurement:
    """Segmenting the raster of ``side`` pixels beside the network alone."""
    window, at_once = windows(model, (side, side), _BATCH)
    rows, across = (len(window_starts(side, s, OVERLAP)) for s in window)
    tiles = [torch.rand(len(group), 3, *window) for group in batches(range(across), at_once)]

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(rows):
                for batch in tiles:
                    model.segment(batch)

    whole, alone, plain = median_seconds(
        lambda: segment(model, path), bare, plainly(bare), repeats=repeats
    )
    disjoint = across * rows * math.prod(window) / side**2
    return Measurement(
        f"segment, {name}, {side} x {side} pixels",
        side**2 / whole / 1e6,
        "Mpx/s",
        side**2 / alone / 1e6,
        f"the network alone on as many windows, {across * rows} of {window[0]} px",
        f"{threads()}; windows share {OVERLAP:.3g} of their side: "
        f"{alone / whole / disjoint:.3f} of the network's rate on disjoint tiles, "
        f"{plain / whole:.3f} of that of its plain path on these windows",
    )


def segment(model: LocalizationModel, path: Path) -> None:
    """What ``cvsegguide segment`` does once the weights are loaded."""
    with open_raster(path) as raster:
        segment_file(
            model,
            raster,
            path.with_suffix(".out.tif"),
            torch.device("cpu"),
            scheme_of(model.channels),
            _BATCH,
        )


def write_raster(path: Path, height: int, width: int, gsd: float) -> Path:
    """A tiled GeoTIFF of smooth texture at ``gsd`` metres per pixel."""
    import rasterio
    from affine import Affine
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=3,
        dtype="uint8",
        crs="EPSG:32618",
        transform=Affine(gsd, 0, 587000, 0, -gsd, 4511000),
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
    ) as dataset:
        dataset.write(image.transpose(2, 0, 1))
    return path
