"""From a street view and an overhead image to a posterior, an estimate and ranked regions."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import cvsegguide
from cvsegguide.errors import (
    CheckpointError,
    ConfigurationError,
    InferenceWarning,
    InputError,
    first_sentence,
)
from cvsegguide.geo import wrap_degrees
from cvsegguide.geo.panorama import street_canvas
from cvsegguide.inference.posterior import mass_from_log, refined_mode, regrid
from cvsegguide.inference.regions import regions
from cvsegguide.inference.result import Localization
from cvsegguide.inference.segmentation import landcover_ids, segment_array, segment_file
from cvsegguide.inference.windows import Blender, Window, batches, lattice, to_bytes, to_tensor
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.io.rasters import (
    MAX_PIXELS,
    Overhead,
    check_given_bounds,
    open_raster,
    read_landcover,
    read_overhead,
    resample,
)
from cvsegguide.landcover import NYC, ClassScheme
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.headings import heading_grid
from cvsegguide.progress import track

if TYPE_CHECKING:
    from cvsegguide.tracking import Track

ONE_TILE = 1.3
"""Images up to this many times larger or smaller than a model's tile are fitted into one."""

WHOLE = 4
"""Images of up to this many tiles a side are seen whole by networks that take any size."""

OVERLAP = 0.5
"""Part of a window that it shares with the next when an image is larger than a tile."""

_MINIMUM_SIDE = 8


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """``"auto"``: CUDA, else Apple's MPS, else the CPU; anything else as torch names it.

    Raises:
        ConfigurationError: There is no such device here.
    """
    if device != "auto":
        try:
            chosen = torch.device(device)
            torch.empty(1, device=chosen)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = first_sentence(str(error))
            raise ConfigurationError(f"--device {device}: not available ({reason})") from None
        return chosen
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@dataclass(frozen=True)
class _Plan:
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


