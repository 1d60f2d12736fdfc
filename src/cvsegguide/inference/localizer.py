"""From a street view and an overhead image to a posterior, an estimate and ranked regions."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cvsegguide.errors import ConfigurationError, first_sentence
from cvsegguide.geo.panorama import canvas_of_picture
from cvsegguide.inference.acceleration import accelerated
from cvsegguide.inference.base import ONE_TILE, OVERLAP, WHOLE, BaseLocalizer, Part, Plan
from cvsegguide.inference.base import warn as _warn
from cvsegguide.inference.scores import landcover_ids
from cvsegguide.inference.segmentation import segment_array, segment_file
from cvsegguide.inference.windows import Blender, to_tensor
from cvsegguide.io.images import ImageLike
from cvsegguide.io.location import check_given_bounds
from cvsegguide.io.rasters import open_raster
from cvsegguide.landcover import NYC, ClassScheme
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.headings import heading_grid

if TYPE_CHECKING:
    from cvsegguide.tracking import Track

__all__ = ["ONE_TILE", "OVERLAP", "WHOLE", "Localizer", "choose_device"]


_ENCODED = 16
"""Groups of windows whose encoded tiles are kept while an image is localised in again and again."""


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


@dataclass
class _Known:
    """What does not depend on the street view: encoded tiles, land cover that comes on its own."""

    tile: Any
    landcover: Tensor | None = None


class Localizer(BaseLocalizer):
    """Localises street views in overhead images with one model.

    Args:
        model: The network.
        device: See :func:`choose_device`.
        name: Recorded in results.
        scheme: Class ids of the land cover that is returned.
        batch_size: Windows that pass the network at once when an image is larger than a tile.
        precision: ``"auto"`` (bf16 on CUDA devices that have it, else fp32), ``"bf16"``,
            ``"fp16"`` or ``"fp32"``. In bf16 scores differ by about one part in a hundred.
            :meth:`track` takes float32 whatever it is.
    """

    def __init__(
        self,
        model: LocalizationModel,
        device: str | torch.device = "auto",
        name: str | None = None,
        scheme: ClassScheme = NYC,
        batch_size: int = 4,
        precision: str = "auto",
    ) -> None:
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self._quick = accelerated(self.model, self.device, precision)
        self._encoded: OrderedDict[bytes, _Known] | None = None
        super().__init__(self.model, name or type(model).__name__, scheme, batch_size)

    @classmethod
    def from_pretrained(
        cls,
        source: str | PathLike[str],
        device: str | torch.device = "auto",
        precision: str = "auto",
    ) -> "Localizer":
        """Load a model.

        Args:
            source: Name of bundled weights, a directory or ``.safetensors`` file written by this
                project, a Hugging Face repository id, a published CVSegGuide checkpoint, or an
                ``.onnx`` file of ``cvsegguide export``, which runs on the CPU (without PyTorch:
                :class:`cvsegguide.export.localizer.OnnxLocalizer`).
            device: See :func:`choose_device`.
            precision: See :class:`Localizer`.

        Raises:
            CheckpointError: It cannot be loaded; the message says why.
        """
        if fspath(source).endswith(".onnx"):
            from cvsegguide.export.model import OnnxModel

            if precision not in ("auto", "fp32"):
                raise ConfigurationError(f"--precision {precision}: an ONNX file computes in fp32")
            if str(device) not in ("auto", "cpu"):
                raise ConfigurationError(f"--device {device}: an ONNX file runs on the CPU")
            file = OnnxModel(source)
            return cls(file, device="cpu", name=file.facts.model)
        from cvsegguide.models.hub import load_model

        chosen = choose_device(device)
        return cls(load_model(source), device=chosen, name=fspath(source), precision=precision)

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

        Raises:
            InputError: The image cannot be used, or ``out`` cannot be written.
            CheckpointError: The network's scores are not numbers.

        Warns:
            InferenceWarning: The resolution is unknown, and the model's was assumed.
        """
        with open_raster(overhead, bounds, gsd) as raster:
            if bounds is not None:
                check_given_bounds(raster)
            ids = None
            if out is None:
                ids = segment_array(self._quick, raster, self.device, self.scheme, self.batch_size)
            else:
                segment_file(self._quick, raster, out, self.device, self.scheme, self.batch_size)
            # Last, so that an error is all that is said about a raster that cannot be used.
            if raster.gsd is None:
                _warn(
                    f"resolution unknown: {raster.name} is taken as it is, at the model's "
                    f"{self.model.gsd:.4g} m/px; pass --gsd or --bounds"
                )
            return ids

    def _inference(self) -> AbstractContextManager[Any]:
        return torch.inference_mode()

    def _street(self, view: NDArray[np.uint8], heading: float, fov: float) -> Tensor:
        """The street view on the model's canvas, ``(1, 3, h, w)``."""
        model = self.model
        canvas = canvas_of_picture(view, heading, fov, model.street_size, model.street_extent)
        return torch.from_numpy(canvas).to(self.device)

    def _forward(
        self,
        tiles: Sequence[NDArray[np.uint8]],
        street: Tensor,
        guides: NDArray[np.uint8] | None,
        error: float | None,
    ) -> Part:
        search = None if error is None else heading_grid(error, self.device)
        headings = [] if search is None else [search]
        views = street.expand(len(tiles), -1, -1, -1)
        if self._encoded is None:
            overhead, landcover = self._inputs(tiles, guides)
            prediction: Prediction = self._quick(overhead, views, landcover, *headings)
            if prediction.landcover is None and guides is None:
                # Unguided networks leave their land-cover head out of the forward pass.
                prediction.landcover = self._quick.segment(overhead)
        else:
            network: Any = self.model
            known = self._known(tiles, guides)
            prediction = network.match_tile(known.tile, views, *headings)
            if prediction.landcover is None and guides is None:
                if known.landcover is None:
                    known.landcover = network.segment(self._inputs(tiles, guides)[0])
                prediction.landcover = known.landcover
        part = Part(prediction.heatmap, prediction.landcover)
        if prediction.heading is not None and prediction.heading_log is not None:
            part.mass = self._mass(prediction.heatmap)
            part.heading = prediction.heading.float().cpu().numpy()
            part.heading_log = prediction.heading_log.float().log_softmax(dim=1).cpu().numpy()
        return part

    def _inputs(
        self, tiles: Sequence[NDArray[np.uint8]], guides: NDArray[np.uint8] | None
    ) -> tuple[Tensor, Tensor | None]:
        overhead = torch.cat([to_tensor(tile, self.device) for tile in tiles])
        return overhead, None if guides is None else torch.from_numpy(guides).to(self.device)

    @contextmanager
    def _encoding_once(self) -> Iterator[None]:
        before = self._encoded
        # where forward passes are recorded, or cast, they stay whole
        if self._quick is self.model and hasattr(self.model, "encode_tile"):
            self._encoded = OrderedDict()
        try:
            yield
        finally:
            self._encoded = before

    def _known(
        self, tiles: Sequence[NDArray[np.uint8]], guides: NDArray[np.uint8] | None
    ) -> "_Known":
        assert self._encoded is not None
        digest = blake2b(digest_size=16)
        for array in (*tiles, *([] if guides is None else [guides])):
            digest.update(repr(array.shape).encode())
            digest.update(array.tobytes())
        key = digest.digest()
        if key not in self._encoded:
            network: Any = self.model
            self._encoded[key] = _Known(network.encode_tile(*self._inputs(tiles, guides)))
            while len(self._encoded) > _ENCODED:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def _log_sum(self, heatmaps: Sequence[Tensor]) -> Tensor:
        return torch.stack([heatmap.float() for heatmap in heatmaps]).logsumexp(dim=0)

    def _mass(
        self, heatmaps: Tensor, shares: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        heatmaps = heatmaps[:, 0].float()
        if shares is not None:
            heatmaps = heatmaps + torch.from_numpy(shares).to(heatmaps.device).log()
        return np.asarray(heatmaps.flatten(1).logsumexp(dim=1).cpu().numpy())

    def _blender(self, channels: int, plan: Plan) -> Blender:
        return Blender(channels, plan.canvas, plan.tile, self.device)

    def _log_posterior(self, heatmap: Tensor) -> NDArray[np.float32]:
        scores = self.model.log_posterior(Prediction(landcover=None, heatmap=heatmap))[0]
        return np.asarray(scores.float().cpu().numpy())

    def _class_ids(self, scores: Tensor, shape: tuple[int, int]) -> NDArray[np.uint8]:
        scores = scores.float()
        if tuple(scores.shape[2:]) != shape:
            scores = functional.interpolate(
                scores, size=shape, mode="bilinear", align_corners=False
            )
        return landcover_ids(scores[0], self.model.channels, self.scheme)
