"""A camera on a map: frame by frame, from street views to places on the ground."""

import math
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cvsegguide import __version__
from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.geo import angular_difference, wrap_degrees
from cvsegguide.inference.heights import heights_to_try, to_usual_height
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.progress import track as show_progress
from cvsegguide.tracking.belief import Estimate
from cvsegguide.tracking.filter import HistogramFilter, Settings
from cvsegguide.tracking.likelihood import choose_likelihood
from cvsegguide.tracking.mosaic import open_mosaic
from cvsegguide.tracking.motion import Motion
from cvsegguide.tracking.track import Snapshot, Track, TrackPoint

if TYPE_CHECKING:
    from cvsegguide.inference.localizer import Localizer

OVERHEAD_MEMORY = 512.0
"""Megabytes of encoded overhead imagery that are kept by default."""


@dataclass(frozen=True)
class Frame:
    """What is known of one moment of a drive.

    Attributes:
        image: Street view: path, PIL image or uint8 array; None where the picture is missing.
        motion: The step since the previous frame; None when it was not measured.
        fov: Horizontal extent of the street view in degrees.
        compass: Measured azimuth of the street view's centre, degrees clockwise from true north,
            or None.
        compass_error: Standard deviation of it in degrees.
        time: Seconds, for the record.
        name: For messages and the record.
        truth: True ``(lon, lat, heading)``, for the record: errors are told, nothing is helped.
            The heading may be NaN.
    """

    image: ImageLike | None
    motion: Motion | None = None
    fov: float = 360.0
    compass: float | None = None
    compass_error: float = 5.0
    time: float | None = None
    name: str = ""
    truth: tuple[float, float, float] | None = None


