"""From inputs to answers: everything about localising but the network itself.

Nothing here needs PyTorch. :class:`BaseLocalizer` is completed by one class for each runtime:
``Localizer`` in :mod:`cvsegguide.inference.localizer` and ``OnnxLocalizer`` in
:mod:`cvsegguide.export.localizer`.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import repeat
from os import PathLike
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import CheckpointError, ConfigurationError, InferenceWarning, InputError
from cvsegguide.geo import wrap_degrees
from cvsegguide.inference.finishing import finished, folded
from cvsegguide.inference.heights import as_usual, check_comparable, heights_to_try
from cvsegguide.inference.inputs import MINIMUM_SIDE, check_street, name_of, opened
from cvsegguide.inference.lattice import Shares, Window, batches, lattice
from cvsegguide.inference.result import Localization
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.io.rasters import MAX_PIXELS, Overhead, read_landcover
from cvsegguide.io.resampling import fill, resample
from cvsegguide.landcover import NYC, ClassScheme
from cvsegguide.progress import track

ONE_TILE = 1.3
"""Images up to this many times larger or smaller than a model's tile are fitted into one."""

WHOLE = 4
"""Images of up to this many tiles a side are seen whole by networks that take any size."""

OVERLAP = 0.5
"""Part of a window that it shares with the next when an image is larger than a tile."""


class Network(Protocol):
    """What has to be known of a network; see :class:`cvsegguide.models.LocalizationModel`."""

    @property
    def overhead_size(self) -> tuple[int, int]: ...
    @property
    def street_size(self) -> tuple[int, int]: ...
    @property
    def street_extent(self) -> tuple[float, float]: ...
    @property
    def gsd(self) -> float: ...
    @property
    def guidance(self) -> str: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def searches_headings(self) -> bool: ...
    @property
    def any_size(self) -> int | None: ...


