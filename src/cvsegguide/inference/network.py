"""What a localisation has to know of a network, whatever runs it. No PyTorch here."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import CheckpointError
from cvsegguide.landcover import ClassScheme

Pictures = Sequence[NDArray[np.uint8]]
"""Parts of an overhead image, ``(H, W, 3)`` each, all of one size."""


@dataclass
class Answer:
    """A network's answer about N windows.

    Attributes:
        heatmap: ``(N, 1, H, W)`` float32 scores; where headings were searched, over all of them.
        landcover: ``(N, C, H, W)`` float32 scores, or None.
        heading_log: ``(N, K)`` log-probabilities of the headings that were tried, or None.
    """

    heatmap: NDArray[np.float32]
    landcover: NDArray[np.float32] | None
    heading_log: NDArray[np.float32] | None = None


class Network(ABC):
    """A network in a runtime: PyTorch (:mod:`.torch_network`) or ONNX (:mod:`.onnx`).

    Args:
        facts: Has the attributes of :class:`cvsegguide.models.LocalizationModel` below.
        any_size: As there, but what the runtime takes.

    Attributes:
        keeps_scale: Whether images are never stretched to fit a tile.
    """

    def __init__(self, facts: Any, any_size: int | None) -> None:
        self.overhead_size: tuple[int, int] = facts.overhead_size
        self.street_size: tuple[int, int] = facts.street_size
        self.street_extent: tuple[float, float] = facts.street_extent
        self.gsd: float = facts.gsd
        self.guidance: str = facts.guidance
        self.channels: tuple[str, ...] = facts.channels
        self.searches_headings: bool = facts.searches_headings
        self.any_size = any_size
        self.keeps_scale = facts.any_size is not None

    @abstractmethod
    def match(
        self,
        tiles: Pictures,
        street: NDArray[np.float32],
        landcover: NDArray[np.uint8] | None,
        headings: NDArray[np.float32] | None,
        cache: dict[str, Any],
    ) -> Answer:
        """Localise a street view in windows.

        Args:
            tiles: The windows.
            street: ``(1, 3, h, w)``, the street view on the network's canvas.
            landcover: ``(N, H, W)`` class ids, for networks that are guided by them.
            headings: ``(K,)`` degrees to try, for networks that search headings.
            cache: What the runtime keeps of the windows for another street view; empty at first.
        """

    @abstractmethod
    def segment(self, images: Pictures) -> NDArray[np.float32]:
        """Land-cover scores ``(N, C, H, W)``.

        Raises:
            CheckpointError: They are not numbers.
            ConfigurationError: The network predicts no land cover.
        """

    def best_channels(self, images: Pictures) -> NDArray[np.uint8]:
        """The channel with the highest of those scores, ``(N, H, W)``."""
        return np.asarray(self.segment(images).argmax(axis=1), np.uint8)

    @contextmanager
    def thread_pool(self) -> Iterator[ThreadPoolExecutor]:
        """Threads to call :meth:`segment` and :meth:`best_channels` in side by side."""
        with ThreadPoolExecutor(1, "segmenting") as pool:
            yield pool

    @abstractmethod
    def log_posterior(self, heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-probabilities ``(H, W)`` of a heatmap ``(1, 1, H, W)``."""


def check_numbers(total: float) -> None:
    """Raise CheckpointError where scores of land cover that sum to ``total`` are not numbers."""
    if not np.isfinite(total):
        raise CheckpointError("the land-cover scores are not numbers; the weights are damaged")


def class_ids_of_channels(channels: Sequence[str], scheme: ClassScheme) -> NDArray[np.uint8]:
    """``(C,)``: the class id that stands for each land-cover channel of a network."""
    ids = [scheme.channels.get(name, i + 1) for i, name in enumerate(channels)]
    return np.array(ids, np.uint8)
