"""``Localizer`` on an ONNX file: the same answers without PyTorch."""

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.export import description as names
from cvsegguide.export.headings import best_headings, heading_rotations
from cvsegguide.export.runtime import OnnxNetwork
from cvsegguide.geo.panorama import canvas_of_picture
from cvsegguide.inference.base import BaseLocalizer, Part, Plan
from cvsegguide.inference.lattice import taper
from cvsegguide.landcover import NYC, ClassScheme


class OnnxLocalizer(BaseLocalizer):
    """Localises street views in overhead images with a file of ``cvsegguide export``.

    Args:
        path: The file.
        name: Recorded in results; the file's own name of its weights when not given.
        scheme: Class ids of the land cover that is returned.
        batch_size: Windows that pass the network at once when an image is larger than a tile.
        threads: See :class:`OnnxNetwork`.
    """

    whole = False  # a file has one size

    def __init__(
        self,
        path: str | PathLike[str],
        name: str | None = None,
        scheme: ClassScheme = NYC,
        batch_size: int = 4,
        threads: int = 0,
    ) -> None:
        self.file = OnnxNetwork(path, threads)
        self.facts = self.file.description
        super().__init__(self.facts, name or self.facts.model, scheme, batch_size)

    def _street(self, view: NDArray[np.uint8], heading: float, fov: float) -> NDArray[np.float32]:
        facts = self.facts
        return canvas_of_picture(view, heading, fov, facts.street_size, facts.street_extent)

    def _forward(
        self,
        tiles: Sequence[NDArray[np.uint8]],
        street: NDArray[np.float32],
        guides: NDArray[np.uint8] | None,
        error: float | None,
    ) -> Part:
        count = len(tiles)
        inputs: dict[str, NDArray[Any]] = {
            names.OVERHEAD: to_array(tiles),
            names.STREET: np.broadcast_to(street, (count, *street.shape[1:])),
        }
        if guides is not None:
            inputs[names.LANDCOVER] = guides.astype(np.int64)
        rotations = None if error is None else heading_rotations(error)
        if self.facts.searches_headings:
            given = np.zeros(1, np.float32) if rotations is None else rotations
            inputs[names.HEADINGS] = given
        wanted = [names.HEATMAP]
        if guides is None and names.SCORES in self.file.outputs:
            wanted.append(names.SCORES)
        if rotations is not None:
            wanted.append(names.HEADING_LOG)
        outputs = self.file.run(inputs, wanted)
        part = Part(outputs[names.HEATMAP], outputs.get(names.SCORES))
        if rotations is not None:
            log = outputs[names.HEADING_LOG]
            part.mass = self._mass(part.heatmap)
            part.heading = best_headings(log, rotations)
            part.heading_log = log
        return part

    def _log_sum(self, heatmaps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.asarray(np.logaddexp.reduce(np.stack(heatmaps)), np.float32)

    def _mass(
        self, heatmaps: NDArray[np.float32], shares: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        flat = heatmaps.reshape(len(heatmaps), -1).astype(np.float64)
        if shares is not None:
            flat += np.log(shares.reshape(flat.shape))
        highest = flat.max(axis=1)
        mass = highest + np.log(np.exp(flat - highest[:, None]).sum(axis=1))
        return np.asarray(mass, np.float32)

    def _blender(self, channels: int, plan: Plan) -> "ArrayBlender":
        return ArrayBlender(channels, plan.canvas, plan.tile)

    def _log_posterior(self, heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.facts.log_posterior(heatmap)[0])

    def _class_ids(self, scores: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
        best = enlarged(scores[0], shape).argmax(axis=0)
        own = [
            self.scheme.channels.get(name, value)
            for name, value in zip(self.facts.channels, self.facts.channel_ids, strict=True)
        ]
        return np.asarray(np.array(own, np.uint8)[best])


def to_array(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """``(H, W, 3)`` uint8 tiles to ``(N, 3, H, W)`` float32 in [0, 1]."""
    stacked = np.stack([tile.transpose(2, 0, 1) for tile in tiles])
    return np.asarray(stacked.astype(np.float32) / np.float32(255.0))


def enlarged(scores: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Scores ``(C, h, w)`` at ``shape``, linearly between pixel centres."""
    for axis, count in ((1, shape[0]), (2, shape[1])):
        length = scores.shape[axis]
        if length == count:
            continue
        position = np.clip((np.arange(count) + 0.5) * (length / count) - 0.5, 0, length - 1)
        low = np.floor(position).astype(np.intp)
        high = np.minimum(low + 1, length - 1)
        weight = (position - low).astype(np.float32)
        weight = weight[:, None] if axis == 1 else weight
        scores = scores.take(low, axis) * (1 - weight) + scores.take(high, axis) * weight
    return scores


class ArrayBlender:
    """:class:`cvsegguide.inference.windows.Blender` in numpy; windows lie on the canvas."""

    def __init__(self, channels: int, shape: tuple[int, int], size: tuple[int, int]) -> None:
        self._total = np.zeros((channels, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)
        self._taper = taper(size)

    def add(self, scores: NDArray[np.float32], top: int, left: int) -> None:
        """Add a window ``(C, h, w)``."""
        height, width = self._taper.shape
        place = (slice(top, top + height), slice(left, left + width))
        self._total[(slice(None), *place)] += scores * self._taper
        self._weight[place] += self._taper

    def result(self) -> NDArray[np.float32]:
        """``(C, H, W)``; 0 where no window came."""
        return np.asarray(self._total / np.maximum(self._weight, np.float32(1e-12)))


def is_onnx(source: str | PathLike[str]) -> bool:
    """Whether a model is named that :class:`OnnxLocalizer` reads."""
    return fspath(source).endswith(".onnx")