class Tracker:
    """Follows a camera through overhead imagery of any size.

    As a context it closes the imagery at its end.

    Args:
        localizer: The model and its device. Models that search headings (the geometric network)
            find the heading; the others see each picture at the heading that start, odometry and
            compass lead to, with a warning where that is not known.
        overhead: Raster or folder of map tiles, see
            :func:`~cvsegguide.tracking.mosaic.open_mosaic`.
        start: ``(lon, lat)`` of the first frame, None when unknown: anywhere on the imagery.
        start_pixel: The same as ``(row, col)`` in pixels of the imagery.
        start_error: Standard deviation of the start in metres.
        start_heading: Azimuth of the first picture's centre, degrees clockwise from true north;
            None when unknown.
        start_heading_error: Its standard deviation in degrees.
        bounds, gsd: Where the raster lies, as for ``Localizer.localize``.
        settings: How the filter believes.
        memory: Megabytes of encoded overhead imagery that are kept.
        camera_height: Metres above the ground, as for ``Localizer.localize``; not searched.

    Attributes:
        mosaic: The imagery.
        filter: What is believed, in cells of the map.
        snapshot: The belief after the last frame, for pictures; None before the first.

    Raises:
        InputError: The imagery or an argument cannot be used; the message says which.

    Warns:
        InferenceWarning: The model does not tell headings apart, and the heading is unknown.
    """

    def __init__(
        self,
        localizer: "Localizer",
        overhead: ImageLike,
        *,
        start: tuple[float, float] | None = None,
        start_pixel: tuple[float, float] | None = None,
        start_error: float = 10.0,
        start_heading: float | None = None,
        start_heading_error: float = 10.0,
        bounds: tuple[float, float, float, float] | None = None,
        gsd: float | None = None,
        settings: Settings | None = None,
        memory: float = OVERHEAD_MEMORY,
        camera_height: float | None = None,
    ) -> None:
        if start is not None and start_pixel is not None:
            raise InputError("is given twice, in degrees and in pixels", parameter="start")
        for name, value in (
            ("start_error", start_error),
            ("start_heading_error", start_heading_error),
        ):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"must be positive, got {value:g}", parameter=name)
        if len(heights_to_try(camera_height, True, localizer.name)) > 1:
            raise InputError(
                "is not searched along a drive; give metres", parameter="camera_height"
            )
        self._name = localizer.name
        self._height = camera_height
        self._frames = 0
        self.snapshot: Snapshot | None = None
        with ExitStack() as stack:
            self.mosaic = stack.enter_context(
                open_mosaic(overhead, localizer.model.gsd, bounds, gsd)
            )
            likelihood = choose_likelihood(localizer.model, self.mosaic, localizer.device, memory)
            if not likelihood.knows_headings and start_heading is None:
                warnings.warn(
                    f"heading unknown: model {localizer.name} does not tell headings apart; "
                    "pictures are taken at the heading that odometry suggests, from north",
                    InferenceWarning,
                    stacklevel=3,
                )
            self.filter = HistogramFilter(likelihood, settings, localizer.device)
            position = None
            if start is not None:
                position = self.mosaic.locate(*start)
            elif start_pixel is not None:
                position = self.mosaic.map_pixels(*start_pixel)
            if position is not None:
                position = position[0] / likelihood.pixels, position[1] / likelihood.pixels
            heading = None if start_heading is None else start_heading - self.mosaic.up_azimuth
            try:
                self.filter.start(position, start_error, heading, start_heading_error)
            except InputError as error:
                error.parameter = "start" if start_pixel is None else "start_pixel"
                raise
            self._open = stack.pop_all()

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the imagery."""
        self._open.close()

    def update(self, frame: Frame) -> TrackPoint:
        """Take in the next frame; what is believed after it.

        Raises:
            InputError: It cannot be used; the message names it.
        """
        index, self._frames = self._frames, self._frames + 1
        called = f"frame {index}" + (f" ({frame.name})" if frame.name else "")
        try:
            estimate = self._step(frame, index == 0)
        except InputError as error:
            raise InputError(f"{called}: {error}") from None
        truth = None
        if frame.truth is not None:
            truth = self.mosaic.locate(frame.truth[0], frame.truth[1])
        self.snapshot = self._snapshot(estimate, truth)
        return self._point(index, frame, estimate)

    def restart(self, **options: Any) -> None:
        """Begin anew, at a place in cells of the map: options of :meth:`HistogramFilter.start`."""
        self.filter.start(**options)
        self._frames = 0

    def follow(self, frames: Iterable[Frame | ImageLike | None], fov: float = 360.0) -> Track:
        """Take in frame after frame.

        Args:
            frames: Frames, or street views alone (all of ``fov`` degrees, without odometry); None
                is a missing frame.
            fov: Field of view in degrees of frames that are street views alone.

        Raises:
            InputError: There is no frame, or one cannot be used; the message names it.
        """
        result = Track(
            gsd=self.mosaic.gsd,
            overhead=self.mosaic.name,
            model=self._name,
            version=__version__,
            georeferenced=self.mosaic.reference is not None,
        )
        total = len(frames) if isinstance(frames, Sequence) else None
        for frame in show_progress(frames, "tracking", total=total):
            known = frame if isinstance(frame, Frame) else Frame(frame, fov=fov)
            result.points.append(self.update(known))
            assert self.snapshot is not None
            result.snapshots.append(self.snapshot)
        if not result.points:
            raise InputError("there is none", parameter="frames")
        return result

    def _step(self, frame: Frame, first: bool) -> Estimate:
        if not (math.isfinite(frame.fov) and 0 < frame.fov <= 360):
            raise InputError(f"fov must lie in (0, 360] degrees, got {frame.fov:g}")
        motion = frame.motion
        numbers = () if motion is None else (motion.forward, motion.left, motion.turn)
        if not all(map(math.isfinite, numbers)):
            raise InputError("its odometry is not finite")
        compass = None if frame.compass is None else frame.compass - self.mosaic.up_azimuth
        view = None
        if frame.image is not None:
            view = to_usual_height(read_image(frame.image, "street view"), frame.fov, self._height)
        return self.filter.step(view, motion, frame.fov, compass, frame.compass_error, first)

    def _snapshot(self, estimate: Estimate, truth: tuple[float, float] | None) -> Snapshot:
        assert self.filter.belief is not None
        belief = self.filter.belief.resize(self.filter.belief.support(1e-5))
        pixels = self.filter.likelihood.pixels
        return Snapshot(
            belief.box.top * pixels,
            belief.box.left * pixels,
            belief.position().cpu().numpy().astype(np.float32),
            pixels,
            estimate.row * pixels,
            estimate.col * pixels,
            truth,
        )

    def _point(self, index: int, frame: Frame, estimate: Estimate) -> TrackPoint:
        assert self.snapshot is not None
        pixels, truth = (self.snapshot.row, self.snapshot.col), self.snapshot.truth
        row, col = self.mosaic.own_pixels(*pixels)
        lon, lat = self.mosaic.lonlat(*pixels) or (None, None)
        up = self.mosaic.up_azimuth
        heading = None if estimate.heading is None else wrap_degrees(estimate.heading + up)
        # From (down, right) of the map to (east, north), which may be turned against it.
        sine, cosine = math.sin(math.radians(up)), math.cos(math.radians(up))
        turned = np.array([[-sine, cosine], [-cosine, -sine]])
        spread = turned @ estimate.covariance @ turned.T
        point = TrackPoint(
            frame=index,
            name=frame.name,
            time=frame.time,
            row=row,
            col=col,
            lon=lon,
            lat=lat,
            heading=heading,
            heading_error=estimate.heading_error,
            variance_east=float(spread[0, 0]),
            variance_north=float(spread[1, 1]),
            covariance=float(spread[0, 1]),
            probability=estimate.probability,
            effective_area=estimate.area,
            evidence=None if math.isnan(self.filter.evidence) else self.filter.evidence,
            used=frame.image is not None,
            lost=self.filter.lost,
        )
        if truth is None or frame.truth is None:
            return point
        error = math.hypot(pixels[0] - truth[0], pixels[1] - truth[1]) * self.mosaic.gsd
        difference = None
        if heading is not None and math.isfinite(frame.truth[2]):
            difference = angular_difference(heading, frame.truth[2])
        return replace(point, error=error, heading_difference=difference)
