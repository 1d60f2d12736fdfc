"""The path of a drive, and its files."""

import math
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo.bounds import EARTH_RADIUS
from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.vectors import write_features

DEVIATIONS = 2.4477
"""Standard deviations of the ellipse that holds 95 % of a normal distribution of the plane."""


@dataclass(frozen=True)
class TrackPoint:
    """What was believed after a frame.

    Attributes:
        frame: Number of the frame, from 0.
        name, time: Of the frame.
        row, col: Position in pixels of the overhead imagery (of a folder of tiles: counted from
            the corner of its north-western tile).
        lon, lat: Degrees, None where the imagery is not georeferenced.
        heading: Degrees clockwise from true north, None where it is as good as unknown.
        heading_error: Its standard deviation in degrees.
        variance_east, variance_north, covariance: Square metres: of the mode of the belief.
        probability: Of the camera being within 5 m of the position.
        effective_area: Square metres, exponential of the entropy of the position: small when one
            place is believed in, large when many are.
        evidence: How many times more likely the picture was under what was believed before it than
            anywhere around; None without picture.
        used: Whether there was a picture.
        lost: Whether the filter searched more widely, as pictures spoke against the track.
        error: Metres to the truth, None where it is not known.
        heading_difference: Degrees from the true heading, in [-180, 180), or None.
    """

    frame: int
    name: str
    time: float | None
    row: float
    col: float
    lon: float | None
    lat: float | None
    heading: float | None
    heading_error: float
    variance_east: float
    variance_north: float
    covariance: float
    probability: float
    effective_area: float
    evidence: float | None
    used: bool
    lost: bool
    error: float | None = None
    heading_difference: float | None = None

    def matrix(self) -> NDArray[np.float64]:
        """``(2, 2)`` covariance of (east, north) in square metres."""
        return np.array(
            [[self.variance_east, self.covariance], [self.covariance, self.variance_north]]
        )

    def ellipse(self, corners: int = 32) -> NDArray[np.float64]:
        """``(2, corners)`` metres east and north of the position, counter-clockwise.

        The ellipse holds 95 % of the mode.
        """
        values, vectors = np.linalg.eigh(self.matrix())
        angle = np.linspace(0.0, 2 * math.pi, corners, endpoint=False)
        circle = np.stack([np.cos(angle), np.sin(angle)])
        if np.linalg.det(vectors) < 0:
            vectors[:, 0] = -vectors[:, 0]
        axes = np.sqrt(np.maximum(values, 0.0))[:, None] * circle
        return np.asarray(DEVIATIONS * vectors @ axes)

    def record(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


@dataclass(frozen=True)
class Snapshot:
    """The belief of a frame, for pictures.

    Attributes:
        top, left: First row and column in pixels of the map at the model's resolution.
        mass: ``(h, w)`` float32, probability per cell.
        cell: Pixels of the map a cell has.
        row, col: Position in the same pixels.
        truth: True ``(row, col)`` in the same pixels, or None.
    """

    top: int
    left: int
    mass: NDArray[np.float32]
    cell: int
    row: float
    col: float
    truth: tuple[float, float] | None


@dataclass
class Track:
    """The path of a drive.

    Attributes:
        gsd: Metres per pixel of the map that snapshots count in.
        overhead: Name of the imagery.
        model, version: Which model, which version of this package.
        georeferenced: Whether points have longitude and latitude.
        points: What was believed after each frame.
        snapshots: The belief of each frame.
    """

    gsd: float
    overhead: str
    model: str
    version: str
    georeferenced: bool
    points: list[TrackPoint] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)

    def errors(self) -> NDArray[np.float64]:
        """``(N,)`` metres to the truth, NaN where it is not known."""
        return np.array([math.nan if p.error is None else p.error for p in self.points])

    def heading_errors(self) -> NDArray[np.float64]:
        """``(N,)`` absolute degrees, NaN where the truth or the heading is not known."""
        values = [p.heading_difference for p in self.points]
        return np.array([math.nan if value is None else abs(value) for value in values])

    def write_table(self, path: str | PathLike[str]) -> None:
        """Write a row a frame, Parquet or CSV by the name."""
        import pandas

        table = pandas.DataFrame([point.record() for point in self.points])
        for name in ("time", "lon", "lat", "heading", "evidence", "error", "heading_difference"):
            table[name] = table[name].astype("float64")
        with atomic_path(path) as temporary:
            if temporary.suffix == ".csv":
                table.to_csv(temporary, index=False)
            else:
                table.to_parquet(temporary, index=False)

    def write_geojson(self, path: str | PathLike[str]) -> None:
        """Write path, positions and 95 % ellipses as GeoJSON (RFC 7946).

        Raises:
            InputError: The imagery is not georeferenced.
        """
        if not self.georeferenced:
            raise InputError(f"{self.overhead}: has no georeference, so that there is no GeoJSON")
        from shapely import LineString, Point, Polygon

        line = [(point.lon, point.lat) for point in self.points]
        path_of_all = {"kind": "path", "frames": len(self.points), "model": self.model}
        shapes: list[Any] = [LineString(line * 2 if len(line) == 1 else line), *map(Point, line)]
        shapes += [Polygon(_find_ring(point)) for point in self.points]
        properties = [path_of_all]
        for point in self.points:
            shown = {k: v for k, v in point.record().items() if k not in ("lon", "lat")}
            properties.append({"kind": "position", **shown})
        properties += [
            {"kind": "ellipse", "frame": point.frame, "holds": 0.95} for point in self.points
        ]
        write_features(path, shapes, properties)


def _find_ring(point: TrackPoint) -> NDArray[np.float64]:
    """``(N, 2)`` longitudes and latitudes of a point's ellipse."""
    assert point.lon is not None
    assert point.lat is not None
    east, north = point.ellipse()
    degree = math.radians(1) * EARTH_RADIUS
    lon = point.lon + east / (degree * math.cos(math.radians(point.lat)))
    return np.stack([lon, point.lat + north / degree], axis=-1)
