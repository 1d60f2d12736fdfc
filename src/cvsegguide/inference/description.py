"""What an exported file says about its network, so that it suffices. No PyTorch here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import CheckpointError

PREFIX = "cvsegguide."
"""What the keys of the metadata begin with."""

FORMAT = 2
"""Version of the names and meanings below."""

OVERHEAD, STREET, LANDCOVER, HEADINGS = "overhead", "street", "landcover", "headings"
HEATMAP, SCORES, POSTERIOR = "heatmap", "landcover_scores", "log_posterior"
HEADING_LOG = "heading_log"


@dataclass(frozen=True)
class Description:
    """Metadata of an exported network.

    Attributes:
        model: Name of the weights.
        architecture: ``"geometric"``, ``"mst"``, ``"featup"``, ...
        version: Version of this package that wrote the file.
        overhead_size: ``(H, W)`` of the overhead input in pixels.
        street_size: ``(h, w)`` of the street input in pixels.
        street_extent: Degrees ``(vertical, horizontal)`` that the street input spans.
        gsd: Metres per overhead pixel.
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.
        channels: Names of the channels of ``landcover_scores``, in order.
        channel_ids: Class id that stands for each of them.
        class_ids, class_names: Classes of the scheme, for rasters of ids.
        searches_headings: Whether there is an input of headings to try.
        any_size: A number when the network itself takes any multiple of it; the file takes
            ``overhead_size`` only, but images need no stretching to fit.
        density: Whether the heatmap is proportional to a probability density; else it holds
            logits.
        inverse_temperature: What logits are multiplied with before the softmax.
        license: Licence of the weights, as far as it is known.
        config: Arguments that rebuild the network.
    """

    model: str
    architecture: str
    version: str
    overhead_size: tuple[int, int]
    street_size: tuple[int, int]
    street_extent: tuple[float, float]
    gsd: float
    guidance: str
    channels: tuple[str, ...]
    channel_ids: tuple[int, ...]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    searches_headings: bool
    any_size: int | None
    density: bool
    inverse_temperature: float
    license: str
    config: dict[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """Keys and values of the file's metadata; values are JSON, texts are as they are."""
        entries = {"format": FORMAT, **asdict(self)}
        return {
            PREFIX + key: value if isinstance(value, str) else json.dumps(value)
            for key, value in entries.items()
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> "Description":
        """Inverse of :meth:`to_metadata`.

        Args:
            metadata: All of the file's.
            source: The file, for error messages.

        Raises:
            CheckpointError: Entries are missing or damaged, or of a later format.
        """
        if PREFIX + "format" not in metadata:
            raise CheckpointError(f"{source}: not written by `cvsegguide export` (no metadata)")
        version = metadata[PREFIX + "format"]
        if version != str(FORMAT):
            raise CheckpointError(f"{source}: format {version!r}, this version reads {FORMAT}")
        values: dict[str, Any] = {}
        for field in fields(cls):
            try:
                text = metadata[PREFIX + field.name]
                value = text if field.type is str else json.loads(text)
                values[field.name] = tuple(value) if isinstance(value, list) else value
            except (KeyError, ValueError):
                raise CheckpointError(f"{source}: damaged metadata '{field.name}'") from None
        found = cls(**values)
        found._check(source)
        return found

    def _check(self, source: str) -> None:
        for name, kind, count in (
            ("overhead_size", int, 2),
            ("street_size", int, 2),
            ("street_extent", (int, float), 2),
            ("channels", str, None),
            ("channel_ids", int, len(self.channels)),
        ):
            value = getattr(self, name)
            good = isinstance(value, tuple) and all(isinstance(part, kind) for part in value)
            if not good or count not in (None, len(value)):
                raise CheckpointError(f"{source}: damaged metadata '{name}'")
        for name in ("gsd", "inverse_temperature"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise CheckpointError(f"{source}: damaged metadata '{name}'")

    def log_posterior(self, heatmap: NDArray[np.floating]) -> NDArray[np.float32]:
        """Log-probabilities ``(B, H, W)`` of heatmaps ``(B, 1, H, W)``."""
        scores = np.asarray(heatmap[:, 0], np.float64)
        if self.density:
            scores = np.log(np.maximum(scores, 1e-12))
        else:
            scores = scores * self.inverse_temperature
        highest = scores.max(axis=(1, 2), keepdims=True)
        total = np.exp(scores - highest).sum(axis=(1, 2), keepdims=True)
        return np.asarray(scores - highest - np.log(total), np.float32)
