"""From a street view and an overhead image to a posterior, an estimate and ranked regions.

PyTorch is loaded for networks in PyTorch alone: ONNX files do without.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import repeat
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import CheckpointError, ConfigurationError, InferenceWarning, InputError
from cvsegguide.geo import wrap_degrees
from cvsegguide.geo.panorama import canvas_of_picture
from cvsegguide.inference.heights import heights_to_try, to_usual_height
from cvsegguide.inference.inputs import check_street, open_overhead
from cvsegguide.inference.matching import match_image
from cvsegguide.inference.network import Network, class_ids_of_channels
from cvsegguide.inference.onnx import OnnxNetwork, check_options
from cvsegguide.inference.postprocess import assemble_result, reduce_to_channels
from cvsegguide.inference.result import Localization
from cvsegguide.inference.segmentation import segment_array, segment_file
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.io.location import check_given_bounds
from cvsegguide.io.rasters import Overhead, open_raster, read_landcover
from cvsegguide.landcover import NYC, ClassScheme
from cvsegguide.models.headings import headings_to_try

if TYPE_CHECKING:
    import torch

    from cvsegguide.inference.torch_network import TorchNetwork
    from cvsegguide.models.base import LocalizationModel
    from cvsegguide.tracking import Track


class Localizer:
    """Localises street views in overhead images with one model.

    Args:
        model: The network, or a file of ``cvsegguide export`` that was opened.
        device: ``"auto"``: CUDA, else Apple's MPS, else the CPU; anything else as PyTorch names it.
        name: Recorded in results.
        scheme: Class ids of the land cover that is returned.
        batch_size: Windows that pass the network at once when an image is larger than a tile.
        precision: ``"auto"`` (bf16 on CUDA devices that have it, else fp32), ``"bf16"``,
            ``"fp16"`` or ``"fp32"``. In bf16 scores differ by about one part in a hundred.
            :meth:`track` takes float32 whatever it is.
        compiled: Compile the network with PyTorch's compiler: the first answer takes a minute,
            those after it less, on a GPU above all.

    Attributes:
        network: The network in its runtime.

    Raises:
        ConfigurationError: There is no such device or precision, or it is not the file's.
    """

    def __init__(
        self,
        model: "LocalizationModel | OnnxNetwork",
        device: "str | torch.device" = "auto",
        name: str | None = None,
        scheme: ClassScheme = NYC,
        batch_size: int = 4,
        precision: str = "auto",
        compiled: bool = False,
    ) -> None:
        if isinstance(model, OnnxNetwork):
            check_options(device, precision)
            self.network: Network = model
            name = name or model.description.model
        else:
            from cvsegguide.inference.torch_network import TorchNetwork

            self.network = TorchNetwork(model, device, precision, compiled)
        self.name = name or type(model).__name__
        self.scheme = scheme
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls,
        source: str | PathLike[str],
        device: "str | torch.device" = "auto",
        precision: str = "auto",
        compiled: bool = False,
    ) -> "Localizer":
        """Load a model.

        Args:
            source: Name of bundled weights, a directory or ``.safetensors`` file written by this
                project, a Hugging Face repository id, a published CVSegGuide checkpoint, or an
                ``.onnx`` file of ``cvsegguide export``, which runs on the CPU and needs no PyTorch.
            device, precision, compiled: See :class:`Localizer`.

        Raises:
            CheckpointError: It cannot be loaded; the message says why.
            ConfigurationError: As :class:`Localizer`.
        """
        if fspath(source).endswith(".onnx"):
            check_options(device, precision)
            return cls(OnnxNetwork(source))
        from cvsegguide.inference.torch_network import choose_device
        from cvsegguide.models.hub import load_model

        chosen = choose_device(device)
        model = load_model(source)
        return cls(model, chosen, fspath(source), precision=precision, compiled=compiled)

    @property
    def model(self) -> "LocalizationModel":
        """The network in PyTorch, prepared for inference.

        Raises:
            ConfigurationError: It is an ONNX file.
        """
        return self._pytorch.model

    @property
    def device(self) -> "torch.device":
        """Where :attr:`model` is; raises the same."""
        return self._pytorch.device

    @property
    def _pytorch(self) -> "TorchNetwork":
        from cvsegguide.inference.torch_network import TorchNetwork

        if not isinstance(self.network, TorchNetwork):
            raise ConfigurationError(f"model {self.name} is an ONNX file, which this cannot use")
        return self.network

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
        aerial = open_overhead(overhead, bounds, gsd)
        options = (heading, fov, landcover, heading_error, camera_height)
        return self._localize(aerial, street, {}, *options)

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
        aerial = open_overhead(overhead, bounds, gsd)
        if heading is None or isinstance(heading, int | float):
            heading = repeat(heading)
        headings = iter(heading)
        caches: dict[int, dict[str, Any]] = {}
        for number, street in enumerate(streets, 1):
            try:
                own = next(headings)
            except StopIteration:
                raise InputError(f"there is none for street view {number}", "heading") from None
            yield self._localize(aerial, street, caches, own, **options)

    def _localize(
        self,
        aerial: Overhead,
        street: ImageLike,
        caches: dict[int, dict[str, Any]],
        heading: float | None,
        fov: float = 360.0,
        landcover: str | PathLike[str] | NDArray[np.uint8] | None = None,
        heading_error: float = 0.0,
        camera_height: float | str | None = None,
    ) -> Localization:
        """:meth:`localize`; ``caches`` hold what is kept of groups of windows, by number."""
        network = self.network
        if not (math.isfinite(fov) and 0 < fov <= 360):
            raise InputError(f"must lie in (0, 360] degrees, got {fov:g}", "fov")
        if heading is not None and not math.isfinite(heading):
            raise InputError(f"must be a finite number of degrees, got {heading:g}", "heading")
        if not 0.0 <= heading_error <= 180.0:
            raise InputError(f"must lie in 0..180 degrees, got {heading_error:g}", "heading_error")
        heights = heights_to_try(camera_height, network.searches_headings, self.name)
        view = read_image(street, "street view")
        check_street(view, fov, street)
        truth = self._true_landcover(landcover, aerial)
        guide = None
        if truth is not None:
            other = self.scheme.channel_ids[-1]
            known = np.where(self.scheme.channel_lookup[truth] == 255, other, truth)
            guide = (known.astype(np.uint8), other)
        unknown = heading is None or heading_error >= 180.0
        tried = None
        if network.searches_headings:
            tried = headings_to_try(180.0 if unknown else heading_error)

        up = aerial.reference.up_azimuth if aerial.reference is not None else 0.0
        assumed = 0.0 if heading is None or unknown else heading
        canvases = [
            canvas_of_picture(
                to_usual_height(view, fov, height),
                assumed - up,
                fov,
                network.street_size,
                network.street_extent,
            )
            for height in heights
        ]
        match = match_image(network, aerial, canvases, guide, tried, self.batch_size, caches)
        for assumption in self._assumptions(aerial, unknown):
            warnings.warn(InferenceWarning(assumption), stacklevel=3)
        if np.isnan(match.scores).any():
            raise CheckpointError(
                f"model {self.name}: its scores are not numbers; its weights are damaged"
            )
        found = None if unknown else wrap_degrees(assumed)
        if match.turn is not None:
            found = wrap_degrees(assumed + match.turn)
        if match.channels is not None:
            ids = class_ids_of_channels(network.channels, self.scheme)[match.channels]
        elif truth is not None:
            ids = reduce_to_channels(truth, self.scheme)
        else:
            ids = np.zeros(aerial.shape, np.uint8)
        return assemble_result(
            aerial,
            view,
            match.scores,
            ids,
            heading=found,
            fov=fov,
            model=self.name,
            scheme=self.scheme,
            heading_posterior=match.heading_posterior if unknown else None,
        )

    def _assumptions(self, aerial: Overhead, unknown: bool) -> Iterator[str]:
        if unknown and not self.network.searches_headings:
            yield (
                f"heading unknown: model {self.name} does not search headings; the street view "
                "is taken as if its centre looked north"
            )
        if aerial.pixel_size is None:
            side = max(self.network.overhead_size) * self.network.gsd
            yield (
                f"resolution unknown: {aerial.name} is taken as one tile of {side:.3g} m; pass "
                "`gsd` or `bounds`"
            )

    def _true_landcover(
        self, source: str | PathLike[str] | NDArray[np.uint8] | None, aerial: Overhead
    ) -> NDArray[np.uint8] | None:
        wanted = self.network.guidance == "truth"
        if source is None:
            if wanted:
                raise ConfigurationError(
                    f"model {self.name} is guided by true land cover: pass `landcover`"
                )
            return None
        if not wanted:
            raise ConfigurationError(
                f"model {self.name} does not take true land cover (its guidance is "
                f"'{self.network.guidance}')",
                "landcover",
            )
        return read_landcover(source, aerial.shape)

    def track(
        self, frames: Iterable[Any], overhead: ImageLike, *, fov: float = 360.0, **options: Any
    ) -> "Track":
        """Follow a camera along a drive.

        Args:
            frames, fov: As for :meth:`cvsegguide.Tracker.follow`: frames, or street views alone.
            overhead: Raster or folder of map tiles, of any size.
            options: Those of :class:`cvsegguide.Tracker`.

        Raises:
            ConfigurationError: The model is an ONNX file.
            InputError: A frame, the imagery or an option cannot be used; the message says which.
        """
        from cvsegguide.tracking import Tracker

        with Tracker(self, overhead, **options) as tracker:
            return tracker.follow(frames, fov)

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

        Raises:
            InputError: The image cannot be used, or ``out`` cannot be written.
            CheckpointError: The network's scores are not numbers.
            ConfigurationError: The network is guided by true land cover and predicts none.

        Warns:
            InferenceWarning: The resolution is unknown, and the model's was assumed.
        """
        with open_raster(overhead, bounds, gsd) as raster:
            if bounds is not None:
                check_given_bounds(raster)
            ids = None
            if out is None:
                ids = segment_array(self.network, raster, self.scheme, self.batch_size)
            else:
                segment_file(self.network, raster, out, self.scheme, self.batch_size)
            # Last, so that an error is all that is said about a raster that cannot be used.
            if raster.gsd is None:
                warnings.warn(
                    InferenceWarning(
                        f"resolution unknown: {raster.name} is taken as it is, at the model's "
                        f"{self.network.gsd:.4g} m/px; pass `gsd` or `bounds`"
                    ),
                    stacklevel=2,
                )
            return ids
