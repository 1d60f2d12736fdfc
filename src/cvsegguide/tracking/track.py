"""A whole drive: from frames to a path, and the path's files."""

import json
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import cvsegguide
from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.geo import angular_difference, wrap_degrees
from cvsegguide.inference.heights import as_usual, heights_to_try
from cvsegguide.io.atomic import atomic_path, write_text
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.models.geometric.overhead import CELL
from cvsegguide.progress import track as show_progress
from cvsegguide.tracking.belief import Estimate
from cvsegguide.tracking.likelihood import choose_likelihood
from cvsegguide.tracking.mosaic import Mosaic, open_mosaic
from cvsegguide.tracking.tracker import Frame, Settings, Tracker

if TYPE_CHECKING:
    from cvsegguide.inference.localizer import Localizer

ELLIPSE = 2.4477
"""Standard deviations of the ellipse that holds 95 % of a normal distribution of the plane."""

OVERHEAD_MEMORY = 512.0
"""Megabytes of overhead features that are kept by default."""


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

    def record(self) -> dict[str, Any]:
        """The attributes by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


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
        points: One a frame.
        snapshots: The belief of each frame.
        gsd: Metres per pixel of the map that snapshots count in.
        overhead: Name of the imagery.
        model, version: Which model, which version of this package.
        georeferenced: Whether points have longitude and latitude.
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
        line = [_place(point.lon, point.lat) for point in self.points]
        if len(line) == 1:
            line = line * 2  # a line has two positions at least
        features = [
            _feature(
                {"type": "LineString", "coordinates": line},
                {"kind": "path", "frames": len(self.points), "model": self.model},
            )
        ]
        for point in self.points:
            kept = {k: v for k, v in point.record().items() if k not in ("lon", "lat")}
            place = {"type": "Point", "coordinates": _place(point.lon, point.lat)}
            features.append(_feature(place, {"kind": "position", **kept}))
        for point in self.points:
            shape = {"type": "Polygon", "coordinates": [ellipse(point)]}
            about = {"kind": "ellipse", "frame": point.frame, "holds": 0.95}
            features.append(_feature(shape, about))
        collection = {"type": "FeatureCollection", "features": features}
        write_text(path, json.dumps(collection, indent=1, allow_nan=False) + "\n")


def track(
    localizer: "Localizer",
    frames: Iterable[Frame | ImageLike | None],
    overhead: ImageLike,
    *,
    start: tuple[float, float] | None = None,
    start_pixel: tuple[float, float] | None = None,
    start_error: float = 10.0,
    start_heading: float | None = None,
    start_heading_error: float = 10.0,
    fov: float = 360.0,
    bounds: tuple[float, float, float, float] | None = None,
    gsd: float | None = None,
    settings: Settings | None = None,
    memory: float = OVERHEAD_MEMORY,
    camera_height: float | None = None,
) -> Track:
    """Follow a camera along a drive.

    Args:
        localizer: The model and its device. Models that tell headings apart (the geometric
            network) find the heading; the others see each picture at the heading that start,
            odometry and compass lead to, with a warning where that is not known.
        frames: :class:`~cvsegguide.tracking.Frame`, or street views alone (all of ``fov``
            degrees, without odometry); None is a missing frame.
        overhead: Raster or folder of map tiles, see
            :func:`~cvsegguide.tracking.mosaic.open_mosaic`.
        start: ``(lon, lat)`` of the first frame, None when unknown: anywhere on the imagery.
        start_pixel: The same as ``(row, col)`` in pixels of the imagery.
        start_error: Standard deviation of the start in metres.
        start_heading: Azimuth of the first picture's centre, degrees clockwise from true north;
            None when unknown.
        start_heading_error: Its standard deviation in degrees.
        fov: Field of view of frames that are street views alone.
        bounds, gsd: Where the raster lies, as for ``Localizer.localize``.
        settings: How the filter believes.
        memory: Megabytes of overhead features that are kept.
        camera_height: Metres above the ground, as for ``Localizer.localize``; not searched.

    Raises:
        InputError: A frame, the imagery or an option cannot be used; the message says which.

    Warns:
        InferenceWarning: The model does not tell headings apart, and the heading is unknown.
    """
    if start is not None and start_pixel is not None:
        raise InputError("start: is given twice, in degrees and in pixels")
    for name, value in (("start_error", start_error), ("start_heading_error", start_heading_error)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}: must be positive, got {value:g}")
    if len(heights_to_try(camera_height)) > 1:
        raise InputError("--camera-height: is not searched along a drive; give metres")
    model = localizer.model
    with open_mosaic(overhead, model.gsd, bounds, gsd) as mosaic:
        likelihood = choose_likelihood(model, mosaic, localizer.device, memory)
        if not likelihood.knows_headings and start_heading is None:
            warnings.warn(
                f"heading unknown: model {localizer.name} does not tell headings apart; pictures "
                "are taken at the heading that odometry suggests, from north",
                InferenceWarning,
                stacklevel=3,
            )
        follower = Tracker(likelihood, settings, localizer.device)
        position = None
        if start is not None:
            position = mosaic.locate(*start)
        elif start_pixel is not None:
            position = mosaic.map_pixels(*start_pixel)
        if position is not None:
            position = position[0] / CELL, position[1] / CELL
        heading = None if start_heading is None else start_heading - mosaic.up_azimuth
        follower.start(position, start_error, heading, start_heading_error)
        return follow(follower, frames, mosaic, localizer.name, fov, camera_height)


def follow(
    follower: Tracker,
    frames: Iterable[Frame | ImageLike | None],
    mosaic: Mosaic,
    model: str,
    fov: float = 360.0,
    camera_height: float | None = None,
) -> Track:
    """Run a started filter over frames.

    Args:
        follower: After :meth:`Tracker.start`.
        frames: As for :func:`track`.
        mosaic: The imagery that the filter's likelihood looks at.
        model: Name, for the record.
        fov: Field of view in degrees of frames that are street views alone.
        camera_height: Metres above the ground, None for a usual one.

    Raises:
        InputError: There is no frame, or one cannot be used; the message names it.
    """
    result = Track(
        gsd=mosaic.gsd,
        overhead=mosaic.name,
        model=model,
        version=cvsegguide.__version__,
        georeferenced=mosaic.reference is not None,
    )
    total = len(frames) if isinstance(frames, Sequence) else None
    for index, given in enumerate(show_progress(frames, "tracking", total=total)):
        frame = given if isinstance(given, Frame) else Frame(given, fov=fov)
        _check(frame, index)
        compass = None if frame.compass is None else frame.compass - mosaic.up_azimuth
        try:
            view = frame.image
            if view is not None and camera_height is not None:
                view = as_usual(read_image(view, "street view"), frame.fov, camera_height)
            estimate = follower.step(
                view, frame.motion, frame.fov, compass, frame.compass_error, index == 0
            )
        except InputError as error:
            raise InputError(f"{_called(frame, index)}: {error}") from None
        truth = None
        if frame.truth is not None:
            truth = mosaic.locate(frame.truth[0], frame.truth[1])
        point = _point(index, frame, estimate, follower, mosaic, truth)
        result.points.append(point)
        assert follower.belief is not None
        belief = follower.belief.resized(follower.belief.support(1e-5))
        result.snapshots.append(
            Snapshot(
                belief.box.top * CELL,
                belief.box.left * CELL,
                belief.position().cpu().numpy().astype(np.float32),
                CELL,
                estimate.row * CELL,
                estimate.col * CELL,
                truth,
            )
        )
    if not result.points:
        raise InputError("frames: there is none")
    return result


def ellipse(point: TrackPoint, corners: int = 32) -> list[list[float]]:
    """The closed ring ``[lon, lat]``, counter-clockwise, that holds 95 % of the mode."""
    assert point.lon is not None
    assert point.lat is not None
    values, vectors = np.linalg.eigh(point.matrix())
    angle = np.linspace(0.0, 2 * math.pi, corners, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    if np.linalg.det(vectors) < 0:
        vectors[:, 0] = -vectors[:, 0]
    east, north = ELLIPSE * vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * circle)
    degree = math.pi / 180.0 * 6378137.0
    lon = point.lon + east / (degree * math.cos(math.radians(point.lat)))
    lat = point.lat + north / degree
    ring = [_place(float(x), float(y)) for x, y in zip(lon, lat, strict=True)]
    return [*ring, ring[0]]


def _called(frame: Frame, index: int) -> str:
    return f"frame {index}" + (f" ({frame.name})" if frame.name else "")


def _check(frame: Frame, index: int) -> None:
    where = _called(frame, index)
    if not (math.isfinite(frame.fov) and 0 < frame.fov <= 360):
        raise InputError(f"{where}: fov must lie in (0, 360] degrees, got {frame.fov:g}")
    if frame.motion is not None:
        numbers = (frame.motion.forward, frame.motion.left, frame.motion.turn)
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"{where}: its odometry is not finite")


def _point(
    index: int,
    frame: Frame,
    estimate: Estimate,
    follower: Tracker,
    mosaic: Mosaic,
    truth: tuple[float, float] | None,
) -> TrackPoint:
    pixels = estimate.row * CELL, estimate.col * CELL
    row, col = mosaic.own_pixels(*pixels)
    place = mosaic.lonlat(*pixels)
    up = mosaic.up_azimuth
    heading = None if estimate.heading is None else wrap_degrees(estimate.heading + up)
    # From (down, right) of the map to (east, north), which may be turned against it.
    sine, cosine = math.sin(math.radians(up)), math.cos(math.radians(up))
    turned = np.array([[-sine, cosine], [-cosine, -sine]])
    spread = turned @ estimate.covariance @ turned.T
    error = difference = None
    if truth is not None and frame.truth is not None:
        error = math.hypot(pixels[0] - truth[0], pixels[1] - truth[1]) * mosaic.gsd
        if heading is not None and math.isfinite(frame.truth[2]):
            difference = angular_difference(heading, frame.truth[2])
    return TrackPoint(
        frame=index,
        name=frame.name,
        time=frame.time,
        row=row,
        col=col,
        lon=None if place is None else place[0],
        lat=None if place is None else place[1],
        heading=heading,
        heading_error=estimate.heading_error,
        variance_east=float(spread[0, 0]),
        variance_north=float(spread[1, 1]),
        covariance=float(spread[0, 1]),
        probability=estimate.probability,
        effective_area=estimate.area,
        evidence=None if math.isnan(follower.evidence) else follower.evidence,
        used=frame.image is not None,
        lost=follower.lost,
        error=error,
        heading_difference=difference,
    )


def _place(lon: float | None, lat: float | None) -> list[float]:
    assert lon is not None
    assert lat is not None
    return [round(lon, 7), round(lat, 7)]


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}
