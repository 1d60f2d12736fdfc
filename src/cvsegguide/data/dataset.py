"""What the data sets share: how pictures are sized, and what can be asked."""

from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cvsegguide.data.decode import decode_rgb, decode_street, rgb_tensor
from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError

Root = str | PathLike[str]


class CrossViewDataset(Dataset[Sample]):
    """A data set of street views, each with the overhead tile that it was taken in.

    Args:
        overhead_size: Tiles are resized to this many pixels square, and position and gsd with
            them; None keeps the file's size.
        street_size: ``(h, w)`` in pixels that a full circle of street view is resized to; a
            narrower view keeps its pixels per degree. None keeps the file's resolution.
        street_extent: Vertical extent in degrees that is kept about the horizon; None keeps all.

    Raises:
        ConfigurationError: ``street_size`` and ``street_extent`` would not give square pixels, or
            a size is not positive.
    """

    def __init__(
        self,
        overhead_size: int | None = 256,
        street_size: tuple[int, int] | None = (128, 512),
        street_extent: float | None = 90.0,
    ) -> None:
        if overhead_size is not None and overhead_size < 1:
            raise ConfigurationError(
                f"must be positive, got {overhead_size}", parameter="overhead_size"
            )
        if street_size is not None:
            street_size = (int(street_size[0]), int(street_size[1]))
            if min(street_size) < 1:
                raise ConfigurationError(
                    f"must be positive, got {street_size}", parameter="street_size"
                )
            vertical = 360.0 * street_size[0] / street_size[1]
            if street_extent is None:
                street_extent = vertical
            elif abs(street_extent - vertical) > 360.0 / street_size[1]:
                raise ConfigurationError(
                    f"{street_size} spans {vertical:g} degrees vertically, but `street_extent` is "
                    f"{street_extent:g}",
                    parameter="street_size",
                )
        if street_extent is not None and not 0 < street_extent <= 180:
            raise ConfigurationError(
                f"must lie in (0, 180], got {street_extent}", parameter="street_extent"
            )
        self.overhead_size = overhead_size
        self.street_size = street_size
        self.street_extent = street_extent

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def sample_id(self, index: int) -> str:
        """The unique name of a sample, without reading its pictures."""
        raise NotImplementedError

    def _grid(self) -> tuple[int, int] | None:
        return None if self.overhead_size is None else (self.overhead_size, self.overhead_size)

    def _overhead(self, path: Root) -> Tensor:
        return rgb_tensor(decode_rgb(path, self._grid()))

    def _street(self, path: Root, fov: float = 360.0) -> Tensor:
        return rgb_tensor(decode_street(path, fov, self.street_size, self.street_extent))

    @staticmethod
    def _draw_sightline(
        landcover: NDArray[np.uint8], row: float, col: float, sigma: float
    ) -> Tensor:
        """The localisation target, ``sigma`` pixels wide.

        Bounds are closed: a camera on the southern or eastern edge counts as the last pixel.
        """
        from cvsegguide.geo.sightline import sightline

        height, width = landcover.shape
        inside = min(row, height - 0.5), min(col, width - 0.5)
        return torch.from_numpy(sightline(landcover, *inside, sigma=sigma))

    def _checked_index(self, index: int) -> int:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"there are {count} samples, no sample {index}")
        return index % count
