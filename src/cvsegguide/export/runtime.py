"""Exported networks in ONNX Runtime. No PyTorch here."""

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import CheckpointError, ConfigurationError, first_sentence
from cvsegguide.export import description as names
from cvsegguide.export.description import Description


class OnnxNetwork:
    """A file of ``cvsegguide export``.

    Args:
        path: The file.
        threads: Threads that ONNX Runtime may use; 0 follows ``OMP_NUM_THREADS``, else its own
            choice.
        providers: Execution providers of ONNX Runtime.

    Attributes:
        description: What the file says about its network.
        inputs, outputs: Names.

    Raises:
        ConfigurationError: ONNX Runtime is not installed.
        CheckpointError: The file cannot be read, or was not written by this project.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        threads: int = 0,
        providers: tuple[str, ...] = ("CPUExecutionProvider",),
    ) -> None:
        from cvsegguide.io.images import check_file

        try:
            import onnxruntime
        except ImportError:
            raise ConfigurationError(
                f"{fspath(path)}: needs onnxruntime: pip install 'cvsegguide[onnx]'"
            ) from None
        from pathlib import Path

        check_file(Path(path))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or _threads()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                fspath(path), options, providers=list(providers)
            )
        except Exception as error:  # the library has exceptions of its own, without a base
            reason = first_sentence(str(error).split(" : ")[-1])
            raise CheckpointError(f"{fspath(path)}: not a readable ONNX file ({reason})") from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.description = Description.from_metadata(metadata, fspath(path))
        self.inputs = [entry.name for entry in self._session.get_inputs()]
        self.outputs = [entry.name for entry in self._session.get_outputs()]
        for name in (names.OVERHEAD, names.STREET):
            if name not in self.inputs:
                raise CheckpointError(f"{fspath(path)}: no input '{name}'")
        for name in (names.HEATMAP, names.POSTERIOR):
            if name not in self.outputs:
                raise CheckpointError(f"{fspath(path)}: no output '{name}'")

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: list[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, all of them or those asked for."""
        wanted = outputs or self.outputs
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = len(wanted) < len(self.outputs)
        values = self._session.run(wanted, dict(inputs), options)
        return dict(zip(wanted, values, strict=True))

    def segment(self, overhead: NDArray[np.float32]) -> NDArray[np.float32]:
        """Land-cover scores ``(B, C, H, W)`` of tiles ``(B, 3, H, W)`` alone.

        Raises:
            ConfigurationError: The network predicts no land cover.
        """
        if names.SCORES not in self.outputs:
            raise ConfigurationError(
                f"model {self.description.model} is guided by true land cover and predicts none"
            )
        count = len(overhead)
        inputs: dict[str, NDArray[Any]] = {
            names.OVERHEAD: overhead,
            names.STREET: np.zeros((count, 3, *self.description.street_size), np.float32),
            names.LANDCOVER: np.ones((count, *self.description.overhead_size), np.int64),
            names.HEADINGS: np.zeros(1, np.float32),
        }
        given = {name: inputs[name] for name in self.inputs}
        return np.asarray(self.run(given, [names.SCORES])[names.SCORES])


def _threads() -> int:
    import os

    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() else 0