class Localizer:
    """Localises street views in overhead images with one model.

    Args:
        model: The network.
        device: See :func:`choose_device`.
        name: Recorded in results.
        scheme: Class ids of the land cover that is returned.
        batch_size: Windows that pass the network at once when an image is larger than a tile.
    """

    def __init__(
        self,
        model: LocalizationModel,
        device: str | torch.device = "auto",
        name: str | None = None,
        scheme: ClassScheme = NYC,
        batch_size: int = 4,
    ) -> None:
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self.name = name or type(model).__name__
        self.scheme = scheme
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls, source: str | PathLike[str], device: str | torch.device = "auto"
    ) -> "Localizer":
        """Load a model.

        Args:
            source: Name of bundled weights, a directory or ``.safetensors`` file written by this
                project, a Hugging Face repository id, or a published CVSegGuide checkpoint.
            device: See :func:`choose_device`.

        Raises:
            CheckpointError: It cannot be loaded; the message says why.
        """
        from cvsegguide.models.hub import load_model

        chosen = choose_device(device)
        return cls(load_model(source), device=chosen, name=fspath(source))

    def localize(
        self,
        overhead: ImageLike,
        street: ImageLike,
        bounds: tuple[float, float, float, float] | None = None,
        gsd: float | None = None,
        heading: float | None = 0.0,
        fov: float = 360.0,
        landcover: str | PathLike[str] | NDArray[np.uint8] | None = None,
        heading_error: float = 0.0,
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
                decides about its place is written in :mod:`cvsegguide.io.rasters`.
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

        Raises:
            InputError: An input cannot be used; the message says which and why.

        Warns:
            InferenceWarning: The heading or the resolution is unknown, and one was assumed.
        """
        if not (math.isfinite(fov) and 0 < fov <= 360):
            raise InputError(f"--fov: must lie in (0, 360] degrees, got {fov:g}")
        if heading is not None and not math.isfinite(heading):
            raise InputError(f"--heading: must be a finite number of degrees, got {heading:g}")
        if not 0.0 <= heading_error <= 180.0:
            raise InputError(f"--heading-error: must lie in 0..180 degrees, got {heading_error:g}")
        aerial = read_overhead(overhead, bounds, gsd)
        if bounds is not None:
            check_given_bounds(aerial)
        if min(aerial.shape) < _MINIMUM_SIDE:
            raise InputError(f"{aerial.name}: {_size(aerial.shape)} pixels are too few")
        view = read_image(street, "street view")
        _check_street(view, fov, _name_of(street))
        truth = self._true_landcover(landcover, aerial)

        plan = self._plan(aerial)
        unknown = heading is None or heading_error >= 180.0
        search: Tensor | None = None
        if self.model.searches_headings:
            search = heading_grid(180.0 if unknown else heading_error, self.device)
        elif unknown:
            _warn(
                f"heading unknown: model {self.name} does not search headings; the street view "
                "is taken as if its centre looked north"
            )
        if aerial.pixel_size is None:
            side = max(self.model.overhead_size) * self.model.gsd
            _warn(
                f"resolution unknown: {aerial.name} is taken as one tile of {side:.3g} m; pass "
                "--gsd or --bounds"
            )
        up = aerial.reference.up_azimuth if aerial.reference is not None else 0.0
        assumed = 0.0 if heading is None or unknown else heading
        canvas = self._street(view, assumed - up, fov)
        with torch.inference_mode():
            scores, prediction = self._predict(aerial, canvas, truth, plan, search)
            ids = self._landcover(prediction, aerial, plan)
        if ids is None:
            ids = np.zeros(aerial.shape, np.uint8) if truth is None else self._folded(truth)

        valid = None if aerial.valid.all() else aerial.valid
        if valid is not None:
            coarse = resample(np.where(valid, np.uint8(255), np.uint8(0)), plan.size)
            scores = np.where(coarse > 0, scores, -np.inf)
            ids = np.where(valid, ids, 0).astype(np.uint8)
        posterior = regrid(mass_from_log(scores), aerial.shape, valid)
        row, col = refined_mode(scores)
        row *= aerial.shape[0] / plan.size[0]
        col *= aerial.shape[1] / plan.size[1]

        given = None if unknown else wrap_degrees(assumed)
        pixel = aerial.pixel_size
        lon = lat = None
        if aerial.reference is not None:
            longitude, latitude = aerial.reference.rowcol_to_lonlat(row, col)
            lon, lat = float(longitude), float(latitude)
        return Localization(
            posterior=posterior,
            landcover=ids,
            row=row,
            col=col,
            lon=lon,
            lat=lat,
            heading=_estimated(prediction, assumed) if search is not None else given,
            heading_posterior=_heading_posterior(prediction) if unknown else None,
            regions=regions(
                posterior,
                separation=None if pixel is None else 3.0 / math.sqrt(pixel[0] * pixel[1]),
                pixel_area=None if pixel is None else pixel[0] * pixel[1],
                reference=aerial.reference,
            ),
            gsd=aerial.gsd,
            model=self.name,
            version=cvsegguide.__version__,
            bounds=None if aerial.reference is None else aerial.reference.bounds,
            reference=aerial.reference,
            overhead=aerial.image,
            street=view,
            fov=fov,
            pixel_size=pixel,
            scheme=self.scheme,
        )

    def track(self, frames: Iterable[Any], overhead: ImageLike, **options: Any) -> "Track":
        """Follow a camera along a drive: :func:`cvsegguide.tracking.track`, which has the options.

        Args:
            frames: :class:`cvsegguide.tracking.Frame`, or street views alone; None: missing.
            overhead: Raster or folder of map tiles, of any size.
        """
        from cvsegguide.tracking import track

        return track(self, frames, overhead, **options)

    def segment(
        self,
        overhead: ImageLike,
        out: str | PathLike[str] | None = None,
        bounds: tuple[float, float, float, float] | None = None,
        gsd: float | None = None,
    ) -> NDArray[np.uint8] | None:
        """Land cover of an overhead image of any size (:mod:`cvsegguide.inference.segmentation`).

        Args:
            overhead: As for :meth:`localize`; a rotated raster keeps its own grid here.
            out: GeoTIFF to write. The image is then read and written by parts, and memory does
                not grow with it.
            bounds, gsd: As for :meth:`localize`.

        Returns:
            ``(H, W)`` uint8 class ids, 0 where there is no data; None when ``out`` is given.

        Warns:
            InferenceWarning: The resolution is unknown, and the model's was assumed.
        """
        with open_raster(overhead, bounds, gsd) as raster:
            if bounds is not None:
                check_given_bounds(raster)
            ids = None
            if out is None:
                ids = segment_array(self.model, raster, self.device, self.scheme, self.batch_size)
            else:
                segment_file(self.model, raster, out, self.device, self.scheme, self.batch_size)
            # Last, so that an error is all that is said about a raster that cannot be used.
            if raster.gsd is None:
                _warn(
                    f"resolution unknown: {raster.name} is taken as it is, at the model's "
                    f"{self.model.gsd:.4g} m/px; pass --gsd or --bounds"
                )
            return ids

    def _plan(self, aerial: Overhead) -> _Plan:
        tile, step = self.model.overhead_size, self.model.any_size
        pixel = aerial.pixel_size
        if pixel is None:
            scale = min(tile[0] / aerial.shape[0], tile[1] / aerial.shape[1])
            exact = (aerial.shape[0] * scale, aerial.shape[1] * scale)
        else:
            gsd = self.model.gsd
            exact = (aerial.shape[0] * pixel[0] / gsd, aerial.shape[1] * pixel[1] / gsd)
            extent = max(exact[0] / tile[0], exact[1] / tile[1])
            if step is None and 1 / ONE_TILE <= extent <= ONE_TILE:
                exact = (exact[0] / extent, exact[1] / extent)
            if min(exact) < _MINIMUM_SIDE or exact[0] * exact[1] > MAX_PIXELS:
                metres = " x ".join(
                    f"{side * size:.3g}" for side, size in zip(aerial.shape, pixel, strict=True)
                )
                fault = "too small" if min(exact) < _MINIMUM_SIDE else "too large"
                raise InputError(
                    f"{aerial.name}: it covers {metres} m at {aerial.gsd:.3g} m/px, {fault} for a "
                    f"model of {tile[0] * gsd:.3g} m tiles; is its resolution right?"
                )
        size = (max(1, round(exact[0])), max(1, round(exact[1])))
        canvas = (max(size[0], tile[0]), max(size[1], tile[1]))
        if step is not None and max(size) <= WHOLE * max(tile):
            canvas = tile = (-(-size[0] // step) * step, -(-size[1] // step) * step)
        offset = ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2)
        return _Plan(size, canvas, offset, tile, lattice(canvas, tile, OVERLAP))

    def _street(self, view: NDArray[np.uint8], heading: float, fov: float) -> Tensor:
        """The street view on the model's canvas, ``(1, 3, h, w)``."""
        model = self.model
        canvas, _ = street_canvas(
            to_bytes(view),
            torch.tensor([heading], dtype=torch.float32),
            torch.tensor([fov], dtype=torch.float32),
            model.street_size,
            model.street_extent,
        )
        return canvas.to(self.device)

    def _predict(
        self,
        aerial: Overhead,
        street: Tensor,
        truth: NDArray[np.uint8] | None,
        plan: _Plan,
        search: Tensor | None,
    ) -> tuple[NDArray[np.float32], Prediction]:
        """Log-probabilities ``(h, w)`` of the image at the model's resolution, and scores."""
        canvas = _on_canvas(filled(aerial.image, aerial.valid), plan)
        guide = None
        if truth is not None:
            other = self.scheme.channel_ids[-1]
            known = np.where(self.scheme.channel_lookup[truth] == 255, other, truth)
            inner = resample(known.astype(np.uint8), plan.size, nearest=True)
            guide = np.full(plan.canvas, other, np.uint8)
            guide[_inner(plan)] = inner
        tile = plan.tile
        if len(plan.windows) == 1:
            prediction = self._forward(canvas, street, guide, plan.windows, tile, search)
        else:
            headings: list[tuple[Tensor, Tensor, Tensor]] = []
            heat: Blender | None = None
            cover: Blender | None = None
            groups = list(batches(plan.windows, self.batch_size))
            for group in track(groups, "localising"):
                part = self._forward(canvas, street, guide, group, tile, search)
                if part.heading is not None and part.heading_log is not None:
                    mass = part.heatmap.flatten(1).logsumexp(dim=1)
                    headings.append((mass, part.heading, part.heading_log))
                heat = heat or Blender(1, plan.canvas, tile, self.device)
                for i, window in enumerate(group):
                    heat.add(part.heatmap[i], window.top, window.left)
                    if part.landcover is not None:
                        channels = part.landcover.shape[1]
                        cover = cover or Blender(channels, plan.canvas, tile, self.device)
                        cover.add(part.landcover[i], window.top, window.left)
            assert heat is not None
            prediction = Prediction(
                landcover=None if cover is None else cover.result()[None],
                heatmap=heat.result()[None],
                **_over_windows(headings),
            )
        scores = self.model.log_posterior(prediction)[0][_inner(plan)]
        if bool(scores.isnan().any()):
            raise CheckpointError(
                f"model {self.name}: its scores are not numbers; its weights are damaged"
            )
        return scores.float().cpu().numpy(), prediction

    def _forward(
        self,
        canvas: NDArray[np.uint8],
        street: Tensor,
        guide: NDArray[np.uint8] | None,
        windows: Any,
        tile: tuple[int, int],
        search: Tensor | None,
    ) -> Prediction:
        overhead = torch.cat(
            [
                to_tensor(canvas[w.top : w.top + tile[0], w.left : w.left + tile[1]], self.device)
                for w in windows
            ]
        )
        landcover = None
        if guide is not None:
            cut = [guide[w.top : w.top + tile[0], w.left : w.left + tile[1]] for w in windows]
            landcover = torch.from_numpy(np.stack(cut)).to(self.device)
        inputs = [overhead, street.expand(len(overhead), -1, -1, -1), landcover]
        prediction: Prediction = self.model(*inputs, *([] if search is None else [search]))
        if prediction.landcover is None and guide is None:
            # Unguided networks leave their land-cover head out of the forward pass.
            prediction.landcover = self.model.segment(overhead)
        return prediction

    def _landcover(
        self, prediction: Prediction, aerial: Overhead, plan: _Plan
    ) -> NDArray[np.uint8] | None:
        if prediction.landcover is None:
            return None
        scores = prediction.landcover[(slice(None), slice(None), *_inner(plan))].float()
        if plan.size != aerial.shape:
            scores = functional.interpolate(
                scores, size=aerial.shape, mode="bilinear", align_corners=False
            )
        return landcover_ids(scores[0], self.model.channels, self.scheme)

    def _true_landcover(
        self, source: str | PathLike[str] | NDArray[np.uint8] | None, aerial: Overhead
    ) -> NDArray[np.uint8] | None:
        wanted = self.model.guidance == "truth"
        if source is None:
            if wanted:
                raise ConfigurationError(
                    f"model {self.name} is guided by true land cover: pass it (--landcover)"
                )
            return None
        if not wanted:
            raise ConfigurationError(
                f"--landcover: model {self.name} does not take true land cover (its guidance is "
                f"'{self.model.guidance}')"
            )
        return read_landcover(source, aerial.shape)

    def _folded(self, landcover: NDArray[np.uint8]) -> NDArray[np.uint8]:
        ids = np.append(self.scheme.channel_ids, np.zeros(256, np.uint8))[:256]
        return np.asarray(ids[self.scheme.fold(landcover)], np.uint8)


def _estimated(prediction: Prediction, assumed: float) -> float | None:
    """Azimuth of the street view's centre, from the rotation that fits best."""
    if prediction.heading is None:
        return None
    return wrap_degrees(assumed + float(prediction.heading[0]))


def _heading_posterior(prediction: Prediction) -> NDArray[np.float32] | None:
    """Mass over sectors of heading, the first about north, from a search of the whole circle."""
    if prediction.heading_log is None:
        return None
    mass = prediction.heading_log[0].float().softmax(dim=0)
    # rotations rise from -180 degrees
    return np.asarray(mass.roll(-(len(mass) // 2)).cpu().numpy(), np.float32)


def _over_windows(windows: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, Tensor]:
    """Heading and its log-probabilities from those of windows and the windows' log-masses."""
    if not windows:
        return {}
    mass, heading, log = (torch.cat(parts) for parts in zip(*windows, strict=True))
    joint = (log + mass[:, None]).logsumexp(dim=0, keepdim=True)
    return {"heading": heading[mass.argmax()][None], "heading_log": joint.log_softmax(dim=1)}


def filled(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``image`` with the mean colour of its valid pixels where it has no data."""
    if valid.all():
        return image
    mean = image[valid].mean(axis=0) if valid.any() else np.full(3, 127.0)
    return np.where(valid[..., None], image, np.rint(mean).astype(np.uint8))


def _inner(plan: _Plan) -> tuple[slice, slice]:
    """The part of the canvas that the image covers."""
    (top, left), (height, width) = plan.offset, plan.size
    return slice(top, top + height), slice(left, left + width)


def _on_canvas(image: NDArray[np.uint8], plan: _Plan) -> NDArray[np.uint8]:
    image = resample(image, plan.size)
    if plan.size == plan.canvas:
        return image
    mean = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    canvas = np.empty((*plan.canvas, 3), np.uint8)
    canvas[:] = mean
    canvas[_inner(plan)] = image
    return canvas


def _check_street(view: NDArray[np.uint8], fov: float, name: str) -> None:
    height, width = view.shape[:2]
    if min(height, width) < _MINIMUM_SIDE:
        raise InputError(f"{name}: {_size(view.shape)} pixels are too few")
    vertical = fov * height / width
    if vertical > 185.0:
        raise InputError(
            f"{name}: {_size(view.shape)} pixels that span {fov:g} degrees from left to right "
            f"would span {vertical:.0f} from top to bottom; pass its own --fov"
        )


def _size(shape: tuple[int, ...]) -> str:
    """Width x height, as image viewers say it."""
    return f"{shape[1]} x {shape[0]}"


def _warn(message: str) -> None:
    # The caller of the public method.
    warnings.warn(message, InferenceWarning, stacklevel=3)


def _name_of(source: ImageLike) -> str:
    return fspath(source) if isinstance(source, str | PathLike) else "street view"
