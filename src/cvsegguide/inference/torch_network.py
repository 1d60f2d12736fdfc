"""Networks in PyTorch, for :class:`cvsegguide.Localizer`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.errors import ConfigurationError, first_sentence
from cvsegguide.inference.network import Answer, Network, Pictures, check_numbers
from cvsegguide.models.base import LocalizationModel, Prediction

WINDOWS_AT_ONCE = 4
"""Groups of windows that a CPU segments side by side, at most: each needs its memory."""

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}
"""What products are computed in; None: float32."""


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
            raise ConfigurationError(f"{device} is not available ({reason})", "device") from None
        return chosen
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def product_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type that products are computed in, or None for float32.

    Args:
        precision: ``"auto"``: bfloat16 on CUDA devices that have it, else float32.
        device: Where.

    Raises:
        ConfigurationError: The precision is not one of :data:`PRECISIONS`.
    """
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else None
    if precision not in PRECISIONS:
        raise ConfigurationError(
            f"is '{precision}', not one of auto, {', '.join(PRECISIONS)}", "precision"
        )
    return PRECISIONS[precision]


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """``(H, W, 3)`` uint8 to ``(1, 3, H, W)`` float32 in [0, 1], channels side by side."""
    if not image.flags.writeable:
        image = image.copy()  # PyTorch knows no read-only tensors
    return torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255.0


class TorchNetwork(Network):
    """A :class:`~cvsegguide.models.LocalizationModel` as a :class:`.network.Network`.

    Args:
        model: The network.
        device: See :func:`choose_device`.
        precision: See :func:`product_type`; answers are float32 whatever it is.
        compiled: Compile the parts that the model names as compilable: the first answer of a
            size takes a minute, all others less.

    Attributes:
        model: The network, prepared for inference.
    """

    def __init__(
        self, model: LocalizationModel, device: str | torch.device, precision: str, compiled: bool
    ) -> None:
        super().__init__(model, model.any_size)
        self.device = choose_device(device)
        self._type = product_type(precision, self.device)
        self.model = model.to(self.device).prepare_inference()
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        if compiled:
            for part in self.model.compilable():
                part.compile()

    @torch.inference_mode()
    def match(
        self,
        tiles: Pictures,
        street: NDArray[np.float32],
        landcover: NDArray[np.uint8] | None,
        headings: NDArray[np.float32] | None,
        cache: dict[str, Any],
    ) -> Answer:
        """See :meth:`.network.Network.match`."""
        with self._autocast():
            if "tile" not in cache:
                overhead = self._batch(tiles)
                known = None if landcover is None else self._tensor(landcover)
                cache["tile"] = self.model.encode_tile(overhead, known)
            view = self._tensor(street).expand(len(tiles), -1, -1, -1)
            search = None if headings is None else self._tensor(headings)
            found = self.model.match_tile(cache["tile"], view, search)
            scores = found.landcover
            if scores is None and self.guidance != "truth":
                # Unguided networks leave their land-cover head out of the forward pass.
                if "landcover" not in cache:
                    cache["landcover"] = self.model.segment(self._batch(tiles))
                scores = cache["landcover"]
        log = found.heading_log
        return Answer(
            _array(found.heatmap),
            None if scores is None else _array(scores),
            None if log is None else _array(log.float().log_softmax(dim=1)),
        )

    def segment(self, images: Pictures) -> NDArray[np.float32]:
        """See :meth:`.network.Network.segment`."""
        return _array(self._segment(images))

    def best_channels(self, images: Pictures) -> NDArray[np.uint8]:
        """See :meth:`.network.Network.best_channels`."""
        # Faster on a CPU than argmax, several times.
        best: NDArray[np.uint8] = self._segment(images).max(dim=1).indices.byte().cpu().numpy()
        return best

    @contextmanager
    def thread_pool(self) -> Iterator[ThreadPoolExecutor]:
        """See :meth:`.network.Network.thread_pool`; windows share a CPU better than layers do."""
        threads = torch.get_num_threads()
        count = min(threads, WINDOWS_AT_ONCE) if self.device.type == "cpu" else 1
        each = threads // count
        with ThreadPoolExecutor(count, "segmenting", torch.set_num_threads, (each,)) as pool:
            try:
                yield pool
            finally:
                pool.shutdown()
                torch.set_num_threads(threads)  # what threads that come later begin with

    @torch.inference_mode()
    def _segment(self, images: Pictures) -> Tensor:
        with self._autocast():
            scores = self.model.segment(self._batch(images))
        check_numbers(float(scores.sum(dtype=torch.float32)))
        return scores

    @torch.inference_mode()
    def log_posterior(self, heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :meth:`.network.Network.log_posterior`."""
        return _array(self.model.log_posterior(Prediction(None, self._tensor(heatmap)))[0])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._type, enabled=self._type is not None)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _batch(self, images: Pictures) -> Tensor:
        return torch.cat([to_tensor(image, self.device) for image in images])


def _array(values: Tensor) -> NDArray[np.float32]:
    return np.asarray(values.float().cpu().numpy())
