"""An ONNX file in the place of a network, for what works with tensors: ``segment``."""

from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.errors import ConfigurationError
from cvsegguide.export import description as names
from cvsegguide.export.headings import best_headings
from cvsegguide.export.runtime import OnnxNetwork
from cvsegguide.models.base import LocalizationModel, Prediction


class OnnxModel(LocalizationModel):
    """A file of ``cvsegguide export`` as a :class:`LocalizationModel`, on the CPU alone.

    Args:
        path: The file.
        threads: See :class:`OnnxNetwork`.
    """

    def __init__(self, path: str | PathLike[str], threads: int = 0) -> None:
        super().__init__()
        self.file = OnnxNetwork(path, threads)
        facts = self.facts = self.file.description
        self.overhead_size, self.street_size = facts.overhead_size, facts.street_size
        self.street_extent, self.gsd = facts.street_extent, facts.gsd
        self.guidance, self.channels = facts.guidance, facts.channels
        self.searches_headings = facts.searches_headings

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        """See :meth:`LocalizationModel.forward`."""
        inputs: dict[str, NDArray[Any]] = {
            names.OVERHEAD: overhead.cpu().numpy(),
            names.STREET: street.cpu().numpy(),
        }
        if self.guidance == "truth":
            if landcover is None:
                raise ConfigurationError("guidance 'truth' needs the land cover")
            inputs[names.LANDCOVER] = landcover.cpu().numpy().astype(np.int64)
        turns = np.zeros(1, np.float32) if headings is None else headings.cpu().numpy()
        if self.searches_headings:
            inputs[names.HEADINGS] = turns.astype(np.float32)
        outputs = self.file.run(inputs)
        found = {name: torch.from_numpy(value) for name, value in outputs.items()}
        prediction = Prediction(found.get(names.SCORES), found[names.HEATMAP])
        if self.searches_headings and headings is not None:
            prediction.heading_log = found[names.HEADING_LOG]
            best = best_headings(outputs[names.HEADING_LOG], turns)
            prediction.heading = torch.from_numpy(best)
        return prediction

    def segment(self, overhead: Tensor) -> Tensor:
        """See :meth:`LocalizationModel.segment`."""
        return torch.from_numpy(self.file.segment(overhead.cpu().numpy()))

    def log_posterior(self, prediction: Prediction) -> Tensor:
        """See :meth:`LocalizationModel.log_posterior`."""
        return torch.from_numpy(self.facts.log_posterior(prediction.heatmap.cpu().numpy()))

    def config(self) -> dict[str, Any]:
        """Of the network that the file was made of."""
        return dict(self.facts.config)
