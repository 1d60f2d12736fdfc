"""Files of ``cvsegguide export`` in ONNX Runtime, for :class:`cvsegguide.Localizer`.

No PyTorch here.
"""

import os
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import CheckpointError, ConfigurationError, first_sentence
from cvsegguide.inference import description as names
from cvsegguide.inference.description import Description
from cvsegguide.inference.network import Answer, Network, Pictures, check_numbers
from cvsegguide.io.images import check_file

if TYPE_CHECKING:
    import torch


class OnnxNetwork(Network):
    """A file of ``cvsegguide export`` as a :class:`.network.Network`, on the CPU.

    Args:
        path: The file. ONNX Runtime follows ``OMP_NUM_THREADS``.

    Attributes:
        description: What the file says about its network.
        inputs, outputs: Names.

    Raises:
        ConfigurationError: ONNX Runtime is not installed.
        CheckpointError: The file cannot be read, or was not written by this project.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ConfigurationError(
                f"{fspath(path)}: needs onnxruntime: pip install 'cvsegguide[onnx]'"
            ) from None
        check_file(Path(path))
        options = onnxruntime.SessionOptions()
        threads = os.environ.get("OMP_NUM_THREADS", "")
        options.intra_op_num_threads = int(threads) if threads.isdigit() else 0
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library has exceptions of its own, without a base
            reason = first_sentence(str(error).split(" : ")[-1])
            raise CheckpointError(f"{fspath(path)}: not a readable ONNX file ({reason})") from None
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.description = Description.from_metadata(metadata, fspath(path))
        self.inputs = [entry.name for entry in self._session.get_inputs()]
        self.outputs = [entry.name for entry in self._session.get_outputs()]
        for name in (names.OVERHEAD, names.STREET, names.HEATMAP, names.POSTERIOR):
            if name not in (*self.inputs, *self.outputs):
                raise CheckpointError(f"{fspath(path)}: no input or output '{name}'")
        super().__init__(self.description, any_size=None)  # a file has one size

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: list[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, all of them or those asked for."""
        wanted = outputs or self.outputs
        values = self._session.run(wanted, dict(inputs), self._options)
        return dict(zip(wanted, values, strict=True))

    def match(
        self,
        tiles: Pictures,
        street: NDArray[np.float32],
        landcover: NDArray[np.uint8] | None,
        headings: NDArray[np.float32] | None,
        cache: dict[str, Any],
    ) -> Answer:
        """See :meth:`.network.Network.match`; nothing is kept."""
        inputs: dict[str, NDArray[Any]] = {
            names.OVERHEAD: to_array(tiles),
            names.STREET: np.broadcast_to(street, (len(tiles), *street.shape[1:])),
        }
        if landcover is not None:
            inputs[names.LANDCOVER] = landcover.astype(np.int64)
        if self.searches_headings:
            inputs[names.HEADINGS] = np.zeros(1, np.float32) if headings is None else headings
        wanted = [names.HEATMAP]
        if landcover is None and names.SCORES in self.outputs:
            wanted.append(names.SCORES)
        if headings is not None:
            wanted.append(names.HEADING_LOG)
        found = self.run(inputs, wanted)
        return Answer(found[names.HEATMAP], found.get(names.SCORES), found.get(names.HEADING_LOG))

    def segment(self, images: Pictures) -> NDArray[np.float32]:
        """See :meth:`.network.Network.segment`."""
        if names.SCORES not in self.outputs:
            raise ConfigurationError(
                f"model {self.description.model} is guided by true land cover and predicts none"
            )
        inputs: dict[str, NDArray[Any]] = {
            names.OVERHEAD: to_array(images),
            names.STREET: np.zeros((len(images), 3, *self.street_size), np.float32),
            names.HEADINGS: np.zeros(1, np.float32),
        }
        given = {name: inputs[name] for name in self.inputs}
        scores: NDArray[np.float32] = self.run(given, [names.SCORES])[names.SCORES]
        check_numbers(scores.sum())
        return scores

    def log_posterior(self, heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :meth:`.network.Network.log_posterior`."""
        return np.asarray(self.description.log_posterior(heatmap)[0])


def to_array(tiles: Pictures) -> NDArray[np.float32]:
    """``(H, W, 3)`` uint8 tiles to ``(N, 3, H, W)`` float32 in [0, 1]."""
    stacked = np.stack([tile.transpose(2, 0, 1) for tile in tiles])
    return stacked.astype(np.float32) / np.float32(255.0)


def check_options(device: "str | torch.device", precision: str) -> None:
    """Raise ConfigurationError for what a file cannot do."""
    if precision not in ("auto", "fp32"):
        raise ConfigurationError(f"{precision}: an ONNX file computes in fp32", "precision")
    if str(device) not in ("auto", "cpu"):
        raise ConfigurationError(f"{device}: an ONNX file runs on the CPU", "device")