@dataclass(frozen=True)
class Plan:
    """How an overhead image meets a model's tiles.

    Attributes:
        size: ``(h, w)`` of the image at the model's resolution.
        canvas: ``(H, W)`` that windows cover: ``size``, or what the network takes where that is
            larger.
        offset: ``(top, left)`` of the image on the canvas.
        tile: ``(H, W)`` of a window.
        windows: The tiles.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    offset: tuple[int, int]
    tile: tuple[int, int]
    windows: list[Window]


@dataclass
class Part:
    """A network's answers about N windows, in the runtime's own arrays where nothing else is said.

    Attributes:
        heatmap: ``(N, 1, H, W)``.
        landcover: ``(N, C, H, W)`` or None.
        mass: ``(N,)`` numpy, logarithm of the sum of all of a heatmap's exponentials, of what
            several windows see each one's share; where headings were searched.
        heading: ``(N,)`` numpy, degrees from the given heading to the best one, or None.
        heading_log: ``(N, K)`` numpy, log-probabilities of the headings tried, or None.
    """

    heatmap: Any
    landcover: Any
    mass: NDArray[np.float32] | None = None
    heading: NDArray[np.float32] | None = None
    heading_log: NDArray[np.float32] | None = None


class BaseLocalizer(ABC):
    """Localises street views in overhead images with one network.

    Args:
        network: What is known of it.
        name: Recorded in results.
        scheme: Class ids of the land cover that is returned.
        batch_size: Windows that pass the network at once when an image is larger than a tile.

    Attributes:
        whole: Whether networks that take any size are given images of up to :data:`WHOLE` tiles
            a side whole.
    """

    whole = True

    def __init__(
        self, network: Network, name: str, scheme: ClassScheme = NYC, batch_size: int = 4
    ) -> None:
        self.network = network
        self.name = name
        self.scheme = scheme
        self.batch_size = batch_size

    def localize(
        self,
        overhead: ImageLike | Overhead,
        street: ImageLike,
        bounds: tuple[float, float, float, float] | None = None,
        gsd: float | None = None,
        heading: float | None = 0.0,
        fov: float = 360.0,
        landcover: str | PathLike[str] | NDArray[np.uint8] | None = None,
        heading_error: float = 0.0,
        camera_height: float | str | None = None,
    ) -> Localization:
        """Find where a street view was taken.

        An overhead image of about one tile of the model (to within 1.3 x), or of unknown
        resolution, passes the network once; a larger one in overlapping windows at the model's
        resolution, whose scores are blended before they become probabilities; a smaller one is
        padded, not stretched. Networks that take any size (the geometric one) see images of up to
        four tiles a side whole and never stretched. Where the image has no data the posterior is
        0.

        Args:
            overhead: Path of any raster, PIL image or uint8 array ``(H, W, 3)``, north up. What
                decides about its place is written in :mod:`cvsegguide.io.rasters`. Or what
                :func:`cvsegguide.io.rasters.read_overhead` returned: ``bounds`` and ``gsd`` are
                part of it then.
            street: Path, PIL image or uint8 array ``(h, w, 3)``: equirectangular, centred on the
                horizon, a full panorama or a part of one.
            bounds: ``(west, south, east, north)`` of the overhead image in degrees; its pixels
                must come out nearly square on the ground, within 1.5 : 1.
            gsd: Metres per overhead pixel.
            heading: Azimuth of the street view's centre, degrees clockwise from true north; None
                when unknown: networks that search headings try all of them; with others the view
                is taken as if its centre looked north, with a warning.
            fov: Horizontal extent of the street view in degrees.
            landcover: Class ids ``(H, W)`` on the overhead image's grid, for models that are
                guided by true land cover.
            heading_error: Largest error of ``heading`` in degrees either way; networks that
                search headings try all of that range. 180 is the same as an unknown heading.
            camera_height: Metres above the ground that the street view was taken from: ground seen
                from less than 1.5 m or more than 2.5 m is moved to where a camera of that height
                would have seen it. ``"unknown"``: a few heights are tried, at the cost of one
                localisation each, by networks that search headings. None: a usual height.

        Raises:
            InputError: An input cannot be used; the message says which and why.
            ConfigurationError: The model cannot do what is asked for.

        Warns:
            InferenceWarning: The heading or the resolution is unknown, and one was assumed.
        """
        if not (math.isfinite(fov) and 0 < fov <= 360):
            raise InputError(f"--fov: must lie in (0, 360] degrees, got {fov:g}")
        if heading is not None and not math.isfinite(heading):
            raise InputError(f"--heading: must be a finite number of degrees, got {heading:g}")
        if not 0.0 <= heading_error <= 180.0:
            raise InputError(f"--heading-error: must lie in 0..180 degrees, got {heading_error:g}")
        heights = heights_to_try(camera_height)
        check_comparable(heights, self.network.searches_headings, self.name)
        aerial = opened(overhead, bounds, gsd)
        view = read_image(street, "street view")
        check_street(view, fov, name_of(street))
        truth = self._true_landcover(landcover, aerial)

        plan = self._plan(aerial)
        unknown = heading is None or heading_error >= 180.0
        error: float | None = None
        if self.network.searches_headings:
            error = 180.0 if unknown else heading_error
        elif unknown:
            warn(
                f"heading unknown: model {self.name} does not search headings; the street view "
                "is taken as if its centre looked north"
            )
        if aerial.pixel_size is None:
            side = max(self.network.overhead_size) * self.network.gsd
            warn(
                f"resolution unknown: {aerial.name} is taken as one tile of {side:.3g} m; pass "
                "--gsd or --bounds"
            )
        up = aerial.reference.up_azimuth if aerial.reference is not None else 0.0
        assumed = 0.0 if heading is None or unknown else heading
        with self._inference():
            streets = [
                self._street(as_usual(view, fov, height), assumed - up, fov) for height in heights
            ]
            scores, ids, turn, masses = self._predict(aerial, streets, truth, plan, error)
        if ids is None:
            ids = np.zeros(aerial.shape, np.uint8) if truth is None else folded(truth, self.scheme)
        given = None if unknown else wrap_degrees(assumed)
        return finished(
            aerial,
            view,
            scores,
            ids,
            heading=wrap_degrees(assumed + turn) if turn is not None else given,
            fov=fov,
            model=self.name,
            scheme=self.scheme,
            heading_posterior=masses if unknown else None,
        )

    def localize_many(
        self,
        overhead: ImageLike | Overhead,
        streets: Iterable[ImageLike],
        bounds: tuple[float, float, float, float] | None = None,
        gsd: float | None = None,
        heading: float | Iterable[float | None] | None = 0.0,
        **options: Any,
    ) -> Iterator[Localization]:
        """Find where each of many street views was taken, in one overhead image.

        It is read once, and on a CPU passes the network once (in PyTorch; its parts, where it is
        cut into more than a few groups of windows, each time).

        Args:
            overhead, bounds, gsd: As of :meth:`localize`.
            streets: Street views, taken one by one.
            heading: As of :meth:`localize`, of all of them or one for each.
            options: The others of :meth:`localize`, the same for all.

        Yields:
            What :meth:`localize` returns, in order.

        Raises:
            InputError: There are fewer headings than street views; as :meth:`localize`.
            ConfigurationError: As :meth:`localize`.
        """
        aerial = opened(overhead, bounds, gsd)
        if heading is None or isinstance(heading, int | float):
            heading = repeat(heading)
        headings = iter(heading)
        with self._encoding_once():
            for number, street in enumerate(streets, 1):
                try:
                    own = next(headings)
                except StopIteration:
                    raise InputError(f"heading: there is none for street view {number}") from None
                yield self.localize(aerial, street, heading=own, **options)

    def _plan(self, aerial: Overhead) -> Plan:
        tile, step = self.network.overhead_size, self.network.any_size
        pixel = aerial.pixel_size
        if pixel is None:
            scale = min(tile[0] / aerial.shape[0], tile[1] / aerial.shape[1])
            exact = (aerial.shape[0] * scale, aerial.shape[1] * scale)
        else:
            gsd = self.network.gsd
            exact = (aerial.shape[0] * pixel[0] / gsd, aerial.shape[1] * pixel[1] / gsd)
            extent = max(exact[0] / tile[0], exact[1] / tile[1])
            if step is None and 1 / ONE_TILE <= extent <= ONE_TILE:
                exact = (exact[0] / extent, exact[1] / extent)
            if min(exact) < MINIMUM_SIDE or exact[0] * exact[1] > MAX_PIXELS:
                metres = " x ".join(
                    _metres(side * size) for side, size in zip(aerial.shape, pixel, strict=True)
                )
                fault = "too small" if min(exact) < MINIMUM_SIDE else "too large"
                raise InputError(
                    f"{aerial.name}: it covers {metres} m at {aerial.gsd:.3g} m/px, {fault} for a "
                    f"model of {tile[0] * gsd:.3g} m tiles; is its resolution right?"
                )
        size = (max(1, round(exact[0])), max(1, round(exact[1])))
        canvas = (max(size[0], tile[0]), max(size[1], tile[1]))
        if self.whole and step is not None and max(size) <= WHOLE * max(tile):
            canvas = tile = (-(-size[0] // step) * step, -(-size[1] // step) * step)
        offset = ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2)
        return Plan(size, canvas, offset, tile, lattice(canvas, tile, OVERLAP))

    def _predict(
        self,
        aerial: Overhead,
        streets: Sequence[Any],
        truth: NDArray[np.uint8] | None,
        plan: Plan,
        error: float | None,
    ) -> tuple[
        NDArray[np.float32], NDArray[np.uint8] | None, float | None, NDArray[np.float32] | None
    ]:
        """Answers about the whole image.

        Returns:
            Log-probabilities ``(h, w)`` at the model's resolution; class ids ``(H, W)`` or None;
            degrees from the given heading to the best one, and mass over headings, or None.
        """
        canvas = _on_canvas(fill(aerial.image, aerial.valid), plan)
        guide = None
        if truth is not None:
            other = self.scheme.channel_ids[-1]
            known = np.where(self.scheme.channel_lookup[truth] == 255, other, truth)
            inner = resample(known.astype(np.uint8), plan.size, nearest=True)
            guide = np.full(plan.canvas, other, np.uint8)
            guide[_inner(plan)] = inner

        def predicted(windows: Sequence[Window]) -> Part:
            height, width = plan.tile
            cuts = [(slice(w.top, w.top + height), slice(w.left, w.left + width)) for w in windows]
            guides = None if guide is None else np.stack([guide[cut] for cut in cuts])
            tiles = [canvas[cut] for cut in cuts]
            return self._any_of([self._forward(tiles, each, guides, error) for each in streets])

        if len(plan.windows) == 1:
            parts = [predicted(plan.windows)]
            heatmap, landcover = parts[0].heatmap, parts[0].landcover
        else:
            parts = []
            heat: Any = None
            cover: Any = None
            shares = Shares(plan.tile, plan.windows)
            groups = list(batches(plan.windows, self.batch_size))
            for group in track(groups, "localising"):
                part = predicted(group)
                heat = heat or self._blender(1, plan)
                for i, window in enumerate(group):
                    heat.add(part.heatmap[i], window.top, window.left)
                    if part.landcover is not None:
                        cover = cover or self._blender(part.landcover.shape[1], plan)
                        cover.add(part.landcover[i], window.top, window.left)
                if part.mass is not None:  # what several windows see counts once
                    part.mass = self._mass(part.heatmap, np.stack([shares.of(w) for w in group]))
                part.heatmap = part.landcover = None
                parts.append(part)
            heatmap = heat.result()[None]
            landcover = None if cover is None else cover.result()[None]
        # What was padded around the image must not bear on the temperature.
        scores = self._log_posterior(heatmap[(slice(None), slice(None), *_inner(plan))])
        if np.isnan(scores).any():
            raise CheckpointError(
                f"model {self.name}: its scores are not numbers; its weights are damaged"
            )
        ids = None
        if landcover is not None:
            inner_scores = landcover[(slice(None), slice(None), *_inner(plan))]
            ids = self._class_ids(inner_scores, aerial.shape)
        turn, masses = _over_windows(parts)
        return scores, ids, turn, masses

    def _any_of(self, parts: Sequence[Part]) -> Part:
        """Answers about the same windows from street views of which any may be the right one."""
        first = parts[0]
        if len(parts) == 1:
            return first
        together = Part(self._log_sum([part.heatmap for part in parts]), first.landcover)
        masses = [part.mass for part in parts if part.mass is not None]
        turns = [part.heading for part in parts if part.heading is not None]
        logs = [part.heading_log for part in parts if part.heading_log is not None]
        if masses and turns and logs:
            mass = np.stack(masses)  # (street views, windows)
            best = mass.argmax(axis=0)
            together.mass = np.logaddexp.reduce(mass)
            together.heading = np.stack(turns)[best, np.arange(len(best))]
            joint = np.logaddexp.reduce(np.stack(logs) + mass[..., None])
            together.heading_log = joint - together.mass[:, None]
        return together

    def _true_landcover(
        self, source: str | PathLike[str] | NDArray[np.uint8] | None, aerial: Overhead
    ) -> NDArray[np.uint8] | None:
        wanted = self.network.guidance == "truth"
        if source is None:
            if wanted:
                raise ConfigurationError(
                    f"model {self.name} is guided by true land cover: pass it (--landcover)"
                )
            return None
        if not wanted:
            raise ConfigurationError(
                f"--landcover: model {self.name} does not take true land cover (its guidance is "
                f"'{self.network.guidance}')"
            )
        return read_landcover(source, aerial.shape)

    def _inference(self) -> AbstractContextManager[Any]:
        """Entered while the network works."""
        return nullcontext()

    def _encoding_once(self) -> AbstractContextManager[Any]:
        """Entered while the same image is localised in again and again."""
        return nullcontext()

    @abstractmethod
    def _street(self, view: NDArray[np.uint8], heading: float, fov: float) -> Any:
        """The street view on the model's canvas, ``(1, 3, h, w)``."""

    @abstractmethod
    def _forward(
        self,
        tiles: Sequence[NDArray[np.uint8]],
        street: Any,
        guides: NDArray[np.uint8] | None,
        error: float | None,
    ) -> Part:
        """Answers about windows.

        Args:
            tiles: ``(H, W, 3)`` each.
            street: From :meth:`_street`.
            guides: ``(N, H, W)`` true class ids, for networks that are guided by them.
            error: How far the heading may be wrong either way in degrees; None where the network
                does not search headings.
        """

    @abstractmethod
    def _log_sum(self, heatmaps: Sequence[Any]) -> Any:
        """Logarithm of the sum of the exponentials of heatmaps ``(N, 1, H, W)``."""

    @abstractmethod
    def _mass(
        self, heatmaps: Any, shares: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Logarithm of the sum of the exponentials of each heatmap ``(N, 1, H, W)``: ``(N,)``.

        Args:
            heatmaps: Of windows.
            shares: ``(N, H, W)``, how much of each pixel counts; all by default.
        """

    @abstractmethod
    def _blender(self, channels: int, plan: Plan) -> Any:
        """Of windows' scores: ``add(scores (C, h, w), top, left)``, ``result() (C, H, W)``."""

    @abstractmethod
    def _log_posterior(self, heatmap: Any) -> NDArray[np.float32]:
        """Log-probabilities ``(H, W)`` of a heatmap ``(1, 1, H, W)``."""

    @abstractmethod
    def _class_ids(self, scores: Any, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Class ids of land-cover scores ``(1, C, h, w)``, enlarged to ``shape``."""


def _over_windows(
    parts: Sequence[Part],
) -> tuple[float | None, NDArray[np.float32] | None]:
    """The best window's turn, and the mass over sectors of heading, the first about north."""
    turns = [part.heading for part in parts if part.heading is not None]
    logs = [part.heading_log for part in parts if part.heading_log is not None]
    masses = [part.mass for part in parts if part.mass is not None]
    if not turns or not logs or not masses:
        return None, None
    mass = np.concatenate(masses).astype(np.float64)
    joint = np.exp(np.concatenate(logs) + (mass - mass.max())[:, None]).sum(axis=0)
    # rotations rise from -180 degrees
    shares = np.roll(joint / joint.sum(), -(len(joint) // 2))
    return float(np.concatenate(turns)[int(mass.argmax())]), shares.astype(np.float32)


def _inner(plan: Plan) -> tuple[slice, slice]:
    """The part of the canvas that the image covers."""
    (top, left), (height, width) = plan.offset, plan.size
    return slice(top, top + height), slice(left, left + width)


def _on_canvas(image: NDArray[np.uint8], plan: Plan) -> NDArray[np.uint8]:
    image = resample(image, plan.size)
    if plan.size == plan.canvas:
        return image
    mean = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    canvas = np.empty((*plan.canvas, 3), np.uint8)
    canvas[:] = mean
    canvas[_inner(plan)] = image
    return canvas


def _metres(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def warn(message: str) -> None:
    """Warn the caller of the public method that an answer rests on an assumption."""
    warnings.warn(message, InferenceWarning, stacklevel=3)
