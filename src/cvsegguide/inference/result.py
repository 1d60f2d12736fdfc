"""What a localisation returns, and the files it is saved as."""

import json
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.geo import Bounds, GeoReference
from cvsegguide.inference.regions import Region
from cvsegguide.io.atomic import atomic_folder, write_text
from cvsegguide.io.geotiff import write_geotiff
from cvsegguide.io.vectors import write_geojson
from cvsegguide.landcover import NYC, ClassScheme


@dataclass
class Localization:
    """Where a street view was taken.

    Attributes:
        posterior: ``(H, W)`` float32 on the overhead image's own grid, sums to 1.
        landcover: ``(H, W)`` uint8 class ids, 0 where there is no data or no prediction.
        row, col: The estimate in overhead pixels: the posterior's mode, refined below a pixel.
        lon, lat: The same in degrees, or None without georeference.
        heading: Azimuth of the street view's centre in degrees clockwise from true north: the one
            given, or the model's estimate; None where it was not given and the model cannot tell.
        regions: The posterior's parts, the most probable first.
        gsd: Metres per overhead pixel, or None.
        model: Name of the model.
        version: Version of this package.
        bounds: Of the overhead image in degrees, or None.
        heading_posterior: ``(K,)`` float32, mass over K equal sectors of heading (the first one
            centred on north, clockwise), from models that estimate it; else None.
        reference: Frame of the overhead image, or None.
        overhead: ``(H, W, 3)`` uint8, the overhead image.
        street: ``(h, w, 3)`` uint8, the street view.
        fov: Horizontal extent of the street view in degrees.
        pixel_size: ``(height, width)`` of an overhead pixel in metres, or None.
        scheme: Classes of ``landcover``.
    """

    posterior: NDArray[np.float32]
    landcover: NDArray[np.uint8]
    row: float
    col: float
    lon: float | None
    lat: float | None
    heading: float | None
    regions: list[Region]
    gsd: float | None
    model: str
    version: str
    bounds: Bounds | None
    heading_posterior: NDArray[np.float32] | None = None
    reference: GeoReference | None = field(default=None, repr=False)
    overhead: NDArray[np.uint8] | None = field(default=None, repr=False)
    street: NDArray[np.uint8] | None = field(default=None, repr=False)
    fov: float = 360.0
    pixel_size: tuple[float, float] | None = None
    scheme: ClassScheme = field(default=NYC, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Every field but the arrays, in JSON types: what ``result.json`` holds."""
        names = ("row", "col", "lon", "lat", "heading", "gsd", "fov", "model", "version")
        height, width = self.posterior.shape
        headings = self.heading_posterior
        return {
            **{name: getattr(self, name) for name in names},
            "heading_posterior": None if headings is None else headings.tolist(),
            "regions": [region.to_dict() for region in self.regions],
            "bounds": None if self.bounds is None else list(self.bounds),
            "height": height,
            "width": width,
        }

    def save(self, directory: str | PathLike[str]) -> Path:
        """Write the result into a folder, which is made when it does not exist.

        ``result.json``, ``posterior.tif`` (float32), ``landcover.tif`` (uint8 with a colour
        table) and ``regions.geojson``. The rasters carry coordinate system and transform where the
        overhead image has them. All files are finished in a temporary folder beside first: a
        failure leaves none of them. :func:`cvsegguide.viz.localization.save_with_figure` adds a
        picture.

        Args:
            directory: Where they go.

        Returns:
            The folder.

        Raises:
            InputError: The folder cannot be made or written to.
        """
        directory = Path(directory)
        with atomic_folder(directory) as folder:
            tags = {"SOFTWARE": f"cvsegguide {self.version}", "MODEL": self.model}
            write_text(folder / "result.json", json.dumps(self.to_dict(), indent=1) + "\n")
            write_geotiff(
                folder / "posterior.tif",
                self.posterior,
                self.reference,
                description="probability of the camera standing in the pixel",
                tags=tags,
            )
            write_geotiff(
                folder / "landcover.tif",
                self.landcover,
                self.reference,
                nodata=0,
                palette=self.scheme.palette,
                description="land cover",
                tags={**tags, **class_tags(self.scheme)},
            )
            write_geojson(
                folder / "regions.geojson",
                [(region.polygons(), region.to_dict()) for region in self.regions],
                self.reference,
            )
        return directory


def class_tags(scheme: ClassScheme) -> dict[str, str]:
    """Metadata that names a land-cover raster's classes."""
    return {f"CLASS_{entry.id}": entry.name for entry in scheme.classes}
