"""What the page asks: files of strangers, looked at before they are decoded, and numbers."""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from cvsegguide.errors import CVSegGuideError, InputError, in_words
from cvsegguide.geo import from_lens
from cvsegguide.io.images import read_image
from cvsegguide.io.rasters import Overhead, check_given_bounds, read_overhead

LABELS = {
    "overhead": "Overhead image: GeoTIFF or another raster, north up",
    "street": "Street view: panorama or a part of one; photographs: tick lens",
    "unknown": "Heading unknown: all headings are tried",
    "heading": "Heading: degrees from north, clockwise, of the street view's centre",
    "heading_error": "Heading error: degrees either way",
    "fov": "Field of view: degrees from left to right",
    "lens": "Lens: a photograph, held level, not a panorama",
    "model": "Model",
    "gsd": "Metres per pixel: where the file does not tell",
    "bounds": "Bounds: west, south, east, north in degrees, where the file does not tell",
}
"""What is asked, in the order of the page; before the colon, what the page calls it."""

DRIVERS = ("GTiff", "PNG", "JPEG", "WEBP", "BMP", "GIF", "JP2OpenJPEG")
"""GDAL's drivers that may touch a file: others read descriptions that lead to other files."""


@dataclass(frozen=True)
class Limits:
    """How much people may bring."""

    upload_bytes: int = 64 << 20
    overhead_pixels: int = 32_000_000
    street_pixels: int = 72_000_000


class Question:
    """Values of :data:`LABELS`, read; ``faults`` says what is wrong with which of them."""

    def __init__(self, values: tuple[Any, ...], limits: Limits) -> None:
        self.values = dict(zip(LABELS, values, strict=True))
        self.faults: dict[str, str] = {}
        self.overhead = self.street = None
        with self.telling("overhead"):
            self.overhead = values[0] and self._read_overhead(values[0], limits.overhead_pixels)
        with self.telling("street"):
            self.street = values[1] and self._read_street(values[1], limits.street_pixels)

    @contextmanager
    def telling(self, field: str) -> Iterator[None]:
        """Keep an error, in the page's words, as a fault of the field it names, or of this one."""
        try:
            yield
        except CVSegGuideError as error:
            text = in_words(str(error.args[0]), _label)
            for path in filter(None, (self.values["overhead"], self.values["street"])):
                text = text.replace(path, Path(path).name)
            text = text.replace("pass *lens*", "tick *lens*").replace("pass *", "fill in *")
            self.faults[error.parameter if error.parameter in LABELS else field] = text

    def _read_overhead(self, path: str, pixels: int) -> Overhead:
        bounds, driver = _read_bounds(self.values["bounds"]), check_file(path, pixels)
        gsd = self.values["gsd"]
        image = read_overhead(path, bounds, gsd, driver=driver, max_pixels=pixels)
        if bounds is not None:
            check_given_bounds(image)
        return replace(image, name=Path(path).name)

    def _read_street(self, path: str, pixels: int) -> Any:
        check_file(path, pixels)
        view, fov = read_image(path), self.values["fov"]
        vertical = fov * view.shape[0] / view.shape[1]
        if vertical > 185 and not self.values["lens"]:
            raise InputError(
                f"a panorama {fov:g} degrees wide would be {vertical:.0f} degrees high: if this "
                "is a photograph, tick `lens`; if it is a part of a panorama, correct `fov`"
            )
        return from_lens(view, fov) if self.values["lens"] else view


def check_file(path: str, pixels: int) -> str:
    """The driver of a file that may be decoded; its blocks, and bands of 12 bytes, count."""
    for driver in DRIVERS:
        try:
            with (
                warnings.catch_warnings(action="ignore"),
                rasterio.open(path, driver=driver) as file,
            ):
                depth = sum(np.dtype(kind).itemsize for kind in file.dtypes)
                largest = max(math.prod(shape) for shape in (file.shape, *file.block_shapes))
        except (rasterio.errors.RasterioError, TypeError):
            continue
        if largest * max(1.0, depth / 12) > pixels:
            raise InputError(
                f"{path}: {file.width} x {file.height} pixels of {depth} bytes; at most "
                f"{pixels / 1e6:g} megapixels of 12 bytes are taken here, so cut it or shrink it"
            )
        return driver
    raise InputError(f"{path}: damaged, or none of {', '.join(DRIVERS)}")


def _read_bounds(text: str) -> tuple[float, ...] | None:
    try:
        bounds = tuple(float(part) for part in re.findall(r"[^\s,;]+", text))
    except ValueError:
        bounds = (math.nan,)
    if len(bounds) not in (0, 4):
        raise InputError("give west, south, east and north in degrees", "bounds")
    return bounds or None


def _label(name: str) -> str:
    return f"*{LABELS.get(name, name).partition(':')[0].lower()}*"
