"""What the page asks: files of strangers, looked at before they are decoded, and numbers."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import rasterio

from cvsegguide.errors import CVSegGuideError, InputError, in_words
from cvsegguide.geo import from_lens
from cvsegguide.io.images import read_image
from cvsegguide.io.location import check_given_bounds
from cvsegguide.io.rasters import read_overhead

LABELS = {
    "overhead": "Overhead image: GeoTIFF or another raster, north up",
    "street": "Street view: panorama or a part of one; photographs: tick lens",
    "unknown": "Heading unknown: all headings are tried",
    "heading": "Heading: degrees from north, clockwise, of the street view's centre",
    "heading_error": "Heading error: degrees either way",
    "fov": "Field of view: degrees from left to right",
    "lens": "Lens: a photograph, held level, not a panorama",
    "model": "Model",
    "gsd": "Metres per pixel: where the file does not tell; 0: unknown",
    "bounds": "Bounds: west, south, east, north in degrees, where the file does not tell",
}
"""What is asked, in the order of the page; before the colon, what the page calls it."""

DRIVERS = ("GTiff", "PNG", "JPEG", "WEBP", "BMP", "GIF", "JP2OpenJPEG")
"""GDAL's drivers that may touch a file: others read descriptions that lead to other files."""

FOLDER = Path(__file__).parent / "examples"

EXAMPLES: dict[str, dict[str, Any]] = {
    example["name"]: example
    | {
        "overhead": FOLDER / f"{example['name']}-overhead.tif",
        "street": FOLDER / f"{example['name']}-street.jpg",
        "thumbnail": FOLDER / f"{example['name']}.jpg",
    }
    for example in json.loads((FOLDER / "examples.json").read_text("utf-8"))
}
"""By name: ``scripts/make_app_examples.py`` made them in a SynthCity that no weights know."""


class Question:
    """Values of :data:`LABELS`, read; ``faults`` says what is wrong with which of them."""

    def __init__(self, values: tuple[Any, ...], pixels: int) -> None:
        self.values = dict(zip(LABELS, values, strict=True))
        self.faults: dict[str, str] = {}
        self.overhead: Any = None
        self.street: Any = None
        with self.telling("overhead"):
            self.overhead = values[0] and self._read_overhead(values[0], pixels)
        with self.telling("street"):
            self.street = values[1] and self._read_street(values[1], pixels)

    @contextmanager
    def telling(self, field: str) -> Iterator[None]:
        """Keep an error, in the page's words, as a fault of the field it names, or of this one."""
        try:
            yield
        except CVSegGuideError as error:
            text = in_words(
                str(error.args[0]), lambda name: f"*{LABELS.get(name, name).partition(':')[0]}*"
            )
            for path in filter(None, (self.values["overhead"], self.values["street"])):
                text = text.replace(path, Path(path).name)
            text = text.replace("pass *Lens*", "tick *Lens*").replace("pass *", "fill in *")
            self.faults[error.parameter if error.parameter in LABELS else field] = text

    def _read_overhead(self, path: str, pixels: int) -> Any:
        text, gsd, driver = self.values["bounds"], self.values["gsd"], check_file(path, pixels)
        bounds: Any = tuple(map(float, re.findall(r"-?\d+\.?\d*", text))) if text else None
        image = read_overhead(path, bounds, gsd or None, driver=driver, max_pixels=pixels)
        if bounds is not None:
            check_given_bounds(image)
        image.name = Path(path).name
        return image

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
            with catch_warnings(action="ignore"), rasterio.open(path, driver=driver) as file:
                depth = sum(np.dtype(kind).itemsize for kind in file.dtypes)
                largest = max(math.prod(shape) for shape in (file.shape, *file.block_shapes))
        except (rasterio.errors.RasterioError, TypeError):
            continue
        if largest * max(1.0, depth / 12) > pixels:
            size = f"{file.width} x {file.height} pixels of {depth} bytes"
            raise InputError(f"{path}: {size}; at most {pixels / 1e6:g} megapixels are taken")
        return driver
    raise InputError(f"{path}: damaged, or none of {', '.join(DRIVERS)}")
